#include "pool.h"

void pool_ask(struct pool *p, int asked, int limit)
{
	p->asked = asked < 0 ? 0 : asked > limit ? limit : asked;
	if (p->wanted < p->asked)
		p->wanted = p->asked;
}

int pool_most(const struct pool *p, const struct settings *settings)
{
	if (settings->scale == SCALE_STATIC || settings->workers_max < p->asked)
		return p->asked;
	return settings->workers_max;
}

static int enough(const struct pool *p, const struct pool_seen *seen, int most)
{
	const int64_t need = seen->ready < most ? seen->ready + seen->busy : most;

	if (need < p->asked)
		return p->asked;
	return need > most ? most : (int)need;
}

void pool_follow(struct pool *p, const struct settings *settings, const struct pool_seen *seen,
	int64_t now_ms)
{
	const int most = pool_most(p, settings);
	const int target = enough(p, seen, most);

	if (p->wanted > most)
		p->wanted = most;
	if (target >= p->wanted) {
		p->wanted = target;
		p->enough_ms = 0;
	} else if (p->enough_ms == 0) {
		p->enough_ms = now_ms;
	} else if (now_ms - p->enough_ms >= POOL_SHRINK_MS) {
		p->wanted--;
		p->enough_ms = now_ms;
	}
}
