import { createParser } from "./parser.js";

/** Number of entries kept in the log of events. */
const LOG_ENTRIES = 60;
/** Number of entries kept in the story. */
const STORY_ENTRIES = 5;
/** Number of characters that the log shows of an event's data. */
const LOG_DATA = 240;
/** Number of headlines and notifications shown. */
const LIST_ENTRIES = 5;
/** Number of seconds that the charts show. */
const SECONDS = 60;
/** A tick that is this late, in milliseconds, is shown as missing. */
const LATE_MS = 1_500;

const $ = (id) => document.getElementById(id);

// A name for this page, so that the server finds its stream when a button is pressed.
const client = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join(
  "-",
);

const counts = { received: 0, missed: 0, doubled: 0, replayed: 0, reconnections: 0, resets: 0 };
/** Origin of the server that this page streams from; initially the page's own. */
let base = location.origin;
/** Origin of the other server, from the `hello` event; `undefined` before the first. */
let otherBase;
let source;
let lastEventId = "";
let isPaused = false;
/** Time of the reconnection while the stream is cut for 10 s; otherwise `undefined`. */
let backAt;
/** The replay in progress: events from before the server opened the stream; `undefined` while all events are new. */
let replay;
/** The last minute of the `stats` channel. */
let samples = [];
/** Ticks of the clock on display: from the second to `live` or `replayed`. */
const ticks = new Map();
/** The next expected number of a tick; `undefined` at the start and after a reset. */
let expected;
let user = sessionStorage.getItem("user") ?? drawName();

function drawName() {
  const names = ["Ada", "Bruno", "Chidi", "Dagny", "Emre", "Freya", "Goro", "Hana"];
  return names[Math.floor(Math.random() * names.length)];
}

function connect() {
  source?.close();
  replay = undefined;
  backAt = undefined;
  const url = new URL("/events", base);
  url.searchParams.set("client", client);
  url.searchParams.set("user", user);
  // EventSource sends the header only when it reconnects by itself. A new one needs the query parameter.
  if (lastEventId !== "") url.searchParams.set("lastEventId", lastEventId);
  const stream = new EventSource(url, { withCredentials: true });
  let hasOpened = false;
  let isComplete = false;
  source = stream;
  show("connecting", "connecting");

  stream.onopen = () => {
    if (hasOpened) count("reconnections");
    remark(hasOpened ? "EventSource has reconnected." : `Connected to ${url.host}.`);
    hasOpened = true;
    backAt = undefined;
    show("open", "open");
  };
  stream.onerror = () => {
    if (backAt !== undefined) {
      showAway();
      tell("wait", "Cut off for 10 s. The gap in the ticks shows what this tab misses.");
    } else if (stream.readyState !== EventSource.CLOSED) {
      const isFirst = $("state").dataset.state !== "reconnecting";
      show("reconnecting", isComplete ? "asks once more, as the standard says" : "reconnecting");
      if (hasOpened && isFirst && !isComplete) {
        tell("wait", "The stream has ended. EventSource reconnects by itself.");
      }
    } else if (isComplete) {
      show("closed", "closed, the server said it is complete");
      tell("good", "The server has answered 204: EventSource does not come back.");
    } else {
      show("closed", "closed, the server refused the connection");
      tell("wait", "The server refused the connection. Open a new stream to try again.");
    }
  };

  on(stream, "message");
  on(stream, "hello", showHello);
  on(stream, "time", showTick);
  on(stream, "weather", showWeather);
  on(stream, "headline", showHeadline);
  on(stream, "notification", showNotification);
  on(stream, "history", showHistory);
  on(stream, "stats", showStats);
  on(stream, "away", ({ ms }) => (backAt = Date.now() + ms));
  on(stream, "sse-cursor");
  on(stream, "sse-reset", startAnew);
  on(stream, "sse-complete", () => {
    isComplete = true;
    lastEventId = "";
  });
}

