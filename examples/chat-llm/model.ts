import { setTimeout as delay } from "node:timers/promises";

/** Options of {@link writeAnswer}. */
export interface ModelOptions {
  /** Time that the model takes for a token, in milliseconds. It pauses longer at the end of a sentence. */
  readonly tokenMs: number;
  /** Stops the model at once, also during a pause. */
  readonly signal: AbortSignal;
}

/**
 * Answers a question, token by token. Stands in for a language model, so that the demo needs no key and no network.
 *
 * The same question always gets the same answer. A question that asks for an error gets one, after a few tokens.
 */
export async function* writeAnswer(
  question: string,
  { tokenMs, signal }: ModelOptions,
): AsyncGenerator<string> {
  let count = 0;
  for (const token of tokensOf(compose(question))) {
    if (count === 9 && /\berror\b/i.test(question)) throw new Error("The model is overloaded");
    await delay(tokenMs, undefined, { signal });
    yield token;
    count += 1;
    if (/[.:;?”]$/.test(token)) await delay(3 * tokenMs, undefined, { signal });
  }
}

function compose(question: string): string {
  return [
    `You asked: “${question}”`,
    "The tide rises and falls about twice a day. The moon pulls at the sea, most on the near side and least on the far side, and the water bulges on both. The earth turns under these two bulges, and a harbour passes each of them once in little more than a day.",
    "Three things make one tide higher than another:\n– the sun, which pulls too, and adds its share at new moon and full moon;\n– the coast, which funnels the water into a bay or lets it spread;\n– the weather, because wind and low pressure lift the sea.",
    "This answer takes its time, so that you can leave while it is being written. Reload the page, lose the network, or open the chat on your phone: the text goes on, and none of its words is missing or there twice.",
  ].join("\n\n");
}

/** Splits a text as models do: words with the space or line breaks before them, long words in parts. */
function tokensOf(text: string): string[] {
  return text.match(/\s*\S{1,7}/g) ?? [];
}
