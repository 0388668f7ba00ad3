/** Entry point for tests: `@tidewire/testing`. */

export { injectStream, openStream } from "./open-stream.js";
export type { OpenStreamOptions, RequestHeaders, WaitOptions } from "./options.js";
export type { FastifyLike, RequestListener, StreamTarget } from "./listening.js";
export type { ResumeOptions, StreamEnd, TestStream } from "./test-stream.js";
export type { StreamReset } from "./received.js";
export type { AnyEvent, EventData, EventOf, EventType, Received, StreamEvent } from "./channels.js";
export type { Cut } from "./connection.js";
export { StreamError } from "./stream-error.js";
export { recordPublished } from "./record-published.js";
export type { PublishedEvent, PublishedOn, PublishedRecord } from "./record-published.js";
export { faultyLog } from "./faulty-log.js";
export type { FaultyLog } from "./faulty-log.js";
export { logConformance } from "./log-conformance.js";
export type { ConformanceOptions, ConformanceTest } from "./log-conformance.js";
export type { LogUnderTest } from "./log-subject.js";
