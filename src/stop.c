#include "stop.h"

static int64_t lasts_ms(enum stop_phase phase, int64_t drain_timeout_ms)
{
	switch (phase) {
	case STOP_DRAIN:
		return drain_timeout_ms;
	case STOP_INTERRUPT:
		return STOP_INTERRUPT_MS;
	case STOP_CLOSE:
		return STOP_CLOSE_MS;
	case STOP_KILL:
	case STOP_ABANDON:
		return STOP_KILL_AGAIN_MS;
	case STOP_NONE:
	case STOP_OVER:
		break;
	}
	return 0;
}

static void enter(struct stop *s, enum stop_phase phase, int64_t drain_timeout_ms, int64_t now_ms)
{
	s->phase = phase;
	s->ends_ms = now_ms + lasts_ms(phase, drain_timeout_ms);
}

bool stop_order(struct stop *s, enum stop_phase wanted, int64_t drain_timeout_ms, int64_t now_ms)
{
	if (wanted <= s->phase)
		return false;
	enter(s, wanted, drain_timeout_ms, now_ms);
	return true;
}

static enum stop_phase after(enum stop_phase phase, const struct stop_seen *seen, bool late)
{
	if (phase == STOP_NONE || phase == STOP_OVER)
		return phase;
	if (seen->workers == 0 && !seen->keeper)
		return STOP_OVER;
	if (phase < STOP_CLOSE && seen->workers == 0)
		return STOP_CLOSE;
	if (!late || phase == STOP_KILL || phase == STOP_ABANDON)
		return phase;
	return phase + 1;
}

bool stop_advance(struct stop *s, const struct stop_seen *seen, int64_t now_ms)
{
	const bool late = now_ms >= s->ends_ms;
	const enum stop_phase next = after(s->phase, seen, late);

	if (next == s->phase && !(late && (next == STOP_KILL || next == STOP_ABANDON)))
		return false;
	enter(s, next, 0, now_ms);
	return true;
}

const char *stop_phase_name(enum stop_phase phase)
{
	static const char *const names[] = {
		[STOP_NONE] = "none",
		[STOP_DRAIN] = "drain",
		[STOP_INTERRUPT] = "interrupt",
		[STOP_KILL] = "kill",
		[STOP_CLOSE] = "close",
		[STOP_ABANDON] = "abandon",
		[STOP_OVER] = "over",
	};

	return names[phase];
}
