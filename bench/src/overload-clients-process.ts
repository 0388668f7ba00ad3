import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSourcePlus } from "event-source-plus";
import { EventSource } from "eventsource";
import type { Kind, OverloadClients } from "./overload-protocol.js";
import { serve } from "./remote.js";

// Clients of one package, with default settings.

/** The parts of a page that the package needs. */
const PAGE = { hidden: false, addEventListener() {}, removeEventListener() {} };
Object.assign(globalThis, { window: globalThis, document: PAGE });

const CONNECT: Readonly<Record<Kind, (url: string) => void>> = {
  eventsource: (url) => void new EventSource(url),
  "fetch-event-source": (url) => {
    // A rejection means that this client has given up: it makes no further request.
    void fetchEventSource(url, {}).catch(() => undefined);
  },
  "event-source-plus": (url) => {
    new EventSourcePlus(url).listen({ onMessage() {} });
  },
};

serve<OverloadClients>({
  async connect({ kind, count, port }) {
    for (let i = 0; i < count; i++) {
      CONNECT[kind](`http://127.0.0.1:${port}/${kind}`);
      if (i % 20 === 0) {
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
      }
    }
  },
});
