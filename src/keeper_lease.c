#include "keeper_lease.h"

#include "clock.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { CURRENT = -1 };

struct lease_owner {
	int slot;
	int place; /* of a claim that is kept; CURRENT = the one in work */
	int64_t claim;
};

struct lease_list {
	struct scoreboard *board;
	struct queue_lease *leases;
	struct lease_owner *owners;
	struct sb_kept_view *claims; /* what the leases' texts stand in */
	size_t count, room;
	int64_t until_ms; /* until when a renewed one is good */
};

/* A claim whose row was locked keeps the end that was told last: the database knows no later one. */
static void tell(void *arg, size_t index, enum queue_lease_fate fate)
{
	const struct lease_list *list = arg;
	const struct lease_owner *owner = &list->owners[index];

	if (fate == QUEUE_LEASE_RENEWED && owner->place != CURRENT)
		scoreboard_kept_valid(
			list->board, owner->slot, owner->place, owner->claim, list->until_ms);
	else if (fate == QUEUE_LEASE_RENEWED)
		scoreboard_claim_valid(list->board, owner->slot, owner->claim, list->until_ms);
	else if (fate == QUEUE_LEASE_LOST) /* one that is kept finds out when it is written */
		scoreboard_claim_lost(list->board, owner->slot, list->claims[index].token);
}

static void add(struct lease_list *list, int slot, int place, const struct sb_kept_view *claim)
{
	if (list->count == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 16;
		list->owners = mem_realloc(list->owners, list->room * sizeof *list->owners);
		list->claims = mem_realloc(list->claims, list->room * sizeof *list->claims);
	}
	list->claims[list->count] = *claim;
	list->owners[list->count++] = (struct lease_owner){slot, place, claim->claim};
}

static void collect_slot(struct lease_list *list, int slot, int environment)
{
	struct sb_slot_view v;
	struct sb_kept_view kept;

	if (scoreboard_look(list->board, slot, &v) && v.claim != 0 &&
		v.environment == environment && v.document[0] != '\0') {
		kept = (struct sb_kept_view){.claim = v.claim, .environment = environment};
		memcpy(kept.token, v.token, sizeof kept.token);
		memcpy(kept.document, v.document, sizeof kept.document);
		add(list, slot, CURRENT, &kept);
	}
	for (int place = 0; place < SB_KEPT; place++)
		if (scoreboard_kept(list->board, slot, place, &kept) &&
			kept.environment == environment)
			add(list, slot, place, &kept);
}

static void collect(struct lease_list *list, int environment, int64_t alive_after_ms)
{
	for (int i = 1; i < scoreboard_used(list->board); i++)
		if (scoreboard_alive_ms(list->board, i) >= alive_after_ms)
			collect_slot(list, i, environment);
	list->leases = mem_calloc(list->count, sizeof *list->leases);
	for (size_t i = 0; i < list->count; i++)
		list->leases[i] =
			(struct queue_lease){list->claims[i].document, list->claims[i].token};
}

int lease_renew(struct scoreboard *board, struct queue *queue, int environment, int64_t lease_ms,
	struct err *err)
{
	const int64_t sent_ms = clock_boot_ms();
	struct lease_list list = {.board = board, .until_ms = sent_ms + lease_ms};
	int rc = 1;

	collect(&list, environment, sent_ms - lease_ms / 2);
	if (list.count > 0)
		rc = queue_renew(queue, list.leases, list.count, tell, &list, err);
	free(list.leases);
	free(list.owners);
	free(list.claims);
	return rc;
}
