/** The tiles "News" and "Notifications", with the forms that publish. */
import { $, clockFormat } from "./elements.js";
import { ask } from "./server.js";

/** Number of entries shown. */
const LIST_ENTRIES = 5;

/** Shows a headline. */
export function showHeadline({ at, text, by }) {
  addToList("news", at, text, `by ${by}`);
}

/** Shows a notification. */
export function showNotification({ at, text, from }) {
  addToList("notifications", at, text, `from ${from}`);
}

function addToList(id, at, text, who) {
  const item = document.createElement("li");
  item.className = "changed";
  item.innerHTML = `<span class="words"></span><span class="who"></span>`;
  item.querySelector(".words").textContent = text;
  item.querySelector(".who").textContent = `${clockFormat.format(new Date(at))}, ${who}`;
  $(id).prepend(item);
  while ($(id).children.length > LIST_ENTRIES) $(id).lastChild.remove();
}

/** Submits a form. Its last field is emptied once the server has accepted it. */
async function submit(path, body, field, note) {
  try {
    const response = await ask(path, body);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const { id, tabs } = await response.json();
    const isUnseen = tabs === 0 ? ": no tab is open under this name" : "";
    $(note).textContent = `Published with the ID ${id}${isUnseen}`;
    field.value = "";
  } catch (error) {
    $(note).textContent = `Failed: ${error.message}`;
  }
}

$("publish").onsubmit = (event) => {
  event.preventDefault();
  const field = $("headline");
  void submit("/news", { text: field.value }, field, "news-note");
};
$("notify").onsubmit = (event) => {
  event.preventDefault();
  const field = $("message");
  const body = { to: $("to").value, from: user(), text: field.value };
  void submit("/notifications", body, field, "notifications-note");
};

/** Name of this tab's user. */
export function user() {
  return sessionStorage.getItem("user");
}

/** Names this tab's user. */
export function rename(name) {
  sessionStorage.setItem("user", name);
  $("user").value = name;
}

function drawName() {
  const names =
    "Ada Bruno Chidi Dagny Emre Freya Goro Hana Ines Jonas Kofi Lena Mika Noor Olga Pablo".split(
      " ",
    );
  return names[Math.floor(Math.random() * names.length)];
}

rename(user() ?? drawName());
$("to").value = user();
