import { createParser } from "./parser.js";

/** Entries of the log that are kept. */
const LOG_ENTRIES = 60;
/** Characters of an event's data that the log shows. */
const LOG_DATA = 240;
/** Headlines and notifications that are shown. */
const LIST_ENTRIES = 5;
/** Seconds that the charts show. */
const SECONDS = 60;

const $ = (id) => document.getElementById(id);

// Named by the page, so that the server can find this page's stream when a button asks for it.
const client = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join(
  "-",
);

/** The server that feeds the page; the page's own to begin with. */
let base = location.origin;
/** Where the other one is: the `hello` event says so. */
let otherBase;
let source;
let received = 0;
let reconnections = 0;
let lastEventId = "";
let isPaused = false;
/** When the stream is opened again, while the page was sent away; else `undefined`. */
let backAt;
/** What is being replayed: `before` is when the server opened the stream; `undefined` while all is new. */
let replay;
/** Seconds of both servers, as the `stats` channel has them. */
let samples = [];
let user = sessionStorage.getItem("user") ?? drawName();
const perSecond = Array.from({ length: SECONDS }, () => 0);

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
  // EventSource sends the header only when it reconnects by itself; a new one says it in the address.
  if (lastEventId !== "") url.searchParams.set("lastEventId", lastEventId);
  const stream = new EventSource(url, { withCredentials: true });
  let hasOpened = false;
  let isComplete = false;
  source = stream;
  show("connecting", "connecting");

  stream.onopen = () => {
    if (hasOpened) $("reconnections").textContent = String(++reconnections);
    remark(hasOpened ? "reconnected" : `connected to ${url.host}`);
    hasOpened = true;
    backAt = undefined;
    show("open", "open");
  };
  stream.onerror = () => {
    if (backAt !== undefined) {
      showAway();
      remark("cut off for 10 s, EventSource comes back by itself");
    } else if (stream.readyState !== EventSource.CLOSED) {
      show(
        "reconnecting",
        isComplete ? "asking once more, as the standard has it" : "reconnecting",
      );
      if (hasOpened) remark("the connection has ended, EventSource reconnects");
    } else if (isComplete) {
      show("closed", "closed, the server said it is complete");
      remark("answered 204: closed for good");
    } else {
      show("closed", "closed, the server refused the connection");
    }
  };

  on(stream, "message");
  on(stream, "hello", showHello);
  on(stream, "time", ({ at }) => showTime(new Date(at)));
  on(stream, "weather", showWeather);
  on(stream, "headline", showHeadline);
  on(stream, "notification", showNotification);
  on(stream, "history", (history) => (samples = history));
  on(stream, "stats", showStats);
  on(stream, "away", ({ ms }) => (backAt = Date.now() + ms));
  on(stream, "sse-cursor");
  on(stream, "sse-reset", startAnew);
  on(stream, "sse-complete", () => {
    isComplete = true;
    lastEventId = "";
  });
}

/** Listens for one type of event: counts it, logs it, and hands its data on. */
function on(stream, type, listener) {
  stream.addEventListener(type, (event) => {
    received += 1;
    perSecond[perSecond.length - 1] += 1;
    // On an event without an id this is the one of the event before.
    const id = event.lastEventId === lastEventId ? "" : event.lastEventId;
    if (event.lastEventId !== "") lastEventId = event.lastEventId;
    $("received").textContent = received.toLocaleString("en");
    $("last-id").textContent = event.lastEventId || "–";
    const data = event.data === "" ? undefined : JSON.parse(event.data);
    const isReplayed = id !== "" && follow(data?.at);
    log(event.type, id, event.data, isReplayed);
    listener?.(data);
  });
}

/** @returns Whether an event is from before the stream was opened; says how many were when there are no more. */
function follow(at) {
  if (replay === undefined || at === undefined) return false;
  if (at <= replay.before) {
    replay.count += 1;
    return true;
  }
  const { count } = replay;
  replay = undefined;
  const events = count === 1 ? "1 event" : `${count} events`;
  remark(`${events} replayed`);
  if (count > 0) notify("good", `${events} replayed: nothing was missed.`);
  return false;
}

/** Events were missed: what the page knows is of no worth, and what the server now says is the state. */
function startAnew({ reason }) {
  replay = undefined;
  const why =
    reason === "unknown" ? "the servers were restarted" : "the page was away for too long";
  notify("bad", `Events were missed: ${why}. The page starts from a snapshot.`);
  forget();
}

/** What follows is the whole state. */
function forget() {
  samples = [];
  for (const id of ["weather", "news"]) $(id).replaceChildren();
}

function notify(kind, text) {
  $("notice").dataset.kind = kind;
  $("notice-text").textContent = text;
  $("notice").hidden = false;
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
  $("finish").hidden = isClosed;
  $("connect").hidden = !isClosed;
}

function showHello({ server, other, visitor, lastEventId: resumed, now }) {
  if (resumed === "") forget();
  replay = resumed === "" ? undefined : { before: now, count: 0 };
  otherBase = `${location.protocol}//${location.hostname}:${other.port}`;
  const isHere = base === location.origin;
  $("server").textContent = `${server.name}, port ${server.port}`;
  $("switch").textContent = `Switch to ${other.name}`;
  $("resumed").textContent = resumed === "" ? "none" : resumed;
  $("visitor").textContent = visitor === undefined ? "did not arrive" : visitor;
  $("visitor").title = isHere
    ? "Sent to this page's own server"
    : "Sent to a server of another origin";
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "full" });

