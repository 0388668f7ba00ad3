/** Requests to the servers, other than the stream. */
import { tell } from "./story.js";

/** A name for this page, so that the server finds its stream when a button is pressed. */
export const client = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) =>
  n.toString(36),
).join("-");

/** Origins: of the server that this page streams from, and of the other one, `undefined` before the first `hello`. */
export const origins = { current: location.origin, other: undefined };

/**
 * Asks the page's own server, which knows the streams of both servers.
 *
 * @throws {Error} If there is no answer.
 */
export async function ask(path, body, method = "POST") {
  const headers = { "Content-Type": "application/json" };
  try {
    return await fetch(path, { method, ...(body && { headers, body: JSON.stringify(body) }) });
  } catch {
    // Browsers say "Failed to fetch", or less.
    throw new Error("the server is down");
  }
}

/** Asks for something that shows on the stream, and says so at once. */
export async function act(path, text) {
  tell("wait", text);
  try {
    const response = await ask(`${path}?client=${client}`);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
  } catch (error) {
    tell("bad", `Failed: ${error.message}`);
  }
}
