/** The state machine of a stream: connecting → open → waiting → connecting …, until it is closed. */

import { createAlarm } from "./alarm.js";
import { drawDelay, limitTime } from "./backoff.js";
import { createBlockParser } from "./event-parser.js";
import type { Block } from "./event-parser.js";
import type { FetchedResponse, Settings } from "./options.js";
import { AGAIN, RENEWED, requestStream } from "./request.js";
import type { Loss, Outcome } from "./request.js";
import type { ClosedStatus, Status, WaitingStatus } from "./status.js";
import { listenForWake } from "./wake.js";
import { createWatchdog } from "./watchdog.js";

/** The last block of `complete(last)` has this ID. */
const END_ID = "~end";

/** Keeps one stream open. */
export interface Machine {
  /** Begins with the first attempt, unless the stream is closed already. To be called once. */
  start(): void;
  readonly status: Status;
  lastEventId: string;
  /** Connects to a URL at the present position. Returns `false` if the stream is closed. */
  reopen(url: string): boolean;
  /** Closes the stream for good, if it is not closed already. */
  close(status: ClosedStatus): void;
  /** Reads on, if a loop was behind. */
  resume(): void;
}

/** The reports of a machine. */
export interface MachineOwner {
  /** The status has changed. */
  onStatus(status: Status): void;
  /** The stream has an event for the application. */
  onEvent(type: string, data: string, lastEventId: string): void;
  /** Whether reading must pause until `Machine.resume` is called. */
  isFull(): boolean;
}

