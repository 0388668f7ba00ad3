import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createHub } from "@tidewire/core";
import { createRuns } from "@tidewire/runs";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { collectPrometheus } from "../src/index.js";

const FOLDER = path.resolve("packages/metrics");
const RULES = path.join(FOLDER, "alert-rules.yml");

interface Rule {
  readonly alert: string;
  readonly expr: string;
}
interface Panel {
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const { groups } = parse(readFileSync(RULES, "utf8")) as {
  groups: readonly { readonly rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(
  readFileSync(path.join(FOLDER, "grafana-dashboard.json"), "utf8"),
) as { panels: readonly Panel[] };
const expressions = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }): [string, string] => [title, expr]),
);

/** Whether `promtool` of the package `prometheus` is installed. */
const hasPromtool = spawnSync("promtool", ["--version"]).error === undefined;
if (!hasPromtool && process.env["CI"] === "true") throw new Error("CI needs promtool");

/** @returns Its output. Throws if it finds a fault. */
function promtool(...args: string[]): string {
  return execFileSync("promtool", args, { encoding: "utf8" });
}

/** @returns The series that a scrape gives, without labels, and the values that each label has. */
async function scrape(): Promise<{ series: Set<string>; text: string }> {
  const registry = new Registry();
  collectPrometheus(createHub(), { registry, runs: createRuns() });
  const text = await registry.metrics();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return { series: new Set(lines.map((line) => /^\w+/.exec(line)?.[0] ?? "")), text };
}

const EXPECTED = [
  ...rules.map(({ alert, expr }): [string, string] => [`alert ${alert}`, expr]),
  ...expressions.map(([title, expr]): [string, string] => [`panel ${title}`, expr]),
];

describe("the dashboard and the alert rules", () => {
  it("are not empty", () => {
    expect(rules.length).toBeGreaterThan(5);
    expect(expressions.length).toBeGreaterThan(20);
  });

  it.each(EXPECTED)("name only metrics and labels that exist: %s", async (_name, expr) => {
    const { series, text } = await scrape();
    const named = expr.match(/\btidewire_\w+/g) ?? [];
    expect(named.length).toBeGreaterThan(0);
    for (const name of named) expect([...series]).toContain(name);
    // `state="down"`, and each of `reason=~"trimmed|fork"`.
    for (const [, label, values = ""] of expr.matchAll(/\b(state|reason|outcome)=~?"([^"]*)"/g)) {
      for (const value of values.split("|")) expect(text).toContain(`${label}="${value}"`);
    }
  });

  it("show every metric", async () => {
    const shown = expressions.map(([, expr]) => expr).join("\n");
    for (const name of (await scrape()).series) {
      expect(shown).toContain(name.replace(/_(sum|count)$/, "_bucket"));
    }
  });

  it("have no two panels at one place", () => {
    const places = panels.map(({ gridPos: { x, y } }) => `${x} ${y}`);
    expect(new Set(places).size).toBe(places.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  it.skipIf(!hasPromtool)("are accepted by promtool", () => {
    expect(promtool("check", "rules", RULES)).toContain("SUCCESS");
    // Expressions of the dashboard, with Grafana's variables filled in.
    const filled = expressions.map(([title, expr], n) => ({
      record: `panel:${n}:value`,
      expr: expr.replaceAll("$__rate_interval", "1m").replaceAll(/\$\w+/g, ".*"),
      labels: { title },
    }));
    const folder = mkdtempSync(path.join(tmpdir(), "tidewire-rules-"));
    try {
      const file = path.join(folder, "panels.yml");
      writeFileSync(file, JSON.stringify({ groups: [{ name: "panels", rules: filled }] }));
      expect(promtool("check", "rules", file)).toContain("SUCCESS");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.skipIf(!hasPromtool)("fire and stay silent as the file of rule tests says", () => {
    const file = path.join(FOLDER, "test/alert-rules.test.yml");
    expect(promtool("test", "rules", file)).toContain("SUCCESS");
  });
});
