/** A real Prometheus that scrapes the application, with the alert rules of the package. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

/** A running Prometheus. */
export interface Prometheus {
  readonly origin: string;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts Prometheus.
 *
 * @param target - Port of the application.
 * @param port - Port of Prometheus.
 * @param rules - File with alert rules.
 * @returns `undefined` if Prometheus is not installed.
 */
export async function startPrometheus(
  target: number,
  port: number,
  rules: string,
): Promise<Prometheus | undefined> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidewire-prometheus-"));
  const config = path.join(folder, "prometheus.yml");
  // JSON is YAML.
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: "1s", evaluation_interval: "5s" },
      rule_files: [rules],
      scrape_configs: [{ job_name: "app", static_configs: [{ targets: [`127.0.0.1:${target}`] }] }],
    }),
  );
  const child = spawn(
    "prometheus",
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${path.join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  // Also after an error in this process.
  process.once("exit", () => child.kill());
  const started = once(child, "spawn").then(
    () => true,
    () => false,
  );
  if (!(await started)) {
    await rm(folder, { recursive: true });
    return undefined;
  }
  let isStopping = false;
  const exited = once(child, "exit").then(() => {
    if (!isStopping) console.error(`Prometheus has ended. Is port ${port} free?`);
  });
  return {
    origin: `http://127.0.0.1:${port}`,
    async stop() {
      isStopping = true;
      child.kill();
      if (child.exitCode === null) await exited;
      await rm(folder, { recursive: true });
    },
  };
}
