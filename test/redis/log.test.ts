import { redisLog } from "@tidewire/redis";
import { logContract } from "../contracts/log.js";
import { describeWithRedis, useRedis } from "./redis-server.js";

describeWithRedis("On Redis", () => {
  const redis = useRedis("suite");
  let histories = 0;

  logContract({
    name: "redisLog()",
    open: async () => {
      const server = await redis();
      const key = `log-${histories++}`;
      const log = (): ReturnType<typeof redisLog> => redisLog({ url: server.url, key });
      return {
        log: log(),
        other: log,
        breakAppends: async () => {
          await server.command("CONFIG", "SET", "min-replicas-to-write", "1");
          return async () =>
            void (await server.command("CONFIG", "SET", "min-replicas-to-write", "0"));
        },
      };
    },
  });
});
