// Writes docs/reference/options.md from the doc comments of the option interfaces. `--print` writes it to stdout instead.
import fs from "node:fs";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "..");
const TARGET = path.join(ROOT, "docs/reference/options.md");

/** The sections of the page: where the options are given, and the interfaces that have their doc comments. */
const SECTIONS = [
  {
    title: "Hub",
    intro:
      "Options of `createHub()`, `sse()` and `ssePlugin`. With `{ hub }`, `sse()` and `ssePlugin` use a hub that exists; its options are then those of `createHub()`.",
    from: [["packages/core/src/options/hub.ts", "HubOptions"]],
  },
  {
    title: "Identity",
    intro:
      "What the option [`identify`](#identify) returns, unless it is a string, which stands for `{ id }`.",
    from: [["packages/core/src/options/identity.ts", "Identity"]],
  },
  {
    title: "Names in a framework",
    intro:
      "`property` is an option of `sse()` in Express, `decorator` one of `ssePlugin` in Fastify. `sseHandler()` takes the same one as its third argument.",
    from: [
      ["packages/express/src/sse.ts", "PropertyOptions"],
      ["packages/fastify/src/sse-plugin.ts", "DecoratorOptions"],
    ],
  },
  {
    title: "One stream",
    intro:
      "Options of `session.open(options)`. A route that subscribes passes them as `subscribe(channels, { open: options })`.",
    from: [["packages/core/src/options/open.ts", "OpenOptions"]],
  },
  {
    title: "Subscribing",
    intro:
      "Options of `session.subscribe(channels, options)`, and the second argument of `sseHandler()`.",
    from: [["packages/core/src/options/subscribe.ts", "SubscribeOptions"]],
  },
  {
    title: "Publishing",
    intro:
      "Options of `hub.publish(channel, message, options)` and `channel.publish(message, options)`. A publisher takes `dedupeKey` only.",
    from: [
      ["packages/core/src/log/log.ts", "PublishOptions"],
      ["packages/core/src/hub/channel.ts", "HubPublishOptions"],
    ],
  },
  {
    title: "Reading",
    intro: "Options of `hub.read(channels, options)` and `reader.read(channels, options)`.",
    from: [["packages/core/src/options/read.ts", "ReadOptions"]],
  },
  {
    title: "Finding sessions",
    intro: "Options of `hub.sessions(filter)`.",
    from: [["packages/core/src/hub/identities.ts", "SessionFilter"]],
  },
  {
    title: "Disconnecting",
    intro: "Options of `hub.disconnect(filter)` and `publisher.disconnect(filter)`.",
    from: [["packages/core/src/hub/revocations.ts", "DisconnectFilter"]],
  },
  {
    title: "Streaming a source",
    intro:
      "Options of `session.stream(source, options)`. A function in place of options stands for `{ map }`.",
    from: [["packages/core/src/session/pump.ts", "StreamOptions"]],
  },
  {
    title: "Closing a hub",
    intro: "Options of `hub.close(options)`.",
    from: [["packages/core/src/hub/shutdown.ts", "CloseOptions"]],
  },
  {
    title: "Log on Redis",
    intro: "Options of `redisLog()`. Exactly one of `url` and `client` is required.",
    from: [
      ["packages/redis/src/options.ts", "RedisUrl"],
      ["packages/redis/src/options.ts", "RedisClientOption"],
      ["packages/redis/src/options.ts", "RedisLogSettings"],
    ],
  },
  {
    title: "Publisher",
    intro:
      "Options of `createPublisher()`: `log`, and [`serialize`](#serialize), [`verbatimStrings`](#verbatimstrings), [`maxEventBytes`](#maxeventbytes) and [`onError`](#onerror) of a hub. `createRedisPublisher()` takes the options of [`redisLog()`](#log-on-redis) without `onHealth` in place of `log`.",
    from: [["packages/core/src/hub/publisher.ts", "PublisherOptions"]],
  },
  {
    title: "Reader",
    intro:
      "Options of `createReader()`: `log`, and [`deserialize`](#deserialize), [`retention`](#retention), [`maxEventBytes`](#maxeventbytes) and [`onError`](#onerror) of a hub. `createRedisReader()` takes the options of [`redisLog()`](#log-on-redis) in place of `log` and `retention`.",
    from: [["packages/core/src/hub/reader.ts", "ReaderOptions"]],
  },
  {
    title: "Runs",
    intro:
      "Options of `createRuns()` of `@tidewire/runs`. `start(key, source, options)` takes `map` and the first three of them, for one run; a function in place of its options stands for `{ map }`.",
    from: [
      ["packages/runs/src/options.ts", "RunLimits"],
      ["packages/runs/src/options.ts", "RunsOptions"],
      ["packages/runs/src/options.ts", "StartOptions"],
    ],
  },
  {
    title: "Following a run",
    intro: "Options of `runs.follow(key, session, options)`.",
    from: [["packages/runs/src/follow.ts", "FollowOptions"]],
  },
  {
    title: "Reading a run",
    intro: "Options of `runs.read(key, options)`.",
    from: [["packages/runs/src/read.ts", "RunReadOptions"]],
  },
  {
    title: "Listing runs",
    intro: "Options of `runs.list(options)`.",
    from: [["packages/runs/src/runs.ts", "ListOptions"]],
  },
  {
    title: "Closing runs",
    intro: "Options of `runs.close(options)`.",
    from: [["packages/runs/src/runs.ts", "CloseRunsOptions"]],
  },
  {
    title: "Tapes in memory",
    intro: "Options of `memoryTapes()`.",
    from: [["packages/runs/src/memory-tapes.ts", "MemoryTapesOptions"]],
  },
  {
    title: "Tapes on Redis",
    intro:
      "Options of `redisTapes()` of `@tidewire/redis`. Exactly one of `url` and `client` is required, as for [`redisLog()`](#log-on-redis).",
    from: [["packages/redis/src/tapes/tape-options.ts", "RedisTapesSettings"]],
  },
  {
    title: "Streams under test",
    intro:
      "Options of `openStream(target, path, options)` and `injectStream(fastify, path, options)` of [`@tidewire/testing`](../guide/testing.md).",
    from: [["packages/testing/src/options.ts", "OpenStreamOptions"]],
  },
  {
    title: "Resuming a stream under test",
    intro:
      "Options of `stream.resume(options)`. Every wait of a stream takes the option `withinMs`.",
    from: [
      ["packages/testing/src/test-stream.ts", "ResumeOptions"],
      ["packages/testing/src/options.ts", "WaitOptions"],
    ],
  },
  {
    title: "Conformance of a log",
    intro: "Options of `logConformance(makeLog, options)`.",
    from: [["packages/testing/src/log-conformance.ts", "ConformanceOptions"]],
  },
  {
    title: "Metrics",
    intro:
      "Options of `collectPrometheus(hub, options)` and `observeOpenTelemetry(hub, options)` of `@tidewire/metrics`.",
    from: [["packages/metrics/src/options.ts", "MetricsOptions"]],
  },
  {
    title: "Metrics for Prometheus",
    intro: "Further options of `collectPrometheus(hub, options)`.",
    from: [["packages/metrics/src/prometheus.ts", "PrometheusOptions"]],
  },
  {
    title: "Metrics for OpenTelemetry",
    intro: "Further options of `observeOpenTelemetry(hub, options)`.",
    from: [["packages/metrics/src/open-telemetry.ts", "OpenTelemetryOptions"]],
  },
  {
    title: "Client",
    intro:
      "Options of `connect(url, options)` of [`@tidewire/client`](../clients/client.md). An unknown name or an invalid value throws a `TypeError`.",
    from: [["packages/client/src/options.ts", "ConnectOptions"]],
  },
  {
    title: "React",
    intro:
      "Third argument of `useEvents(stream, handlers, callbacks)` of [`@tidewire/client/react`](../clients/react.md). `useStream(url, options)` takes the options of the [client](#client), without `signal`.",
    from: [["packages/client/src/react.ts", "EventCallbacks"]],
  },
];

