// Renders docs/clients/matrix.md from the measurements.
import { readFileSync } from "node:fs";
import type { Client } from "./client.js";
import { FAMILIES, versionOf } from "./clients.js";
import type { Measured } from "./measure.js";
import { BACKGROUND, MAX_REQUESTS, SCENARIOS } from "./scenarios.js";
import type { Scenario } from "./scenarios.js";

/** The columns, in order. */
export const COLUMNS: readonly Scenario[] = [...SCENARIOS, BACKGROUND];

const WORDS = `| cell | meaning |
|---|---|
| back | The client reconnects by itself and continues. *With its ID*: it reports its last event ID. *Nothing missed*: it gets every event once. *With the reset*: its application gets the \`sse-reset\`. |
| stops, sees the end | It does not reconnect, and its application learns that the stream is over. An answer without its last message was cut short. |
| stops with an error | It does not reconnect, and its application gets an error. |
| stops silently | It does not reconnect, and its application learns nothing. |
| waits, then is served | It reconnects by itself until there is room. |
| storm of requests | More than ${MAX_REQUESTS} requests in 10 seconds. |
| silent | It opens, and has no event for that. |
| – | Not a client for pages, which could be hidden. |`;

/**
 * Renders the page.
 *
 * @param measured - The cells of this run.
 * @param committed - The committed page, which supplies the rows of clients that cannot run here.
 * @param browsers - Names and versions of the browsers, as text.
 */
export function renderPage(measured: Measured, committed: string, browsers: string): string {
  // The table takes the width of the window.
  const head = `---
pageClass: is-wide
aside: false
---

# Client matrix

How SSE clients behave with Tidewire, measured against a real server, and the setting or recipe for those that need one.
A client that needs help has two rows: first as its own documentation shows it, then with its
[setting or recipe](#settings-and-recipes).

\`npx -y pnpm@10 docs:clients\` writes this page, and a test fails if a cell is no longer true.
${browsers}

| column | the server |
|---|---|
${COLUMNS.map(({ name, explanation }) => `| ${name} | ${explanation} |`).join("\n")}

${WORDS}
`;
  const tables = FAMILIES.map(([title, , clients]) =>
    [`## ${title}`, "", ...table(clients, measured, committed)].join("\n"),
  );
  const recipes = FAMILIES.flatMap(([, file, clients]) => {
    const source = readFileSync(new URL(file, import.meta.url), "utf8");
    return recipesOf(source, file, clients);
  });
  return `${head}\n${tables.join("\n\n")}\n\n## Settings and recipes\n\n\`report\` stands for the application, which receives the events. The last message has the type \`done\`.\n\n${recipes.join("\n\n")}\n`;
}

function table(clients: readonly Client[], measured: Measured, committed: string): string[] {
  return [
    `| client | ${COLUMNS.map(({ name }) => name).join(" | ")} |`,
    `|---|${COLUMNS.map(() => "---").join("|")}|`,
    ...clients.map((client) => {
      const cells = measured.get(client.name);
      if (cells === undefined) return rowOf(client, committed);
      const texts = COLUMNS.map(({ name }) => cells.get(name)?.text ?? "–");
      return `${rowHead(client)} ${texts.join(" | ")} |`;
    }),
  ];
}

function rowHead(client: Client): string {
  const version = client.recipeFor === undefined ? versionOf(client) : undefined;
  return `| ${client.name}${version === undefined ? "" : ` (${version})`} |`;
}

/** The row in the committed page. */
function rowOf(client: Client, committed: string): string {
  const head = rowHead(client);
  return committed.split("\n").find((line) => line.startsWith(head)) ?? `${head} not measured |`;
}

/** One section for each recipe, with its clients. */
function recipesOf(source: string, file: string, clients: readonly Client[]): string[] {
  const names = new Set(clients.flatMap(({ recipe }) => recipe ?? []));
  return [...names].map((name) => {
    const users = clients.filter(({ recipe }) => recipe === name);
    const server = users[0]?.hub;
    const region = regionOf(source, name);
    return [
      `### ${users.map(({ recipeFor }) => recipeFor).join(", ")}`,
      ...(server === undefined ? [] : ["", `On the server: \`createHub(${print(server)})\`.`]),
      ...(region === undefined
        ? []
        : ["", `\`\`\`${file === "python.ts" ? "python" : "ts"}`, region, "```"]),
    ].join("\n");
  });
}

function print(value: object): string {
  const fields = Object.entries(value).map(([key, each]) => `${key}: ${JSON.stringify(each)}`);
  return `{ ${fields.join(", ")} }`;
}

/** A region of a source, without its indentation. */
function regionOf(source: string, name: string): string | undefined {
  const lines = source.split("\n");
  const start = lines.findIndex((line) => line.trim().endsWith(`#region ${name}`));
  if (start === -1) return undefined;
  const end = lines.findIndex((line, index) => index > start && line.trim().endsWith("#endregion"));
  const region = lines.slice(start + 1, end);
  const indents = region.filter((line) => line !== "").map((line) => line.search(/\S/));
  const indent = Math.min(...indents);
  return region.map((line) => line.slice(indent)).join("\n");
}
