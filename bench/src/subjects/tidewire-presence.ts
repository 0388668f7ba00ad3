import { createHub } from "@tidewire/core";
import { serveHub } from "../serve-hub.js";
import type { Subject } from "../subject.js";

// `tidewire-http` that keeps track of which identities are present.

let clients = 0;

export const subject: Subject = {
  start: ({ heartbeatMs }) =>
    serveHub(createHub({ heartbeatMs, identify: () => `user-${(clients += 1)}`, presence: true })),
};
