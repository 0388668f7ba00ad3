import { setTimeout as delay } from "node:timers/promises";
import type { FollowOptions, Runs } from "@tidewire/runs";

/**
 * Begins a text, as a run that does not depend on the request that asks for it.
 *
 * @param key - Key of the tab. The text that is being written for it is stopped.
 */
export async function startText(runs: Runs, key: string, prompt: string): Promise<void> {
  await runs.stop(key);
  await runs.start(
    key,
    ({ signal }) => writeText(prompt, { signal }),
    (token) => ({ event: "token", data: token }),
  );
}

/** Tells a client how its text has ended. */
export const END_OF_TEXT: FollowOptions = {
  end: ({ outcome }) => ({ event: "end", data: outcome }),
};

/**
 * Writes about a prompt, a few letters at a time. Stands in for a language model, so that the showcase needs no key
 * and no network.
 *
 * @param options - `signal` stops it at once, also during a pause.
 */
async function* writeText(
  prompt: string,
  { signal }: { signal: AbortSignal },
): AsyncGenerator<string> {
  for (const token of tokens(compose(prompt))) {
    // Uneven, like a model: it pauses at the end of a sentence.
    const pause = /[.:\n]/.test(token) ? 180 : 25 + Math.random() * 45;
    await delay(pause, undefined, { signal });
    yield token;
  }
}

function compose(prompt: string): string {
  return [
    `On “${prompt}”, in few words.`,
    `A whole answer takes long to write, and you can read along. The server sends these words one by one, each as an event, and the page shows each as it arrives:`,
    `– a word is sent as soon as it is written;\n– a client that reads slowly slows the writer down;\n– a client that leaves does not stop it: reload this page, and the text goes on.`,
    `This small program has no more to say about “${prompt}”. Press Stop next time: the server then does not write the rest.`,
  ].join("\n\n");
}

/** Splits a text as models do: words with the space before them, long words in parts, line breaks separately. */
function tokens(text: string): string[] {
  return text.match(/\n+| ?[^\s]{1,7}/g) ?? [];
}
