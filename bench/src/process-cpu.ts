import { readFile } from "node:fs/promises";

/**
 * Reads the CPU use of a non-Node process from the kernel.
 *
 * @param pid - Process id. Only the main thread is counted.
 * @returns Microseconds of CPU, user and system, since the process started.
 */
export async function readCpuUs(pid: number | string): Promise<number> {
  // The scheduler's account is in nanoseconds; `stat` counts ticks of ten milliseconds.
  const time = await readFile(`/proc/${pid}/schedstat`, "utf8").catch(() => undefined);
  return time === undefined ? readTicksUs(pid) : Number(time.split(" ")[0]) / 1_000;
}

async function readTicksUs(pid: number | string): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
