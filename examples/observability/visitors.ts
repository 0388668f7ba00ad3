/** Clients that come and go, so that the graphs have something to show. */

import { setMaxListeners } from "node:events";

/** Most clients at a time. */
const VISITORS = 60;

/**
 * Lets clients visit a server: each stays for some seconds, some come back with their position, some stop reading.
 *
 * @returns Sends them away.
 */
export function startVisitors(origin: string): () => void {
  const leaving = new AbortController();
  // Each visitor listens to it.
  setMaxListeners(0, leaving.signal);
  for (let n = 0; n < VISITORS; n++) void visitForever(origin, n, leaving.signal);
  return () => leaving.abort();
}

async function visitForever(origin: string, n: number, signal: AbortSignal): Promise<void> {
  let lastEventId = "";
  while (!signal.aborted) {
    await wait(Math.random() * 5_000, signal);
    const path = n % 10 === 0 ? "/clock" : n % 10 === 1 ? `/runs/${n}-${Date.now()}` : "/tides";
    const stayMs = Math.round(2_000 + Math.random() ** 3 * 60_000);
    const staying = AbortSignal.any([signal, AbortSignal.timeout(stayMs)]);
    // Other streams have other positions.
    const isTides = path === "/tides";
    const last = await visit(`${origin}${path}`, isTides ? lastEventId : "", n % 10 === 2, staying);
    if (isTides) lastEventId = last;
    // Some lose their place, and some have one that the server does not know.
    if (n % 10 === 3) await wait(20_000, signal);
    if (n % 10 === 4) lastEventId = "";
    if (n % 10 === 5 && Math.random() < 0.2) lastEventId = "elsewhere";
  }
}

/** Reads a stream until it ends. @returns The last ID in it. */
async function visit(
  url: string,
  lastEventId: string,
  isLazy: boolean,
  signal: AbortSignal,
): Promise<string> {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": lastEventId };
  let last = lastEventId;
  try {
    const response = await fetch(url, { headers, signal });
    if (response.body === null) return last;
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      if (isLazy) await wait(1_000, signal);
      last = [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? last;
    }
  } catch {
    // It has left, or the server has.
  }
  return last;
}

/** Waits, but not beyond the signal. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
