import { readFileSync } from "node:fs";
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterEach, expect, it } from "vitest";
import { makeCertificate } from "../certificate.js";
import { eventually } from "../client.js";
import { RedisServer, describeWithRedis } from "./redis-server.js";

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Rights that the log needs, as listed in docs/reference/redis.md. */
const ACL = [
  ..."reset on >secret ~tidewire ~{tidewire}:* -@all".split(" "),
  ..."+xadd +xrange +xrevrange +xread +xinfo +xtrim +exists +eval +get +set +hget +hset +unlink +rename +time +ping".split(
    " ",
  ),
];

describeWithRedis("A log that is reached by user, password and TLS", () => {
  it("needs no more rights than the documentation names", async () => {
    const server = await RedisServer.start();
    closers.push(() => server.stop());
    await server.command("ACL", "SETUSER", "app", ...ACL);
    const url = `redis://app:secret@127.0.0.1:${server.port}`;
    await publishesAndReads("url", () => redisLog({ url }));
  });

  it("takes its settings from a client", async () => {
    const server = await RedisServer.start();
    closers.push(() => server.stop());
    const { key, cert } = makeCertificate(server.dir);
    await server.command("ACL", "SETUSER", "app", ...ACL);
    await server.command(
      "CONFIG",
      "SET",
      "tls-cert-file",
      cert,
      "tls-key-file",
      key,
      "tls-auth-clients",
      "no",
    );
    // The same port, now with TLS alone.
    const { port } = server;
    await server.command(
      "CONFIG",
      "SET",
      "tls-ca-cert-file",
      cert,
      "port",
      "0",
      "tls-port",
      String(port),
    );
    const client = createClient({
      url: `rediss://127.0.0.1:${port}`,
      username: "app",
      password: "secret",
      socket: { tls: true, ca: readFileSync(cert) },
    });
    await publishesAndReads("client", () => redisLog({ client }));
    await publishesAndReads("function", () => redisLog({ client: async () => client.duplicate() }));
    expect(client.isOpen).toBe(false);
    const ioClient = new Redis(`rediss://app:secret@127.0.0.1:${port}`, {
      lazyConnect: true,
      tls: { ca: readFileSync(cert) },
    });
    await publishesAndReads("ioredis", () => redisLog({ client: ioClient }));
    expect(ioClient.status).toBe("wait");
  });
});

async function publishesAndReads(
  dedupeKey: string,
  log: () => ReturnType<typeof redisLog>,
): Promise<void> {
  const errors: unknown[] = [];
  const hubs = [1, 2].map(() => createHub({ log: log(), onError: (error) => errors.push(error) }));
  closers.push(() => Promise.all(hubs.map((hub) => hub.close())));
  const [writer, reader] = hubs;
  await eventually("both to be live", () => hubs.every((hub) => hub.stats().log.state === "live"));
  const before = reader?.stats().window.events ?? 0;
  const first = await writer?.publish("news", "x", { dedupeKey });
  expect(await reader?.publish("news", "x", { dedupeKey })).toEqual(first);
  await writer?.publish("news", "y");
  await eventually("the events", () => (reader?.stats().window.events ?? 0) >= before + 2);
  expect(errors).toEqual([]);
}
