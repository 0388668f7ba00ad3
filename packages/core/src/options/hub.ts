/** Options of a hub: types, defaults and checks. They are the same for every framework. */

import { describeValue } from "../errors.js";
import type { SseCorsOptions } from "../http/cors.js";
import type { Log } from "../log/log.js";
import type { ChannelMap, ChannelsOf, RegisteredChannels } from "./channels.js";
import { PRESENCE_DEFAULTS, checkPresence } from "./presence.js";
import type { PresenceOptions, ResolvedPresenceOptions } from "./presence.js";
import { checkRevalidate, checkSessionLimit } from "./identity.js";
import type {
  AuthorizedSession,
  Identity,
  ResolvedRevalidateOptions,
  RevalidateOptions,
  SessionLimit,
} from "./identity.js";
import { MAX_MS, atLeast, checkName, invalidOption, milliseconds, unexpected } from "./check.js";
import type { JitterRange } from "./jitter.js";
import { printErrors } from "./print-errors.js";

/** Source of a background error, passed to `onError` together with the error. */
export type ErrorStage =
  | "authorize"
  | "cors"
  | "identify"
  | "log"
  | "onClose"
  | "publish"
  | "revalidate"
  | "snapshot"
  | "source"
  | "write";

/**
 * How much of the log a hub keeps in memory for replay. The first limit reached applies. Limits are enforced on each
 * publish and when a client reconnects. While nothing is published, an event is dropped at most an eighth of `maxAgeMs`
 * (at least half a second) after it has reached its age.
 */
export interface RetentionOptions {
  /** Age in milliseconds at which an event is dropped. @defaultValue `300_000` */
  readonly maxAgeMs?: number | undefined;
  /** Number of events. @defaultValue `100_000` */
  readonly maxEvents?: number | undefined;
  /**
   * Bytes of encoded events and the names of their channels. About 120 bytes of bookkeeping per event come on top.
   *
   * @defaultValue `67_108_864` (64 MiB)
   */
  readonly maxBytes?: number | undefined;
}

/**
 * Options of a hub, the same for every framework. `undefined` means the default, `false` turns an option off.
 *
 * @typeParam Channels - As for `createHub`.
 * @typeParam Request - As for `createHub`.
 */
export interface HubOptions<
  Channels extends ChannelsOf<Channels> = RegisteredChannels,
  Request = unknown,
