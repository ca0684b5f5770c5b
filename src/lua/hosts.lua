-- How many hosts have workers registered; those without a host (older workers) count as one.
-- KEYS  1 <prefix>:workers
-- Answer: hosts

local seen, count = {}, 0
for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
  local ok, worker = pcall(cjson.decode, text)
  local host = ok and type(worker) == 'table' and type(worker.host) == 'string' and worker.host or ''
  if not seen[host] then
    seen[host] = true
    count = count + 1
  end
end
return count
