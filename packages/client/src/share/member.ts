/** One tab among those that share a stream: it leads, which is to read the stream, or follows. */

import type { Machine, MachineOwner } from "../machine.js";
import type { Status } from "../status.js";
import type { Report, Request } from "./messages.js";
import { toMessage } from "./messages.js";
import { createRecentEvents } from "./recent-events.js";
import type { SharedEvent } from "./recent-events.js";
import { createTabLock } from "./tab-lock.js";
import type { Locks } from "./tab-lock.js";

/** How often a tab that follows asks for a sign of life. */
const PING_MS = 1_000;

/** A leader that leaves so many questions in a row unanswered has lost its lock. */
const MAX_UNANSWERED = 4;

/** For how long a leader keeps the lock of a stream that is over, until all tabs have heard of it. */
const END_MS = 1_000;

/** How long a leader waits for a position that it has not reached before it says that it does not know it. */
const UNKNOWN_MS = 1_000;

/** A tab that is full says so with each ping. After this time without one, the leader no longer waits for it. */
const FULL_MS = 5_000;

/** How long a new leader without a position waits for tabs that have one. */
const POSITION_MS = 100;

/** The tab, as far as its member needs it. */
export interface Tab {
  readonly locks: Locks;
  readonly url: string;
  /** The tab's position. */
  lastEventId: string;
  /** The status that the tab shows. */
  readonly status: Status;
  /** Makes a machine that starts at the position of the tab. */
  createMachine(owner: MachineOwner): Machine;
  isVisible(): boolean;
  /** Whether the tab takes no more events for now. */
  isFull(): boolean;
  onStatus(status: Status): void;
  onEvent(event: SharedEvent): void;
  /** The browser does not give this page locks. */
  onRefusal(): void;
}

/** A tab's part in a group. */
export interface Member {
  /** The machine, if this tab leads. */
  readonly machine: Machine | undefined;
  /** The tab takes events again. */
  resume(): void;
  /** Somebody has come to look at the tab, or the network is back. */
  hurry(): void;
  /** Has the stream opened again, in whichever tab reads it. */
  reopen(): void;
  /** Leaves the group. */
  leave(): void;
}

/** A tab that waits for its welcome. */
interface Guest {
  /** The position behind which it waits for events. */
  readonly lastEventId: string;
  /** Number of its last hello. */
  readonly hello: number;
  /** When the leader began to look for that position, by the monotonic clock. */
  since: number;
}

