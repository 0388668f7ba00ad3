import { sse } from "@tidewire/express";
import type { SseMiddleware } from "@tidewire/express";
import express from "express";

// Compiled where @types/express is not installed: the middleware's own types must do without it.
const app = express();
const events: SseMiddleware = sse({ heartbeatMs: 15_000 });
app.use(events);
await events.hub.close({ drainMs: 0 });
