#include "keeper_lease.h"

#include "clock.h"
#include "mem.h"

#include <stdlib.h>

struct lease_owner {
	int slot;
	int64_t claim;
};

struct lease_list {
	struct scoreboard *board;
	struct queue_lease *leases;
	struct lease_owner *owners;
	struct sb_slot_view *views; /* what the leases' texts stand in */
	size_t count;
	int64_t until_ms; /* until when a renewed one is good */
};

/* A claim whose row was locked keeps the end that was told last: the database knows no later one. */
static void tell(void *arg, size_t index, enum queue_lease_fate fate)
{
	const struct lease_list *list = arg;
	const struct lease_owner *owner = &list->owners[index];

	if (fate == QUEUE_LEASE_RENEWED)
		scoreboard_claim_valid(list->board, owner->slot, owner->claim, list->until_ms);
	else if (fate == QUEUE_LEASE_LOST)
		scoreboard_claim_lost(list->board, owner->slot, owner->claim);
}

static void collect(struct lease_list *list, int environment, int64_t alive_after_ms)
{
	for (int i = 1; i < scoreboard_slots(list->board); i++) {
		struct sb_slot_view *v = &list->views[list->count];

		if (!scoreboard_look(list->board, i, v) || v->claim == 0 ||
			v->environment != environment || v->document[0] == '\0' ||
			v->alive_ms < alive_after_ms)
			continue;
		list->leases[list->count] = (struct queue_lease){v->document, v->token};
		list->owners[list->count++] = (struct lease_owner){i, v->claim};
	}
}

int lease_renew(struct scoreboard *board, struct queue *queue, int environment, int64_t lease_ms,
	struct err *err)
{
	const size_t slots = (size_t)scoreboard_slots(board);
	const int64_t sent_ms = clock_boot_ms();
	struct lease_list list = {
		.board = board,
		.leases = mem_calloc(slots, sizeof *list.leases),
		.owners = mem_calloc(slots, sizeof *list.owners),
		.views = mem_calloc(slots, sizeof *list.views),
		.until_ms = sent_ms + lease_ms,
	};
	int rc = 0;

	collect(&list, environment, sent_ms - lease_ms / 2);
	if (list.count > 0)
		rc = queue_renew(queue, list.leases, list.count, tell, &list, err);
	free(list.leases);
	free(list.owners);
	free(list.views);
	return rc;
}
