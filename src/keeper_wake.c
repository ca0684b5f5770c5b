#include "keeper_wake.h"

void waking_tend(struct waking *w, const struct scoreboard *board, bool event)
{
	const uint64_t claims = scoreboard_total(board, SB_CLAIMS_MADE);
	int slot;

	w->is_owed = w->is_owed || event || claims != w->claims_seen;
	w->claims_seen = claims;
	if (!w->is_owed || scoreboard_paused_since(board) != 0)
		return;
	slot = scoreboard_next_sleeper(board);
	if (slot == 0)
		return;
	scoreboard_wake(board, slot);
	w->is_owed = false;
}