/** Listens for one type of event. Counts and logs each event and passes on its data. */
function on(stream, type, listener) {
  stream.addEventListener(type, (event) => {
    count("received");
    // An event without an ID repeats the ID of the event before.
    const id = event.lastEventId === lastEventId ? "" : event.lastEventId;
    if (event.lastEventId !== "") lastEventId = event.lastEventId;
    $("last-id").textContent = event.lastEventId || "–";
    const data = event.data === "" ? undefined : JSON.parse(event.data);
    const isReplayed = id !== "" && isFromReplay(data?.at);
    log(event.type, id, event.data, isReplayed);
    listener?.(data, isReplayed);
    // After the listener, which has counted a gap by then.
    if (id !== "" && !isReplayed && data?.at !== undefined) endReplay();
  });
}

/** @returns Whether an event is from before the server opened the stream. */
function isFromReplay(at) {
  if (replay === undefined || at === undefined || at > replay.before) return false;
  replay.count += 1;
  count("replayed");
  return true;
}

/** The first new event: everything missed has arrived. */
function endReplay() {
  if (replay === undefined) return;
  const { count: number, missed, doubled } = replay;
  replay = undefined;
  const events = number === 1 ? "1 event" : `${number} events`;
  const isWhole = counts.missed === missed && counts.doubled === doubled;
  if (!isWhole) {
    tell("bad", `${events} replayed, but ticks are missing or doubled.`);
  } else if (number > 0) {
    tell("good", `${events} replayed: nothing was missed.`);
  } else {
    tell("good", "No event was published meanwhile: nothing was missed.");
  }
}

/** Events were lost. The state that the page shows is out of date, and a snapshot follows. */
function startAnew({ reason }) {
  replay = undefined;
  expected = undefined;
  count("resets");
  const why =
    reason === "unknown" ? "the servers were restarted" : "the page was away for too long";
  tell("bad", `Events were missed: ${why}. The page starts from a snapshot.`);
  $("news").dataset.empty = "No headline since the reset.";
  forget();
}

/** Drops the state. A snapshot follows. */
function forget() {
  samples = [];
  for (const id of ["weather", "news"]) $(id).replaceChildren();
}

function count(name) {
  counts[name] += 1;
  showCount(name);
}

function showCount(name) {
  $(name).textContent = counts[name].toLocaleString("en");
  $(name).parentElement.classList.toggle("wrong", counts[name] > 0);
}

/** Shows the result of an action in the bar, which is always in view, and in the story. */
function tell(kind, text) {
  $("notice").dataset.kind = kind;
  $("notice-text").textContent = text;
  remark(text);
}

/** Adds an entry to the story, and one that is not an event to the log. */
function remark(text) {
  const time = clockFormat.format(new Date());
  addEntry({ at: time, remark: text });
  const entry = document.createElement("li");
  entry.innerHTML = `<span class="words"></span><span class="who"></span>`;
  entry.querySelector(".words").textContent = text;
  entry.querySelector(".who").textContent = time;
  $("story").prepend(entry);
  while ($("story").children.length > STORY_ENTRIES) $("story").lastChild.remove();
}

function showAway() {
  const seconds = Math.max(0, Math.ceil((backAt - Date.now()) / 1_000));
  show("reconnecting", seconds === 0 ? "reconnecting" : `cut off, back in ${seconds} s`);
}

function show(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
  const isClosed = state === "closed";
  for (const id of ["cut", "away", "finish"]) $(id).disabled = state !== "open";
  // While the tab is cut for 10 s, the buttons wait with it.
  $("switch").disabled = otherBase === undefined || backAt !== undefined;
  $("restart").disabled = backAt !== undefined;
  $("finish").hidden = isClosed;
  $("connect").hidden = !isClosed;
}

function showHello({ server, other, visitor, lastEventId: resumed, now }) {
  if (resumed === "") {
    forget();
    expected = undefined;
    // A notice that announced this stream is out of date.
    if ($("notice").dataset.kind === "wait") tell("good", "A new stream is open, from a snapshot.");
  } else {
    replay = { before: now, count: 0, missed: counts.missed, doubled: counts.doubled };
  }
  otherBase = `${location.protocol}//${location.hostname}:${other.port}`;
  const isHere = base === location.origin;
  if ($("server").textContent !== server.name) remark(`${server.name} serves this tab.`);
  $("server").textContent = server.name;
  $("server-port").textContent = `port ${server.port}`;
  $("switch").textContent = `Switch to ${other.name}`;
  $("switch").disabled = false;
  $("resumed").textContent = resumed === "" ? "none" : resumed;
  $("visitor").textContent = visitor === undefined ? "did not arrive" : visitor;
  $("visitor").title = isHere
    ? "Sent to this page's own server"
    : "Sent to a server of another origin";
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "full" });

