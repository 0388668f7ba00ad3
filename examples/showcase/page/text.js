/** The tile "Text, token by token": a run over POST, which the page finds again after a reload. */
import { connect } from "@tidewire/client";
import { $ } from "./elements.js";
import { ask, client, origins } from "./server.js";

/** Key of this tab's text, so that the tab finds it again after a reload. */
const textKey = sessionStorage.getItem("text") ?? `text-${client}`;
sessionStorage.setItem("text", textKey);
const OUTCOMES = { done: "complete", stopped: "stopped", lost: "then the servers restarted" };

/** The stream of the text that is being read. */
let reading;

/** Asks for a new text, which the same response brings. */
export function beginText() {
  readText(
    connect(new URL("/text", origins.current), {
      credentials: "include",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: textKey, prompt: $("prompt").value }),
    }),
    { isPost: true },
  );
}

/** Comes back to the text of before a reload, and asks for a new one if there is none. */
export function resumeText() {
  readText(follow(""), { onNone: beginText });
}

/** Follows the text from a position; without one, from its beginning. */
function follow(lastEventId) {
  const url = new URL("/text", origins.current);
  url.searchParams.set("key", textKey);
  return connect(url, { credentials: "include", lastEventId });
}

/**
 * Shows a text as it is written, whatever happens to its stream.
 *
 * @param isPost - Whether the stream has asked for the text: another attempt would ask for another text.
 * @param onNone - Called if there is no such text.
 */
function readText(first, { isPost = false, onNone = () => {} }) {
  reading?.close();
  const output = $("text");
  output.replaceChildren();
  output.setAttribute("aria-busy", "true");
  $("stop").disabled = false;
  let tokens = 0;
  let outcome;

  const read = (stream) => {
    reading = stream;
    stream.on("token", (_data, { text }) => {
      tokens += 1;
      // Follows the text only if its end is in view, so that a reader who has scrolled up is not disturbed.
      const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 8;
      output.append(text);
      if (isAtEnd) output.scrollTop = output.scrollHeight;
      $("text-note").textContent = `${tokens} tokens`;
    });
    stream.on("end", (data) => (outcome = data));
    stream.onStatus(({ state, reason }) => {
      if (state === "waiting") {
        $("text-note").textContent = `${tokens} tokens, reconnecting`;
        if (isPost && stream === first && tokens > 0) {
          stream.close();
          read(follow(stream.lastEventId));
        }
      }
      if (state === "closed" && reason !== "close") end();
    });
  };

  const end = () => {
    output.setAttribute("aria-busy", "false");
    $("stop").disabled = true;
    if (outcome === undefined && tokens === 0) return onNone();
    // 204 for a text that was there: the servers have restarted.
    const text = OUTCOMES[outcome ?? "lost"] ?? outcome;
    $("text-note").textContent = `${tokens} tokens, ${text}`;
  };
  read(first);
}

$("stop").onclick = async () => {
  try {
    await ask(`/text?key=${textKey}`, undefined, "DELETE");
  } catch (error) {
    $("text-note").textContent = `Failed: ${error.message}`;
  }
};
$("ask").onsubmit = (event) => {
  event.preventDefault();
  // Read aloud only when asked for, not when the page opens.
  $("text").setAttribute("aria-live", "polite");
  beginText();
};
