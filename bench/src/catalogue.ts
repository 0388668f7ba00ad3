import type { RedisSubject } from "./redis-subject.js";
import type { Subject } from "./subject.js";

/** The role of a subject in a comparison. */
export type SubjectKind = "tidewire" | "control" | "peer";

/** A subject as the suites see it, without loading it. */
export interface CatalogueEntry {
  readonly kind: SubjectKind;
  /** Packages whose versions are reported. */
  readonly packages: readonly string[];
  /** Loads the subject. Only its own process does: an unused framework would add to the measured memory. */
  load(): Promise<{ readonly subject: Subject }>;
}

/** All subjects that run in Node, by name. */
export const CATALOGUE = {
  "tidewire-http": {
    kind: "tidewire",
    packages: ["@tidewire/core"],
    load: () => import("./subjects/tidewire-http.js"),
  },
  "tidewire-express": {
    kind: "tidewire",
    packages: ["@tidewire/express", "express"],
    load: () => import("./subjects/tidewire-express.js"),
  },
  "tidewire-fastify": {
    kind: "tidewire",
    packages: ["@tidewire/fastify", "fastify"],
    load: () => import("./subjects/tidewire-fastify.js"),
  },
  "tidewire-identity": {
    kind: "tidewire",
    packages: ["@tidewire/core"],
    load: () => import("./subjects/tidewire-identity.js"),
  },
  "tidewire-presence": {
    kind: "tidewire",
    packages: ["@tidewire/core"],
    load: () => import("./subjects/tidewire-presence.js"),
  },
  "tidewire-metrics": {
    kind: "tidewire",
    packages: ["@tidewire/metrics", "prom-client"],
    load: () => import("./subjects/tidewire-metrics.js"),
  },
  "tidewire-runs": {
    kind: "tidewire",
    packages: ["@tidewire/runs"],
    load: () => import("./subjects/tidewire-runs.js"),
  },
  "tidewire-runs-redis": {
    kind: "tidewire",
    packages: ["@tidewire/runs", "@tidewire/redis", "redis"],
    load: () => import("./subjects/tidewire-runs-redis.js"),
  },
  "socket-write": {
    kind: "control",
    packages: [],
    load: () => import("./subjects/socket-write.js"),
  },
  "response-write": {
    kind: "control",
    packages: [],
    load: () => import("./subjects/response-write.js"),
  },
  "bare-http": { kind: "control", packages: [], load: () => import("./subjects/bare-http.js") },
  "bare-express": {
    kind: "control",
    packages: ["express"],
    load: () => import("./subjects/bare-express.js"),
  },
  "bare-fastify": {
    kind: "control",
    packages: ["fastify"],
    load: () => import("./subjects/bare-fastify.js"),
  },
  "better-sse": {
    kind: "peer",
    packages: ["better-sse"],
    load: () => import("./subjects/better-sse.js"),
  },
  "sse-channel": {
    kind: "peer",
    packages: ["sse-channel"],
    load: () => import("./subjects/sse-channel.js"),
  },
  "express-sse": {
    kind: "peer",
    packages: ["express-sse", "express"],
    load: () => import("./subjects/express-sse.js"),
  },
  "@fastify/sse": {
    kind: "peer",
    packages: ["@fastify/sse", "fastify"],
    load: () => import("./subjects/fastify-sse.js"),
  },
  "fastify-sse-v2": {
    kind: "peer",
    packages: ["fastify-sse-v2", "fastify"],
    load: () => import("./subjects/fastify-sse-v2.js"),
  },
  hono: {
    kind: "peer",
    packages: ["hono", "@hono/node-server"],
    load: () => import("./subjects/hono.js"),
  },
  "resumable-stream": {
    kind: "peer",
    packages: ["resumable-stream"],
    load: () => import("./subjects/resumable-stream.js"),
  },
} as const satisfies Record<string, CatalogueEntry>;

/** A subject made of several processes connected through Redis. */
export interface RedisCatalogueEntry {
  readonly kind: SubjectKind;
  readonly packages: readonly string[];
  load(): Promise<{ readonly subject: RedisSubject }>;
}

/** All Redis subjects, by name. */
export const REDIS_CATALOGUE = {
  "tidewire-redis": {
    kind: "tidewire",
    packages: ["@tidewire/redis", "redis"],
    load: () => import("./subjects/tidewire-redis.js"),
  },
  "redis-xread": {
    kind: "control",
    packages: ["redis"],
    load: () => import("./subjects/redis-xread.js"),
  },
  "redis-xrange": {
    kind: "control",
    packages: ["redis"],
    load: () => import("./subjects/redis-xrange.js"),
  },
  "redis-pubsub": {
    kind: "peer",
    packages: ["redis", "better-sse"],
    load: () => import("./subjects/redis-pubsub.js"),
  },
} as const satisfies Record<string, RedisCatalogueEntry>;

/** Name of a subject that runs in Node, in one process. */
export type NodeSubjectName = keyof typeof CATALOGUE;
/** Subjects that can also be measured with another checkout's packages. */
export const TIDEWIRE = ["tidewire-http", "tidewire-express", "tidewire-fastify"] as const;
/** Name of such a subject with those packages: the checkout's label follows the `@`. */
export type TwinName = `${(typeof TIDEWIRE)[number]}@${string}`;
/** Name of a subject that is one server in Node. */
export type NodeServerName = NodeSubjectName | TwinName;
/** Name of a subject that is one server. */
export type ServerSubjectName = NodeServerName | "nchan";
/** Name of a subject of many processes. */
export type RedisSubjectName = keyof typeof REDIS_CATALOGUE;
/** Name of any subject. */
export type SubjectName = ServerSubjectName | RedisSubjectName;

/** All names except those of another checkout, in table order. */
export const SUBJECT_NAMES: readonly Exclude<SubjectName, TwinName>[] = [
  ...(Object.keys(CATALOGUE) as NodeSubjectName[]),
  "nchan",
  ...(Object.keys(REDIS_CATALOGUE) as RedisSubjectName[]),
];

/** @returns The role of a subject. */
export function kindOf(name: SubjectName): SubjectKind {
  if (name === "nchan") return "peer";
  if (isTwinName(name)) return "tidewire";
  return isRedisSubjectName(name) ? REDIS_CATALOGUE[name].kind : CATALOGUE[name].kind;
}

/** @returns `true` if text is the name of a subject. */
export function isSubjectName(text: string): text is Exclude<SubjectName, TwinName> {
  return (SUBJECT_NAMES as readonly string[]).includes(text);
}

/** @returns `true` if a subject uses the packages of another checkout. */
export function isTwinName(name: SubjectName): name is TwinName {
  return TIDEWIRE.some((base) => name.startsWith(`${base}@`));
}

/** @returns The name of a subject without the label of another checkout. */
export function baseOf<Name extends NodeSubjectName>(name: Name | TwinName): Name {
  const base = TIDEWIRE.find((one) => name.startsWith(`${one}@`));
  return (base ?? name) as Name;
}

/** @returns `true` if a subject consists of several processes that are connected through Redis. */
function isRedisSubjectName(name: SubjectName): name is RedisSubjectName {
  return name in REDIS_CATALOGUE;
}

/** @returns `true` if a subject needs Redis. */
export function needsRedis(name: SubjectName): boolean {
  return isRedisSubjectName(name) || name === "tidewire-runs-redis";
}