> {
  /**
   * Longest silence of a stream in milliseconds. A comment is sent when nothing else was written for this long: it
   * makes proxies keep the connection open and detects vanished clients. It is sent at least 100 ms and at most about a
   * second early. At least 1 000; `false` turns it off.
   *
   * @defaultValue `15_000`
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
   */
  readonly heartbeatMs?: number | false | undefined;
  /**
   * How long a client waits before it reconnects, in milliseconds: a number, or a range from which a value is drawn for
   * each session. `false` leaves it to the client.
   *
   * @defaultValue `{ min: 1_000, max: 3_000 }`
   * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-reconnection-time
   */
  readonly reconnectionTimeMs?: number | JitterRange | false | undefined;
  /**
   * Bytes that the application may send to one session while its client does not read them. Beyond this, the session
   * closes with `slow`. Published events and snapshots do not count, nor does the message that first fills the socket.
   *
   * @defaultValue `1_048_576` (1 MiB)
   */
  readonly maxBufferedBytes?: number | undefined;
  /**
   * Largest event in bytes, including its fields. A larger one throws `ERR_SSE_INVALID_DATA`.
   *
   * @defaultValue `1_048_576` (1 MiB)
   */
  readonly maxEventBytes?: number | undefined;
  /**
   * Number of open sessions at which further clients are turned away. A client that names `text/event-stream` in
   * `Accept`, as `EventSource` does, gets an empty stream that is cut after 5 to 30 seconds, so that it reconnects. Any
   * other client gets 503 with `Retry-After`. `false` means no limit.
   *
   * @defaultValue `false`
   */
  readonly maxSessions?: number | false | undefined;
  /**
   * Number of turned-away clients held at the same time. Beyond this, a client gets an `sse-retry` event with a
   * reconnection time, and its stream ends in order. `0` holds no clients.
   *
   * @defaultValue the larger of `1_000` and twice `maxSessions`
   */
  readonly maxHeld?: number | undefined;
  /**
   * Lifetime of a stream in milliseconds, drawn for each session from 80 % to 100 % of this value. Then the session
   * closes with `expired` and the client reconnects. Accurate to half a second. At least 1 000; `false` means no limit.
   *
   * @defaultValue `false`
   */
  readonly maxStreamMs?: number | false | undefined;
  /**
   * How a stream ends if its client should reconnect: for `shutdown`, `expired` and `slow`, if the request names
   * `text/event-stream`. `"end"` ends the response in order. `"cut"` breaks the connection (in HTTP/2 the stream) once
   * the kernel has the last byte, for clients that treat an orderly end as final. A session that closes with `slow` is
   * always cut; one that the application closes always ends in order.
   *
   * @defaultValue `"end"`
   */
  readonly reconnectAfter?: "end" | "cut" | undefined;
  /**
   * How long a socket with unsent bytes may accept none of them, in milliseconds. Then the session closes with `slow`.
   * Time during which this process was paused does not count. At least 1 000.
   *
   * @defaultValue `30_000`
   */
  readonly stallTimeoutMs?: number | undefined;
  /**
   * Whether a request whose `Accept` header excludes `text/event-stream` is answered 406. By default this applies to
   * `GET` and `HEAD` only, because clients that `POST`, such as the SDKs of OpenAI and Anthropic, often accept only
   * `application/json`.
   *
   * @defaultValue `undefined`: for `GET` and `HEAD`
   */
  readonly checkAccept?: boolean | undefined;
  /**
   * Options of the `cors` package, applied to event streams and their preflights. A preflight allows GET and HEAD
   * unless `methods` lists others, and always allows the header `Last-Event-ID`.
   *
   * @defaultValue `false`
   * @see https://github.com/expressjs/cors#configuration-options
   */
  readonly cors?: SseCorsOptions | false | undefined;
  /**
   * Converts data that is not a string to a string; with `verbatimStrings: false`, strings as well. If it throws, the
   * error becomes the `cause` of an `ERR_SSE_INVALID_DATA`.
   *
   * @defaultValue `JSON.stringify`
   */
  readonly serialize?: ((data: unknown) => string) | undefined;
  /**
   * Converts the text of an event that was not published as a string back, for `hub.read`: the inverse of `serialize`.
   * If it throws, the reader gets the text, and the error goes to `onError`.
   *
   * @defaultValue `JSON.parse`
   */
  readonly deserialize?: ((text: string) => unknown) | undefined;
  /**
   * Whether string `data` of a message is sent unchanged. `false` passes all data through `serialize`, so that clients
   * can parse every event. A bare string given to `send`, `complete` or `stream` is always sent unchanged; a bare
   * string that is published, or in a snapshot, is short for `{ data }`.
   *
   * @defaultValue `true`
   */
  readonly verbatimStrings?: boolean | undefined;
  /**
   * How many published events can be replayed to a client that reconnects. The first limit reached applies.
   *
   * @defaultValue `{ maxAgeMs: 300_000, maxEvents: 100_000, maxBytes: 67_108_864 }`
   */
  readonly retention?: RetentionOptions | undefined;
  /**
   * Says who a client is, from its request: a string such as the id of its user, `{ id, expiresAt }`, or `undefined` for
   * a client without an identity. Called once for each session, before `authorize`, when the route subscribes or opens
   * the stream or reads `session.identity`. Authenticate before that, in a middleware or hook: it cannot wait. An error
   * that it throws goes to `onError` and to the framework's error handler, as for `authorize`.
   *
   * @defaultValue clients have no identity
   */
  readonly identify?: ((request: Request) => string | Identity | undefined) | undefined;
  /**
   * Number of open sessions of one identity, in this process, and what happens to one more. Requires `identify`;
   * clients without an identity are not limited. `false` means no limit.
   *
   * @defaultValue `false`
   */
  readonly maxSessionsPerIdentity?: SessionLimit | false | undefined;
  /**
   * Checks each open session again from time to time, so that a client whose rights have ended is cut off although no
   * other part of the program says so. All checks share one timer, are spread over time, and are limited in number.
   * `false` turns it off.
   *
   * @defaultValue `false`
   */
  readonly revalidate?: RevalidateOptions<Request> | false | undefined;
  /**
   * Keeps track of the identities that are subscribed to channels, on all nodes: for `hub.presence` and for sessions that
   * subscribe to `~presence:<channel>`. `true` stands for all channels. Requires `identify`.
   *
   * @defaultValue `false`
   */
  readonly presence?: PresenceOptions | boolean | undefined;
  /**
   * Decides whether a client may subscribe to a channel. Called for every channel of every `subscribe`, including when
   * a client reconnects. For `~presence:<channel>` it is asked about the channel. Any result but `true` refuses with 403
   * before the head is sent; a stream that is already open ends with `refused`. An error that it throws goes to
   * `onError` and to the framework's error handler, which answers 500 unless the error carries another status; on plain
   * `node:http` the answer is always 500.
   *
   * @defaultValue allows everything
   */
  readonly authorize?:
    | ((
        channel: keyof Channels & string,
        session: AuthorizedSession<Request>,
      ) => boolean | Promise<boolean>)
    | undefined;
  /**
   * Decides for all channels of a call at once: called once for each `subscribe`, including when a client reconnects.
   * Returns one result for all channels, or an array of results in the same order. Any result but `true` refuses the
   * whole call. Cannot be combined with `authorize`.
   *
   * @defaultValue allows everything
   */
  readonly authorizeAll?:
    | ((
        channels: readonly (keyof Channels & string)[],
        session: AuthorizedSession<Request>,
      ) => boolean | readonly boolean[] | Promise<boolean | readonly boolean[]>)
    | undefined;
  /**
   * The log that all published events pass through.
   *
   * @defaultValue `memoryLog()`: for a single process
   */
  readonly log?: Log | undefined;
  /**
   * Receives errors that no caller can catch. A client that leaves is not an error.
   *
   * @defaultValue prints to stderr: the first error of each stage at once, then at most one line a minute with a count
   */
  readonly onError?:
    | ((error: unknown, context: { readonly stage: ErrorStage }) => void)
    | undefined;
}

