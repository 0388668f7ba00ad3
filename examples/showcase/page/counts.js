/** The counters of the tile "This tab is served by". */
import { $ } from "./elements.js";

export const counts = {
  received: 0,
  missed: 0,
  doubled: 0,
  replayed: 0,
  reconnections: 0,
  resets: 0,
};

/** Adds to a counter and shows it. */
export function count(name, by = 1) {
  counts[name] += by;
  $(name).textContent = counts[name].toLocaleString("en");
  $(name).parentElement.classList.toggle("wrong", counts[name] > 0);
}
