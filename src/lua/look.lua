-- Calls and tokens of the scope in the last window; brings both counters up to date. After log.lua.
-- Answer { calls, tokens, pause }

write_counters()
local calls, tokens = used(scope)
return { calls, tokens, pause_left() }
