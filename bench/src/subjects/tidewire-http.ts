import { createHub } from "@tidewire/core";
import { serveHub } from "../serve-hub.js";
import type { Subject } from "../subject.js";

export const subject: Subject = {
  start: ({ heartbeatMs }) => serveHub(createHub({ heartbeatMs })),
};