/** Options of a hub with any channels and requests. */
// oxlint-disable-next-line typescript/no-unnecessary-type-arguments -- Not the default where channels are registered.
export type UntypedHubOptions = HubOptions<ChannelMap>;

/** Options with all defaults filled in. */
export type ResolvedOptions = {
  readonly [
    Name in Exclude<
      keyof HubOptions,
      | "log"
      | "authorize"
      | "authorizeAll"
      | "checkAccept"
      | "identify"
      | "maxSessionsPerIdentity"
      | "presence"
      | "retention"
      | "revalidate"
    >
  ]-?: Exclude<HubOptions[Name], undefined>;
} & {
  readonly identify: Exclude<UntypedHubOptions["identify"], undefined> | undefined;
  readonly maxSessionsPerIdentity: Required<SessionLimit> | false;
  readonly presence: ResolvedPresenceOptions | false;
  readonly revalidate: ResolvedRevalidateOptions | false;
  readonly retention: { readonly [Limit in keyof RetentionOptions]-?: number };
  readonly log: Log | undefined;
  readonly authorize: Exclude<UntypedHubOptions["authorize"], undefined> | undefined;
  readonly checkAccept: boolean | undefined;
  readonly authorizeAll: Exclude<UntypedHubOptions["authorizeAll"], undefined> | undefined;
};

/**
 * Defaults of a hub's options. Frozen.
 */
