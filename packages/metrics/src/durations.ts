/** The durations of one hub, as they happen: from the diagnostics channels of `@tidewire/core`. */

import diagnosticsChannel from "node:diagnostics_channel";
import type { DiagnosticMessages } from "@tidewire/core";
import type { MeasuredHub } from "./options.js";

/** Receives durations in seconds. */
export interface DurationListener {
  /** A stream has started after this time. */
  wait(seconds: number): void;
  /** A stream has ended after this time. */
  lifetime(seconds: number): void;
  /** An event was delivered after this time. */
  delay(seconds: number): void;
}

/**
 * Hands on the durations of one hub.
 *
 * @returns Ends that.
 */
export function followDurations(hub: MeasuredHub, listener: DurationListener): () => void {
  // The channels are shared by all hubs of the process.
  const opened = (message: unknown): void => {
    const { session, waitMs } = message as DiagnosticMessages["tidewire.session.open"];
    if (session.hub === hub) listener.wait(waitMs / 1_000);
  };
  const closed = (message: unknown): void => {
    const { session, lifetimeMs } = message as DiagnosticMessages["tidewire.session.close"];
    if (session.hub === hub) listener.lifetime(lifetimeMs / 1_000);
  };
  const delivered = (message: unknown): void => {
    const { hub: owner, delayMs } = message as DiagnosticMessages["tidewire.delivery"];
    if (owner === hub) listener.delay(delayMs / 1_000);
  };
  diagnosticsChannel.subscribe("tidewire.session.open", opened);
  diagnosticsChannel.subscribe("tidewire.session.close", closed);
  diagnosticsChannel.subscribe("tidewire.delivery", delivered);
  return () => {
    diagnosticsChannel.unsubscribe("tidewire.session.open", opened);
    diagnosticsChannel.unsubscribe("tidewire.session.close", closed);
    diagnosticsChannel.unsubscribe("tidewire.delivery", delivered);
  };
}
