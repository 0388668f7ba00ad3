/**
 * Lua scripts that run inside Redis. Each is one atomic step and returns only what its caller needs: entries may have
 * any size, and Redis itself limits replies by count only.
 */

/** The tag of an entry: the value of its first field `t`, or `""` if it is not a valid tag. */
const TAG_OF = `
local function tagOf(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == "t" then return #entry[2][i + 1] == 5 and entry[2][i + 1] or "" end
  end
  return ""
end
local function at(id) return redis.call("XRANGE", KEYS[1], id, id)[1] end
`;

/** Id and tag of the newest entry, and how many entries were ever added, which Redis counts since 7.0. */
const TAIL = `
${TAG_OF}
local function tail(mark)
  local newest = redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)[1]
  local added = ""
  local info = redis.call("XINFO", "STREAM", KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == "entries-added" then added = string.format("%.0f", info[i + 1]) end
  end
  return { newest[1], tagOf(newest), added, mark or "" }
end
`;

/** Whether a mark, given as id and tag, is in the stream. */
const HOLDS_MARK = `
local function holdsMark(mark)
  local id, tag = string.match(mark or "", "^(%d+%-%d+)~(.*)$")
  local entry = id and at(id)
  return entry and tagOf(entry) == tag
end
`;

/**
 * Collects entries in steps up to a size limit, but at least one. A step is small while the size of the entries is
 * unknown. Returns whether there may be more.
 */
const COLLECT = `
local function collect(command, from, to, count, most, page)
  local step, size = 2, 0
  while #page < count do
    local wanted = math.min(step, count - #page)
    local some = redis.call(command, KEYS[1], from, to, "COUNT", wanted)
    for i = 1, #some do
      local weight = 0
      for j = 1, #some[i][2] do weight = weight + #some[i][2][j] end
      if #page > 0 and size + weight > most then return 1 end
      size = size + weight
      page[#page + 1] = some[i]
    end
    if #some < wanted then return 0 end
    from = "(" .. some[#some][1]
    step = math.max(1, math.min(100, math.floor((most - size) * #page / math.max(1, size))))
  end
  return 1
end
`;

/**
 * Adds an entry, or returns the id of the one that was added with the same dedupe key within the window.
 *
 * `KEYS`: the stream, the newer marks, the older ones. `ARGV`: most entries, window in milliseconds, dedupe key, tag,
 * fields and values.
 *
 * The marks have no time to live, because the eviction policies `volatile-*` would drop them first. They lie in two
 * hashes instead: when the newer one is a window old, it replaces the older one. Each publish costs the same, and
 * Redis holds the marks of at most two windows. The field `""` of a hash is its start time; a dedupe key is never
 * empty.
 *
 * A mark without an id stands for no event. It is set before the entry is added: a failure to set it prevents the entry
 * too, and if Redis refuses the entry, the key is still free.
 */
export const ADD_ONCE: string = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = tonumber(ARGV[2])
local begun = tonumber(redis.call("HGET", KEYS[2], "") or "")
if begun and now - begun >= window then
  redis.call("UNLINK", KEYS[3])
  redis.call("RENAME", KEYS[2], KEYS[3])
  begun = nil
end
for i = 2, 3 do
  local when, id = string.match(redis.call("HGET", KEYS[i], ARGV[3]) or "", "^(%d+) (.+)$")
  if id and now - when < window then return id end
end
local text = string.format("%.0f", now)
-- A clock that was set back would keep the hash for as long as it takes to catch up.
if not begun or begun > now then redis.call("HSET", KEYS[2], "", text) end
redis.call("HSET", KEYS[2], ARGV[3], "")
local fields = {}
for i = 5, #ARGV do fields[#fields + 1] = ARGV[i] end
local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields)) .. "~" .. ARGV[4]
redis.call("HSET", KEYS[2], ARGV[3], text .. " " .. id)
return id
`;

/**
 * Returns the tail of the stream. An empty stream first gets an entry that is not an event, so that there is a tail;
 * nodes that start at the same time get the same one.
 *
 * `KEYS`: the stream, the newest mark. `ARGV`: the tag of that entry.
 */
export const START: string = `
${TAIL}
${HOLDS_MARK}
if #redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1) == 0 then
  redis.call("XADD", KEYS[1], "*", "t", ARGV[1])
end
local mark = redis.call("GET", KEYS[2])
return tail(holdsMark(mark) and mark)
`;

/**
 * Leaves a mark of a lost history, unless a mark that the caller has not read yet says the same. Returns the tail of
 * the stream.
 *
 * `KEYS`: the stream, the newest mark. `ARGV`: the newest mark that the caller has read, the tag of the new one, the
 * caller's last id.
 */
export const MARK: string = `
${TAIL}
${HOLDS_MARK}
local mark = redis.call("GET", KEYS[2])
if not mark or mark == ARGV[1] or not holdsMark(mark) then
  mark = redis.call("XADD", KEYS[1], "*", "t", ARGV[2], "lost", ARGV[3]) .. "~" .. ARGV[2]
  redis.call("SET", KEYS[2], mark)