/** Interfaces whose fields are listed with the option that has them as its type. */
const NESTED = {
  PresenceOptions: "packages/core/src/options/presence.ts",
  SessionLimit: "packages/core/src/options/identity.ts",
  RevalidateOptions: "packages/core/src/options/identity.ts",
  RetentionOptions: "packages/core/src/options/hub.ts",
  StreamRetentionOptions: "packages/redis/src/options.ts",
};

/** Pages that say more about an option. */
const MORE = {
  authorize: "[Authorization](../guide/authorization.md)",
  client: "[Which Redis](../operate/scaling.md#which-redis)",
  dedupeKey: "[Many nodes](../operate/scaling.md#publish-again-safely)",
  drainMs: "[Shutdown and deploys](../operate/shutdown.md)",
  "Following a run: end": "[How a run ends](../guide/runs.md#how-a-run-ends)",
  "Tapes on Redis: leaseMs": "[Runs on several nodes](../operate/scaling.md#runs-on-several-nodes)",
  "Tapes on Redis: onError": "[Runs on several nodes](../operate/scaling.md#runs-on-several-nodes)",
  "Tapes on Redis: shards": "[Runs on several nodes](../operate/scaling.md#runs-on-several-nodes)",
  abandonMs: "[Limits of a run](../guide/runs.md#limits-of-a-run)",
  identify: "[Identity and revocation](../guide/identity.md)",
  maxSessionsPerIdentity:
    "[Identity and revocation](../guide/identity.md#limit-the-sessions-of-a-user)",
  presence: "[Presence](../guide/presence.md)",
  revalidate: "[Identity and revocation](../guide/identity.md#check-again)",
  "Disconnecting: final": "[Identity and revocation](../guide/identity.md#disconnect-a-user)",
  latest: "[Replay and resets](../guide/replay.md)",
  log: "[Many nodes](../operate/scaling.md)",
  maxBufferedBytes: "[Limits and slow clients](../guide/limits.md)",
  maxHeld: "[Streams that are turned away](wire.md#streams-that-are-turned-away)",
  maxSessions: "[Streams that are turned away](wire.md#streams-that-are-turned-away)",
  onError: "[Background errors](errors.md#background-errors-onerror)",
  reconnectAfter: "[The end of a stream](wire.md#the-end-of-a-stream)",
  retention: "[What is retained](../contribute/delivery.md#what-is-retained)",
  snapshot: "[State and changes](../guide/state.md)",
  "Log on Redis: retention": "[What the log writes to Redis](redis.md#retention)",
  "Log on Redis: dedupeWindowMs": "[Dedupe keys](redis.md#dedupe-keys)",
};

