/** Sizes of the events that are read. */
export const READ_CASES = { "100 B": 100, "1 KB": 1_024 } as const;

/** How the events of a channel get to their readers: with `hub.read`, and with what it is compared to. */
export type ReadWay = "read" | "emitter" | "session";

/** The calls that the reading process answers. */
export interface ReadProtocol {
  /** @returns Microseconds of CPU per event and reader. */
  measure(order: {
    readonly way: ReadWay;
    readonly bytes: number;
    readonly readers: number;
    readonly events: number;
  }): Promise<number>;
  /**
   * Readers take one event, and sleep while others are published.
   *
   * @returns KiB of memory per reader.
   */
  sleep(order: {
    readonly way: "read" | "emitter";
    readonly readers: number;
    readonly events: number;
    /** Every how many events one is on the readers' channel. */
    readonly distance: number;
  }): Promise<number>;
}

/** The calls that the process of the clients answers. */
export interface ReadClientsProtocol {
  /** Connects clients that discard what they get. */
  connect(order: { readonly port: number; readonly clients: number }): Promise<void>;
  disconnect(order: undefined): void;
}