function showTime(time) {
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

function showStats(sample) {
  samples = [...samples.slice(1 - SECONDS), sample];
  $("sessions").textContent = sample.sessions.toLocaleString("en");
  $("events").textContent = sample.events.toLocaleString("en");
  const counts = (name) => [
    ...Array.from({ length: SECONDS - samples.length }, () => undefined),
    ...samples.map((each) => each[name]),
  ];
  drawChart($("sessions-chart"), counts("sessions"), true);
  drawChart($("events-chart"), counts("events"));
}

function log(type, id, data, isReplayed) {
  const shown = data.length > LOG_DATA ? `${data.slice(0, LOG_DATA)} …` : data;
  const mark = isReplayed ? "replayed" : "";
  addEntry({ at: clockFormat.format(new Date()), type, id, mark, data: shown });
}

/** An entry of the log that is no event. */
function remark(text) {
  addEntry({ at: clockFormat.format(new Date()), remark: text });
}

function addEntry(fields) {
  if (isPaused) return;
  const entry = document.createElement("li");
  for (const [name, text] of Object.entries(fields)) {
    if (text === "") continue;
    const field = document.createElement("span");
    field.className = name;
    field.textContent = text;
    entry.append(field);
  }
  $("log").prepend(entry);
  while ($("log").children.length > LOG_ENTRIES) $("log").lastChild.remove();
}

/** Draws one count a second into a chart; `undefined` is before there were any. */
function drawChart(svg, counts, isStepped = false) {
  const { width, height } = svg.viewBox.baseVal;
  const top = Math.max(4, ...counts.filter((count) => count !== undefined));
  const x = (index) => ((index / (counts.length - 1)) * width).toFixed(1);
  const y = (count) => (height - 2 - (count / top) * (height - 4)).toFixed(1);
  const first = counts.findIndex((count) => count !== undefined);
  let line = `M${x(first)} ${y(counts[first])}`;
  for (let index = first + 1; index < counts.length; index++) {
    line += isStepped ? `H${x(index)}V${y(counts[index])}` : `L${x(index)} ${y(counts[index])}`;
  }
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".area").setAttribute("d", `${line}V${height}H${x(first)}Z`);
}

function drawSparkline() {
  drawChart($("sparkline"), perSecond);
  const age = Math.min(SECONDS, Math.max(1, Math.round(performance.now() / 1_000)));
  const rate = perSecond.reduce((sum, count) => sum + count, 0) / age;
  $("rate").textContent = rate.toFixed(1);
}

setInterval(() => {
  drawSparkline();
  perSecond.shift();
  perSecond.push(0);
  if (backAt !== undefined && $("state").dataset.state === "reconnecting") showAway();
}, 1_000);
drawSparkline();

/** Asks this page's own server; what it is asked holds for the streams of both. */
function ask(path, body) {
  return fetch(path, {
    method: "POST",
    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
}

$("cut").onclick = () => ask(`/cut?client=${client}`);
$("away").onclick = () => ask(`/away?client=${client}`);
$("finish").onclick = () => ask(`/finish?client=${client}`);
$("restart").onclick = () => ask("/restart");
$("dismiss").onclick = () => ($("notice").hidden = true);
$("connect").onclick = connect;
$("switch").onclick = () => {
  if (otherBase === undefined) return;
  base = otherBase;
  connect();
};
$("pause").onclick = () => {
  isPaused = !isPaused;
  $("pause").setAttribute("aria-pressed", String(isPaused));
};

/** Sends a form; its last field is emptied as soon as the server has taken it. */
async function submit(path, body, field, note) {
  try {
    const response = await ask(path, body);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    $(note).textContent = `Published with the id ${(await response.json()).id}`;
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
  // The name is in the stream's address: a new stream goes on where the old one was.
  connect();
};
sessionStorage.setItem("user", user);
$("user").value = user;
$("to").value = user;

let writing;

$("stop").onclick = () => writing?.abort();
$("ask").onsubmit = async (event) => {
  event.preventDefault();
  writing?.abort();
  const controller = new AbortController();
  writing = controller;
  const output = $("text");
  output.replaceChildren();
  output.setAttribute("aria-busy", "true");
  $("stop").disabled = false;
  const report = (text) => {
    if (writing === controller) $("text-note").textContent = text;
  };

  let tokens = 0;
  let isComplete = false;
  const start = performance.now();
  const read = createParser(({ type, data }) => {
    if (type === "end") isComplete = true;
    if (type !== "token" || writing !== controller) return;
    tokens += 1;
    // Only who looks at the end is taken along; who has scrolled up goes on reading in peace.
    const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 8;
    output.append(data);
    if (isAtEnd) output.scrollTop = output.scrollHeight;
    const rate = tokens / ((performance.now() - start) / 1_000);
    report(`${tokens} tokens, ${rate.toFixed(0)} a second`);
  });
  try {
    const response = await fetch(new URL("/text", base), {
      method: "POST",
      credentials: "include",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify({ prompt: $("prompt").value }),
      signal: controller.signal,
    });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      read(value);
    }
    report(
      isComplete ? `${tokens} tokens, complete` : `${tokens} tokens, then the stream broke off`,
    );
  } catch (error) {
    const isStopped = error.name === "AbortError";
    report(isStopped ? `Stopped after ${tokens} tokens` : `Failed: ${error.message}`);
  } finally {
    if (writing === controller) {
      output.setAttribute("aria-busy", "false");
      $("stop").disabled = true;
    }
  }
};

connect();
