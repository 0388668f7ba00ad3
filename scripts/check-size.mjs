// Checks how large @tidewire/client is in a page: bundled, minified and compressed as a server would.
import path from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const ROOT = path.resolve(import.meta.dirname, "..");
const PARSER = "eventsource-parser";

/** The measurements, each with the most bytes that are allowed. */
const LIMITS = [
  { name: "own code", external: [PARSER], limit: 4_000 },
  { name: `with ${PARSER}`, external: [], limit: 5_500 },
];

let isOk = true;
for (const { name, external, limit } of LIMITS) {
  const size = await measure(external);
  isOk &&= size <= limit;
  console.log(`@tidewire/client, ${name}: ${size} bytes of at most ${limit}`);
}
process.exitCode = isOk ? 0 : 1;

async function measure(external) {
  const bundle = await rolldown({
    input: path.join(ROOT, "packages/client/dist/index.js"),
    external,
    platform: "browser",
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  // Marks for the next bundler, which removes them.
  const code = output[0].code.replaceAll("/* @__PURE__ */ ", "");
  return gzipSync(code, { level: 9 }).length;
}
