/**
 * Adds an entry unless one with the same key was added within the window; gives the id of whichever is there.
 *
 * `KEYS`: the stream, the mark of the key. `ARGV`: most entries, window in milliseconds, tag, fields and values.
 *
 * The mark is set last: if Redis refuses the entry, a further try is not taken for a double.
 */
export const ADD_ONCE = `
local known = redis.call("GET", KEYS[2])
if known then return known end
local fields = {}
for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields)) .. "~" .. ARGV[3]
redis.call("SET", KEYS[2], id, "PX", ARGV[2])
return id
`;

/**
 * Drops what is too old, but never the newest entry: it is where every reader that has all stands.
 *
 * `KEYS`: the stream. `ARGV`: the oldest age in milliseconds.
 */
export const TRIM = `
local newest = redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)[1]
if not newest then return 0 end
local time = redis.call("TIME")
local oldest = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1])
local newestMs = string.match(newest[1], "^(%d+)-")
if tonumber(oldest) >= tonumber(newestMs) then oldest = newest[1] end
return redis.call("XTRIM", KEYS[1], "MINID", "~", oldest)
`;