function showTick({ number, at }, isReplayed) {
  if (expected !== undefined && number > expected) {
    counts.missed += number - expected;
    showCount("missed");
  }
  if (expected !== undefined && number < expected) count("doubled");
  expected = Math.max(expected ?? 0, number + 1);

  const time = new Date(at);
  ticks.set(Math.floor(time / 1_000), isReplayed ? "replayed" : "live");
  drawTicks();
  $("clock").dateTime = time.toISOString();
  $("clock").textContent = clockFormat.format(time);
  $("date").textContent = dateFormat.format(time);
}

function showWeather({ city, temperature, sky }) {
  const before = [...$("weather").children].find((item) => item.dataset.city === city);
  const item = document.createElement("li");
  item.dataset.city = city;
  item.innerHTML = `<svg aria-hidden="true"><use></use></svg>
    <span><span class="city"></span><span class="sky"></span></span><span class="degrees"></span>`;
  item.querySelector("use").setAttribute("href", `#sky-${sky}`);
  item.querySelector(".city").textContent = city;
  item.querySelector(".sky").textContent = sky;
  item.querySelector(".degrees").textContent = `${temperature.toFixed(1).replace("-", "−")} °C`;
  if (before === undefined) {
    $("weather").append(item);
  } else {
    item.className = "changed";
    before.replaceWith(item);
  }
}

function showHeadline({ at, text, by }) {
  addToList("news", at, text, `by ${by}`);
}

function showNotification({ at, text, from }) {
  addToList("notifications", at, text, `from ${from}`);
}

function addToList(id, at, text, who) {
  const item = document.createElement("li");
  item.className = "changed";
  item.innerHTML = `<span class="words"></span><span class="who"></span>`;
  item.querySelector(".words").textContent = text;
  item.querySelector(".who").textContent = `${clockFormat.format(new Date(at))}, ${who}`;
  $(id).prepend(item);
  while ($(id).children.length > LIST_ENTRIES) $(id).lastChild.remove();
}

/** The last minute, so that a new page has something to draw. */
function showHistory(history) {
  samples = history.slice(0, -1);
  showStats(history.at(-1));
}

function showStats(sample) {
  samples = [...samples.slice(1 - SECONDS), sample];
  $("sessions").textContent = sample.sessions.toLocaleString("en");
  $("events").textContent = sample.events.toLocaleString("en");
  const seconds = (name) => [
    ...Array.from({ length: SECONDS - samples.length }, () => undefined),
    ...samples.map((each) => each[name]),
  ];
  drawChart($("sessions-chart"), seconds("sessions"), true);
  drawChart($("events-chart"), seconds("events"));
}

function log(type, id, data, isReplayed) {
  const shown = data.length > LOG_DATA ? `${data.slice(0, LOG_DATA)} …` : data;
  const mark = isReplayed ? "replayed" : "";
  addEntry({ at: clockFormat.format(new Date()), type, id, mark, data: shown });
}

function addEntry(fields) {
  if (isPaused) return;
  const entry = document.createElement("li");
  for (const [name, text] of Object.entries(fields)) {
    if (text === "") continue;
    const field = document.createElement("span");
    field.className = name;
    if (name === "data") field.append(...membersOf(text));
    else field.textContent = text;
    entry.append(field);
  }
  $("log").prepend(entry);
  while ($("log").children.length > LOG_ENTRIES) $("log").lastChild.remove();
}

/** Splits JSON after its commas into elements that the browser keeps on one line each, where they fit. */
function membersOf(json) {
  const members = json.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+,?|,|"[^]*/g) ?? [];
  return members.map((text) => {
    const member = document.createElement("span");
    member.className = "member";
    member.textContent = text;
    return member;
  });
}

