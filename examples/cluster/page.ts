import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { CLIENT_FILES } from "../showcase/client-files.js";
import type { PageFile } from "../showcase/client-files.js";
import { PAGE_DIRECTORY } from "../showcase/page.js";

/** Folder of the page's files, in the sources. This file runs from `examples/dist/cluster`. */
const DIRECTORY = fileURLToPath(new URL("../../cluster/page/", import.meta.url));

/** The files of the page. The styles are the showcase's plus a few rules, and its streams are read in the same ways. */
export const PAGE_FILES: readonly PageFile[] = [
  file("/", "text/html; charset=utf-8", `${DIRECTORY}index.html`),
  file("/app.js", "text/javascript; charset=utf-8", `${DIRECTORY}app.js`),
  file("/cluster.css", "text/css; charset=utf-8", `${DIRECTORY}cluster.css`),
  file("/style.css", "text/css; charset=utf-8", `${PAGE_DIRECTORY}style.css`),
  // The same path as in the sources, so that the import in app.js is right in both places.
  file(
    "/showcase/page/streams.js",
    "text/javascript; charset=utf-8",
    `${PAGE_DIRECTORY}streams.js`,
  ),
  ...CLIENT_FILES,
];

function file(url: string, type: string, path: string): PageFile {
  return { url, type, read: () => readFile(path) };
}
