/** Entry point for applications: `@tidewire/runs`. */

export type { Outcome, RunEnd } from "./tape.js";
export type { RunState, Tapes } from "./tapes.js";
