/// <reference lib="dom" />
// Description of a client in the matrix: how to open it, which messages it understands, and what it reports.
import type { HubOptions } from "@tidewire/core";

/** A message for `session.send` and `hub.publish`. */
export interface Message {
  readonly event?: string;
  readonly data: string;
}

/** Something that a client reported to its application. */
export interface Told {
  /** `throw` is an exception that reached the process or the page instead of the application. */
  readonly kind: "open" | "message" | "error" | "end" | "throw";
  /** The event type of a message. */
  readonly type?: string;
  /** The data of a message, or the text of an error. */
  readonly text?: string;
}

export interface Report {
  open(): void;
  /** Reports a message. An event without a type has the type `message`. */
  message(text: string, type?: string): void;
  /** Reports an error, whether the client reconnects or not. */
  error(error: unknown): void;
  /** Reports that the stream is over. */
  end(): void;
}

/** Format of messages that a client understands: plain text, JSON of a protocol, HTML. */
export interface Dialect {
  message(text: string): Message;
  /** An event of the type `price`, in the form that suits this client. */
  named(text: string): Message;
  /** Data with several lines, and the text expected to arrive. */
  readonly lines: { readonly message: Message; readonly text: string };
  /** Argument of `complete()`, and the text expected to arrive. */
  readonly last: { readonly message: Message; readonly text: string };
}

export interface Client {
  /** Name in the table. */
  readonly name: string;
  /** Its folder in node_modules, to read its version; absent for a browser's own `EventSource`. */
  readonly from?: string;
  readonly runsIn: "node" | "chromium" | "firefox" | "python";
  /** `events`: follows channels by GET. `answer`: asks once by POST, and reads the answer. */
  readonly reads: "events" | "answer";
  readonly dialect: Dialect;
  /** The client to which this row adds a setting or a recipe. */
  readonly recipeFor?: string;
  /** Region of the source that the page shows as the recipe. */
  readonly recipe?: string;
  /** Server options that belong to the recipe. */
  readonly hub?: HubOptions;
  /** Opens a stream. Returns a function that stops it. */
  readonly connect: (url: string, report: Report) => (() => void) | Promise<() => void>;
}

/** Plain text, for clients that pass on any data. */
export const TEXT: Dialect = {
  message: (data) => ({ data }),
  named: (data) => ({ event: "price", data }),
  lines: { message: { data: "one\ntwo\n  three" }, text: "one\ntwo\n  three" },
  last: { message: { event: "done", data: "all" }, text: "all" },
};

/** Elements that a page appends, with their event type as the class. */
const element = (text: string, type = "message"): string => `<p class="${type}">${text}</p>`;

/** The form in which htmx swaps elements. */
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
