import { it } from "vitest";
import { EventClient } from "../delivery/event-client.js";
import { ChannelServer } from "./channels-child.js";
import { Tally, connectAll, pause } from "./channels-tally.js";
it.each([
  [0, 1000, 3000, 10000],
  [10, 1000, 3000, 10000],
  [10, 1000, 1000, 10000],
  [1, 100, 2000, 12000],
  [5, 100, 200, 4000],
])("x %s %s %s", { timeout: 100000 }, async (n, bytes, perSecond, count) => {
  const server = await ChannelServer.start("express");
  const clients = Array.from({ length: n }, () => new EventClient(server.port, "/?channels=news"));
  clients.map((c) => new Tally(c));
  await connectAll(clients);
  await server.publish({ channels: ["news"], count: 2000, perSecond, bytes });
  let last: any = await server.settle();
  for (let i = 0; i < 3; i++) {
    await server.publish({ channels: ["news"], count, perSecond, bytes });
    await pause(100);
    const now: any = await server.settle();
    const d = (k: string) => `${k} ${((now[k] - last[k]) / count).toFixed(0)}`;
    console.log(
      n,
      bytes,
      perSecond,
      "per event:",
      d("rss"),
      d("arrayBuffers"),
      d("heapUsed"),
      "window",
      ((now.stats.window.bytes - last.stats.window.bytes) / count).toFixed(0),
    );
    last = now;
  }
  server.kill();
});
