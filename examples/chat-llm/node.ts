// One of the two nodes as a separate process. Main starts it and passes its name and the key.
import { readTokenMs } from "./settings.js";
import { startChatServer } from "./chat-server.js";
import { openStore } from "./store.js";

const [name = "", , key = ""] = process.argv.slice(2);
const self = { name, pid: process.pid };

const store = openStore({ url: process.env["REDIS_URL"] ?? "redis://localhost:6379", key });
const server = await startChatServer({
  ...store,
  self,
  tokenMs: readTokenMs(),
  host: "127.0.0.1",
  port: 0,
});
process.send?.({ port: server.port });

process.once("SIGTERM", () => void server.stop().then(() => process.exit()));
// Main is gone: clients cannot reach this node any more, and it would never be stopped.
process.once("disconnect", () => process.exit());
