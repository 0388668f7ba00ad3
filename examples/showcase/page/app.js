/** The page of the showcase: its stream, the buttons that break it, and the state of both. */
import { drawTicks, forgetTicks, showTick } from "./clock.js";
import { count } from "./counts.js";
import { $ } from "./elements.js";
import { rename, showHeadline, showNotification, user } from "./lists.js";
import { log } from "./log.js";
import { showJoined, showLeft, showPresent } from "./people.js";
import { beginReplay, endReplay, forgetReplay, isFromReplay } from "./replay.js";
import { act, client, origins } from "./server.js";
import { forgetStats, showHistory, showStats } from "./stats.js";
import { remark, tell } from "./story.js";
import { NAMES, READERS, describeStatus, reasonOf } from "./streams.js";
import { resumeText } from "./text.js";
import { showWeather } from "./weather.js";

/** How often the time until the next attempt is shown, in milliseconds. */
const COUNTDOWN_MS = 200;

/** Called with the data of an event, and whether it is from a replay. */
const LISTENERS = {
  hello: showHello,
  time: showTick,
  weather: showWeather,
  headline: showHeadline,
  notification: showNotification,
  history: showHistory,
  stats: showStats,
  presence: showPresent,
  "presence-join": showJoined,
  "presence-leave": showLeft,
  away: ({ ms }) => {
    backAt = Date.now() + ms;
  },
  "sse-reset": startAnew,
};
const TYPES = ["message", ...Object.keys(LISTENERS).filter((type) => type !== "sse-reset")];

/** The way in which the stream is read: `client` or `event-source`. */
let reader = sessionStorage.getItem("reader") ?? "client";
let stream;
/** Counts the streams that were opened: only the newest is heard. */
let opened = 0;
let status = { state: "connecting" };
/** Why the stream was lost last, in the words of its reader. */
let lastLoss = "–";
/** The loss in the newest notice: another attempt that fails for the same reason needs no new one. */
let toldLoss;
/** Whether the stream has been open, at its present URL. */
let hasOpened = false;
/** The position at the last event, to tell whether an event has an ID. */
let seenId = "";
/** Time of the reconnection while the stream is cut for 10 s; otherwise `undefined`. */
let backAt;

/** Opens a stream in place of the one that is there, at the same position unless that is complete. */
function open() {
  const from = status.reason === "completed" ? "" : (stream?.position() ?? "");
  const number = ++opened;
  stream?.close();
  begin();
  stream = READERS[reader](urlOfStream(), from, TYPES, {
    onEvent: (...event) => number === opened && take(...event),
    onStatus: (next) => number === opened && changeStatus(next),
  });
}

/** Where a stream in place of the present one starts, in words. */
function startInWords() {
  return status.reason === "completed" ? "without a last event ID" : "from the same last event ID";
}

/** Follows another URL from the same position. */
function reopen() {
  begin();
  stream.reopen(urlOfStream());
}

function begin() {
  forgetReplay();
  backAt = undefined;
  hasOpened = false;
}

function urlOfStream() {
  const url = new URL("/events", origins.current);
  url.searchParams.set("client", client);
  url.searchParams.set("user", user());
  return url;
}

/** Counts and logs an event, and passes it on. */
function take(type, data, text, position) {
  count("received");
  // An event without an ID repeats the position.
  const id = position === seenId ? "" : position;
  seenId = position;
  $("last-id").textContent = position || "–";
  const isReplayed = id !== "" && isFromReplay(data?.at);
  log(type, id, text, isReplayed);
  LISTENERS[type]?.(data, isReplayed);
  // After the listener, which has counted a gap by then.
  if (id !== "" && !isReplayed && data?.at !== undefined) endReplay();
}

function changeStatus(next) {
  const isLost = status.state === "open" && next.state !== "open" && hasOpened;
  status = next;
  if (next.state === "open") {
    if (hasOpened) count("reconnections");
    remark(
      hasOpened
        ? `${NAMES[reader]} has reconnected.`
        : `Connected to ${new URL(origins.current).host}.`,
    );
    hasOpened = true;
    backAt = undefined;
    toldLoss = undefined;
  } else if (next.state === "closed") {
    tellEnd();
  } else if (isLost) {
    tellLoss();
  } else if (next.state === "waiting" && backAt === undefined && reasonOf(next) !== toldLoss) {
    tell("wait", `An attempt has failed (${reasonOf(next)}). The client tries again.`);
    toldLoss = reasonOf(next);
  }
  showStatus();
}

function tellLoss() {
  if (backAt !== undefined) {
    tell("wait", "Cut off for 10 s. The gap in the ticks shows what this tab misses.");
    // By itself the client draws a time of 10 to 20 s, so that a thousand tabs do not come back at once.
    if (reader === "client")
      setTimeout(() => backAt && stream.reopen(urlOfStream()), backAt - Date.now());
  } else if (reader === "client") {
    toldLoss = reasonOf(status);
    tell("wait", `The stream was lost (${toldLoss}). The client comes back by itself.`);
  } else if (status.reason !== "completed") {
    tell("wait", "The stream was lost. EventSource reconnects by itself.");
  }
}

