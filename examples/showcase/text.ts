import { setTimeout as delay } from "node:timers/promises";

/**
 * Writes about a prompt, a few letters at a time: it stands in the place of a language model, so that the
 * showcase needs neither key nor network.
 *
 * @param options - `signal` stops it at once, also while it thinks.
 */
export async function* writeText(
  prompt: string,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<string> {
  for (const token of tokens(compose(prompt))) {
    // A model is not even either: it stumbles at the end of a sentence.
    const pause = /[.:\n]/.test(token) ? 180 : 25 + Math.random() * 45;
    await delay(pause, undefined, { signal });
    yield token;
  }
}

function compose(prompt: string): string {
  return [
    `On “${prompt}”, in few words.`,
    `Whoever waits for the whole of an answer waits too long. These words leave the server one by one, each as an event of its own, and the page shows them as they come in:`,
    `– a word is sent as soon as it is found;\n– a client that reads slowly slows the writer down;\n– a client that leaves stops it.`,
    `That is all there is to say about “${prompt}” by a program that knows nothing of it. Press Stop the next time and the server will not have written the rest.`,
  ].join("\n\n");
}

/** Cuts a text the way models do: words with the space before them, long words in two, line breaks alone. */
function tokens(text: string): string[] {
  return text.match(/\n+| ?[^\s]{1,7}/g) ?? [];
}