end
return tail(mark)
`;

/**
 * Returns the stream's last id, the id of its oldest entry and how many entries were ever added; nothing if there is no
 * stream.
 *
 * `KEYS`: the stream.
 */
export const INSPECT: string = `
if redis.call("EXISTS", KEYS[1]) == 0 then return {} end
local last, first, added = "", "", ""
local info = redis.call("XINFO", "STREAM", KEYS[1])
for i = 1, #info, 2 do
  if info[i] == "last-generated-id" then last = info[i + 1] end
  if info[i] == "first-entry" and info[i + 1] then first = info[i + 1][1] end
  if info[i] == "entries-added" then added = string.format("%.0f", info[i + 1]) end
end
return { last, first, added }
`;

/**
 * Returns the tag of the entry at a place, if it exists, and the entries after it, as many as fit.
 *
 * `KEYS`: the stream. `ARGV`: the place, most entries, most bytes, most bytes of the first entry. If that is larger,
 * only its tag is returned, because the caller has the entry.
 *
 * The reply: the tag, whether there may be more, whether the first entry was left out, the entries.
 */
export const READ_ON: string = `
${TAG_OF}
${COLLECT}
local entry = at(ARGV[1])
if not entry then return { false } end
local page = {}
local more = collect("XRANGE", "(" .. ARGV[1], "+", tonumber(ARGV[2]), tonumber(ARGV[3]), page)
local weight = 0
for i = 1, page[1] and #page[1][2] or 0 do weight = weight + #page[1][2][i] end
local isHeavy = weight > tonumber(ARGV[4])
if isHeavy then page[1] = { page[1][1], { "t", tagOf(page[1]) } } end
return { tagOf(entry), more, isHeavy and 1 or 0, page }
`;

/**
 * Returns the entries before one place and after another, from newest to oldest, as many as fit.
 *
 * `KEYS`: the stream. `ARGV`: the newer place, the older one or `""`, most entries, most bytes, whether to include the
 * entry at the newer place (`1` or `0`).
 *
 * The reply: tags of both places (`nil` where there is no entry), the oldest id, the time, whether there may be more,
 * the entry at the newer place, the entries.
 */
export const READ_BACK: string = `
${TAG_OF}
${COLLECT}
local top = at(ARGV[1])
local from = ARGV[2] ~= "" and at(ARGV[2])
local oldest = redis.call("XRANGE", KEYS[1], "-", "+", "COUNT", 1)[1]
local page = {}
local more = 0
if top and (ARGV[2] == "" or from) then
  local to = ARGV[2] == "" and "-" or "(" .. ARGV[2]
  more = collect("XREVRANGE", "(" .. ARGV[1], to, tonumber(ARGV[3]), tonumber(ARGV[4]), page)
end
return {
  top and tagOf(top) or false, from and tagOf(from) or false, oldest and oldest[1] or "", redis.call("TIME"), more,
  ARGV[5] == "1" and top or false, page,
}
`;

/**
 * Looks up ids: returns the time, the oldest id, the newest mark if the stream still has it, and for each id the tag of
 * its entry and the id of the next entry; `nil` for an id without an entry.
 *
 * `KEYS`: the stream, the newest mark. `ARGV`: the ids.
 */
export const FIND: string = `
${TAG_OF}
${HOLDS_MARK}
local oldest = redis.call("XRANGE", KEYS[1], "-", "+", "COUNT", 1)[1]
local mark = redis.call("GET", KEYS[2])
local found = {}
for i = 1, #ARGV do
  local entry = at(ARGV[i])
  local following = entry and redis.call("XRANGE", KEYS[1], "(" .. ARGV[i], "+", "COUNT", 1)[1]
  -- A nil would end the reply here.
  found[i] = entry and { tagOf(entry), following and following[1] or "" } or false
end
return { redis.call("TIME"), oldest and oldest[1] or "", holdsMark(mark) and mark or "", found }
`;

/**
 * Returns the id of the newest entry; `nil` if there is none.
 *
 * `KEYS`: the stream.
 */
export const NEWEST_ID: string = `
local newest = redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)[1]
return newest and newest[1] or false
`;

/**
 * Drops entries that are too old, except the newest of them: an entry is also a place, and stays valid as long as the
 * next entry. A reader that has everything but the newest entry stands there.
 *
 * `KEYS`: the stream. `ARGV`: the maximum age in milliseconds.
 */
export const TRIM: string = `
local time = redis.call("TIME")
local last = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1] - 1)
if tonumber(last) < 0 then return 0 end
local kept = redis.call("XREVRANGE", KEYS[1], last, "-", "COUNT", 1)[1]
if not kept then return 0 end
return redis.call("XTRIM", KEYS[1], "MINID", "~", kept[1])
`;
