/** The tile "Who is here". */
import { $ } from "./elements.js";
import { user } from "./lists.js";

/** Names in the order in which they joined. */
const people = new Set();

/** Shows everybody who is present, in place of those shown before. */
export function showPresent({ identities }) {
  people.clear();
  for (const name of identities) people.add(name);
  show(new Set());
}

/** Adds people. Some may be shown already. */
export function showJoined({ identities }) {
  const joined = new Set(identities.filter((name) => !people.has(name)));
  for (const name of joined) people.add(name);
  show(joined);
}

/** Removes people. Some may not be shown. */
export function showLeft({ identities }) {
  for (const name of identities) people.delete(name);
  show(new Set());
}

function show(joined) {
  const items = [...people].map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    item.classList.toggle("changed", joined.has(name));
    // The server makes no difference between Ada and ada.
    item.classList.toggle("self", name === user().toLowerCase());
    return item;
  });
  $("people").replaceChildren(...items);
}