export const DEFAULTS: ResolvedOptions = Object.freeze({
  heartbeatMs: 15_000,
  reconnectionTimeMs: Object.freeze({ min: 1_000, max: 3_000 }),
  maxBufferedBytes: 1_048_576,
  maxEventBytes: 1_048_576,
  maxSessions: false,
  maxHeld: 1_000,
  maxStreamMs: false,
  reconnectAfter: "end",
  stallTimeoutMs: 30_000,
  checkAccept: undefined,
  cors: false,
  serialize: JSON.stringify,
  deserialize: JSON.parse,
  verbatimStrings: true,
  retention: Object.freeze({ maxAgeMs: 300_000, maxEvents: 100_000, maxBytes: 67_108_864 }),
  identify: undefined,
  maxSessionsPerIdentity: false,
  presence: false,
  revalidate: false,
  authorize: undefined,
  authorizeAll: undefined,
  log: undefined,
  onError: printErrors(),
});

const CHECKS: { readonly [Name in keyof HubOptions]-?: (value: unknown) => string | undefined } = {
  heartbeatMs: (value) => (value === false ? undefined : milliseconds(1_000, value, "false or ")),
  reconnectionTimeMs: checkReconnectionTime,
  maxBufferedBytes: (value) => atLeast(1, value),
  maxEventBytes: (value) => atLeast(1, value),
  maxSessions: (value) => (value === false ? undefined : atLeast(1, value, "false or ")),
  maxHeld: (value) => atLeast(0, value),
  maxStreamMs: (value) => (value === false ? undefined : milliseconds(1_000, value, "false or ")),
  reconnectAfter: (value) => (value === "end" || value === "cut" ? undefined : '"end" or "cut"'),
  stallTimeoutMs: (value) => milliseconds(1_000, value),
  checkAccept: (value) => (typeof value === "boolean" ? undefined : "a boolean"),
  cors: checkCors,
  serialize: (value) => (typeof value === "function" ? undefined : "a function"),
  deserialize: (value) => (typeof value === "function" ? undefined : "a function"),
  verbatimStrings: (value) => (typeof value === "boolean" ? undefined : "true or false"),
  onError: (value) => (typeof value === "function" ? undefined : "a function"),
  retention: checkRetention,
  identify: (value) => (typeof value === "function" ? undefined : "a function"),
  maxSessionsPerIdentity: checkSessionLimit,
  presence: checkPresence,
  revalidate: checkRevalidate,
  authorize: (value) => (typeof value === "function" ? undefined : "a function"),
  authorizeAll: (value) => (typeof value === "function" ? undefined : "a function"),
  log: (value) =>
    typeof (value as Partial<Log> | null)?.append === "function"
      ? undefined
      : "a log, as memoryLog() gives",
};

/**
 * Checks options and fills in the defaults.
 *
 * @param options - Options as passed by the application.
 * @returns A frozen copy without `undefined`.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if an option is unknown or invalid.
 */
export function resolveOptions(options: UntypedHubOptions = {}): ResolvedOptions {
  checkOptionNames(options);
  const resolved: Record<string, unknown> = { ...DEFAULTS };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    checkOption(name as keyof HubOptions, value);
    resolved[name] = complete(name as keyof HubOptions, value);
  }
  const { maxSessions, maxHeld } = options;
  if (typeof maxSessions === "number" && maxHeld === undefined) {
    resolved["maxHeld"] = Math.max(DEFAULTS.maxHeld, 2 * maxSessions);
  }
  if (resolved["authorize"] !== undefined && resolved["authorizeAll"] !== undefined) {
    throw invalidOption("Expected `authorize` or `authorizeAll`, got both");
  }
  for (const name of ["maxSessionsPerIdentity", "presence"]) {
    if (resolved[name] === false || resolved["identify"] !== undefined) continue;
    throw invalidOption(`Expected \`identify\` beside \`${name}\`, got none`);
  }
  return Object.freeze(resolved) as ResolvedOptions;
}

/**
 * Checks that options are an object with known names.
 *
 * @param options - Value to check: anything.
 * @param others - Names valid in addition to those of a hub: the adapter's own options.
 * @throws {SseError} `ERR_SSE_INVALID_OPTION` if they are not.
 */
export function checkOptionNames(options: unknown, others: readonly string[] = []): void {
  checkPlain(options);
  for (const name of Object.keys(options)) checkName(name, [...Object.keys(CHECKS), ...others]);
}

