/**
 * The Lua scripts of the tapes. Each is one atomic step that checks the lease of a run on Redis' own clock first, so
 * that a producer without a lease can change nothing.
 *
 * `ARGV[1]` is always the beginning of all keys. The keys of mailboxes and of replaced tapes follow from it and from
 * what Redis holds, so they cannot be listed in `KEYS`. All keys lie in one slot.
 *
 * Fields of a run: `k` key, `g` generation, `n` node of the producer, `s` start, `l` end of the lease, `r` how long it
 * is kept after its end, `t` how long its tape is, `o` outcome, `m` error, `e` end, `x` the call that stopped it, `i`
 * since when no node follows it, `@<node>` until when a node follows it. A tape is kept a lease longer than its run, for those that are reading it.
 */

const COMMON = `
local base = ARGV[1]
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Lua writes large numbers with an exponent.
local function whole(number) return string.format("%.0f", number) end

-- A key of another type counts as no run: it must not keep the other runs of a batch from being written. Without the
-- permission to read, a second producer would begin.
local function read(key)
  local flat, state = redis.pcall("HGETALL", key), {}
  if flat.err and string.find(flat.err, "WRONGTYPE", 1, true) then return state end
  if flat.err then error(flat.err) end
  for at = 1, #flat, 2 do state[flat[at]] = flat[at + 1] end
  return state
end

local function extend(key, ms)
  if redis.call("PTTL", key) < ms then redis.call("PEXPIRE", key, whole(ms)) end
end

local function tapeOf(name, generation) return base .. "tape:" .. name .. "." .. generation end

-- Notices to nodes. Those of all runs of a script go out together, by deliver().
local boxes = {}
local function tell(node, notice, lease)
  local box = boxes[node] or { lease = lease }
  boxes[node] = box
  box[#box + 1] = whole(now)
  box[#box + 1] = notice
end

-- A mailbox holds each notice once, however often it is given. A node that does not read it within a lease looks for
-- itself.
local function deliver()
  for node, box in pairs(boxes) do
    local key = base .. "node:" .. node
    for from = 1, #box, 1000 do
      redis.call("ZADD", key, "NX", unpack(box, from, math.min(#box, from + 999)))
    end
    redis.call("PEXPIRE", key, whole(box.lease))
  end
  boxes = {}
end

local function leaseOf(state) return state.t - state.r end

local function tellFollowers(state, name)
  for field, untilMs in pairs(state) do
    if string.sub(field, 1, 1) == "@" and tonumber(untilMs) > now then
      tell(string.sub(field, 2), "f" .. name .. "." .. state.g, leaseOf(state))
    end
  end
end

local function finish(key, state, name, outcome, message, record)
  local tape = tapeOf(name, state.g)
  state.o, state.e, state.m = outcome, whole(now), message
  redis.call("HSET", key, "o", outcome, "e", state.e, "m", message)
  if redis.call("EXISTS", tape) == 1 then
    redis.call("RPUSH", tape, record)
    redis.call("PEXPIRE", tape, state.t)
  end
  redis.call("PEXPIRE", key, state.r)
  redis.call("ZREM", base .. "going", name)
  redis.call("ZADD", base .. "runs", whole(now + state.r), name)
  extend(base .. "runs", tonumber(state.r))
  tellFollowers(state, name)
end

local function lose(key, state, name) finish(key, state, name, "lost", "", 'e{"outcome":"lost"}') end

-- The first process that looks at a run whose lease is over writes its end. The run is over even if Redis is full.
local function settled(key, name)
  local state = read(key)
  if state.g and not state.o and tonumber(state.l) <= now and not pcall(lose, key, state, name) then
    state.o = "lost"
  end
  return state
end

-- Why a producer may not change a run, or nil.
local function refusal(state, generation)
  if state.g ~= generation then return "lost" end
  return state.o
end
`;

/**
 * Begins a run.
 *
 * `KEYS`: the run. `ARGV`: base, name, key, generation, node, lease, how long it is kept, most runs.
 *
 * @returns `going`, `full` or `ok`.
 */
