// Measures the cost of clients that a full server turns away: `node bench/dist/overload.js [seconds] [maxHeld]`.

import { setTimeout as wait } from "node:timers/promises";
import { KINDS } from "./overload-protocol.js";
import type { OverloadClients, OverloadSample, OverloadServer } from "./overload-protocol.js";
import { Remote } from "./remote.js";

const CLIENTS = 2_000;
const MAX_SESSIONS = 500;
const seconds = Number(process.argv[2] ?? 60);
const maxHeld = process.argv[3] === undefined ? undefined : Number(process.argv[3]);

const server = new Remote<OverloadServer>(
  "the server",
  new URL("overload-server-process.js", import.meta.url),
);
const port = await server.call("start", { maxSessions: MAX_SESSIONS, maxHeld });
const before = await server.call("sample", undefined);
const groups = KINDS.map((kind, index) => {
  const group = new Remote<OverloadClients>(
    kind,
    new URL("overload-clients-process.js", import.meta.url),
  );
  // Divides the clients evenly among the kinds.
  const count = Math.floor((CLIENTS + index) / KINDS.length);
  return { group, connected: group.call("connect", { kind, count, port }) };
});

const begin = performance.now();
const samples: OverloadSample[] = [];
while (samples.length < seconds) {
  await wait(begin + (samples.length + 1) * 1_000 - performance.now());
  samples.push(await server.call("sample", undefined));
}
await Promise.all(groups.map(({ connected }) => connected));

const requestsOf = ({ requests }: OverloadSample): number =>
  KINDS.reduce((sum, kind) => sum + requests[kind], 0);
const mebibytes = (bytes: number): string => (bytes / 1_048_576).toFixed(0);

console.log(`${CLIENTS} clients of three kinds, maxSessions ${MAX_SESSIONS}, ${seconds} s\n`);
console.log("| second | requests | open | held | heap MiB | rss MiB |");
console.log("|---|---|---|---|---|---|");
for (const [index, sample] of samples.entries()) {
  if (index > 4 && (index + 1) % 5 !== 0) continue;
  const { open, held, heapUsed, rss } = sample;
  console.log(
    `| ${index + 1} | ${requestsOf(sample)} | ${open} | ${held} | ${mebibytes(heapUsed)} | ${mebibytes(rss)} |`,
  );
}

// Skips the clients' initial requests, which are unavoidable.
const later = samples.slice(5);
const counts = later.map(requestsOf);
const perSecond = (count: number): string => (count / later.length).toFixed(1);
console.log(`\nFrom the sixth second on, requests a second:`);
console.log(
  `all: ${perSecond(counts.reduce((sum, count) => sum + count, 0))}, at most ${Math.max(...counts)} in one second`,
);
for (const kind of KINDS) {
  console.log(
    `${kind}: ${perSecond(later.reduce((sum, { requests }) => sum + requests[kind], 0))}`,
  );
}
const last = samples.at(-1) ?? before;
console.log(
  `Memory: ${mebibytes(before.rss)} MiB before, at most ${mebibytes(Math.max(...samples.map(({ rss }) => rss)))} MiB. CPU: ${(last.cpuMs - before.cpuMs).toFixed(0)} ms in ${seconds} s`,
);
await Promise.all([server.stop(), ...groups.map(({ group }) => group.stop())]);
