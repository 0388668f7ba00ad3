import { readFile } from "node:fs/promises";

/**
 * Reads from the kernel what a process that is not Node has used.
 *
 * @param pid - Its id. Only its main thread is looked at.
 * @returns Microseconds of CPU, user and system, since it began.
 */
export async function readCpuUs(pid: number | string): Promise<number> {
  // The scheduler's own account is in nanoseconds; `stat` has ticks of ten milliseconds.
  const time = await readFile(`/proc/${pid}/schedstat`, "utf8").catch(() => undefined);
  return time === undefined ? readTicksUs(pid) : Number(time.split(" ")[0]) / 1_000;
}

async function readTicksUs(pid: number | string): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
