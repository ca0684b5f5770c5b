-- The log of calls, on Redis' own clock. Stands in front of reserve, settle, look and reset:
--   redis-cli --eval <(cat log.lua look.lua) KEYS , ARGV
--
-- KEYS  1 <prefix>:rpm:current   2 <prefix>:tpm:current   3 <prefix>:limit:log
--       4 <prefix>:limit:open    5 <prefix>:limit:pause:<scope>
-- ARGV  1 scope ("<engine>:<model>")   2 window in ms   3 guard in ms   then the script's own
--
-- 3 is a hash: "<bucket> <scope>" -> "<calls> <tokens>", buckets of 250 ms since 1970; "sequence";
--   "written" -> "<calls> <tokens> <until ms>", what 1 and 2 said when we last wrote them.
-- 4 is a sorted set of the reservations not settled yet, "<bucket> <number>" by bucket: leaving it
--   is what makes a settlement count once.
-- 1 and 2 are for people: calls and tokens of the last window over all scopes. What they say below
-- what we wrote was set back by hand and frees that much, oldest first; what they say above it was
-- added by others and counts for every scope (scope "*").
-- limiter_plan.c says the same arithmetic.

local BUCKET_MS, HORIZON = 250, 120
local scope, window_ms, guard_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local now = math.floor(now_ms / BUCKET_MS)
local width = math.ceil((window_ms + guard_ms) / BUCKET_MS) + 1
local keep_ms = (width + HORIZON + 1) * BUCKET_MS

local entries = {}                      -- field -> { bucket, scope, calls, tokens }
local written = { calls = 0, tokens = 0 }

local function put(field, entry)
  if entry.calls > 0 or entry.tokens > 0 then
    redis.call('HSET', KEYS[3], field, string.format('%.0f %.0f', entry.calls, entry.tokens))
    entries[field] = entry
  else
    redis.call('HDEL', KEYS[3], field)
    entries[field] = nil
  end
end

local function charge(bucket, whose, calls, tokens)
  local field = string.format('%.0f %s', bucket, whose)
  local entry = entries[field] or { bucket = bucket, scope = whose, calls = 0, tokens = 0 }
  entry.calls = math.max(0, entry.calls + calls)
  entry.tokens = math.max(0, entry.tokens + tokens)
  put(field, entry)
end

local function read_log()
  local raw = redis.call('HGETALL', KEYS[3])
  for i = 1, #raw, 2 do
    local bucket, whose = string.match(raw[i], '^(%d+) (.*)$')
    local calls, tokens = string.match(raw[i + 1], '^(%d+) (%d+)$')
    bucket = tonumber(bucket)
    if bucket and calls and bucket > now - width and bucket <= now + HORIZON then
      entries[raw[i]] =
        { bucket = bucket, scope = whose, calls = tonumber(calls), tokens = tonumber(tokens) }
    elseif bucket then
      redis.call('HDEL', KEYS[3], raw[i])
    elseif raw[i] == 'written' then
      local c, t, until_ms = string.match(raw[i + 1], '^(%d+) (%d+) (%d+)$')
      if c and tonumber(until_ms) > now_ms then
        written = { calls = tonumber(c), tokens = tonumber(t) }
      end
    end
  end
end

-- Takes `amount` calls or tokens out of what was sent, oldest first.
local function forget(kind, amount)
  local sent = {}
  for field, entry in pairs(entries) do
    if entry.bucket <= now then sent[#sent + 1] = field end
  end
  table.sort(sent, function(a, b) return entries[a].bucket < entries[b].bucket end)
  for _, field in ipairs(sent) do
    if amount <= 0 then return end
    local entry = entries[field]
    local taken = math.min(amount, entry[kind])
    entry[kind] = entry[kind] - taken
    amount = amount - taken
    put(field, entry)
  end
  -- All of it is gone: settling those calls must not take their tokens out once more.
  if kind == 'tokens' then redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now) end
end

-- What stands in a counter; nil where it is missing or no number.
local function counter(key)
  local text = redis.pcall('GET', key)
  if type(text) == 'string' and #text <= 15 and string.find(text, '^%d+$') then
    return tonumber(text)
  end
end

local function heed_hands()
  local calls, tokens = counter(KEYS[1]), counter(KEYS[2])
  if calls and calls < written.calls then forget('calls', written.calls - calls) end
  if tokens and tokens < written.tokens then forget('tokens', written.tokens - tokens) end
  local more_calls = math.max(0, (calls or 0) - written.calls)
  local more_tokens = math.max(0, (tokens or 0) - written.tokens)
  if more_calls > 0 or more_tokens > 0 then charge(now, '*', more_calls, more_tokens) end
end

-- Calls and tokens of the last window, of one scope or (nil) of all, and their newest bucket.
local function used(whose)
  local calls, tokens, newest = 0, 0, 0
  for _, entry in pairs(entries) do
    if entry.bucket <= now and entry.bucket >= now - math.floor(window_ms / BUCKET_MS)
       and (whose == nil or entry.scope == whose or entry.scope == '*') then
      calls, tokens = calls + entry.calls, tokens + entry.tokens
      newest = math.max(newest, entry.bucket)
    end
  end
  return calls, tokens, newest
end

local function write_counters()
  local calls, tokens, newest = used(nil)
  if calls == 0 and tokens == 0 then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HDEL', KEYS[3], 'written')
  else
    local until_ms = (newest + 1) * BUCKET_MS + window_ms
    local left = string.format('%.0f', until_ms - now_ms)
    redis.call('SET', KEYS[1], string.format('%.0f', calls), 'PX', left)
    redis.call('SET', KEYS[2], string.format('%.0f', tokens), 'PX', left)
    redis.call('HSET', KEYS[3], 'written', string.format('%.0f %.0f %.0f', calls, tokens, until_ms))
  end
  redis.call('PEXPIRE', KEYS[3], keep_ms)
  redis.call('PEXPIRE', KEYS[4], keep_ms)
end

local function pause_left()
  return math.max(0, redis.call('PTTL', KEYS[5]))
end

read_log()
heed_hands()