/** Creates a machine that has yet to be started. */
export function createMachine(firstUrl: string, settings: Settings, owner: MachineOwner): Machine {
  const { method, connectTimeoutMs } = settings;
  let url = firstUrl;
  let { lastEventId } = settings;
  let status: Status = { state: "connecting", failures: 0 };
  /** Attempts in a row after which the stream did not last. */
  let failures = 0;
  /** The server's reconnection time. */
  let baseMs = limitTime(settings.reconnectionTimeMs);
  /** Until when the server wants no request, by the monotonic clock. */
  let notBefore = 0;
  /** Whether the last attempt has led to new credentials, which the server has yet to accept. */
  let isRenewed = false;
  /** Ends the attempt under way with an outcome; does nothing if there is none. */
  let endAttempt: (outcome: Outcome) => void = () => {};
  /** Ends the wait; does nothing unless waiting. */
  let endWait = (): void => {};
  /** Reads on; does nothing unless a loop is behind. */
  let readOn = (): void => {};
  /** For the answer, or for the next attempt. */
  const alarm = createAlarm();
  const watchdog = createWatchdog(settings.heartbeatMs, () =>
    endAttempt({ state: "waiting", reason: "stalled" }),
  );

  function become(next: Status): void {
    status = next;
    owner.onStatus(next);
  }

  function close(next: ClosedStatus): void {
    if (status.state === "closed") return;
    stopListening();
    settings.signal?.removeEventListener("abort", onAbort);
    endAttempt(AGAIN);
    become(next);
    endWait();
  }

  async function run(): Promise<void> {
    while (status.state !== "closed") {
      const outcome = await attempt();
      isRenewed = outcome === RENEWED;
      if (outcome.state === "closed") close(outcome);
      else if (outcome.state === "waiting" && !isClosed()) await wait(outcome);
      if (!isClosed()) become({ state: "connecting", failures });
    }
  }

  /** A call, because the compiler does not know that the status changes during an `await`. */
  function isClosed(): boolean {
    return status.state === "closed";
  }

  /** One attempt, from the request to the end of the stream. */
  async function attempt(): Promise<Outcome> {
    const controller = new AbortController();
    const { signal } = controller;
    const ended = new Promise<Outcome>((resolve) => {
      endAttempt = (outcome) => {
        resolve(outcome);
        controller.abort();
        readOn();
      };
    });
    alarm.set(connectTimeoutMs || Infinity, () =>
      endAttempt({ state: "waiting", reason: "timeout" }),
    );
    // The race ends an attempt at once, whatever `headers` and `fetch` do about the signal.
    const outcome = await Promise.race([ended, open(signal)]);
    // Frees the connection of an answer that was not read to its end.
    endAttempt(AGAIN);
    alarm.clear();
    watchdog.stop();
    return outcome;
  }

  async function open(signal: AbortSignal): Promise<Outcome> {
    const position = (): string => lastEventId;
    const answer = await requestStream(url, settings, signal, isRenewed, position, alarm.clear);
    if (answer.state !== "open") return answer;
    if (signal.aborted) return AGAIN;
    watchdog.start();
    become({ state: "open" });
    return read(answer.body, signal);
  }

  /** Reads a stream to its end. */
  async function read(body: FetchedResponse["body"], signal: AbortSignal): Promise<Outcome> {
    let askedMs: number | undefined;
    const reader = body?.getReader();
    const decoder = new TextDecoder();
    const parse = createBlockParser(lastEventId, (ms) => {
      baseMs = limitTime(ms);
    });
    try {
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (signal.aborted) return AGAIN;
        if (done) break;
        if (watchdog.hear()) failures = 0;
        for (const block of parse(decoder.decode(value, { stream: true }))) {
          if (take(block)) return { state: "closed", reason: "completed" };
          if (block.type === "sse-retry") askedMs = baseMs;
          if (!signal.aborted && owner.isFull()) await pause(signal);
          if (signal.aborted) return AGAIN;
        }
      }
    } catch (error) {
      return { state: "waiting", reason: "broken", error, askedMs };
    }
    return method !== "GET" && lastEventId === ""
      ? { state: "closed", reason: "ended" }
      : { state: "waiting", reason: "ended", askedMs };
  }

  /** Takes one block. Returns whether it is the last one for good. */
  function take({ type, data, lastEventId: id }: Block): boolean {
    const isEnd = id === END_ID || type === "sse-complete";
    if (id !== END_ID) lastEventId = id;
    if (data !== undefined) {
      watchdog.seeEvent(type === "sse-cursor" ? data : undefined);
      if (!/^sse-(cursor|retry|complete)$/.test(type)) owner.onEvent(type, data, lastEventId);
    }
    return isEnd;
  }

  /** Waits for a loop that is behind. */
  async function pause(signal: AbortSignal): Promise<void> {
    watchdog.stop();
    await new Promise<void>((resolve) => {
      readOn = resolve;
    });
    if (!signal.aborted) watchdog.resume();
  }

  async function wait({ askedMs, ...loss }: Loss): Promise<void> {
    const leastMs = askedMs === undefined ? baseMs : limitTime(askedMs);
    notBefore = askedMs === undefined ? 0 : performance.now() + leastMs;
    failures += 1;
    await new Promise<void>((resolve) => {
      endWait = resolve;
      waitFor(drawDelay(leastMs, failures), loss);
    });
    alarm.clear();
  }

  function waitFor(ms: number, loss: Omit<WaitingStatus, "failures" | "retryAt">): void {
    alarm.set(ms, hurry);
    become({ ...loss, failures, retryAt: Date.now() + ms });
  }

  /** Ends a wait, or shortens it to the time for which the server has asked. */
  function hurry(): void {
    if (status.state !== "waiting") return;
    const restMs = notBefore - performance.now();
    if (restMs < 1) endWait();
    else waitFor(restMs, status);
  }

  const onAbort = (): void => close({ state: "closed", reason: "aborted" });
  const stopListening = listenForWake((wasFrozen) => {
    if (wasFrozen) endAttempt(AGAIN);
    hurry();
  });
  settings.signal?.addEventListener("abort", onAbort);
  if (settings.signal?.aborted === true) onAbort();

  return {
    start: () => void run(),
    get status() {
      return status;
    },
    get lastEventId() {
      return lastEventId;
    },
    set lastEventId(id) {
      lastEventId = id;
    },
    reopen(other) {
      if (isClosed()) return false;
      url = other;
      endAttempt(AGAIN);
      hurry();
      return true;
    },
    close,
    resume: () => readOn(),
  };
}
