/** The tile "Server time", and the ticks of the last minute in the bar. */
import { count } from "./counts.js";
import { $, clockFormat } from "./elements.js";

/** Number of seconds shown. */
const SECONDS = 60;
/** A tick that is this late, in milliseconds, is shown as missing. */
const LATE_MS = 1_500;

const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "full" });
/** Ticks on display: from the second to `live` or `replayed`. */
const ticks = new Map();
/** The next expected number of a tick; `undefined` at the start and after a reset. */
let expected;

/** Expects any number next. */
export function forgetTicks() {
  expected = undefined;
}

/** Shows a tick, and counts those that are missing or doubled by their numbers. */
export function showTick({ number, at }, isReplayed) {
  if (expected !== undefined && number > expected) count("missed", number - expected);
  if (expected !== undefined && number < expected) count("doubled");
  expected = Math.max(expected ?? 0, number + 1);

  const time = new Date(at);
  ticks.set(Math.floor(time / 1_000), isReplayed ? "replayed" : "live");
  drawTicks();
  $("clock").dateTime = time.toISOString();
  $("clock").textContent = clockFormat.format(time);
  $("date").textContent = dateFormat.format(time);
}

/** Draws each second of the last minute as a bar. A second without a tick after the first one is missing. */
export function drawTicks() {
  const now = Date.now();
  const last = Math.floor(now / 1_000);
  const oldest = last - SECONDS + 1;
  for (const second of ticks.keys()) if (second < oldest) ticks.delete(second);
  const start = Math.min(...ticks.keys());
  const paths = { live: "", replayed: "", missed: "" };
  let missing = 0;
  for (let second = oldest; second <= last; second++) {
    const isLate = second > start && second * 1_000 < now - LATE_MS;
    const kind = ticks.get(second) ?? (isLate ? "missed" : undefined);
    if (kind === undefined) continue;
    if (kind === "missed") missing += 1;
    const x = second - oldest + 0.15;
    paths[kind] += kind === "live" ? `M${x} 2.5h.7v5h-.7z` : `M${x} 0h.7v10h-.7z`;
  }
  for (const [kind, d] of Object.entries(paths))
    $("ticks").querySelector(`.${kind}`).setAttribute("d", d);
  $("ticks").setAttribute(
    "aria-label",
    `Ticks of the last minute: ${ticks.size} here, ${missing} not here`,
  );
}
