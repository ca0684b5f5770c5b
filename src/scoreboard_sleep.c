#include "scoreboard_private.h"

int scoreboard_next_sleeper(const struct scoreboard *sb)
{
	int64_t latest = -1;
	int found = 0;

	for (int i = SB_KEEPER + 1; i < scoreboard_used(sb); i++) {
		const struct slot *s = &sb->slot[i];
		const int64_t since_ms = atomic_load(&s->since_ms);

		if (since_ms > latest && atomic_load(&s->post) == SB_RUNNING &&
			atomic_load(&s->state) == SB_IDLE) {
			latest = since_ms;
			found = i;
		}
	}
	return found;
}