const UNITS = [
  [/Ms$/, "milliseconds"],
  [/Bytes$/, "bytes"],
  [/^max(Buffered)?Events$/, "events"],
  [/^latest$/, "events of each channel"],
  [/^maxSessions$/, "sessions"],
  [/^maxHeld$/, "clients"],
  [/^maxRuns$/, "runs"],
  [/^shards$/, "hash slots"],
  [/^limit$/, "runs"],
];

const HEAD = `# Options

Every option, with its type, unit and default. \`undefined\` means the default, and \`false\` turns an option off where its type
allows it. An unknown name or an invalid value throws [\`ERR_SSE_INVALID_OPTION\`](errors.md#err-sse-invalid-option) at once.
The exported constant \`DEFAULTS\` holds the defaults of a hub.

This page is written from the doc comments in the sources by \`npx -y pnpm@10 docs:options\`.`;

const FOOT = `## Environment

### TIDEWIRE_DIRECT_WRITE

\`off\` sends every event through \`response.write\`. By default frames that many sessions share go straight to their sockets, with
the bytes that \`response.write\` would send. Read once, when the package is loaded. Use it to rule out this path when you debug.`;

const unused = new Set(Object.keys(MORE));
const page = `${[HEAD, ...SECTIONS.map(writeSection), FOOT].join("\n\n")}\n`;
if (unused.size > 0) throw new Error(`There is no option ${[...unused].join(", ")}`);
if (process.argv.includes("--print")) process.stdout.write(page);
else fs.writeFileSync(TARGET, page);

