import { redisTapes } from "@tidewire/redis";
import { tapesContract } from "../contracts/tapes.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

describeWithRedis("Tapes on Redis", () => {
  const redis = useRedis("suite");

  tapesContract({
    name: "redisTapes()",
    // A node that leaves does not wait for the reply.
    presenceMs: 50,
    async open() {
      const server = await redis();
      await server.command("FLUSHALL");
      const make = () => redisTapes({ url: server.url });
      return { tapes: make(), other: make };
    },
  });
});
