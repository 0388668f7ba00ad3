/** A machine whose stream is shared with the other tabs of the origin. */

import type { Machine, MachineOwner, createMachine as CreateMachine } from "../machine.js";
import type { Settings } from "../options.js";
import type { Status } from "../status.js";
import { nameGroup } from "./group-name.js";
import { joinGroup } from "./member.js";
import type { Member, Tab } from "./member.js";
import { toMessage } from "./messages.js";
import type { Locks } from "./tab-lock.js";

/** The page, of which parts are missing in workers, in Node and outside of secure contexts. */
interface Page {
  readonly document?: { readonly visibilityState: string };
  readonly navigator?: { readonly locks?: Locks };
  readonly crypto?: { readonly subtle?: object };
  readonly BroadcastChannel?: unknown;
  addEventListener(type: string, listener: (event: PageEvent) => void, isCapture: true): void;
  removeEventListener(type: string, listener: (event: PageEvent) => void, isCapture: true): void;
}

interface PageEvent {
  readonly type: string;
  readonly persisted?: boolean;
}

const EVENTS = ["online", "visibilitychange", "freeze", "resume", "pagehide", "pageshow"];

/**
 * Takes the place of a machine that has not started. Where tabs cannot share, that machine starts.
 *
 * @param createMachine - Not imported: a bundler would put the machine into a separate file, which every page loads.
 * @param held - Ends with this one, and reports that end.
 */
export function createSharedMachine(
  createMachine: typeof CreateMachine,
  held: Machine,
  firstUrl: string,
  settings: Settings,
  owner: MachineOwner,
): Machine {
  const page = globalThis as unknown as Page;
  const locks = page.navigator?.locks;
  const canShare =
    settings.method === "GET" &&
    page.document !== undefined &&
    page.BroadcastChannel !== undefined &&
    page.crypto?.subtle !== undefined;
  if (locks === undefined || !canShare) {
    held.start();
    return held;
  }

  const { signal, ...own } = settings;
  let url = firstUrl;
  let { status, lastEventId } = held;
  let member: Member | undefined;
  /** Position that the application has set, from which this tab starts when it joins again; the others keep theirs. */
  let wanted: string | undefined;
  /** Runs while the headers are awaited. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Number of groups that were joined or left, to know a name that comes too late. */
  let turn = 0;
  /** Whether it has turned out that this stream cannot be shared. */
  let isAlone = false;

  const isVisible = (): boolean => page.document?.visibilityState === "visible";
  const describe = (given: Status): string => JSON.stringify(toMessage(given));
  const position = (): string => wanted ?? member?.machine?.lastEventId ?? lastEventId;

  const tab: Tab = {
    locks,
    get url() {
      return url;
    },
    get status() {
      return status;
    },
    get lastEventId() {
      return lastEventId;
    },
    set lastEventId(id) {
      lastEventId = id;
      wanted = undefined;
    },
    createMachine: (reports) => createMachine(url, { ...own, lastEventId }, reports),
    isVisible,
    isFull: owner.isFull,
    onStatus(next) {
      if (next.state === "closed") {
        close(next);
      } else if (describe(next) !== describe(status)) {
        status = next;
        owner.onStatus(next);
      }
    },
    onEvent({ type = "", text = "", lastEventId: id }) {
      wanted = undefined;
      owner.onEvent(type, text, id);
    },
    onRefusal: startAlone,
  };

  async function join(): Promise<void> {
    leave();
    const mine = turn;
    const { connectTimeoutMs } = settings;
    if (connectTimeoutMs !== false) timer = setTimeout(startAlone, connectTimeoutMs);
    try {
      const name = await nameGroup(url, settings);
      if (mine !== turn) return;
      clearTimeout(timer);
      member = joinGroup(name, tab);
    } catch {
      // Without headers it is not known who reads. The machine reports the error. Or the page may not use channels.
      if (mine === turn) startAlone();
    }
  }

  function leave(): void {
    turn += 1;
    clearTimeout(timer);
    const left = member;
    const set = wanted;
    member = undefined;
    left?.leave();
    lastEventId = set ?? lastEventId;
    wanted = undefined;
  }

  function startAlone(): void {
    leave();
    isAlone = true;
    stopListening();
    held.lastEventId = lastEventId;
    held.reopen(url);
    held.start();
  }

  function close(next: Status & { readonly state: "closed" }): void {
    stop();
    held.close(next);
  }

  function stop(): void {
    stopListening();
    leave();
  }

  const onPageEvent = ({ type, persisted }: PageEvent): void => {
    // A page that is frozen or cached keeps the lock, and in Chromium even answers, but reads no more of its stream.
    if (type === "freeze" || type === "pagehide") leave();
    else if (type === "resume" || persisted === true) void join();
    else member?.hurry();
  };
  const stopListening = (): void => {
    for (const type of EVENTS) page.removeEventListener(type, onPageEvent, true);
    signal?.removeEventListener("abort", stop);
  };

  if (held.status.state !== "closed") {
    for (const type of EVENTS) page.addEventListener(type, onPageEvent, true);
    signal?.addEventListener("abort", stop);
    void join();
  }

  return {
    start() {},
    get status() {
      return isAlone || held.status.state === "closed" ? held.status : status;
    },
    get lastEventId() {
      return isAlone ? held.lastEventId : position();
    },
    set lastEventId(id) {
      if (isAlone) held.lastEventId = id;
      else if (member === undefined) lastEventId = id;
      else wanted = id;
    },
    reopen(other) {
      if (isAlone || held.status.state === "closed") return held.reopen(other);
      if (other === url && wanted === undefined) {
        member?.reopen();
      } else {
        url = other;
        void join();
      }
      return true;
    },
    close,
    resume() {
      if (isAlone) held.resume();
      else member?.resume();
    },
  };
}
