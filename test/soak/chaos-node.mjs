// A node of the chaos tests in a separate process: it publishes, and changes the channels of its streams at random. It
// records every action in a journal first, so a kill at any moment removes nothing from the oracle's knowledge.
import fs from "node:fs";
import http from "node:http";
import { setImmediate as immediate } from "node:timers/promises";
import { createHub } from "@tidewire/core";
import { redisLog } from "@tidewire/redis";
import { createFollower } from "../delivery/follow.mjs";

const { url, journal, pipe, name, channels, maxEvents, perSecond, has } = JSON.parse(
  process.argv[2],
);

const file = fs.openSync(journal, "a");
const note = (/** @type {unknown[]} */ ...line) => fs.writeSync(file, `${JSON.stringify(line)}\n`);

const chance = (/** @type {number} */ share) => Math.random() < share;
const below = (/** @type {number} */ count) => Math.floor(Math.random() * count);
const pick = (/** @type {readonly any[]} */ items) => items[below(items.length)];
const some = (/** @type {number} */ share) => channels.filter(() => chance(share));

/** Id of the hub's newest entry: the position of its log. */
let tail;
const inner = redisLog({ url, publishTimeoutMs: 1_000, retention: { maxEvents: 200_000 } });
const noteEntries = (/** @type {readonly any[]} */ entries) =>
  note(
    "entries",
    entries.map(({ id, channel, data }) => [id, channel, keyOf(data)]),
  );
let started;
const isStarted = new Promise((resolve) => (started = resolve));
/** The log, with a journal of everything it delivers. */
const log = {
  start(follower) {
    const start = inner.start({
      entries(entries) {
        noteEntries(entries);
        tail = entries.at(-1)?.id ?? tail;
        return follower.entries(entries);
      },
      reset(reason, id) {
        note("reset", id, reason);
        tail = id;
        follower.reset(reason, id);
      },
      failed: (error) => follower.failed(error),
    });
    void start.then((id) => {
      note("start", id);
      tail ??= id;
      setImmediate(() => started());
    });
    return start;
  },
  append: (channel, message, options) => inner.append(channel, message, options),
  past: {
    find: (ids, query) => inner.past.find(ids, query),
    sync: (query) => inner.past.sync(query),
    // A node that was killed may have published events that no other node followed. The past contains them.
    read: async (after, upTo, room) => {
      const page = await inner.past.read(after, upTo, room);
      if (typeof page === "object") noteEntries(page.entries);
      return page;
    },
  },
  compare: (a, b) => inner.compare(a, b),
  health: () => inner.health(),
  close: (withinMs) => inner.close(withinMs),
};
const hub = createHub({
  log,
  heartbeatMs: 1_000,
  // A client may be stalled until the end of the chapter.
  stallTimeoutMs: 600_000,
  retention: { maxEvents },
  onError: (error, { stage }) => note("error", stage, String(error)),
});

const follower = createFollower(hub, 1_000);

/** The open streams, each with its recorded actions. */
const members = new Set();
/** Counts the turns in which `subscribe` is called. */
let turn = 0;
let isOver = false;

const server = http.createServer((request, response) => {
  turn += 1;
  const { searchParams } = new URL(request.url, "http://node");
  const visit = Number(searchParams.get("visit"));
  if (searchParams.has("read")) return read(visit, request, response);
  const session = hub.createSession({ request, response });
  const member = {
    visit,
    session,
    request,
    response,
    isBack: request.headers["last-event-id"] !== undefined,
    joined: new Set(),
    calls: 0,
    takes: 0,
    firstTurn: -1,
  };
  members.add(member);
  session.onClose((reason) => {
    members.delete(member);
    note("closed", visit, reason);
  });
  join(
    member,
    channels.filter(() => chance(0.4)),
  );
  for (let call = 0; call < 3; call++) {
    // In the turn of the first call: at once, or in its promise jobs.
    const act = pick([() => join(member), () => join(member), () => leave(member, 0.2)]);
    const kind = Math.random();
    if (kind < 0.2) act();
    else if (kind < 0.35) process.nextTick(act);
    else if (kind < 0.5) void Promise.resolve().then(act);
  }
});

