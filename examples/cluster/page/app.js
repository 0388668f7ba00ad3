/** Number of ticks shown in the lanes. */
const SHOWN = 120;
/** Number of entries kept in the story. */
const STORY_ENTRIES = 8;

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
let hasOpened = false;
let isDrawn = true;

// A plain EventSource: it reconnects by itself and reports the last event it received.
const source = new EventSource("events");

source.onopen = () => {
  if (hasOpened) count("reconnections");
  hasOpened = true;
  show("open", "open");
};

source.onerror = () => {
  if (source.readyState === EventSource.CLOSED) return show("closed", "closed by the server");
  if ($("state").dataset.state === "open") tell(`The connection to ${node?.name} was cut.`);
  show("reconnecting", "cut off, EventSource comes back");
};

on("node", (data) => {
  const isOther = node !== undefined;
  node = data;
  replay = isOther ? { before: data.now, count: 0 } : undefined;
  $("node").textContent = data.name;
  $("node").style.setProperty("--lane", `var(--lane-${laneOf(data).number})`);
  $("node-what").textContent = `${data.framework}, process ${data.pid}`;
  tell(`${data.name} ${isOther ? "goes on with" : "serves"} this tab.`);
  updateLane({ ...data, state: "up" });
});

on("tick", ({ number, at }) => {
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
});

on("nodes", (nodes) => {
  for (const status of nodes) updateLane(status);
});

on("sse-reset", ({ reason }) => {
  count("resets");
  expected = undefined;
  replay = undefined;
  ticks = [];
  tell(`Events were lost, and the server says so: ${reason}. Counting starts again.`);
});

function on(type, listener) {
  source.addEventListener(type, ({ data }) => listener(JSON.parse(data)));
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

function show(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
  $("kill").disabled = state !== "open";
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
function updateLane(status) {
  const lane = laneOf(status);
  const { name, framework, pid, state } = status;
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
  $("kill").disabled = true;
  tell(`${node.name}, process ${node.pid}, is being killed from this tab.`);
  await fetch(`kill?pid=${node.pid}`, { method: "POST" });
};
