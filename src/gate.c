#include "gate.h"

int gate_pass(struct gate *g, int64_t now_ms, int64_t try_ms)
{
	const int failures = atomic_load(&g->failures);
	int64_t until_ms = atomic_load(&g->shut_until_ms);

	if (failures == 0)
		return 0;
	if (now_ms < until_ms)
		return -1;
	return atomic_compare_exchange_strong(&g->shut_until_ms, &until_ms, now_ms + try_ms)
		       ? failures
		       : -1;
}

void gate_unused(struct gate *g, int passed, int64_t now_ms)
{
	if (passed > 0 && atomic_load(&g->failures) == passed)
		atomic_store(&g->shut_until_ms, now_ms);
}

/* The time stands before the count: nobody finds the gate passable between the two. */
bool gate_fail(struct gate *g, int passed, int64_t until_ms)
{
	if (atomic_load(&g->failures) != passed)
		return false;
	atomic_store(&g->shut_until_ms, until_ms);
	return atomic_compare_exchange_strong(&g->failures, &passed, passed + 1);
}

void gate_open(struct gate *g)
{
	if (atomic_load(&g->failures) != 0)
		atomic_store(&g->failures, 0);
}

int gate_failures(const struct gate *g)
{
	return atomic_load(&g->failures);
}

int64_t gate_shut_ms(const struct gate *g, int64_t now_ms)
{
	const int64_t left_ms = atomic_load(&g->shut_until_ms) - now_ms;

	return gate_failures(g) > 0 && left_ms > 0 ? left_ms : 0;
}
