/** Clients to connect. */
export interface ConnectOrder {
  readonly port: number;
  readonly clients: number;
  /** Path and query, in which `{index}` is replaced by the client's number. */
  readonly path: string;
  /** Number of simultaneous connection attempts. */
  readonly concurrency: number;
  readonly lastEventId?: string;
}

/** The events that have to arrive in a measured section. */
export interface LoadOrder {
  /** `reached` is sent each time that all clients together have got this many events. */
  readonly step: number;
  /** `true`: also records when the last client has received each event. */
  readonly isTimed?: boolean;
}

/** The events that have arrived since `begin`. */
export interface LoadReport {
  readonly clients: number;
  readonly events: Range;
  /** Bytes on the wire. */
  readonly bytes: Range;
  /** Bytes of all bodies, without chunk framing. */
  readonly bodyBytes: number;
  /** The fault in the events of the first client; `undefined` if it has every event once and in order. */
  readonly disorder: string | undefined;
  /** When the last client had each event, in milliseconds on the shared clock. Empty unless `isTimed`. */
  readonly completedAt: readonly number[];
}

/** Smallest and largest value over all clients. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The calls that a load process answers. */
export interface LoadProtocol {
  /** Resolves when all clients have the head of their stream. */
  connect(order: ConnectOrder): Promise<void>;
  begin(order: LoadOrder): void;
  end(nothing: null): LoadReport;
  /** Connects, waits for the first bytes of the stream and disconnects; resolves when all have done so. */
  churn(order: ConnectOrder): Promise<void>;
  /** Disconnects all clients. */
  cut(nothing: null): void;
}
