// Draws docs/contribute/architecture.svg from the imports of packages/core/src. `--print` writes it to stdout instead.
import fs from "node:fs";
import path from "node:path";

const SOURCES = path.resolve(import.meta.dirname, "../packages/core/src");
const TARGET = path.resolve(import.meta.dirname, "../docs/contribute/architecture.svg");

/** The purpose of each folder, and of each file beside the folders. One that is not listed here stops the script. */
const PURPOSES = {
  index: "what applications import: @tidewire/core",
  adapter: "what adapters import: @tidewire/core/adapter",
  hub: "owns and wires everything",
  presence: "who is subscribed, on all nodes",
  session: "what a route sees: res.sse, reply.sse",
  delivery: "from the log to every outlet",
  outlet: "the bytes to one client: sockets and timers",
  options: "what callers may configure",
  http: "what requests and heads say; pure",
  wire: "text and bytes of the event stream; no I/O, no clock",
  log: "the contract of a log, and the one in memory",
  errors: "SseError and its codes",
};

const WIDTH = 760;
const MARGIN = 16;
const BOX_WIDTH = 352;
const COLUMN = BOX_WIDTH + 24;
const LINE = 17;
const GAP = 52;
const TOP = 78;
/** Characters of small print that fit into a box, in any font of the reader. */
const MAX_CHARACTERS = 54;

// Follows the reader's system setting: an image in a page cannot know the page's own colours.
const STYLE = `
    text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2328; }
    .background { fill: #ffffff; }
    .title { font-size: 16px; font-weight: 600; }
    .quiet { fill: #59636e; }
    .name { font-size: 14px; font-weight: 600; }
    .box { fill: #f6f8fa; stroke: #d1d9e0; }
    .arrow { fill: none; stroke: #0969da; stroke-width: 1.5; }
    .head { fill: #0969da; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .background { fill: #0d1117; }
      .quiet { fill: #9198a1; }
      .box { fill: #151b23; stroke: #3d444d; }
      .arrow { stroke: #4493f8; }
      .head { fill: #4493f8; }
    }`;

const svg = draw(readFolders());
if (process.argv.includes("--print")) process.stdout.write(svg);
else fs.writeFileSync(TARGET, svg);

/** Reads each folder's files and imports. A top-level file counts as a folder. */
function readFolders() {
  const folders = new Map();
  const files = fs
    .readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll(path.sep, "/"))
    .filter((file) => file.endsWith(".ts"))
    .toSorted();
  for (const file of files) {
    const name = folderOf(file);
    if (PURPOSES[name] === undefined) throw new Error(`${name} has no purpose in ${SOURCES}`);
    const folder = folders.get(name) ?? { name, files: [], imports: new Set() };
    folders.set(name, folder);
    if (file.includes("/")) folder.files.push(path.basename(file, ".ts"));
    for (const from of importsOf(fs.readFileSync(path.join(SOURCES, file), "utf8"))) {
      const target = folderOf(path.posix.join(path.posix.dirname(file), from));
      if (target !== name) folder.imports.add(target);
    }
  }
  return folders;
}

function folderOf(file) {
  return file.split("/")[0].replace(/\.[jt]s$/, "");
}

/** Relative imports and re-exports, including those of types. */
function importsOf(text) {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const found = code.matchAll(/(?:\bfrom\s*|^\s*import\s*|\bimport\s*\(\s*)"(\.[^"]+)"/gm);
  return [...found].map(([, from]) => from);
}

function draw(folders) {
  const arrows = reduce(folders);
  const rows = placeInRows(folders, arrows);
  let bottom = TOP;
  for (const row of rows) {
    for (const box of row) {
      box.lines = smallPrint(box.folder);
      box.height = 49 + box.lines.length * LINE;
      box.top = bottom;
    }
    bottom += Math.max(...row.map(({ height }) => height)) + GAP;
  }
  const height = bottom - GAP + MARGIN;
  const boxes = new Map(rows.flat().map((box) => [box.folder.name, box]));
  const title = "Folders of packages/core/src and what they import";
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${title}">`,
    `<style>${STYLE}\n  </style>`,
    `<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="head" d="M0 0 L8 4 L0 8 Z"/></marker>`,
    `<rect class="background" width="${WIDTH}" height="${height}" rx="6"/>`,
    `<text class="title" x="${MARGIN}" y="28">${title}</text>`,
    `<text class="quiet" x="${MARGIN}" y="50">Arrows point down only. Arrows that follow from others are left out; the last line of each box names every import.</text>`,
    ...arrows.map(([from, to]) => drawArrow(boxes.get(from), boxes.get(to), rows)),
    ...[...boxes.values()].flatMap(drawBox),
    "</svg>",
  ];
  return `${parts.join("\n  ").replace(/\n {2}<\/svg>$/, "\n</svg>")}\n`;
}

