/** The notice in the bar, and the list "What happened". */
import { $, clockFormat } from "./elements.js";
import { addEntry } from "./log.js";

/** Number of entries kept. */
const STORY_ENTRIES = 5;

/** Shows the result of an action in the bar, which is always in view, and in the story. */
export function tell(kind, text) {
  $("notice").dataset.kind = kind;
  $("notice-text").textContent = text;
  remark(text);
}

/** Adds an entry to the story, and one that is not an event to the log. */
export function remark(text) {
  const time = clockFormat.format(new Date());
  addEntry({ at: time, remark: text });
  const entry = document.createElement("li");
  entry.innerHTML = `<span class="words"></span><span class="who"></span>`;
  entry.querySelector(".words").textContent = text;
  entry.querySelector(".who").textContent = time;
  $("story").prepend(entry);
  while ($("story").children.length > STORY_ENTRIES) $("story").lastChild.remove();
}