export const CREATE: string = `${COMMON}
local name, key, generation, node = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease, kept, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local runs, going = base .. "runs", base .. "going"
local state = settled(KEYS[1], name)
deliver()
-- The reply to the same request may have been lost. If the run was stopped since, its producer hears of it.
if state.g == generation then return "ok" end
if state.g and not state.o then return "going" end
if redis.call("ZCOUNT", going, "(" .. whole(now), "+inf") >= most then return "full" end
-- The first write may take memory: if Redis is full, it refuses that one, and allows those that follow another one.
local tape = tapeOf(name, generation)
redis.call("RPUSH", tape, "b")
redis.call("PEXPIRE", tape, whole(lease + lease + kept))
redis.call("UNLINK", KEYS[1])
redis.call("HSET", KEYS[1], "k", key, "g", generation, "n", node, "s", whole(now), "l", whole(now + lease),
  "r", whole(kept), "t", whole(kept + lease), "i", whole(now))
redis.call("PEXPIRE", KEYS[1], whole(lease + kept))
redis.call("ZREMRANGEBYSCORE", going, "-inf", whole(now))
redis.call("ZREMRANGEBYSCORE", runs, "-inf", whole(now))
redis.call("ZADD", going, whole(now + lease), name)
redis.call("ZADD", runs, whole(now + lease + kept), name)
extend(going, lease)
extend(runs, lease + kept)
return "ok"
`;

/**
 * Adds items to the tapes of several runs.
 *
 * `KEYS`: for each run, the run and its tape. `ARGV`: base, then for each run its name, generation, the number of the
 * first item, how many there are, and the items. Items that are on the tape already are not added again, so the command
 * may be repeated if its reply was lost.
 *
 * @returns For each run `ok`, or its outcome.
 */
export const APPEND: string = `${COMMON}
local function append(key, tape, name, generation, first, at, count)
  local state = settled(key, name)
  local why = refusal(state, generation)
  if why then return why end
  local has = redis.call("LLEN", tape) - 1
  if has < first - 1 then
    -- Redis has lost items that it had taken.
    lose(key, state, name)
    return "lost"
  end
  -- It may have more than these: the command whose reply was lost had room for more.
  local last = at + count - 1
  for from = at + has - first + 1, last, 1000 do
    redis.call("RPUSH", tape, unpack(ARGV, from, math.min(last, from + 999)))
  end
  tellFollowers(state, name)
  return "ok"
end
local reply, at = {}, 2
for pair = 1, #KEYS, 2 do
  local count = tonumber(ARGV[at + 3])
  reply[#reply + 1] = append(KEYS[pair], KEYS[pair + 1], ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), at + 4, count)
  at = at + 4 + count
end
deliver()
return reply
`;

/**
 * Ends a run.
 *
 * `KEYS`: the run. `ARGV`: base, name, generation, outcome, error, record for the tape, number of items, or `""` to end
 * it whatever is on the tape.
 *
 * @returns The outcome of the run.
 */
export const END: string = `${COMMON}
local name, generation, outcome, message, record = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local state = settled(KEYS[1], name)
local why = refusal(state, generation)
if not why then
  if ARGV[7] ~= "" and redis.call("LLEN", tapeOf(name, generation)) - 1 ~= tonumber(ARGV[7]) then
    lose(KEYS[1], state, name)
  else
    finish(KEYS[1], state, name, outcome, message, record)
  end
end
deliver()
return state.g == generation and state.o or "lost"
`;

/**
 * Ends the run of a key as stopped, and tells its producer.
 *
 * `KEYS`: the run. `ARGV`: base, name, id of the call.
 *
 * @returns 1 if it was running.
 */
export const STOP: string = `${COMMON}
local name = ARGV[2]
local state = settled(KEYS[1], name)
-- The reply to the same call may have been lost.
if state.x == ARGV[3] then return 1 end
local isGoing = state.g and not state.o
if isGoing then
  redis.call("HSET", KEYS[1], "x", ARGV[3])
  finish(KEYS[1], state, name, "stopped", "", 'e{"outcome":"stopped"}')
  tell(state.n, "s" .. name .. "." .. state.g, leaseOf(state))
end
deliver()
return isGoing and 1 or 0
`;

