/** The page of the cluster: which node serves the tab, and every tick that has arrived. */
import { NAMES, READERS, describeStatus } from "../../showcase/page/streams.js";

/** Number of ticks shown in the lanes. */
const SHOWN = 120;
/** Number of entries kept in the story. */
const STORY_ENTRIES = 8;
/** How often the time until the next attempt is shown, in milliseconds. */
const COUNTDOWN_MS = 200;

const $ = (id) => document.getElementById(id);
const timeFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const counts = { received: 0, missed: 0, doubled: 0, replayed: 0, reconnections: 0, resets: 0 };
/** Ticks on display: `{ number, lane, kind }`. */
let ticks = [];
/** The next expected number; `undefined` at the start and after a reset. */
let expected;
/** The node that serves the tab, from its `node` event; `undefined` before the first. */
let node;
/** The replay in progress: ticks from before the node opened the stream; `undefined` while all ticks are new. */
let replay;
let isDrawn = true;

/** The way in which the stream is read: `client` or `event-source`. */
let reader = sessionStorage.getItem("reader") ?? "client";
let stream;
/** Counts the streams that were opened: only the newest is heard. */
let opened = 0;
let status = { state: "connecting" };
/** Why the stream was lost last, in the words of its reader. */
let lastLoss = "–";
/** Whether the stream has been open. */
let hasOpened = false;
/** Whether the node is being killed. */
let isKilling = false;

/** The open tabs of all nodes. */
let tabs = [];
/** Name of this tab, which survives a reload. */
const tab = sessionStorage.getItem("tab") ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
sessionStorage.setItem("tab", tab);

const LISTENERS = {
  node: showNode,
  tick: takeTick,
  nodes: showNodes,
  presence: ({ identities }) => showTabs(identities),
  "presence-join": ({ identities }) => showTabs([...tabs, ...identities]),
  "presence-leave": ({ identities }) => showTabs(tabs.filter((each) => !identities.includes(each))),
  "sse-reset": startAnew,
};

/** Opens a stream in place of the one that is there, from the same position. */
function open() {
  const from = stream?.position() ?? "";
  const number = ++opened;
  stream?.close();
  hasOpened = false;
  const types = Object.keys(LISTENERS).filter((type) => type !== "sse-reset");
  stream = READERS[reader](new URL(`events?tab=${tab}`, location.href), from, types, {
    onEvent: (type, data) => number === opened && LISTENERS[type]?.(data),
    onStatus: (next) => number === opened && changeStatus(next),
  });
}

function changeStatus(next) {
  if (status.state === "open" && next.state !== "open" && hasOpened) {
    const why = next.reason === undefined ? "" : ` (${next.reason})`;
    tell(`The connection to ${node?.name} was cut${why}. ${NAMES[reader]} comes back.`);
  }
  status = next;
  if (next.state === "open") {
    if (hasOpened) count("reconnections");
    hasOpened = true;
  }
  showStatus();
}

/** Shows the status, and the time until the next attempt, which passes. */
function showStatus() {
  const { state, line, reason, next, failures } = describeStatus(status, reader, hasOpened);
  if (state !== "open" && reason !== "–") lastLoss = reason;
  $("state").dataset.state = state;
  $("state").textContent = line;
  $("reason").textContent = lastLoss;
  $("next").textContent = next;
  $("failures").textContent = failures;
  $("kill").disabled = state !== "open" || isKilling;
}

function showNode(data) {
  const isOther = node !== undefined;
  node = data;
  isKilling = false;
  replay = isOther ? { before: data.now, count: 0 } : undefined;
  $("node").textContent = data.name;
  $("node").style.setProperty("--lane", `var(--lane-${laneOf(data).number})`);
  $("node-what").textContent = `${data.framework}, process ${data.pid}`;
  tell(`${data.name} ${isOther ? "goes on with" : "serves"} this tab.`);
  updateLane({ ...data, state: "up" });
}

function takeTick({ number, at }) {
  count("received");
  const missed = expected === undefined ? 0 : Math.max(0, number - expected);
  if (missed > 0) {
    count("missed", missed);
    for (let each = Math.max(expected, number - SHOWN); each < number; each++) {
      ticks.push({ number: each, kind: "missed" });
    }
  }
  if (expected !== undefined && number < expected) count("doubled");
  expected = Math.max(expected ?? 0, number + 1);

  const isReplayed = replay !== undefined && at <= replay.before;
  if (isReplayed) {
    replay.count += 1;
    count("replayed");
  } else {
    endReplay();
  }
  ticks.push({ number, lane: laneOf(node), kind: isReplayed ? "replayed" : "live" });
  ticks = ticks.slice(-SHOWN);
  drawSoon();
}

function showNodes(nodes) {
  for (const each of nodes) updateLane(each);
}

/** Shows how many tabs are open. A tab may be named twice. */
function showTabs(names) {
  tabs = [...new Set(names)];
  $("tabs").textContent = tabs.length;
}

