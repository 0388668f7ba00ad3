// httpx-sse, the reader in Python clients such as OpenAI's, Anthropic's and MCP's. It runs in a separate Python.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { TEXT } from "./client.js";
import type { Client } from "./client.js";

/** A Python with httpx-sse: the one in PYTHON, or the one that CI creates. */
export const PYTHON_PATH =
  process.env["PYTHON"] ?? fileURLToPath(new URL(".venv/bin/python", import.meta.url));

/** Prints one JSON array per event, and one for the end or an error. */
const PRELUDE = `
import json, sys, time, httpx
from httpx_sse import connect_sse
def tell(*what): print(json.dumps(what), flush=True)
url = sys.argv[1]
client = httpx.Client(timeout=None)
`;

const ONCE = `
try:
    with connect_sse(client, "GET", url) as source:
        source.response.raise_for_status()
        tell("open")
        for event in source.iter_sse():
            tell("message", event.data, event.event)
        tell("end")
except httpx.HTTPError as error:
    tell("error", repr(error))
`;

const LOOP = `
# #region httpx-sse
def follow(url):
    last_event_id, wait = "", 2.0
    while True:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            with connect_sse(client, "GET", url, headers=headers) as source:
                if source.response.status_code == 204:
                    return
                source.response.raise_for_status()
                for event in source.iter_sse():
                    last_event_id = event.id
                    if event.retry is not None:
                        wait = event.retry / 1000
                    # A comment on a stream with IDs arrives as an event without data.
                    if event.data or event.event != "message":
                        yield event
        except httpx.HTTPError as error:
            tell("error", repr(error))
        time.sleep(wait)
# #endregion

for event in follow(url):
    tell("message", event.data, event.event)
    if event.event == "done":
        break
`;

function start(program: string): Client["connect"] {
  return (url, report) => {
    const child = spawn(PYTHON_PATH, ["-c", PRELUDE + program, url], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface(child.stdout).on("line", (line) => {
      const [kind, text = "", type = ""] = JSON.parse(line) as string[];
      if (kind === "open") report.open();
      else if (kind === "message") report.message(text, type);
      else if (kind === "end") report.end();
      else report.error(text);
    });
    return () => void child.kill();
  };
}

const COMMON = { runsIn: "python", reads: "events", dialect: TEXT } as const;

export const PYTHON: readonly Client[] = [
  { ...COMMON, name: "httpx-sse", connect: start(ONCE) },
  {
    ...COMMON,
    name: "httpx-sse, in a loop",
    recipeFor: "httpx-sse",
    recipe: "httpx-sse",
    connect: start(LOOP),
  },
];