/**
 * Renews leases: those of producers, and those of nodes that follow.
 *
 * `KEYS`: for each, the run and its tape. `ARGV`: base, node, lease, then for each `p` or `f`, the name, the generation,
 * and how many items the follower has. A follower that lacks something gets a notice.
 *
 * @returns For each `ok`, `behind` or the outcome of the run.
 */
export const RENEW: string = `${COMMON}
local node, lease = ARGV[2], tonumber(ARGV[3])
local going, runs = base .. "going", base .. "runs"
local function produce(key, tape, state, name)
  local kept = tonumber(state.r)
  redis.call("HSET", key, "l", whole(now + lease))
  redis.call("PEXPIRE", key, whole(lease + kept))
  redis.call("PEXPIRE", tape, whole(lease + lease + kept))
  redis.call("ZADD", going, whole(now + lease), name)
  redis.call("ZADD", runs, whole(now + lease + kept), name)
  extend(going, lease)
  extend(runs, lease + kept)
  return "ok"
end
local function follow(key, tape, has)
  redis.call("HSET", key, "@" .. node, whole(now + lease))
  redis.call("HDEL", key, "i")
  return redis.call("LLEN", tape) - 1 == has and "ok" or "behind"
end
local reply, at = {}, 4
for pair = 1, #KEYS, 2 do
  local key, tape, role, name, generation = KEYS[pair], KEYS[pair + 1], ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local state = settled(key, name)
  local status = refusal(state, generation)
  if not status and role == "p" then status = produce(key, tape, state, name) end
  if not status then status = follow(key, tape, tonumber(ARGV[at + 3])) end
  -- The notice that there is something to read may have been lost.
  if role == "f" and status ~= "ok" then tell(node, "f" .. name .. "." .. generation, lease) end
  reply[#reply + 1] = status
  at = at + 4
end
deliver()
return reply
`;

/**
 * Registers a node as a follower of the newest run of a key.
 *
 * `KEYS`: the run. `ARGV`: base, node, lease, name.
 *
 * @returns The generation, or nothing if there is no run.
 */
export const FOLLOW: string = `${COMMON}
local node, name = ARGV[2], ARGV[4]
local state = settled(KEYS[1], name)
deliver()
if not state.g or redis.call("EXISTS", tapeOf(name, state.g)) == 0 then return nil end
if not state.o then
  redis.call("HSET", KEYS[1], "@" .. node, whole(now + tonumber(ARGV[3])))
  redis.call("HDEL", KEYS[1], "i")
end
return state.g
`;

/**
 * Gives a node a notice.
 *
 * `KEYS`: the mailbox. `ARGV`: base, node, notice, lease.
 */
export const TELL: string = `${COMMON}
tell(ARGV[2], ARGV[3], tonumber(ARGV[4]))
deliver()
return 1
`;

/** Whether another node follows a run. Removes nodes whose lease is over, and notes since when there is none. */
const FOLLOWED = `
local function isFollowed(key, state, since)
  local isOne = false
  for field, untilMs in pairs(state) do
    if string.sub(field, 1, 1) == "@" then
      local left = tonumber(untilMs)
      if left > now then isOne = true
      else
        redis.call("HDEL", key, field)
        since = math.max(since or 0, left)
      end
    end
  end
  if isOne then
    redis.call("HDEL", key, "i")
  elseif not state.i then
    state.i = whole(since or now)
    redis.call("HSET", key, "i", state.i)
  end
  return isOne
end
`;

/**
 * Removes a node from the followers of a run.
 *
 * `KEYS`: the run. `ARGV`: base, node, generation.
 */
