/** Entry point for applications: `@tidewire/runs`. */

export { createRuns } from "./runs.js";
export type { CloseRunsOptions, ListOptions, Runs, RunsStats, Started } from "./runs.js";
export { memoryTapes } from "./memory-tapes.js";
export type { MemoryTapesOptions } from "./memory-tapes.js";
export type {
  MapRunItem,
  OpenRunSource,
  RunContext,
  RunErrorStage,
  RunLimits,
  RunSource,
  RunsOptions,
  StartOptions,
} from "./options.js";
export type { RunMessage } from "./item.js";
export type { FollowingSession, FollowOptions } from "./follow.js";
export type { RunEvent, RunReadOptions } from "./read.js";
export type { Outcome, RunEnd } from "./tape.js";
export type { RunState, Tapes } from "./tapes.js";
