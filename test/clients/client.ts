/// <reference lib="dom" />
// What the matrix knows of a client: how it is opened, what it takes for a message, and what it tells its application.
import type { HubOptions } from "@tidewire/core";

/** A message as `session.send` and `hub.publish` take it. */
export interface Message {
  readonly event?: string;
  readonly data: string;
}

/** One thing that a client told its application. */
export interface Told {
  /** `throw` is an exception that the application did not get, but the process or the page. */
  readonly kind: "open" | "message" | "error" | "end" | "throw";
  /** The event type of a message. */
  readonly type?: string;
  /** The data of a message, or the text of an error. */
  readonly text?: string;
}

export interface Report {
  open(): void;
  /** An event without a type is of the type `message`. */
  message(text: string, type?: string): void;
  /** The client told of an error, whether it comes back or not. */
  error(error: unknown): void;
  /** The client told that its stream is over. */
  end(): void;
}

/** What a client needs of a message to understand it: plain text, JSON of a protocol, HTML. */
export interface Dialect {
  message(text: string): Message;
  /** An event of the type `price`, as an application that knows this client would send it. */
  named(text: string): Message;
  /** Data of several lines, and the text that is to arrive. */
  readonly lines: { readonly message: Message; readonly text: string };
  /** What is given to `complete()`. */
  readonly last: { readonly message: Message; readonly text: string };
}

export interface Client {
  /** As the table calls it. */
  readonly name: string;
  /** Its folder in node_modules, for its version; absent for a browser's own `EventSource`. */
  readonly from?: string;
  readonly runsIn: "node" | "chromium" | "firefox" | "python";
  /** `events`: it follows channels by GET. `answer`: it asks once, by POST, and reads the answer. */
  readonly reads: "events" | "answer";
  readonly dialect: Dialect;
  /** The client whose row this one adds a setting or a recipe to. */
  readonly recipeFor?: string;
  /** The region of the source that the page shows as the recipe. */
  readonly recipe?: string;
  /** Options of the server that belong to the recipe. */
  readonly hub?: HubOptions;
  /** Opens a stream. Gives what stops it. */
  readonly connect: (url: string, report: Report) => (() => void) | Promise<() => void>;
}

/** Plain text, for clients that hand on whatever comes. */
export const TEXT: Dialect = {
  message: (data) => ({ data }),
  named: (data) => ({ event: "price", data }),
  lines: { message: { data: "one\ntwo\n  three" }, text: "one\ntwo\n  three" },
  last: { message: { event: "done", data: "all" }, text: "all" },
};

/** Elements that a page appends; their class says what they came as. */
const element = (text: string, type = "message"): string => `<p class="${type}">${text}</p>`;

/** The form in which htmx swaps elements in. */
export const HTML: Dialect = {
  message: (text) => ({ data: element(text) }),
  named: (text) => ({ event: "price", data: element(text, "price") }),
  lines: { message: { data: '<p\n  class="message"\n>lines</p>' }, text: "lines" },
  last: { message: { event: "done", data: element("all", "done") }, text: "all" },
};

/** An error in one line. */
export function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : typeof error === "string" ? error : "";
  return text.split("\n")[0] ?? "";
}
