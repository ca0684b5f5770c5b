-- Reserves one call with its tokens in the earliest bucket that keeps every rule. After log.lua.
-- ARGV  4 calls a window (0 = no limit)   5 tokens a window (0 = no limit)
--       6 buckets of the pace   7 calls in so many (0 = no pacing)   8 tokens (at most 5)
-- Answer { 1, ms until the slot, bucket, number, pause, ms until the bucket's end }
--     or { 0, ms after which to ask again, 0, 0, pause, 0 }

local call_limit, token_limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local pace_buckets, pace_calls = tonumber(ARGV[6]), tonumber(ARGV[7])
local tokens = tonumber(ARGV[8])
local WAIT_MAX_MS = 5000

local last = width + HORIZON            -- the log's buckets are 1 .. last; `width` is now
local calls_in, calls_before, tokens_before = {}, { [0] = 0 }, { [0] = 0 }

local function sum_up()
  local tokens_in = {}
  for _, entry in pairs(entries) do
    if entry.scope == scope or entry.scope == '*' then
      local at = entry.bucket - now + width
      calls_in[at] = (calls_in[at] or 0) + entry.calls
      tokens_in[at] = (tokens_in[at] or 0) + entry.tokens
    end
  end
  for i = 1, last do
    calls_before[i] = calls_before[i - 1] + (calls_in[i] or 0)
    tokens_before[i] = tokens_before[i - 1] + (tokens_in[i] or 0)
  end
end

-- The end of the last window around bucket `at` that holds more than `room`; 0 = none does.
local function last_conflict(before, at, wide, room)
  local stop = at + wide - 1
  if stop > last then stop = math.max(at, last) end
  for i = stop, at, -1 do
    local from = math.min(math.max(i - wide, 0), last)
    if before[math.min(i, last)] - before[from] > room then return i end
  end
  return 0
end

local function first_fit()
  local at = width
  while true do
    local conflict = 0
    if call_limit > 0 then
      conflict = last_conflict(calls_before, at, width, call_limit - 1)
    end
    if token_limit > 0 then
      conflict = math.max(conflict, last_conflict(tokens_before, at, width, token_limit - tokens))
    end
    if pace_calls > 0 then
      conflict = math.max(conflict, last_conflict(calls_before, at, pace_buckets, pace_calls - 1))
    end
    if conflict == 0 then return at end
    at = conflict + 1
  end
end

local pause = pause_left()
if pause > 0 then
  write_counters()
  return { 0, pause, 0, 0, pause, 0 }
end

sum_up()
local at = first_fit()
if at > last then
  write_counters()
  return { 0, math.min((at - last) * BUCKET_MS, WAIT_MAX_MS), 0, 0, 0, 0 }
end

local bucket = now + at - width
local offset_ms = 0
if pace_calls > 0 then offset_ms = math.floor((calls_in[at] or 0) * BUCKET_MS / pace_calls) end
local number = redis.call('HINCRBY', KEYS[3], 'sequence', 1) % 16777216
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - width)
redis.call('ZADD', KEYS[4], bucket, string.format('%.0f %.0f', bucket, number))
charge(bucket, scope, 1, tokens)
write_counters()
return { 1, math.max(0, bucket * BUCKET_MS + offset_ms - now_ms), bucket, number, 0,
         (bucket + 1) * BUCKET_MS - now_ms }