/** Serves a client by a reader, whose channels stay the same. */
function read(visit, request, response) {
  const chosen = channels.filter(() => chance(0.4));
  if (chosen.length === 0) chosen.push(pick(channels));
  const isReplayed = request.headers["last-event-id"] !== undefined;
  const latest = has.latest && !isReplayed && chance(0.3) ? 1 + below(5) : 0;
  const made = { latest, hasSnapshot: false, isReplayed, isFirst: true };
  note("join", visit, tail, 0, chosen, 0, made);
  void follower.read(request, response, chosen, latest);
}

function join(member, free = some(0.3)) {
  const { session, visit } = member;
  if (session.state === "closed" || free.length === 0) return;
  const added = free.filter((channel) => !member.joined.has(channel));
  const isFirst = member.calls === 0;
  if (isFirst) member.firstTurn = turn;
  const kind = Math.random();
  const latest = has.latest && kind < 0.25 ? 1 + below(5) : 0;
  const hasSnapshot = has.snapshots && kind > 0.75;
  const isReplayed = member.isBack && member.firstTurn === turn && (isFirst || !hasSnapshot);
  const call = member.calls++;
  const made = { latest, hasSnapshot, isReplayed, isFirst };
  note("join", visit, tail, writtenBytes(member), added, call, made);
  for (const channel of added) member.joined.add(channel);
  void session.subscribe(free, {
    ...(latest > 0 && { latest }),
    ...(hasSnapshot && { snapshot: () => state(member, call) }),
  });
}

function state(member, call) {
  const take = member.takes++;
  note("take", member.visit, tail, writtenBytes(member), call, take);
  const messages = [{ event: "state", data: `${member.visit}:${take}` }];
  return chance(0.4) ? messages : later(messages);
}

async function later(messages) {
  for (let left = below(15); left > 0; left--) await immediate();
  return messages;
}

function leave(member, share) {
  const { session, visit } = member;
  const left = [...member.joined].filter(() => chance(share));
  if (session.state === "closed" || left.length === 0) return;
  note("leave", visit, tail, writtenBytes(member), left, limitOf(member));
  for (const channel of left) member.joined.delete(channel);
  session.unsubscribe(left);
}

/** Bytes of the connection that were written or are held by the outlet: at least this many will arrive. */
function writtenBytes({ session, request, response }) {
  if (!response.headersSent) return 0;
  return request.socket.bytesWritten - request.socket.writableLength + session.bufferedBytes;
}

/** The last byte at which a block written before now can begin, as far as is known. */
function limitOf(member) {
  if (!member.response.headersSent) return member.session.bufferedBytes === 0 ? 0 : null;
  return writtenBytes(member) + 16;
}

function keyOf(data) {
  const end = data.indexOf(" ");
  return end === -1 ? data : data.slice(0, end);
}

let published = 0;
const pending = new Set();
async function publish() {
  const channel = pick(channels);
  const key = `${name}.${published++}`;
  const length = has.bulk ? pick([20, 200, 4_000, 10_000]) : pick([20, 100]);
  pending.add(key);
  try {
    const { id } = await hub.publish(channel, { event: "n", data: `${key} ${"x".repeat(length)}` });
    note("published", id, channel, key);
  } catch (error) {
    note("failed", error.code, key);
  }
  pending.delete(key);
}

const start = performance.now();
let ticks = 0;
const timer = setInterval(() => {
  turn += 1;
  const due = ((performance.now() - start) / 1_000) * perSecond;
  // Publishes delayed by a pause of the process are not made up all at once.
  for (let most = 50; published < due && most > 0; most--) void publish();
  const all = [...members];
  if (all.length === 0 || ++ticks % 2 === 0) return;
  const member = pick(all);
  if (chance(0.5)) join(member);
  else leave(member, 0.4);
}, 10);

process.on("message", async () => {
  if (!isOver) clearInterval(timer);
  isOver = true;
  while (pending.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  process.send("stopped");
});
process.on("disconnect", () => process.exit());

// Before the log has a position, the start of a channel is unknown.
await isStarted;
server.listen(0, "127.0.0.1", () => {
  http.createServer(server.listeners("request")[0]).listen(pipe, () => {
    process.send({ port: server.address().port });
  });
});
