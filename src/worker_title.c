#include "worker_title.h"

#include "title.h"

#include <stdio.h>

static bool is_same(const struct worker_title *a, const struct worker_title *b)
{
	return a->shown && a->claim == b->claim && a->named == b->named && a->page == b->page &&
	       a->pages == b->pages && a->draining == b->draining;
}

void worker_title_show(struct worker_title *t, const struct scoreboard *board, int slot,
	const char *id, bool draining)
{
	struct sb_slot_view v;
	struct worker_title now;
	char document[SB_TEXT_BYTES] = "";
	char page[32] = "";

	if (!scoreboard_look(board, slot, &v))
		return;
	now = (struct worker_title){
		true, v.claim, v.claim != 0 && v.document[0] != '\0', v.page, v.pages, draining};
	if (is_same(t, &now))
		return;
	*t = now;
	if (now.named)
		(void)snprintf(document, sizeof document, " %s/%s",
			scoreboard_environment_name(board, v.environment), v.document);
	if (now.named && now.page > 0)
		(void)snprintf(page, sizeof page, " page %d/%d", now.page, now.pages);
	title_set("worker %s%s%s%s", id, document, page, draining ? " (draining)" : "");
}
