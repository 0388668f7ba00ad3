import { createParser } from "./parser.js";

/** Entries of the log that are kept. */
const LOG_ENTRIES = 60;
/** Seconds that the sparkline shows. */
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
const perSecond = Array.from({ length: SECONDS }, () => 0);

function connect() {
  source?.close();
  const url = new URL("/events", base);
  url.searchParams.set("client", client);
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
    show("open", "open");
  };
  stream.onerror = () => {
    if (stream.readyState !== EventSource.CLOSED) {
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
  on(stream, "time", ({ time }) => showTime(new Date(time)));
  on(stream, "weather", showWeather);
  on(stream, "sse-cursor");
  on(stream, "sse-reset");
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
    if (event.lastEventId !== "") lastEventId = event.lastEventId;
    $("received").textContent = received.toLocaleString("en");
    $("last-id").textContent = event.lastEventId || "–";
    log(event.type, event.lastEventId, event.data);
    listener?.(event.data === "" ? undefined : JSON.parse(event.data));
  });
}

function show(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
  const isClosed = state === "closed";
  $("cut").disabled = state !== "open";
  $("finish").disabled = state !== "open";
  $("connect").disabled = !isClosed;
}

function showHello({ server, other, visitor, lastEventId: resumed }) {
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

function log(type, id, data) {
  addEntry({ at: clockFormat.format(new Date()), type, id, data });
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

function drawSparkline() {
  const top = Math.max(4, ...perSecond);
  const points = perSecond.map((count, index) => {
    const x = (index / (SECONDS - 1)) * 300;
    const y = 42 - (count / top) * 40;
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  const line = `M${points.join("L")}`;
  $("sparkline").querySelector(".line").setAttribute("d", line);
  $("sparkline").querySelector(".area").setAttribute("d", `${line}L300 44L0 44Z`);
  const age = Math.min(SECONDS, Math.max(1, Math.round(performance.now() / 1_000)));
  const rate = perSecond.reduce((sum, count) => sum + count, 0) / age;
  $("rate").textContent = rate.toFixed(1);
}

setInterval(() => {
  drawSparkline();
  perSecond.shift();
  perSecond.push(0);
}, 1_000);
drawSparkline();

// A beacon needs no CORS: nobody reads its answer.
$("cut").onclick = () => navigator.sendBeacon(new URL(`/cut?client=${client}`, base));
$("finish").onclick = () => navigator.sendBeacon(new URL(`/finish?client=${client}`, base));
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
    if (type === "sse-complete") isComplete = true;
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
