-- Nobody sends for so long; the longer deadline wins. Told on a channel to those who listen.
-- KEYS  1 <prefix>:limit:pause:<scope>
-- ARGV  1 pause in ms, at least 1   2 channel   3 scope
-- Answer: what is left of the pause in ms

local pause = tonumber(ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left >= pause then return left end
local time = redis.call('TIME')
local until_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + pause
redis.call('SET', KEYS[1], string.format('%.0f', until_ms), 'PX', ARGV[1])
-- A user without the right to publish pauses all the same.
redis.pcall('PUBLISH', ARGV[2], string.format('%.0f %s', until_ms, ARGV[3]))
return pause
