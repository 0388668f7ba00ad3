import { createHub } from "@tidewire/core";
import { serveHub } from "../serve-hub.js";
import type { Subject } from "../subject.js";

// `tidewire-http` with an identity for each client, and everything that follows from it but presence.

let clients = 0;

export const subject: Subject = {
  start: ({ heartbeatMs }) =>
    serveHub(
      createHub({
        heartbeatMs,
        identify: () => `user-${(clients += 1)}`,
        maxSessionsPerIdentity: { max: 5 },
        revalidate: { everyMs: 60_000, check: () => true },
      }),
    ),
};