function writeSection({ title, intro, from }) {
  const options = from.flatMap(([file, name]) => readInterface(file, name));
  return [`## ${title}`, intro, ...options.map((option) => writeOption(title, option))].join(
    "\n\n",
  );
}

function writeOption(section, { name, type, comment }) {
  const { text, tags } = comment;
  const [, nested, isOff] = /^(\w+)(?:<\w+>)?( \| (?:false|boolean))?$/.exec(type) ?? [];
  const fields = NESTED[nested] === undefined ? [] : readInterface(NESTED[nested], nested);
  const key = MORE[`${section}: ${name}`] === undefined ? name : `${section}: ${name}`;
  const more = MORE[key];
  unused.delete(key);
  const names = fields.map((field) => field.name).join(", ");
  const shape = fields.length > 0 ? `{ ${names} }${isOff ?? ""}` : type;
  const facts = [`**Type:** \`${shape}\``, unitOf(name), defaultOf(tags)]
    .filter(Boolean)
    .join(" · ");
  return [
    `### ${name}`,
    facts,
    text,
    fields.map(writeField).join("\n"),
    tags.see === undefined ? "" : `See [${new URL(tags.see).host}](${tags.see}).`,
    more === undefined ? "" : `More: ${more}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** A field of an option that is an object. */
function writeField({ name, comment: { text, tags } }) {
  return [`- \`${name}\`: ${text.replaceAll(/\n+/g, " ")}`, defaultOf(tags)]
    .filter(Boolean)
    .join(" ");
}

function unitOf(name) {
  const unit = UNITS.find(([pattern]) => pattern.test(name))?.[1];
  return unit && `**Unit:** ${unit}`;
}

function defaultOf({ defaultValue }) {
  return defaultValue && `**Default:** ${defaultValue}`;
}

/** The properties of an exported interface, in the order of the source. */
function readInterface(file, name) {
  const source = fs.readFileSync(path.join(ROOT, file), "utf8");
  const start = source.search(new RegExp(`^export interface ${name}\\b`, "m"));
  if (start === -1) throw new Error(`${file} has no interface ${name}`);
  const body = source.slice(start, source.indexOf("\n}", start));
  const properties =
    /\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s+readonly (\w+)\??:\s*([\s\S]*?);(?=\s*(?:\/\*\*|$))/g;
  return [...body.matchAll(properties)].map(([, comment, property, type]) => ({
    name: property,
    type: plainType(type),
    comment: readComment(comment),
  }));
}

/** A type on one line, without `undefined` and the parentheses that this needs. */
function plainType(type) {
  const text = type
    .replaceAll(/\s+/g, " ")
    .replace(/^\| /, "")
    .replace(/ \| undefined$/, "")
    .replaceAll("( ", "(")
    .replaceAll(", )", ")");
  return text.startsWith("((") ? text.slice(1, -1) : text;
}

/** The text of a doc comment, its paragraphs each on one line, and its tags. */
function readComment(comment) {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trim());
  const [text = "", ...rest] = lines.join("\n").split(/(?<=^|\s)@(?=[a-z])/);
  const tags = Object.fromEntries(
    rest.map((tag) => [/^\w+/.exec(tag)?.[0], join(tag.replace(/^\w+\s*/, ""))]),
  );
  return { text: join(text), tags };
}

function join(text) {
  return text
    .trim()
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.replaceAll("\n", " ").replaceAll(/\{@link (\w+)\}/g, "`$1`"))
    .join("\n\n");
}
