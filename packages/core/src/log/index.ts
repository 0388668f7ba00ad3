/** Entry point for logs, `@tidewire/core/log`: the contract and the in-memory log. */

export { memoryLog } from "./memory-log.js";
export type {
  FoundId,
  Log,
  LogEntry,
  LogFollower,
  LogHealth,
  LogMessage,
  LogPage,
  LogPast,
  LogResetReason,
  PastEntry,
  PastQuery,
  PastRoom,
  PublishOptions,
} from "./log.js";