function tellEnd() {
  if (status.reason === "completed") {
    tell("good", `The server has completed the stream. ${NAMES[reader]} does not come back.`);
  } else {
    tell("bad", "One wrong answer, and EventSource has given up. The client comes back from that.");
  }
}

/** Shows the status, and the time until the next attempt, which passes. */
function showStatus() {
  // While the stream is cut for 10 s, the page ends the wait.
  const shown =
    backAt !== undefined && "retryAt" in status ? { ...status, retryAt: backAt } : status;
  const { state, line, reason, next, failures } = describeStatus(shown, reader, hasOpened);
  if (state !== "open" && reason !== "–") lastLoss = reason;
  const isAway = backAt !== undefined && state !== "open";
  const seconds = Math.max(0, Math.ceil((backAt - Date.now()) / 1_000));
  $("state").dataset.state = state;
  $("retry").parentElement.dataset.state = isAway ? "away" : state;
  $("state").textContent = isAway && seconds > 0 ? `cut off, back in ${seconds} s` : line;
  $("reason").textContent = lastLoss;
  $("next").textContent = next;
  $("failures").textContent = failures;
  $("last-id").textContent = stream?.position() || "–";
  const isClosed = state === "closed";
  for (const id of ["cut", "away", "refuse", "finish"]) $(id).disabled = state !== "open";
  // While the tab is cut for 10 s, the buttons wait with it.
  $("switch").disabled = origins.other === undefined || backAt !== undefined || isClosed;
  $("restart").disabled = backAt !== undefined;
  for (const input of $("reader").elements) input.disabled = backAt !== undefined;
  $("connect").hidden = !isClosed;
}

function showHello({ server, other, visitor, lastEventId: resumed, now }) {
  if (resumed === "") {
    forget();
    forgetTicks();
    // A notice that announced this stream is out of date.
    if ($("notice").dataset.kind === "wait") tell("good", "A new stream is open, from a snapshot.");
  } else {
    beginReplay(now);
  }
  origins.other = `${location.protocol}//${location.hostname}:${other.port}`;
  const isHere = origins.current === location.origin;
  if ($("server").textContent !== server.name) remark(`${server.name} serves this tab.`);
  $("server").textContent = server.name;
  $("server-port").textContent = `port ${server.port}`;
  $("switch").textContent = `Switch to ${other.name}`;
  $("resumed").textContent = resumed === "" ? "none" : resumed;
  $("visitor").textContent = visitor === undefined ? "did not arrive" : visitor;
  $("visitor").title = isHere
    ? "Sent to this page's own server"
    : "Sent to a server of another origin";
  showStatus();
}

/** Events were lost. The state that the page shows is out of date, and a snapshot follows. */
function startAnew({ reason }) {
  forgetReplay();
  forgetTicks();
  count("resets");
  const why =
    reason === "unknown" ? "the servers were restarted" : "the page was away for too long";
  tell("bad", `Events were missed: ${why}. The page starts from a snapshot.`);
  $("news").dataset.empty = "No headline since the reset.";
  forget();
}

/** Drops the state. A snapshot follows. */
function forget() {
  forgetStats();
  for (const id of ["weather", "news"]) $(id).replaceChildren();
}

// Without ticks too: a gap grows while the stream is cut.
setInterval(drawTicks, 1_000);
setInterval(() => {
  if (stream?.position()) seenId = stream.position();
  showStatus();
}, COUNTDOWN_MS);

$("cut").onclick = () => act("/cut", "The server cuts this tab.");
$("away").onclick = () => act("/away", "The server cuts this tab for 10 s.");
$("refuse").onclick = () => act("/refuse", "The server cuts this tab, and answers 502 next time.");
$("finish").onclick = () => act("/finish", "The server ends this stream for good.");
$("restart").onclick = () => act("/restart", "Both servers restart.");
$("retry").onclick = () => stream.reopen(urlOfStream());
$("connect").onclick = () => {
  tell("wait", `${NAMES[reader]} opens a new stream, ${startInWords()}.`);
  open();
};
$("switch").onclick = () => {
  origins.current = origins.other;
  tell("wait", `${$("switch").textContent}, with the same last event ID.`);
  reopen();
};
$("reader").onchange = ({ target }) => {
  reader = target.value;
  sessionStorage.setItem("reader", reader);
  lastLoss = "–";
  tell("wait", `${NAMES[reader]} reads this tab's stream now, ${startInWords()}.`);
  open();
};
$("rename").onsubmit = (event) => {
  event.preventDefault();
  rename($("user").value.trim() || user());
  // The name is part of the stream's URL. The stream continues at the same position.
  tell("wait", `You are ${user()} now: this tab follows another channel.`);
  reopen();
};

$("reader").elements.reader.value = reader;
open();
resumeText();
