#include "pace.h"

static int64_t more(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Twice as long after each quiet look but the first. */
static int64_t span_ms(const struct pace *p, int64_t poll_interval_ms)
{
	const int64_t most_ms = more(poll_interval_ms, PACE_QUIET_MS);
	int64_t span = poll_interval_ms;

	for (int i = 1; i < p->quiet && span < most_ms; i++)
		span *= 2;
	return span < most_ms ? span : most_ms;
}

void pace_looked(
	struct pace *p, const struct pace_seen *seen, int64_t poll_interval_ms, double chance)
{
	int64_t span;

	p->quiet = seen->is_idle && seen->hears ? p->quiet + 1 : 0;
	span = span_ms(p, poll_interval_ms);
	p->due_ms = seen->now_ms + span - (int64_t)((double)span / 4 * chance);
	p->soonest_ms = seen->now_ms + more(PACE_LEAST_MS, PACE_TIMES_IT_TOOK * seen->took_ms);
}

void pace_stir(struct pace *p, int64_t now_ms)
{
	const int64_t soon_ms = more(now_ms + PACE_SOON_MS, p->soonest_ms);

	p->quiet = 0;
	if (soon_ms < p->due_ms)
		p->due_ms = soon_ms;
}
