import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CLIENT_FILES } from "./client-files.js";
import type { PageFile } from "./client-files.js";

/** Folder of the page's files, in the sources. This file runs from `examples/dist/showcase`. */
export const PAGE_DIRECTORY = fileURLToPath(new URL("../../showcase/page/", import.meta.url));

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
};

/** Files of the page, with those of the client, which it imports. */
export const PAGE_FILES: readonly PageFile[] = [
  ...readdirSync(PAGE_DIRECTORY).map((name) => ({
    url: name === "index.html" ? "/" : `/${name}`,
    type: MEDIA_TYPES[extname(name)] ?? "application/octet-stream",
    read: () => readFile(join(PAGE_DIRECTORY, name)),
  })),
  ...CLIENT_FILES,
];

const VISITOR = /(?:^|;\s*)visitor=([0-9a-f]{6})(?:;|$)/;

/** Reads the cookie made by {@link makeVisitorCookie}; `undefined` without one. */
export function readVisitor(cookies: string | undefined): string | undefined {
  return VISITOR.exec(cookies ?? "")?.[1];
}

/** Makes a cookie that shows the page whether credentials also reach the other server. */
export function makeVisitorCookie(): string {
  return `visitor=${randomBytes(3).toString("hex")}; Path=/; HttpOnly; SameSite=Lax`;
}
