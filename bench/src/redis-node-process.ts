import { REDIS_CATALOGUE } from "./catalogue.js";
import type { RedisNodeProtocol } from "./redis-protocol.js";
import { serve } from "./remote.js";

// One node of a cluster, in a separate process whose CPU time is measured.

let cpuAtBegin = process.cpuUsage();

serve<RedisNodeProtocol>({
  async start({ subject: name, ...place }) {
    const { subject } = await REDIS_CATALOGUE[name].load();
    return subject.startNode(place);
  },

  begin() {
    cpuAtBegin = process.cpuUsage();
  },

  end() {
    const { user, system } = process.cpuUsage(cpuAtBegin);
    return user + system;
  },
});
