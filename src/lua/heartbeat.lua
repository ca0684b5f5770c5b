-- Writes this host's workers and prunes whoever has been silent.
--
-- KEYS[1]  <prefix>:workers        hash, worker id -> JSON, as people read it
-- KEYS[2]  <prefix>:workers:seen   hash, worker id -> "<ms> <sha1 of the JSON>": when its entry last changed, by this clock
-- ARGV[1]  silent for this many ms: pruned
-- ARGV[2]  "beat" or "remove"
-- ARGV[3…] worker id, JSON, worker id, JSON, … ("remove": the ids count, the JSON is ignored)
--
-- Returns the number of entries left.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local silence = tonumber(ARGV[1])

for i = 3, #ARGV, 2 do
    if ARGV[2] == 'remove' then
        redis.call('HDEL', KEYS[1], ARGV[i])
        redis.call('HDEL', KEYS[2], ARGV[i])
    else
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end

local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
    local id = entries[i]
    local mark = redis.sha1hex(entries[i + 1])
    local seen = redis.call('HGET', KEYS[2], id)
    local at, old = string.match(seen or '', '^(%d+) (%x+)$')
    if old ~= mark then
        redis.call('HSET', KEYS[2], id, string.format('%.0f %s', now, mark))
    elseif now - tonumber(at) > silence then
        redis.call('HDEL', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
    end
end
for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
    if redis.call('HEXISTS', KEYS[1], id) == 0 then
        redis.call('HDEL', KEYS[2], id)
    end
end
redis.call('PEXPIRE', KEYS[1], silence * 10)
redis.call('PEXPIRE', KEYS[2], silence * 10)
return redis.call('HLEN', KEYS[1])
