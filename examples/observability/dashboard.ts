/** The graphs of the package's Grafana dashboard, filled in from Prometheus. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const FOLDER = path.dirname(
  createRequire(import.meta.url).resolve("@tidewire/metrics/package.json"),
);

/** The alert rules of the package. */
export const ALERT_RULES: string = path.join(FOLDER, "alert-rules.yml");

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } };
}

/** One graph. */
export interface Graph {
  readonly title: string;
  /** Unit in Grafana's notation. */
  readonly unit: string;
  readonly series: readonly Series[];
}

/** One line of a graph. */
export interface Series {
  readonly name: string;
  /** Time in seconds, and value. */
  readonly points: readonly (readonly [number, number])[];
}

/** A row of graphs. */
export interface Row {
  readonly title: string;
  readonly graphs: readonly Graph[];
}

const { panels } = JSON.parse(
  readFileSync(path.join(FOLDER, "grafana-dashboard.json"), "utf8"),
) as { readonly panels: readonly Panel[] };

/** Asks Prometheus for all graphs of the last minutes. Rejects if it cannot be reached. */
export async function readGraphs(origin: string): Promise<Row[]> {
  const rows: { title: string; graphs: Graph[] }[] = [];
  for (const panel of panels) {
    if (panel.type === "row") rows.push({ title: panel.title, graphs: [] });
    else rows.at(-1)?.graphs.push(await readGraph(origin, panel));
  }
  return rows;
}

/** @returns The names of the alerts that fire. */
export async function readAlerts(origin: string): Promise<string[]> {
  const { data } = (await ask(`${origin}/api/v1/alerts`)) as {
    data: { alerts: { state: string; labels: { alertname: string } }[] };
  };
  return data.alerts
    .filter(({ state }) => state === "firing")
    .map(({ labels }) => labels.alertname);
}

async function readGraph(origin: string, panel: Panel): Promise<Graph> {
  const end = Math.floor(Date.now() / 1_000);
  const found = await Promise.all(
    (panel.targets ?? []).map(async ({ expr, legendFormat }): Promise<Series[]> => {
      const query = new URLSearchParams({
        // Grafana's variables.
        query: expr.replaceAll("$__rate_interval", "10s").replaceAll(/\$\w+/g, ".*"),
        start: String(end - 300),
        end: String(end),
        step: "5",
      });
      const { data } = (await ask(`${origin}/api/v1/query_range?${query}`)) as {
        data: { result: { metric: Record<string, string>; values: [number, string][] }[] };
      };
      return data.result.map(({ metric, values }) => ({
        name: legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ""),
        // A quantile of no values is NaN.
        points: values
          .map(([at, value]) => [at, Number(value)] as const)
          .filter(([, value]) => Number.isFinite(value)),
      }));
    }),
  );
  const unit = panel.fieldConfig?.defaults.unit ?? "short";
  return { title: panel.title, unit, series: found.flat() };
}

async function ask(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error(`Prometheus answers ${response.status}`);
  return response.json();
}
