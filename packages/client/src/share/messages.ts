/** The messages between the tabs of a group. */

import type { Status } from "../status.js";
import type { SharedEvent } from "./recent-events.js";

/** A message of a tab that follows to the one that leads. */
export type Request = { readonly from: string } & (
  | {
      /** Asks for a welcome: for what follows a position. */
      readonly kind: "hello";
      /** Rises with each hello of a tab. */
      readonly number: number;
      /** `undefined` for the present position. */
      readonly lastEventId: string | undefined;
      readonly isFull: boolean;
    }
  | {
      /** Asks for a sign of life. */
      readonly kind: "ping";
      readonly isFull: boolean;
      /** `hurry`: the user looks at this tab, and a wait for the next attempt must end. `open`: open the stream again. */
      readonly wish?: "hurry" | "open" | undefined;
    }
);

/** A message of the tab that leads. */
export type Report = {
  /** Terms of leaders rise. Reports of earlier leaders are dropped. */
  readonly term: number;
} & (
  | {
      /** A new leader, or one that has forgotten: everyone says hello. */
      readonly kind: "lead";
    }
  | {
      /** The answer to a hello. The reports behind it follow without a gap. */
      readonly kind: "welcome";
      readonly to: string;
      /** Number of the hello. */
      readonly hello: number;
      readonly status: Status;
      /** Number of events that were reported before. */
      readonly count: number;
      readonly lastEventId: string;
      /** The events behind the position of the hello; `undefined` if that is not known. */
      readonly events: readonly SharedEvent[] | undefined;
    }
  | {
      /** A sign of life, or a new position without an event. */
      readonly kind: "pong";
      /** Number of events that were reported before. */
      readonly count: number;
      readonly lastEventId: string;
    }
  | { readonly kind: "status"; readonly status: Status }
  | {
      readonly kind: "event";
      /** Number of events that were reported before. */
      readonly count: number;
      readonly event: SharedEvent;
    }
);

/** Makes a status that can be sent: of an error only the message, because it may be anything. */
export function toMessage(status: Status): Status {
  if (!("error" in status) || status.error === undefined) return status;
  const { error } = status;
  return { ...status, error: new Error(error instanceof Error ? error.message : "Unknown") };
}
