import { redisLog } from "@tidewire/redis";
import { logConformance } from "@tidewire/testing";
import { test } from "vitest";
import { describeWithRedis, useRedis } from "./redis-server.js";

describeWithRedis("redisLog()", () => {
  const redis = useRedis("suite");
  let histories = 0;

  logConformance(
    async () => {
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
    { test, withinMs: 15_000 },
  );
});