/** Draws each second of the last minute as a bar. A second without a tick after the first one is missing. */
function drawTicks() {
  const now = Date.now();
  const last = Math.floor(now / 1_000);
  const oldest = last - SECONDS + 1;
  for (const second of ticks.keys()) if (second < oldest) ticks.delete(second);
  const start = Math.min(...ticks.keys());
  const paths = { live: "", replayed: "", missed: "" };
  let missing = 0;
  for (let second = oldest; second <= last; second++) {
    const isLate = second > start && second * 1_000 < now - LATE_MS;
    const kind = ticks.get(second) ?? (isLate ? "missed" : undefined);
    if (kind === undefined) continue;
    if (kind === "missed") missing += 1;
    const x = second - oldest + 0.15;
    paths[kind] += kind === "live" ? `M${x} 2.5h.7v5h-.7z` : `M${x} 0h.7v10h-.7z`;
  }
  for (const [kind, d] of Object.entries(paths))
    $("ticks").querySelector(`.${kind}`).setAttribute("d", d);
  $("ticks").setAttribute(
    "aria-label",
    `Ticks of the last minute: ${ticks.size} here, ${missing} not here`,
  );
}

/** Draws one value per second into a chart. Leading `undefined`s stand for seconds before the first value. */
function drawChart(svg, values, isStepped = false) {
  const { width, height } = svg.viewBox.baseVal;
  const top = Math.max(4, ...values.filter((value) => value !== undefined));
  const x = (index) => ((index / (values.length - 1)) * width).toFixed(1);
  const y = (value) => (height - 2 - (value / top) * (height - 4)).toFixed(1);
  const first = values.findIndex((value) => value !== undefined);
  let line = `M${x(first)} ${y(values[first])}`;
  for (let index = first + 1; index < values.length; index++) {
    line += isStepped ? `H${x(index)}V${y(values[index])}` : `L${x(index)} ${y(values[index])}`;
  }
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".area").setAttribute("d", `${line}V${height}H${x(first)}Z`);
}

// Without ticks too: a gap grows while the stream is cut.
setInterval(() => {
  drawTicks();
  if (backAt !== undefined && $("state").dataset.state === "reconnecting") showAway();
}, 1_000);

