/** Tells replayed events from new ones, and what a replay has brought. */
import { count, counts } from "./counts.js";
import { tell } from "./story.js";

/** The replay in progress: events from before the server opened the stream; `undefined` while all events are new. */
let replay;

/** The stream continues: events from before this time are replayed. */
export function beginReplay(before) {
  replay = { before, count: 0, missed: counts.missed, doubled: counts.doubled };
}

/** No replay follows, or none any more. */
export function forgetReplay() {
  replay = undefined;
}

/** @returns Whether an event is from before the server opened the stream. */
export function isFromReplay(at) {
  if (replay === undefined || at === undefined || at > replay.before) return false;
  replay.count += 1;
  count("replayed");
  return true;
}

/** The first new event: everything missed has arrived. */
export function endReplay() {
  if (replay === undefined) return;
  const { count: number, missed, doubled } = replay;
  replay = undefined;
  const events = number === 1 ? "1 event" : `${number} events`;
  const isWhole = counts.missed === missed && counts.doubled === doubled;
  if (!isWhole) {
    tell("bad", `${events} replayed, but ticks are missing or doubled.`);
  } else if (number > 0) {
    tell("good", `${events} replayed: nothing was missed.`);
  } else {
    tell("good", "No event was published meanwhile: nothing was missed.");
  }
}