/** Joins a group. */
export function joinGroup(name: string, tab: Tab): Member {
  const channel = new BroadcastChannel(name);
  const id = crypto.randomUUID();
  /** The last events of the group, as this tab has seen them. */
  let recent = createRecentEvents(tab.lastEventId);
  /** The newest term that was heard of. */
  let term = 0;
  /** Number of events that were reported in this term. */
  let count = 0;

  let hasLeft = false;

  /** Runs while it follows or leads. */
  let timer: ReturnType<typeof setInterval> | undefined;

  // While it leads.
  let machine: Machine | undefined;
  let hasStarted = false;
  /** Whether the server has completed the stream. */
  let isOver = false;
  const guests = new Map<string, Guest>();
  /** The tabs that are full, with the timers that end the wait for them. */
  const fullTabs = new Map<string, ReturnType<typeof setTimeout>>();

  // While it follows.
  /** Whether the leader has welcomed this tab, which then takes what the leader reports. */
  let isWelcome = false;
  /** Whether this tab has been at its position in this group, and would miss what follows it. */
  let hasFollowed = tab.lastEventId !== "";
  /** Number of hellos that were said. */
  let hellos = 0;
  /** Questions in a row that the leader has not answered. */
  let unanswered = 0;
  /** Whether the leader waits for this tab. */
  let isWaitedFor = false;
  /** When it has last asked the leader, by the monotonic clock. */
  let askedAt = 0;

  const lock = createTabLock(tab.locks, name, {
    onHeld: lead,
    onLost() {
      if (hasLeft) return;
      stopLeading();
      follow();
      lock.wait();
    },
    onRefused: () => tab.onRefusal(),
  });
  channel.addEventListener("message", onMessage as never);
  follow();
  lock.wait();

  // oxlint-disable unicorn/require-post-message-target-origin -- a `BroadcastChannel` stays within its origin
  function ask(request: DistributiveOmit<Request, "from">): void {
    askedAt = performance.now();
    channel.postMessage({ ...request, from: id });
  }

  function report(message: DistributiveOmit<Report, "term">): void {
    channel.postMessage({ ...message, term });
  }
  // oxlint-enable unicorn/require-post-message-target-origin

  // --- Following ---

  function follow(): void {
    isWelcome = false;
    unanswered = 0;
    sayHello();
    timer = setInterval(() => look(false), PING_MS);
  }

  function sayHello(): void {
    isWaitedFor = tab.isFull();
    const lastEventId = hasFollowed ? tab.lastEventId : undefined;
    hellos += 1;
    ask({ kind: "hello", number: hellos, lastEventId, isFull: isWaitedFor });
  }

  function ping(wish?: "hurry" | "open"): void {
    isWaitedFor = tab.isFull();
    ask({ kind: "ping", isFull: isWaitedFor, wish });
  }

  /** Looks whether the leader is alive. */
  function look(isHurried: boolean): void {
    if (unanswered >= MAX_UNANSWERED) {
      lock.steal();
      return;
    }
    // A hidden tab does not need its events at once. Its timers are late, and its leader would seem to be late.
    if (tab.isVisible()) unanswered += 1;
    else if (isWelcome && !isWaitedFor) return;
    if (isWelcome) ping(isHurried ? "hurry" : undefined);
    else sayHello();
  }

  function take(event: SharedEvent): void {
    if (hasLeft) return;
    tab.lastEventId = event.lastEventId;
    recent.push(event);
    if (event.type !== undefined) tab.onEvent(event);
    if (hasLeft || !tab.isFull()) return;
    // The timers of a hidden tab are late. If its leader has gone on meanwhile, it must hear again that the tab is full.
    if (!isWaitedFor || performance.now() - askedAt >= PING_MS) ping();
  }

  function onReport(message: Report): void {
    if (message.term < term) return;
    unanswered = 0;
    if (message.term > term) {
      term = message.term;
      isWelcome = false;
      sayHello();
    }
    const { kind } = message;
    if (kind === "welcome") {
      // A new leader also answers what the one before it was asked, at an earlier position.
      if (message.to === id && message.hello === hellos && !isWelcome) onWelcome(message);
    } else if (kind === "status") {
      // Until it is welcome, a tab has not joined the stream, nor seen what came before its end.
      if (isWelcome || "failures" in message.status) tab.onStatus(message.status);
    } else if (isWelcome && kind !== "lead") {
      if (message.count !== count) {
        // A message was lost.
        isWelcome = false;
        sayHello();
      } else if (kind === "event") {
        count += 1;
        take(message.event);
      } else {
        take({ lastEventId: message.lastEventId });
      }
    }
  }

  function onWelcome(answer: Report & { readonly kind: "welcome" }): void {
    const { status, events, lastEventId } = answer;
    isWelcome = true;
    hasFollowed = true;
    ({ count } = answer);
    tab.onStatus(status);
    if (events === undefined) {
      const text = JSON.stringify({ reason: "unknown", channels: [] });
      recent = createRecentEvents(lastEventId);
      take({ type: "sse-reset", text, lastEventId });
      return;
    }
    for (const event of events) take(event);
    take({ lastEventId });
  }

  // --- Leading ---

  function lead(isStolen: boolean): void {
    clearInterval(timer);
    // With a fraction, because two tabs may steal the lock from each other within a millisecond.
    term = Math.max(term + 1, Date.now()) + Math.random();
    count = 0;
    hasStarted = false;
    const created = tab.createMachine({
      isFull: isAnyFull,
      onStatus(status) {
        if (machine !== created) return;
        // Only now it reaches the positions that others ask for.
        if (status.state === "open") {
          for (const guest of guests.values()) guest.since = performance.now();
        }
        isOver = status.state === "closed" && status.reason === "completed";
        if (status.state !== "closed" || isOver) {
          report({ kind: "status", status: toMessage(status) });
        }
        tab.onStatus(status);
      },
      onEvent(type, text, lastEventId) {
        if (machine !== created) return;
        const event = { type, text, lastEventId };
        recent.push(event);
        report({ kind: "event", count, event });
        count += 1;
        for (const from of guests.keys()) welcome(from);
        tab.onEvent(event);
      },
    });
    machine = created;
    hasFollowed = true;
    report({ kind: "lead" });
    timer = setInterval(tellPosition, PING_MS);
    const { status } = tab;
    // The server may have asked the leader before this one for time.
    const waitMs = status.state === "waiting" ? status.retryAt - Date.now() : 0;
    // A tab that has just come has no position, but others may have one, from which the stream must go on.
    const askMs = isStolen && tab.lastEventId === "" ? POSITION_MS : 0;
    if (Math.max(waitMs, askMs) > 0) setTimeout(start, Math.max(waitMs, askMs), created);
    else start(created);
  }

  function start(created: Machine): void {
    if (machine !== created) return;
    hasStarted = true;
    report({ kind: "status", status: created.status });
    tab.onStatus(created.status);
    if (machine === created) created.start();
  }

  function stopLeading(): void {
    const left = machine;
    if (left === undefined) return;
    machine = undefined;
    clearInterval(timer);
    // Not that of the machine, which the others may not have heard of.
    tab.lastEventId = recent.position;
    left.close({ state: "closed", reason: "close" });
    for (const full of fullTabs.values()) clearTimeout(full);
    fullTabs.clear();
    guests.clear();
  }

  function onRequest(leading: Machine, request: Request): void {
    const { from, isFull } = request;
    clearTimeout(fullTabs.get(from));
    fullTabs.delete(from);
    if (isFull) fullTabs.set(from, setTimeout(onRoom, FULL_MS, from));
    else readOn();
    if (request.kind === "ping") {
      pong(leading);
      const isWaiting = leading.status.state === "waiting";
      if (request.wish === "open" || (request.wish === "hurry" && isWaiting)) {
        leading.reopen(tab.url);
      }
      return;
    }
    const { lastEventId = leading.lastEventId } = request;
    if (!hasStarted && leading.lastEventId === "") leading.lastEventId = lastEventId;
    // It asks again and again, so that the leader needs no timer: the timers of hidden tabs are late.
    const guest = guests.get(from);
    const isKnown = guest?.lastEventId === lastEventId && leading.status.state === "open";
    const since = isKnown ? guest.since : performance.now();
    guests.set(from, { lastEventId, hello: request.number, since });
    welcome(from);
    // A sign of life.
    if (guests.has(from)) report({ kind: "status", status: toMessage(leading.status) });
  }

  function pong({ lastEventId }: Machine): void {
    recent.push({ lastEventId });
    report({ kind: "pong", count, lastEventId });
  }

  /** Hands on a position that the stream has reached without an event: others may have to go on from there. */
  function tellPosition(): void {
    if (machine !== undefined && machine.lastEventId !== recent.position) pong(machine);
  }

  /** A tab that was full has said nothing for long. */
  function onRoom(from: string): void {
    fullTabs.delete(from);
    readOn();
  }

  function isAnyFull(): boolean {
    return tab.isFull() || fullTabs.size > 0;
  }

  function readOn(): void {
    if (!isAnyFull()) machine?.resume();
  }

  /** Answers a hello, if the position is known or will not become known. */
  function welcome(to: string): void {
    const guest = guests.get(to);
    if (machine === undefined || guest === undefined) return;
    tellPosition();
    const events = recent.after(guest.lastEventId);
    // A stream that has just been taken over may be behind a tab that follows.
    if (events === undefined && performance.now() - guest.since < UNKNOWN_MS) return;
    guests.delete(to);
    const { hello } = guest;
    const { lastEventId } = machine;
    const status = toMessage(machine.status);
    report({ kind: "welcome", to, hello, status, count, lastEventId, events });
  }

  // --- Both ---

  function onMessage({ data }: { readonly data: Request | Report }): void {
    if ("from" in data) {
      if (machine !== undefined) onRequest(machine, data);
    } else if (machine === undefined) {
      onReport(data);
    }
  }

  return {
    get machine() {
      return machine;
    },
    resume() {
      if (machine !== undefined) readOn();
      else if (isWaitedFor) ping();
    },
    hurry() {
      if (machine === undefined && tab.isVisible()) look(true);
    },
    reopen() {
      if (machine === undefined) ping("open");
      else machine.reopen(tab.url);
    },
    leave() {
      // A leader that waits for this tab need not wait any more.
      if (machine === undefined && isWaitedFor) ask({ kind: "ping", isFull: false });
      tellPosition();
      hasLeft = true;
      clearInterval(timer);
      stopLeading();
      // The next tab may get the lock before it hears of the end, and would ask the server again.
      if (isOver) setTimeout(lock.release, END_MS);
      else lock.release();
      channel.close();
    },
  };
}

/** `Omit` for each member of a union. */
type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown
  ? Omit<Union, Key>
  : never;
