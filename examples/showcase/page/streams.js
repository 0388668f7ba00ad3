/** Two ways to read one event stream, with the same interface: the client of Tidewire and a bare `EventSource`. */
import { connect } from "@tidewire/client";

/**
 * @typedef {object} Follower
 * @property {(type: string, data: any, text: string, id: string) => void} onEvent - Gets each event.
 * @property {(status: Status) => void} onStatus - Gets each change.
 * @typedef {object} Status
 * @property {"connecting" | "open" | "waiting" | "closed"} state - State of the stream.
 * @property {string} [reason] - Why it was lost, or is closed.
 * @property {number} [httpStatus] - Status of a wrong answer.
 * @property {number} [retryAt] - Time of the next attempt, in milliseconds since 1970.
 * @property {number} [failures] - Failed attempts in a row.
 */

/** The ways to read a stream, by the value of the switch. */
export const READERS = { client: openClient, "event-source": openEventSource };

/** The name of each. */
export const NAMES = { client: "The client", "event-source": "EventSource" };

/**
 * Opens a stream with `@tidewire/client`.
 *
 * @param {readonly string[]} types - Event types to listen for.
 * @param {Follower} follower
 */
function openClient(url, lastEventId, types, { onEvent, onStatus }) {
  const stream = connect(url, { lastEventId, credentials: "include" });
  stream.onStatus(onStatus);
  stream.onReset((data, { text, lastEventId: id }) => onEvent("sse-reset", data, text, id));
  for (const type of types) {
    stream.on(type, (data, event) => onEvent(type, data, event.text, event.lastEventId));
  }
  onStatus(stream.status);
  return {
    position: () => stream.lastEventId,
    /** Reads another URL from the same position. */
    reopen: (other) => stream.reopen(other),
    close: () => stream.close(),
  };
}

/** Opens a stream with `EventSource`, which says less: not why a stream was lost, and not when it tries again. */
function openEventSource(firstUrl, firstId, types, { onEvent, onStatus }) {
  let lastEventId = firstId;
  let isComplete = false;
  let source;

  const open = (url) => {
    const from = new URL(url);
    // EventSource sends the header only when it reconnects by itself. A new one needs the query parameter.
    if (lastEventId !== "") from.searchParams.set("lastEventId", lastEventId);
    source = new EventSource(from, { withCredentials: true });
    onStatus({ state: "connecting" });
    source.onopen = () => onStatus({ state: "open" });
    source.onerror = () => {
      const state = source.readyState === EventSource.CLOSED ? "closed" : "connecting";
      onStatus({ state, ...(isComplete && { reason: "completed" }) });
    };
    for (const type of [...types, "sse-reset", "sse-cursor", "sse-complete"]) {
      source.addEventListener(type, (event) => {
        isComplete ||= type === "sse-complete";
        if (event.lastEventId !== "") lastEventId = event.lastEventId;
        const data = event.data === "" ? undefined : JSON.parse(event.data);
        onEvent(type, data, event.data, event.lastEventId);
      });
    }
  };
  open(firstUrl);
  return {
    position: () => lastEventId,
    reopen(other) {
      source.close();
      open(other);
    },
    close: () => source.close(),
  };
}

/** Said where `EventSource` has no answer. */
const UNKNOWN = "EventSource does not say";

/** @returns Why a stream was lost, in words: the reason, and the status of a wrong answer. */
export function reasonOf({ reason, httpStatus }) {
  return httpStatus === undefined ? reason : `${reason} ${httpStatus}`;
}

/**
 * Puts a status into words.
 *
 * @param {Status} status
 * @param {keyof typeof READERS} reader - The way in which the stream is read.
 * @param {boolean} hasOpened - Whether the stream has been open before.
 * @returns {{ state: string, line: string, reason: string, next: string, failures: string }} The state; in one line with
 *   everything that is known; and the rest by itself.
 */
export function describeStatus(status, reader, hasOpened) {
  const { state, reason, retryAt } = status;
  const isClient = reader === "client";
  const failures = isClient ? String(status.failures ?? 0) : UNKNOWN;
  if (state === "closed") {
    const isComplete = reason === "completed";
    return {
      state,
      line: isComplete
        ? "closed, the server said it is complete"
        : "closed, EventSource has given up",
      reason: reason ?? UNKNOWN,
      next: "none",
      failures,
    };
  }
  if (state === "waiting") {
    const why = reasonOf(status);
    const next = `in ${(Math.max(0, retryAt - Date.now()) / 1_000).toFixed(1)} s`;
    return { state, line: `waiting (${why}), again ${next}`, reason: why, next, failures };
  }
  if (state === "connecting" && hasOpened && !isClient) {
    const isComplete = reason === "completed";
    return {
      state: "reconnecting",
      line: isComplete ? "asks once more, as the standard says" : "reconnecting",
      reason: isComplete ? "completed" : UNKNOWN,
      next: UNKNOWN,
      failures,
    };
  }
  return { state, line: state, reason: "–", next: state === "open" ? "–" : "now", failures };
}
