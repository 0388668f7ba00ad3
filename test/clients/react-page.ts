/// <reference lib="dom" />
// Renders a component with the hooks for React into a page, and keeps what its test asks for.
import { StrictMode, createElement } from "react";
import type { ReactNode } from "react";
import { hydrateRoot } from "react-dom/client";
import { News } from "./react-news.js";

/** The page as its test uses it. */
export interface ReactPage {
  /** The numbers that the component got. */
  readonly numbers: readonly number[];
  /** Complaints of React, such as HTML of the server that does not match. */
  readonly complaints: readonly unknown[];
  /** Listeners on the page of types that the client listens for, and timers that have yet to go off. */
  readonly left: readonly unknown[];
  /** Renders under StrictMode; the first time over the HTML of the server. */
  render(url: string | null): void;
  unmount(): void;
}

const numbers: number[] = [];
const complaints: unknown[] = [];
console.error = (...message) => complaints.push(message.map(String));

const left: unknown[] = [];
const forget = (one: unknown): void =>
  void (left.includes(one) && left.splice(left.indexOf(one), 1));
for (const target of [window, document]) {
  const { addEventListener, removeEventListener } = target;
  const isClients = (type: string): boolean =>
    /^(online|pageshow|resume|visibilitychange)$/.test(type);
  target.addEventListener = (type: string, ...rest: unknown[]) => {
    if (isClients(type)) left.push(type);
    Reflect.apply(addEventListener, target, [type, ...rest]);
  };
  target.removeEventListener = (type: string, ...rest: unknown[]) => {
    forget(type);
    Reflect.apply(removeEventListener, target, [type, ...rest]);
  };
}
const { setTimeout, clearTimeout } = globalThis;
const setRecorded = (run: () => void, ms?: number): unknown => {
  const timer = setTimeout(() => {
    forget(timer);
    run();
  }, ms);
  left.push(timer);
  return timer;
};
const clearRecorded = (timer: number | undefined): void => {
  forget(timer);
  clearTimeout(timer);
};
Object.assign(globalThis, { setTimeout: setRecorded, clearTimeout: clearRecorded });

const show = (url: string | null): ReactNode =>
  createElement(
    StrictMode,
    null,
    createElement(News, { url, onNumber: (number) => void numbers.push(number) }),
  );

let root: ReturnType<typeof hydrateRoot> | undefined;
const page: ReactPage = {
  numbers,
  complaints,
  left,
  render(url) {
    if (root !== undefined) return root.render(show(url));
    const place = document.querySelector("#root");
    if (place !== null) root = hydrateRoot(place, show(url));
  },
  unmount: () => root?.unmount(),
};
Object.assign(globalThis, { page });