export const LEAVE: string = `${COMMON}${FOLLOWED}
local state = read(KEYS[1])
local field = "@" .. ARGV[2]
if state.g ~= ARGV[3] or not state[field] then return 0 end
redis.call("HDEL", KEYS[1], field)
state[field] = nil
if not state.o then isFollowed(KEYS[1], state, now) end
return 1
`;

/**
 * How long a run has had no follower, in milliseconds.
 *
 * `KEYS`: the run. `ARGV`: base, generation.
 */
export const UNFOLLOWED: string = `${COMMON}${FOLLOWED}
local state = read(KEYS[1])
if state.g ~= ARGV[2] or state.o or isFollowed(KEYS[1], state) then return 0 end
return now - tonumber(state.i)
`;

/**
 * Reads the tapes of several runs, up to a number of bytes, but at least one item.
 *
 * `KEYS`: for each run, the run and its tape. `ARGV`: base, most bytes, then for each its name, generation, and how
 * many items the caller has.
 *
 * @returns For each run: whether the caller has everything (`all`), there is more (`more`), or the tape is not the one
 *   that the caller has read (`gone`); the rest of the lease in milliseconds; and the items.
 */
export const READ: string = `${COMMON}
local budget = tonumber(ARGV[2])
local isFirst = true
local function collect(tape, from, last)
  local items, step = {}, 16
  while from <= last do
    local some = redis.call("LRANGE", tape, from, math.min(last, from + step - 1))
    for at = 1, #some do
      if budget < #some[at] and not isFirst then return items, "more" end
      isFirst = false
      budget = budget - #some[at]
      items[#items + 1] = some[at]
    end
    from = from + #some
    step = math.min(1000, step * 2)
  end
  return items, "all"
end
local reply, at = {}, 3
for pair = 1, #KEYS, 2 do
  local key, tape, name, generation = KEYS[pair], KEYS[pair + 1], ARGV[at], ARGV[at + 1]
  local has = tonumber(ARGV[at + 2])
  local state = settled(key, name)
  local length = redis.call("LLEN", tape)
  local isGoing = state.g == generation and not state.o
  -- A tape of a run that is over is whole only with its end, which the caller does not have yet.
  local isWhole = length > 0 and (isGoing and has < length
    or has < length - 1 and string.sub(redis.call("LINDEX", tape, -1), 1, 1) == "e")
  if not isWhole then
    reply[#reply + 1] = { "gone", "0", {} }
  else
    local items, status = collect(tape, has + 1, length - 1)
    reply[#reply + 1] = { status, isGoing and whole(tonumber(state.l) - now) or "0", items }
  end
  at = at + 3
end
deliver()
return reply
`;

/** The state of a run for the reply to a caller. */
const DESCRIBE = `
local function describe(key, name)
  local state = settled(key, name)
  if not state.g then return nil end
  local tape = tapeOf(name, state.g)
  local length = redis.call("LLEN", tape)
  if length == 0 then return nil end
  -- If Redis is full, a run may be over without its end on the tape.
  local hasEnd = state.o and string.sub(redis.call("LINDEX", tape, -1), 1, 1) == "e"
  return { state.k, state.g, state.o or "running", state.m or "", whole(length - (hasEnd and 2 or 1)), state.s,
    state.e or "" }
end
`;

/**
 * The state of the newest run of a key.
 *
 * `KEYS`: the run. `ARGV`: base, name.
 */
export const STATE: string = `${COMMON}${DESCRIBE}
local state = describe(KEYS[1], ARGV[2])
deliver()
return state
`;

/**
 * One page of the states of runs.
 *
 * `KEYS`: the index. `ARGV`: base, cursor, pattern of the names, about how many names to look at.
 *
 * @returns The next cursor, and the states.
 */
export const LIST: string = `${COMMON}${DESCRIBE}
local page = redis.call("ZSCAN", KEYS[1], ARGV[2], "MATCH", ARGV[3], "COUNT", ARGV[4])
local states = {}
for at = 1, #page[2], 2 do
  local name = page[2][at]
  local state = describe(base .. "run:" .. name, name)
  if state then states[#states + 1] = state end
end
deliver()
return { page[1], states }
`;
