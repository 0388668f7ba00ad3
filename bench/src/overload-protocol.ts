/** Packages whose clients request a stream. */
export const KINDS = ["eventsource", "fetch-event-source", "event-source-plus"] as const;
export type Kind = (typeof KINDS)[number];

/** Counts of the server since the previous call. */
export interface OverloadSample {
  readonly requests: Readonly<Record<Kind, number>>;
  readonly open: number;
  readonly held: number;
  readonly heapUsed: number;
  readonly rss: number;
  /** CPU time of the process, in milliseconds. */
  readonly cpuMs: number;
}

/** Calls that the server accepts. */
export interface OverloadServer {
  /** @returns The port. */
  start(options: {
    readonly maxSessions: number;
    readonly maxHeld?: number | undefined;
  }): Promise<number>;
  sample(argument: undefined): OverloadSample;
}

/** Calls that a process with clients of one kind accepts. */
export interface OverloadClients {
  connect(order: {
    readonly kind: Kind;
    readonly count: number;
    readonly port: number;
  }): Promise<void>;
}
