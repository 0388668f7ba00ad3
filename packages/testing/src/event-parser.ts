/**
 * Reads an event stream line by line, as the standard says, and reports comments too.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */

/** The fields of one block. */
export interface Block {
  /** Event type; `"message"` if the block has none. */
  readonly event: string;
  /** The data; `undefined` if the block dispatches no event. */
  readonly data: string | undefined;
  /** The block's own id; `undefined` if it has none. */
  readonly id: string | undefined;
  /** Reconnection time in milliseconds; `undefined` if the block has none. */
  readonly retry: number | undefined;
}

/** Receives what a stream says, in order. */
export interface BlockListener {
  /** A block has ended at its blank line. */
  block(block: Block): void;
  /** A comment line has ended. */
  comment(text: string): void;
}

/** Parses one body. Text after the last blank line is lost with the parser, as in a client that is cut off. */
export class EventParser {
  readonly #listener: BlockListener;
  /** The bytes may be cut inside a character. */
  readonly #decoder = new TextDecoder();
  #rest = "";
  /** Whether a line has ended at a CR with which the last text ends. */
  #isAfterCr = false;
  #event = "";
  #data: string[] = [];
  #id: string | undefined;
  #retry: number | undefined;

  constructor(listener: BlockListener) {
    this.#listener = listener;
  }

  /** @param bytes - The next part of the body, cut anywhere. */
  push(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return;
    // The second half of a CRLF, whose line has ended.
    const [first = "", ...lines] = text
      .slice(this.#isAfterCr && text.startsWith("\n") ? 1 : 0)
      .split(/\r\n|\n|\r/);
    this.#isAfterCr = text.endsWith("\r");
    const rest = lines.pop();
    if (rest === undefined) {
      this.#rest += first;
      return;
    }
    this.#read(this.#rest + first);
    this.#rest = rest;
    for (const line of lines) this.#read(line);
  }

  #read(line: string): void {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (colon === 0) this.#listener.comment(value);
    else if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.#retry = Number(value);
  }

  #end(): void {
    const [event, id, retry] = [
      this.#event === "" ? "message" : this.#event,
      this.#id,
      this.#retry,
    ];
    // An empty `data` field is data too: an empty string.
    const data = this.#data.length === 0 ? undefined : this.#data.join("\n");
    this.#event = "";
    this.#data = [];
    this.#id = undefined;
    this.#retry = undefined;
    if (data === undefined && id === undefined && retry === undefined) return;
    this.#listener.block({ event, data, id, retry });
  }
}
