// Checks how large @tidewire/client is in a page: bundled, minified and compressed as a server would.
import path from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const ROOT = path.resolve(import.meta.dirname, "..");
const PARSER = "eventsource-parser";

/** The measurements, each with the most bytes that are allowed. */
const LIMITS = [
  { name: "own code", entry: "index", external: [PARSER], limit: 4_000 },
  { name: `with ${PARSER}`, entry: "index", external: [], limit: 5_500 },
  // Without the client, which a page with the hooks has in any case.
  {
    name: "hooks for React",
    entry: "react",
    external: ["react", /(connect|renewal)\.js$/],
    limit: 1_500,
  },
];

let isOk = true;
for (const { name, entry, external, limit } of LIMITS) {
  const size = await measure(entry, external);
  isOk &&= size <= limit;
  console.log(`@tidewire/client, ${name}: ${size} bytes of at most ${limit}`);
}
process.exitCode = isOk ? 0 : 1;

async function measure(entry, external) {
  const bundle = await rolldown({
    input: path.join(ROOT, `packages/client/dist/${entry}.js`),
    external,
    platform: "browser",
    // Warns of "use client", which is for the bundlers of frameworks.
    logLevel: "silent",
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  // A page loads the entry at once with all that it imports, but not the parts that are loaded on use.
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const names = new Set([output[0].fileName]);
  for (const name of names)
    for (const imported of chunks.get(name).imports) if (chunks.has(imported)) names.add(imported);
  let size = 0;
  for (const name of names) {
    // Marks for the next bundler, which removes them.
    const code = chunks.get(name).code.replaceAll("/* @__PURE__ */ ", "");
    size += gzipSync(code, { level: 9 }).length;
  }
  return size;
}
