#include "keeper_prune.h"

#include "clock.h"
#include "log.h"

enum { EVERY_MS = 60 * 60 * 1000 };

int prune_stored_pages(struct prune *p, struct queue *queue, const char *name, struct err *err)
{
	int count = 0;

	if (clock_boot_ms() < p->due_ms)
		return 0;
	if (queue_prune(queue, p->behind, &count, err) != 0)
		return -1;
	if (count > 0)
		log_event(LEVEL_INFO, "keeper", NULL,
			"Deleted %d stored pages in %s that were too old to be kept", count, name);
	p->due_ms = p->behind[0] == '\0' ? clock_boot_ms() + EVERY_MS : 0;
	return 0;
}
