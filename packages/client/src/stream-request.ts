/** The URL and options of one render, in a form in which two renders can be compared. */

import type { ConnectOptions } from "./options.js";

/** The URL of a stream. Without one, by `null` or `undefined`, there is no stream. */
export type StreamUrl = string | { readonly href: string } | null | undefined;

/** URL and options of one render. */
export interface StreamRequest {
  readonly url: string;
  readonly isGet: boolean;
  /** Position from which to start. */
  readonly lastEventId: string;
  /** The other options by name, as values that are equal if nothing has to be opened anew. */
  readonly values: ReadonlyMap<string, unknown>;
}

/** Describes URL and options; `undefined` without a URL. */
export function describeRequest(
  url: StreamUrl,
  { lastEventId = "", ...options }: ConnectOptions,
): StreamRequest | undefined {
  if (url === null || url === undefined) return undefined;
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return {
    url: typeof url === "string" ? url : url.href,
    isGet: /^get$/i.test(options.method ?? (options.body === undefined ? "get" : "post")),
    lastEventId,
    values: new Map(given.map(([name, value]) => [name, comparable(name, value)])),
  };
}

/** Whether the options are the same, whatever the URL. */
export function hasSameOptions(one: StreamRequest, other: StreamRequest): boolean {
  const names = [...one.values.keys(), ...other.values.keys()];
  return one.lastEventId === other.lastEventId && names.every((name) => isEqual(one, other, name));
}

/** Whether both ask for the same answer. Options such as `headers` do not matter. */
export function hasSameAnswer(one: StreamRequest, other: StreamRequest): boolean {
  return one.url === other.url && isEqual(one, other, "method") && isEqual(one, other, "body");
}

function isEqual(one: StreamRequest, other: StreamRequest, name: string): boolean {
  return Object.is(one.values.get(name), other.values.get(name));
}

function comparable(name: string, value: unknown): unknown {
  // Each render may have new functions. The open stream calls the newest one.
  if (typeof value === "function") return "function";
  if (name === "headers") return JSON.stringify([...(new Headers(value as never) as never)]);
  return value instanceof URLSearchParams ? String(value) : value;
}
