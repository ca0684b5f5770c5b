-- Corrects the bucket that a reservation was charged to; a second time, or when the reservation
-- has left the window, it changes nothing. After log.lua.
-- ARGV  4 bucket   5 number   6 tokens as reserved   7 tokens used; -1 = the call was never sent
-- Answer { 1 = corrected, 0 = was not open; pause }

local bucket, number = tonumber(ARGV[4]), tonumber(ARGV[5])
local reserved, spent = tonumber(ARGV[6]), tonumber(ARGV[7])

local open = redis.call('ZREM', KEYS[4], string.format('%.0f %.0f', bucket, number))
if open == 1 and bucket > now - width then
  if spent < 0 then
    charge(bucket, scope, -1, -reserved)
  else
    charge(bucket, scope, 0, spent - reserved)
  end
end
write_counters()
return { open, pause_left() }
