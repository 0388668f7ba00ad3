/// <reference lib="dom" />
// Runs in a client's page: opens its stream, and posts its reports to the server of the run.
import { textOf } from "./client.js";
import type { Client, Told } from "./client.js";
import { EVENT_SOURCES } from "./event-source.js";
import { FETCHES } from "./fetch.js";
import { PAGES } from "./pages.js";

let count = 0;
let posted = Promise.resolve();

/** Posts until the server, which may be restarting, has received it. */
async function post(told: Told & { readonly index: number }): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  for (;;) {
    try {
      await fetch("/told", { method: "POST", headers, body: JSON.stringify(told) });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Also displays it, for human viewers. */
function tell(told: Told): void {
  const index = count++;
  posted = posted.then(() => post({ ...told, index }));
  const line = document.createElement("li");
  line.textContent = `${told.kind} ${told.type ?? ""} ${told.text ?? ""}`;
  document.querySelector("ol")?.append(line);
}

addEventListener("error", ({ message }) => tell({ kind: "throw", text: message }));
addEventListener("unhandledrejection", ({ reason }) =>
  tell({ kind: "throw", text: textOf(reason) }),
);

const name = document.documentElement.dataset["client"];
const client: Client | undefined = [...EVENT_SOURCES, ...FETCHES, ...PAGES].find(
  (each) => each.name === name,
);

await client?.connect("/stream", {
  open: () => tell({ kind: "open" }),
  message: (text, type) => tell({ kind: "message", text, type: type || "message" }),
  error: (error) => tell({ kind: "error", text: textOf(error) }),
  end: () => tell({ kind: "end" }),
});
