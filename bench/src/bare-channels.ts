import { randomBytes } from "node:crypto";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { channelsOf } from "./listen.js";

/** The head of a Tidewire stream, so that bare handlers write the same amount. */
export const STREAM_HEAD: OutgoingHttpHeaders = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-cache, no-store, no-transform",
  "X-Accel-Buffering": "no",
};
/** First bytes of a bare stream, which make proxies and Firefox treat it as open. */
export const OPENING = ":\n\n";

/** The minimum that fan-out needs: responses by channel. */
export class BareChannels {
  readonly #channels: Map<string, Set<ServerResponse>> = new Map();
  readonly #epoch = randomBytes(6).toString("base64url");
  /** Millisecond of the last id. */
  #ms = 0;
  /** Ids already used in this millisecond. */
  #count = 0;

  /** Opens a stream and keeps it until its client leaves. */
  open(request: IncomingMessage, response: ServerResponse): void {
    const channels = channelsOf(request.url);
    response.writeHead(200, STREAM_HEAD);
    response.write(OPENING);
    if (typeof channels === "string") this.#join(channels, response);
    else for (const channel of channels) this.#join(channel, response);
  }

  #join(channel: string, response: ServerResponse): void {
    let responses = this.#channels.get(channel);
    if (responses === undefined) this.#channels.set(channel, (responses = new Set()));
    responses.add(response);
    response.on("close", () => responses.delete(response));
  }

  of(channel: string): ReadonlySet<ServerResponse> {
    return this.#channels.get(channel) ?? NONE;
  }

  /** @returns An id in the format of Tidewire's memory log, so that events have the same size. */
  nextId(): string {
    const now = Date.now();
    this.#count = now === this.#ms ? this.#count + 1 : 0;
    this.#ms = now;
    return `${this.#epoch}.${now.toString(36)}-${this.#count}~bench`;
  }
}

const NONE: ReadonlySet<ServerResponse> = new Set();
