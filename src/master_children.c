#include "clock.h"
#include "log.h"
#include "master_private.h"

#include <sys/wait.h>
#include <sysexits.h>

void master_forget_in_child(void *arg)
{
	struct master *m = arg;

	control_forget(m->control);
	notify_forget(m->notify);
	lockfile_forget(m->lock);
}

static void want_children(struct master *m)
{
	child_want(m->children, SB_KEEPER, m->plan->keeper, m->plan->one);
	for (int i = FIRST_WORKER; i < scoreboard_slots(m->scoreboard); i++) {
		if (i < FIRST_WORKER + m->pool.wanted)
			child_want(m->children, i, m->plan->worker, m->plan->one);
		else if (child_is_wanted(m->children, i))
			child_unwant(m->children, i);
	}
}

int master_last_slot(const struct master *m)
{
	return scoreboard_slots(m->scoreboard) - 1;
}

int master_workers_running(const struct master *m)
{
	return child_running(m->children, FIRST_WORKER, master_last_slot(m));
}

/* What is in work and what is ready, as the scoreboard shows it. */
static void look_at_queue(const struct master *m, struct pool_seen *seen)
{
	struct sb_environment_view environment;
	struct sb_slot_view v;

	for (int i = FIRST_WORKER; i <= master_last_slot(m); i++) {
		(void)scoreboard_look(m->scoreboard, i, &v);
		seen->busy += v.claim != 0;
	}
	if (scoreboard_paused_since(m->scoreboard) != 0)
		return; /* nothing is claimed, whatever is ready */
	for (int i = 0; scoreboard_environment_name(m->scoreboard, i) != NULL; i++) {
		scoreboard_environment_get(m->scoreboard, i, &environment);
		if (environment.reach == SB_UP && !environment.retiring)
			seen->ready += environment.ready;
	}
}

void master_tend_pool(struct master *m)
{
	struct pool_seen seen = {0};

	if (master_settings(m)->scale == SCALE_QUEUE)
		look_at_queue(m, &seen);
	pool_follow(&m->pool, master_settings(m), &seen, clock_boot_ms());
	want_children(m);
}

/* Only the number that was asked for; with scale = "queue" the pool goes on from there. */
void master_scale(struct master *m, int workers)
{
	pool_ask(&m->pool, workers, master_last_slot(m));
	log_event(LEVEL_INFO, "master", NULL, "%d workers wanted", m->pool.asked);
}

/* A private daemon ends with its file. */
void master_child_ended(void *arg, int slot, int wait_status)
{
	struct master *m = arg;

	if (m->plan->one == NULL || slot != FIRST_WORKER)
		return;
	if (master_is_running(m))
		m->exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EX_SOFTWARE;
	master_order_stop(m, STOP_CLOSE, "the file is read");
}