/** Marks hubs, including those of another copy of the package. */
export const HUB: unique symbol = Symbol.for("tidewire.hub");

/** Checks that options are a plain object, not another value that is often passed by mistake. */
function checkPlain(options: unknown): asserts options is object {
  if (typeof options === "object" && options !== null) {
    if (HUB in options) {
      throw invalidOption("Expected options, got a hub, which already has its options");
    }
    if ("headers" in options && "method" in options) {
      throw invalidOption("Expected options, got a request: call `sse()` and pass what it returns");
    }
    // The options in a `Map` or an array would be ignored, and all defaults would apply silently.
    const prototype: unknown = Object.getPrototypeOf(options);
    if (prototype === null || Object.getPrototypeOf(prototype) === null) return;
  }
  throw invalidOption(`Expected options to be an object, got ${describeValue(options)}`);
}

/** Checks one option of a hub. */
export function checkOption(name: keyof HubOptions, value: unknown): void {
  const expected = CHECKS[name](value);
  if (expected !== undefined) throw unexpected(name, expected, value);
}

function checkReconnectionTime(value: unknown): string | undefined {
  if (value === false || milliseconds(0, value) === undefined) return undefined;
  const expected = `false, a whole number from 0 to ${MAX_MS} or { min, max } of two such numbers`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return expected;
  const range = value as Partial<JitterRange>;
  for (const name of Object.keys(value)) checkName(name, ["min", "max"], "reconnectionTimeMs");
  for (const name of ["min", "max"] as const) {
    const expectedLimit = milliseconds(0, range[name]);
    if (expectedLimit !== undefined) {
      throw unexpected(`reconnectionTimeMs.${name}`, expectedLimit, range[name]);
    }
  }
  const { min, max } = value as JitterRange;
  if (min <= max) return undefined;
  throw invalidOption(
    `Expected \`reconnectionTimeMs.min\` to be at most \`reconnectionTimeMs.max\`, got ${min} and ${max}`,
  );
}

function checkRetention(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "{ maxAgeMs, maxEvents, maxBytes } of whole numbers >= 1";
  }
  for (const [name, limit] of Object.entries(value)) {
    checkName(name, Object.keys(DEFAULTS.retention), "retention");
    const expected = limit === undefined ? undefined : atLeast(1, limit);
    if (expected !== undefined) throw unexpected(`retention.${name}`, expected, limit);
  }
  return undefined;
}

/** Defaults of the fields of options that are objects. */
const FIELDS: { readonly [Name in keyof HubOptions]?: object } = {
  retention: DEFAULTS.retention,
  maxSessionsPerIdentity: { excess: "refuse" },
  presence: PRESENCE_DEFAULTS,
  revalidate: { maxConcurrent: 32, timeoutMs: 10_000 },
};

/** @returns The value of an option; with the defaults of its fields, if it has any. */
function complete(name: keyof HubOptions, value: unknown): unknown {
  const fields = FIELDS[name];
  if (name === "presence" && value === true) return PRESENCE_DEFAULTS;
  if (fields === undefined || typeof value !== "object" || value === null) return value;
  const defined = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.freeze({ ...fields, ...Object.fromEntries(defined) });
}

const CORS_OPTIONS = [
  "origin",
  "methods",
  "allowedHeaders",
  "exposedHeaders",
  "credentials",
  "maxAge",
  "preflightContinue",
  "optionsSuccessStatus",
];

function checkCors(value: unknown): string | undefined {
  if (value === false || typeof value === "function") return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "false, the options of the cors package or a function that returns them";
  }
  // A misspelt `origin` would let every page read the stream.
  for (const name of Object.keys(value)) checkName(name, CORS_OPTIONS, "cors");
  const { credentials, origin } = value as { credentials?: unknown; origin?: unknown };
  // Browsers refuse `*` together with credentials: every stream would fail in the browser, with no sign here.
  return credentials === true && (origin === undefined || origin === "*")
    ? "to name an `origin` when it allows `credentials`"
    : undefined;
}
