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
};

static void lease_lost(void *arg, size_t index)
{
	struct lease_list *list = arg;

	scoreboard_claim_lost(list->board, list->owners[index].slot, list->owners[index].claim);
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
	};
	int rc = 0;

	collect(&list, environment, sent_ms - lease_ms / 2);
	if (list.count > 0)
		rc = queue_renew(queue, list.leases, list.count, lease_lost, &list, err);
	for (size_t i = 0; rc == 0 && i < list.count; i++)
		scoreboard_claim_valid(
			board, list.owners[i].slot, list.owners[i].claim, sent_ms + lease_ms);
	free(list.leases);
	free(list.owners);
	free(list.views);
	return rc;
}
