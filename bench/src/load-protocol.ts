/** Clients to connect. */
export interface ConnectOrder {
  readonly port: number;
  readonly clients: number;
  /** Path and query, `{index}` in it replaced by the client's number. */
  readonly path: string;
  /** How many connect at the same time. */
  readonly concurrency: number;
  readonly lastEventId?: string;
}

/** The events that have to arrive in a measured section. */
export interface LoadOrder {
  /** `reached` is sent each time that all clients together have got this many events. */
  readonly step: number;
  /** `true`: also note when the last client has got each event. */
  readonly isTimed?: boolean;
}

/** The events that have arrived since `begin`. */
export interface LoadReport {
  readonly clients: number;
  readonly events: Range;
  /** Bytes on the wire. */
  readonly bytes: Range;
  /** Bytes of all bodies together: on the wire without the framing of chunks. */
  readonly bodyBytes: number;
  /** The fault in the events of the first client; `undefined` if it has every event once and in order. */
  readonly disorder: string | undefined;
  /** When the last client had each event, in milliseconds of the shared clock. Empty unless `isTimed`. */
  readonly completedAt: readonly number[];
}

/** Smallest and largest of all clients. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The calls that a load process answers. */
export interface LoadProtocol {
  /** Resolves when all have the head of their stream. */
  connect(order: ConnectOrder): Promise<void>;
  begin(order: LoadOrder): void;
  end(nothing: null): LoadReport;
  /** Connects, waits for the first bytes of the stream, cuts; resolves when all have done so. */
  churn(order: ConnectOrder): Promise<void>;
  /** Cuts all clients. */
  cut(nothing: null): void;
}