/** Asks the page's own server, which knows the streams of both servers. */
function ask(path, body, method = "POST") {
  return fetch(path, {
    method,
    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
}

/** Asks for something that shows on the stream, and says so at once. */
async function act(path, text) {
  tell("wait", text);
  try {
    const response = await ask(path);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
  } catch (error) {
    tell("bad", `Failed: ${error.message}`);
  }
}

$("cut").onclick = () => act(`/cut?client=${client}`, "The server cuts this tab.");
$("away").onclick = () => act(`/away?client=${client}`, "The server cuts this tab for 10 s.");
$("finish").onclick = () =>
  act(`/finish?client=${client}`, "The server ends this stream for good.");
$("restart").onclick = () => act("/restart", "Both servers restart.");
$("connect").onclick = () => {
  tell("wait", "A new stream, without a last event ID.");
  connect();
};
$("switch").onclick = () => {
  base = otherBase;
  tell("wait", `${$("switch").textContent}, with the same last event ID.`);
  connect();
};
$("pause").onclick = () => {
  isPaused = !isPaused;
  $("pause").setAttribute("aria-pressed", String(isPaused));
  $("pause").textContent = isPaused ? "Go on" : "Pause this list";
};

/** Submits a form. Its last field is emptied once the server has accepted it. */
async function submit(path, body, field, note) {
  try {
    const response = await ask(path, body);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const { id, tabs } = await response.json();
    const isUnseen = tabs === 0 ? ": no tab is open under this name" : "";
    $(note).textContent = `Published with the ID ${id}${isUnseen}`;
    field.value = "";
  } catch (error) {
    $(note).textContent = `Failed: ${error.message}`;
  }
}

$("publish").onsubmit = (event) => {
  event.preventDefault();
  const field = $("headline");
  void submit("/news", { text: field.value }, field, "news-note");
};
$("notify").onsubmit = (event) => {
  event.preventDefault();
  const field = $("message");
  const body = { to: $("to").value, from: user, text: field.value };
  void submit("/notifications", body, field, "notifications-note");
};
$("rename").onsubmit = (event) => {
  event.preventDefault();
  user = $("user").value.trim() || user;
  sessionStorage.setItem("user", user);
  $("user").value = user;
  // The name is part of the stream's URL. The new stream continues at the same position.
  tell("wait", `You are ${user} now: this tab follows another channel.`);
  connect();
};
sessionStorage.setItem("user", user);
$("user").value = user;
$("to").value = user;

/** Key of this tab's text, so that the tab finds it again after a reload. */
const textKey = sessionStorage.getItem("text") ?? `text-${client}`;
sessionStorage.setItem("text", textKey);
const OUTCOMES = { done: "complete", stopped: "stopped", lost: "then the servers restarted" };
/** Ends the reading of the previous text. */
let reading;

$("stop").onclick = async () => {
  try {
    await ask(`/text?key=${textKey}`, undefined, "DELETE");
  } catch (error) {
    $("text-note").textContent = `Failed: ${error.message}`;
  }
};
$("ask").onsubmit = (event) => {
  event.preventDefault();
  // Read aloud only when asked for, not when the page opens.
  $("text").setAttribute("aria-live", "polite");
  void readText(beginText);
};

/** Asks for a new text, which the same response brings. */
function beginText(signal) {
  return fetch(new URL("/text", base), {
    method: "POST",
    credentials: "include",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify({ key: textKey, prompt: $("prompt").value }),
    signal,
  });
}

/** Comes back to the text: to the rest of it, or without a position to all of it. */
function followText(signal, position = "") {
  const url = new URL("/text", base);
  url.searchParams.set("key", textKey);
  if (position !== "") url.searchParams.set("lastEventId", position);
  return fetch(url, {
    credentials: "include",
    headers: { Accept: "text/event-stream" },
    signal,
  });
}

/**
 * Shows a text as it is written, whatever happens to its stream.
 *
 * @returns `false` if there is none.
 */
async function readText(request) {
  reading?.abort();
  const { signal } = (reading = new AbortController());
  const output = $("text");
  output.replaceChildren();
  output.setAttribute("aria-busy", "true");
  $("stop").disabled = false;

  let tokens = 0;
  let position = "";
  let outcome;
  const dispatch = ({ type, data, lastEventId: id }) => {
    if (signal.aborted) return;
    if (type === "end") outcome = data;
    if (type !== "token") return;
    tokens += 1;
    position = id;
    // Follows the text only if its end is in view, so that a reader who has scrolled up is not disturbed.
    const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 8;
    output.append(data);
    if (isAtEnd) output.scrollTop = output.scrollHeight;
    $("text-note").textContent = `${tokens} tokens`;
  };
  try {
    let response = await request(signal);
    for (;;) {
      if (response?.ok === false) throw new Error(`the server answered ${response.status}`);
      if (response?.status === 204) break;
      if (response !== undefined) await readStream(response, dispatch);
      if (signal.aborted || outcome !== undefined) break;
      $("text-note").textContent = `${tokens} tokens, reconnecting`;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      // The server cannot be reached yet.
      response = await followText(signal, position).catch(() => undefined);
    }
    // 204 for a text that was there: the servers have restarted.
    if (outcome === undefined && tokens > 0) outcome = "lost";
    if (!signal.aborted && outcome !== undefined) {
      $("text-note").textContent = `${tokens} tokens, ${OUTCOMES[outcome] ?? outcome}`;
    }
  } catch (error) {
    if (!signal.aborted) $("text-note").textContent = `Failed: ${error.message}`;
  }
  if (signal.aborted) return true;
  output.setAttribute("aria-busy", "false");
  $("stop").disabled = true;
  return outcome !== undefined;
}

/** Reads one response until it ends or breaks off. */
async function readStream(response, dispatch) {
  const read = createParser(dispatch);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      read(value);
    }
  } catch {
    // The connection broke, or the reading was aborted. The caller knows which.
  }
}

connect();
// The page also opens with a text: the one that it had before a reload, or a new one.
if (!(await readText(followText))) void readText(beginText);