/** @returns The arrows that are not implied by others. */
function reduce(folders) {
  const reaches = (from, to, seen = new Set()) =>
    [...folders.get(from).imports].some((next) => {
      if (next === to) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, to, seen);
    });
  for (const name of folders.keys()) {
    if (reaches(name, name)) throw new Error(`${name} imports itself through other folders`);
  }
  return [...folders.values()].flatMap(({ name, imports }) =>
    inOrder(imports)
      .filter((to) => ![...imports].some((other) => other !== to && reaches(other, to)))
      .map((to) => [name, to]),
  );
}

/** Places each folder below all that import it, centred under them, and beside the others of its row. */
function placeInRows(folders, arrows) {
  const parentsOf = (name) => arrows.filter(([, to]) => to === name).map(([from]) => from);
  const depthOf = (name) => Math.max(-1, ...parentsOf(name).map(depthOf)) + 1;
  const rows = [];
  const placed = new Map();
  for (const folder of folders.values()) (rows[depthOf(folder.name)] ??= []).push({ folder });
  for (const row of rows) {
    for (const box of row) {
      const xs = parentsOf(box.folder.name).map((name) => placed.get(name).x);
      box.x = xs.length === 0 ? WIDTH / 2 : xs.reduce((sum, x) => sum + x, 0) / xs.length;
    }
    row.sort((a, b) => a.x - b.x || orderOf(a.folder.name) - orderOf(b.folder.name));
    // Moves two overlapping boxes apart. A row has at most two: there is no room for a third.
    if (row.length > 2) throw new Error("More than two folders stand side by side");
    const [left, right] = row;
    if (right !== undefined && right.x - left.x < COLUMN) {
      left.x = (WIDTH - COLUMN) / 2;
      right.x = left.x + COLUMN;
    }
    for (const box of row) placed.set(box.folder.name, box);
  }
  return rows;
}

/** The files of a folder and its imports. */
function smallPrint({ files, imports }) {
  const names = inOrder(imports).join(", ");
  return [
    ...wrap(files.join(", ")).map((text) => ({ text, kind: "" })),
    ...wrap(`imports ${names || "nothing"}`).map((text) => ({ text, kind: "quiet" })),
  ];
}

/** Sorts names from the top of the drawing to its bottom. */
function inOrder(names) {
  return [...names].toSorted((a, b) => orderOf(a) - orderOf(b));
}

function orderOf(name) {
  return Object.keys(PURPOSES).indexOf(name);
}

function wrap(text) {
  const lines = [];
  for (const word of text.split(" ").filter((one) => one !== "")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > MAX_CHARACTERS) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

function drawBox({ folder, x, top, height, lines }) {
  const left = x - BOX_WIDTH / 2;
  const label = folder.files.length > 0 ? `${folder.name}/` : `${folder.name}.ts`;
  return [
    `<g data-folder="${folder.name}" data-imports="${inOrder(folder.imports).join(" ")}">`,
    `  <rect class="box" x="${left}" y="${top}" width="${BOX_WIDTH}" height="${height}" rx="6"/>`,
    `  <text class="name" x="${left + 12}" y="${top + 21}">${label}</text>`,
    `  <text x="${left + 12}" y="${top + 39}">${PURPOSES[folder.name]}</text>`,
    ...lines.map(
      ({ text, kind }, index) =>
        `  <text class="${kind || "files"}" x="${left + 12}" y="${top + 39 + (index + 1) * LINE}">${text}</text>`,
    ),
    "</g>",
  ];
}

/** Draws from the lower edge of a row to the upper edge of a box. */
function drawArrow(from, to, rows) {
  const row = rows.find((boxes) => boxes.includes(from));
  const start = from.top + from.height;
  const bend = Math.max(...row.map(({ top, height }) => top + height));
  const end = to.top - 2;
  const middle = (bend + end) / 2;
  const line =
    from.x === to.x ? `V${end}` : `V${bend} C${from.x} ${middle} ${to.x} ${middle} ${to.x} ${end}`;
  return `<path class="arrow" marker-end="url(#head)" d="M${from.x} ${start} ${line}"/>`;
}