function startAnew({ reason }) {
  count("resets");
  expected = undefined;
  replay = undefined;
  ticks = [];
  tell(`Events were lost, and the server says so: ${reason}. Counting starts again.`);
}

/** The first new tick: everything missed has arrived. */
function endReplay() {
  if (replay === undefined) return;
  const { count: number } = replay;
  replay = undefined;
  const what = number === 1 ? "1 tick was" : `${number} ticks were`;
  tell(`${what} replayed: ${counts.missed} missed, ${counts.doubled} doubled.`);
}

function count(name, by = 1) {
  counts[name] += by;
  $(name).textContent = counts[name].toLocaleString("en");
  $(name).parentElement.classList.toggle("wrong", counts[name] > 0);
}

function tell(text) {
  const entry = document.createElement("li");
  entry.innerHTML = `<span class="words"></span><span class="who"></span>`;
  entry.querySelector(".words").textContent = text;
  entry.querySelector(".who").textContent = timeFormat.format(new Date());
  $("story").prepend(entry);
  while ($("story").children.length > STORY_ENTRIES) $("story").lastChild.remove();
}

/** Lanes by the name of their node. */
const lanes = new Map();

/** @returns The lane of a node, created on first use. */
function laneOf({ name }) {
  const known = lanes.get(name);
  if (known !== undefined) return known;
  // The number in its name determines its place, so a node keeps its colour.
  const number = Number(/\d+$/.exec(name)?.[0] ?? lanes.size + 1);
  const element = document.createElement("li");
  element.innerHTML = `<p><span class="name"></span> <span class="what"></span></p>
    <svg viewBox="0 0 ${SHOWN} 10" preserveAspectRatio="none" role="img">
      <path class="live"></path><path class="replayed"></path><path class="missed"></path>
    </svg>`;
  element.style.setProperty("--lane", `var(--lane-${number})`);
  element.querySelector(".name").textContent = name;
  const lane = { name, number, element, pid: undefined, state: undefined };
  lanes.set(name, lane);
  $("lanes").append(...[...lanes.values()].toSorted(byNumber).map((each) => each.element));
  return lane;
}

function byNumber(a, b) {
  return a.number - b.number;
}

/** Shows a node's state, and reports changes. */
function updateLane(report) {
  const lane = laneOf(report);
  const { name, framework, pid, state } = report;
  if (lane.state === state && lane.pid === pid) return;
  if (lane.state !== undefined && state === "down") tell(`${name}, process ${pid}, has died.`);
  if (lane.state === "starting" && state === "up") tell(`${name} is back, as process ${pid}.`);
  lane.pid = pid;
  lane.state = state;
  lane.element.dataset.state = state;
  const what = { up: `process ${pid}`, down: "died", starting: "starting" }[state];
  lane.element.querySelector(".what").textContent = `${framework}, ${what}`;
}

function drawSoon() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(draw);
}

/** Draws each tick as a bar in the lane of the node that delivered it. */
function draw() {
  isDrawn = true;
  const last = ticks.at(-1)?.number ?? 0;
  const first = last - SHOWN + 1;
  $("first-number").textContent = first > 0 ? `tick ${first.toLocaleString("en")}` : "";
  $("last-number").textContent = last > 0 ? `tick ${last.toLocaleString("en")}` : "";
  for (const lane of lanes.values()) {
    const paths = { live: "", replayed: "", missed: "" };
    let delivered = 0;
    for (const { number, lane: by, kind } of ticks) {
      // A missed tick is shown as missing in all lanes.
      if (by !== undefined && by !== lane) continue;
      if (by !== undefined) delivered += 1;
      const x = number - first + 0.15;
      paths[kind] += kind === "live" ? `M${x} 2.500h.7v5h-.7z` : `M${x} 0h.7v10h-.7z`;
    }
    for (const [kind, d] of Object.entries(paths)) {
      lane.element.querySelector(`.${kind}`).setAttribute("d", d);
    }
    const label = `${lane.name} delivered ${delivered} of the last ${ticks.length} ticks`;
    lane.element.querySelector("svg").setAttribute("aria-label", label);
  }
}

$("kill").onclick = async () => {
  // Prevents a second click before the connection is cut, which takes milliseconds.
  isKilling = true;
  showStatus();
  tell(`${node.name}, process ${node.pid}, is being killed from this tab.`);
  const { ok } = await fetch(`kill?pid=${node.pid}`, { method: "POST" });
  // It has died already.
  if (!ok) isKilling = false;
};
$("reader").onchange = ({ target }) => {
  reader = target.value;
  sessionStorage.setItem("reader", reader);
  lastLoss = "–";
  tell(`${NAMES[reader]} reads this tab's stream now, from the same last event ID.`);
  open();
};

$("reader").elements.reader.value = reader;
open();
setInterval(showStatus, COUNTDOWN_MS);
