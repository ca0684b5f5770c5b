/* What stays of a process that has ended, until somebody has dealt with it. */
#include "scoreboard_private.h"

/* ---- obituaries */

bool scoreboard_obituary_room(const struct scoreboard *sb, int slot)
{
	for (int i = 0; i < SB_OBITUARIES; i++)
		if (atomic_load(&sb->slot[slot].obituaries[i].pending) == 0)
			return true;
	return false;
}

void scoreboard_obituary_add(struct scoreboard *sb, int slot, const struct sb_obituary *words)
{
	for (int i = 0; i < SB_OBITUARIES; i++) {
		struct obituary *o = &sb->slot[slot].obituaries[i];

		if (atomic_load(&o->pending) != 0)
			continue;
		o->words = *words;
		atomic_store_explicit(&o->pending, 1, memory_order_release);
		return;
	}
}

bool scoreboard_obituary_get(const struct scoreboard *sb, int slot, int i, struct sb_obituary *out)
{
	const struct obituary *o = &sb->slot[slot].obituaries[i];

	if (atomic_load_explicit(&o->pending, memory_order_acquire) == 0)
		return false;
	*out = o->words;
	out->prefix[sizeof out->prefix - 1] = '\0';
	out->reason[sizeof out->reason - 1] = '\0';
	return true;
}

void scoreboard_obituary_clear(struct scoreboard *sb, int slot, int i)
{
	atomic_store_explicit(&sb->slot[slot].obituaries[i].pending, 0, memory_order_release);
}

/* ---- deaths */

void scoreboard_death(struct scoreboard *sb, int slot, const struct sb_death *death)
{
	struct death *d = &sb->slot[slot].death;

	sb_write_begin(&d->sequence);
	d->last = *death;
	sb_write_end(&d->sequence);
}

bool scoreboard_death_get(const struct scoreboard *sb, int slot, struct sb_death *out)
{
	const struct death *d = &sb->slot[slot].death;

	if (!sb_read(&d->sequence, out, &d->last, sizeof *out) || out->at_ms == 0)
		return false;
	out->document[sizeof out->document - 1] = '\0';
	out->reason[sizeof out->reason - 1] = '\0';
	out->trace[sizeof out->trace - 1] = '\0';
	return true;
}

/* ---- the loop of all */

void scoreboard_loop(struct scoreboard *sb, const struct sb_loop *view)
{
	struct loop *l = &sb->header->loop;

	sb_write_begin(&l->sequence);
	l->view = *view;
	sb_write_end(&l->sequence);
}

bool scoreboard_loop_get(const struct scoreboard *sb, struct sb_loop *out)
{
	const struct loop *l = &sb->header->loop;

	if (!sb_read(&l->sequence, out, &l->view, sizeof *out) || out->workers == 0)
		return false;
	out->reason[sizeof out->reason - 1] = '\0';
	return true;
}
