/**
 * Makes a parser of event streams, for responses to requests that `EventSource` cannot make.
 *
 * @param {(event: { type: string, data: string, lastEventId: string }) => void} dispatch - Called at each
 *   blank line that ends an event with data.
 * @returns {(text: string) => void} Takes the text in pieces of any size.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function createParser(dispatch) {
  let rest = "";
  let isAfterCr = false;
  let type = "";
  let data = [];
  let lastEventId = "";

  const readLine = (line) => {
    if (line === "") {
      if (data.length > 0)
        dispatch({ type: type || "message", data: data.join("\n"), lastEventId });
      type = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    // One space after the colon belongs to the format, any further one to the value.
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) lastEventId = value;
  };

  return (text) => {
    if (text === "") return;
    // The CR of a CRLF has already ended the line. Without this its LF would end an empty line.
    const piece = isAfterCr && text.startsWith("\n") ? text.slice(1) : text;
    isAfterCr = piece.endsWith("\r");
    const lines = (rest + piece).split(/\r\n|\r|\n/);
    rest = lines.pop();
    for (const line of lines) readLine(line);
  };
}
