import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** A file that a page loads. */
export interface PageFile {
  readonly url: string;
  /** Its media type. */
  readonly type: string;
  read(): Promise<Buffer>;
}

/** The modules that pages import: the client as it is published, and its only dependency. */
const MODULES: readonly (readonly [path: string, name: string])[] = [
  ["/client/", "@tidewire/client"],
  ["/eventsource-parser/", "eventsource-parser"],
];

/**
 * The files of `@tidewire/client`, which a browser loads without a bundler. The import map of a page leads to them.
 */
export const CLIENT_FILES: readonly PageFile[] = await listFiles();

async function listFiles(): Promise<PageFile[]> {
  const lists = MODULES.map(async ([path, name]) => {
    const folder = new URL(".", import.meta.resolve(name));
    const all = await readdir(folder, { recursive: true });
    const files = all.filter((file) => file.endsWith(".js"));
    return files.map((file) => ({
      url: path + file,
      type: "text/javascript; charset=utf-8",
      read: () => readFile(fileURLToPath(new URL(file, folder))),
    }));
  });
  return (await Promise.all(lists)).flat();
}
