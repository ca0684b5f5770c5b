#include "stall.h"

void stall_begin(struct stall *s, int64_t now_ms)
{
	*s = (struct stall){.looked_ms = now_ms};
}

int64_t stall_look(struct stall *s, bool excused, int64_t now_ms)
{
	const int64_t step_ms = now_ms - s->looked_ms;

	s->looked_ms = now_ms;
	if (!excused)
		s->spent_ms += step_ms < STALL_STEP_MAX_MS ? step_ms : STALL_STEP_MAX_MS;
	return s->spent_ms;
}
