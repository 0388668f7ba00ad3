import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "@tidewire/client";
import type { EventStream } from "@tidewire/client";
import { createHub } from "@tidewire/core";
import type { ChannelMap } from "@tidewire/core";

// The packed client follows a packed server.
type Channels = { news: { headline: { title: string } } };

const hub = createHub<ChannelMap, unknown>();
const server = createServer((request, response) => {
  const session = hub.createSession({ request, response });
  void session.send({ event: "headline", data: { title: "Flood" } });
  void session.complete();
});
server.listen(0, () => {
  const { port } = server.address() as AddressInfo;
  const stream = connect<Channels>(`http://localhost:${port}/`);
  const titles: string[] = [];
  stream.on("headline", ({ title }) => titles.push(title));
  stream.onStatus((status) => {
    if (status.state !== "closed") return;
    if (status.reason !== "completed" || titles.join() !== "Flood") throw new Error(titles.join());
    server.close();
    // `fetch` of Node opens a connection in advance when it has aborted a request.
    server.closeAllConnections();
  });
});

/** Never called. With an unresolved type, which would be `any`, these would compile. */
export function refuse(stream: EventStream<Channels>): void {
  // @ts-expect-error There is no such event.
  stream.on("headlines", () => {});
  // @ts-expect-error There is no such field.
  stream.on("headline", ({ titel }) => titel);
}
