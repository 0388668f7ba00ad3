/** The tile "Events as they arrive". */
import { $, clockFormat } from "./elements.js";

/** Number of entries kept. */
const LOG_ENTRIES = 60;
/** Number of characters shown of an event's data. */
const LOG_DATA = 240;

let isPaused = false;

/** Adds an event to the log. */
export function log(type, id, data, isReplayed) {
  const shown = data.length > LOG_DATA ? `${data.slice(0, LOG_DATA)} …` : data;
  const mark = isReplayed ? "replayed" : "";
  addEntry({ at: clockFormat.format(new Date()), type, id, mark, data: shown });
}

/** Adds an entry, by the names of its fields. */
export function addEntry(fields) {
  if (isPaused) return;
  const entry = document.createElement("li");
  for (const [name, text] of Object.entries(fields)) {
    if (text === "") continue;
    const field = document.createElement("span");
    field.className = name;
    if (name === "data") field.append(...membersOf(text));
    else field.textContent = text;
    entry.append(field);
  }
  $("log").prepend(entry);
  while ($("log").children.length > LOG_ENTRIES) $("log").lastChild.remove();
}

/** Splits JSON after its commas into elements that the browser keeps on one line each, where they fit. */
function membersOf(json) {
  const members = json.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+,?|,|"[^]*/g) ?? [];
  return members.map((text) => {
    const member = document.createElement("span");
    member.className = "member";
    member.textContent = text;
    return member;
  });
}

$("pause").onclick = () => {
  isPaused = !isPaused;
  $("pause").setAttribute("aria-pressed", String(isPaused));
  $("pause").textContent = isPaused ? "Go on" : "Pause this list";
};
