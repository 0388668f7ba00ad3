import net from "node:net";
import { serve } from "./remote.js";
import type { ReadClientsProtocol } from "./read-protocol.js";

// A separate process, so that only the server's CPU is counted.

const sockets = new Set<net.Socket>();

serve<ReadClientsProtocol>({
  async connect({ port, clients }) {
    const all = Array.from({ length: clients }, async () => {
      const socket = net.connect(port, "127.0.0.1");
      sockets.add(socket);
      socket.write("GET / HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
      await new Promise((resolve) => {
        socket.once("data", resolve);
      });
      socket.resume();
    });
    await Promise.all(all);
  },
  disconnect() {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  },
});
