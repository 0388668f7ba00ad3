/** An event as `EventSource` dispatches it. */
export interface DispatchedEvent {
  /** `"message"` unless the stream names one. */
  readonly type: string;
  readonly data: string;
  /** The last event ID at that moment, which may come from an earlier block. */
  readonly lastEventId: string;
}

/** Everything that a stream does in its client. */
export interface Interpretation {
  readonly events: readonly DispatchedEvent[];
  /** Every reconnection time set, in order. */
  readonly retries: readonly number[];
  /** The last event ID that a reconnection would report. */
  readonly lastEventId: string;
}

/**
 * Interprets an event stream exactly as the standard says, step by step, without optimization.
 *
 * @param chunks - Bytes of the body, split anywhere.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function interpret(chunks: readonly Uint8Array[]): Interpretation {
  const events: DispatchedEvent[] = [];
  const retries: number[] = [];
  let dataBuffer = "";
  let eventTypeBuffer = "";
  let lastEventIdBuffer = "";
  let lastEventId = "";

  // "UTF-8 decode" removes one leading byte order mark, as a TextDecoder does.
  const decoder = new TextDecoder();
  let text = "";
  for (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
  text += decoder.decode();

  for (const line of completeLines(text)) {
    const colon = line.indexOf(":");
    if (line === "") dispatch();
    else if (colon === 0) continue;
    else if (colon === -1) processField(line, "");
    else {
      const value = line.slice(colon + 1);
      processField(line.slice(0, colon), value.startsWith(" ") ? value.slice(1) : value);
    }
  }
  // "Once the end of the file is reached, any pending data must be discarded."
  return { events, retries, lastEventId };

  function processField(field: string, value: string): void {
    if (field === "event") eventTypeBuffer = value;
    else if (field === "data") dataBuffer += `${value}\n`;
    else if (field === "id" && !value.includes("\0")) lastEventIdBuffer = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) retries.push(Number.parseInt(value, 10));
  }

  function dispatch(): void {
    lastEventId = lastEventIdBuffer;
    const type = eventTypeBuffer === "" ? "message" : eventTypeBuffer;
    const data = dataBuffer;
    dataBuffer = "";
    eventTypeBuffer = "";
    if (data !== "") events.push({ type, data: data.slice(0, -1), lastEventId });
  }
}

/** Complete lines, ending in CRLF, LF or CR. Text after the last line end is not a line yet. */
function completeLines(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (char === "\r" || char === "\n") {
      lines.push(line);
      line = "";
      if (char === "\r" && text.charAt(index + 1) === "\n") index += 1;
    } else line += char;
  }
  return lines;
}
