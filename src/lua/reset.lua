-- Forgets every call sent so far, of all scopes; what is reserved for later keeps its slot. After
-- log.lua. Answer 1

forget('calls', math.huge)
forget('tokens', math.huge)
write_counters()
return 1
