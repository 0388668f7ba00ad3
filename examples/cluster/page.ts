import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { PAGE_DIRECTORY } from "../showcase/page.js";

/**
 * A file of the page and its location: the files are served from the sources, while this one runs from `examples/dist`.
 */
export interface PageFile {
  readonly url: string;
  readonly type: string;
  read(): Promise<Buffer>;
}

const DIRECTORY = fileURLToPath(new URL("../../cluster/page/", import.meta.url));

/** The files of the page. The styles are the showcase's plus a few rules. */
export const PAGE_FILES: readonly PageFile[] = [
  file("/", "text/html; charset=utf-8", `${DIRECTORY}index.html`),
  file("/app.js", "text/javascript; charset=utf-8", `${DIRECTORY}app.js`),
  file("/cluster.css", "text/css; charset=utf-8", `${DIRECTORY}cluster.css`),
  file("/style.css", "text/css; charset=utf-8", `${PAGE_DIRECTORY}style.css`),
];

function file(url: string, type: string, path: string): PageFile {
  return { url, type, read: () => readFile(path) };
}
