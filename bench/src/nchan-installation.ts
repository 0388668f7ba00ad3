import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Path used by Debian's libnginx-mod-nchan. */
export const NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const PROGRAMS = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];

/** @returns Path of the installed nginx. */
export function nginxProgram(): string | undefined {
  return PROGRAMS.find((path) => existsSync(path));
}

/** @returns Why Nchan cannot be measured here; `undefined` if it can. */
export function whyNoNchan(): string | undefined {
  if (nginxProgram() === undefined) return "nginx is not installed";
  if (existsSync(NCHAN_MODULE)) return undefined;
  return "the nginx module Nchan (libnginx-mod-nchan) is not installed";
}

/** @returns The versions of nginx and Nchan, as far as they are known. */
export function readNchanVersions(): Record<string, string> {
  const program = nginxProgram();
  if (whyNoNchan() !== undefined || program === undefined) return {};
  const nginx = /nginx\/(\S+)/.exec(spawnSync(program, ["-v"], { encoding: "utf8" }).stderr);
  // Only the package reports a version, not the module.
  const query = ["-W", "-f", "${Version}", "libnginx-mod-nchan"];
  const nchan = /[\d.]+(?=\+|-|$)/.exec(
    spawnSync("dpkg-query", query, { encoding: "utf8" }).stdout ?? "",
  );
  return { nginx: nginx?.[1] ?? "unknown", nchan: nchan?.[0] ?? "unknown" };
}
