/**
 * Adds an entry unless one with the same key was added within the window; gives the id of whichever is there.
 *
 * `KEYS`: the stream, the mark of the key. `ARGV`: most entries, window in milliseconds, tag, fields and values.
 *
 * An empty mark stands for none. It is set first, so that what would keep Redis from marking keeps it from adding too;
 * and if Redis refuses the entry, the key is still free.
 */
export const ADD_ONCE = `
local known = redis.call("GET", KEYS[2])
if known and known ~= "" then return known end
redis.call("SET", KEYS[2], "", "PX", ARGV[2])
local fields = {}
for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
local id = redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[1], "*", unpack(fields)) .. "~" .. ARGV[3]
redis.call("SET", KEYS[2], id, "PX", ARGV[2])
return id
`;

/**
 * Gives the newest entry; a stream that has none gets one that is no event, so that there is a place to stand. All
 * nodes that come at once get the same one.
 *
 * `KEYS`: the stream. `ARGV`: fields and values of the entry that is no event.
 */
export const NEWEST = `
local newest = redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)
if #newest > 0 then return newest end
redis.call("XADD", KEYS[1], "*", unpack(ARGV))
return redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)
`;

/**
 * Drops what is too old, but never the newest of that: an entry is a place as well, and good for as long as the one
 * behind it. It is where a reader stands that has all but what was added a moment ago.
 *
 * `KEYS`: the stream. `ARGV`: the oldest age in milliseconds.
 */
export const TRIM = `
local time = redis.call("TIME")
local last = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1] - 1)
if tonumber(last) < 0 then return 0 end
local kept = redis.call("XREVRANGE", KEYS[1], last, "-", "COUNT", 1)[1]
if not kept then return 0 end
return redis.call("XTRIM", KEYS[1], "MINID", "~", kept[1])
`;
