#include "limiter.h"
#include "log.h"
#include "master_private.h"

/*
 * The keeper is replaced at once, and serves both generations; workers finish what they have under the old configuration.
 * When the last of them is gone, so are the old settings.
 */
static void replace_old_children(struct master *m)
{
	bool old = false;

	if (m->generations.retiring == NULL)
		return;
	for (int i = 0; i <= master_last_slot(m); i++) {
		if (!child_is_running(m->children, i) ||
			child_generation(m->children, i) == m->generations.number)
			continue;
		old = true;
		child_stop(m->children, i, CHILD_DRAIN);
	}
	if (!old)
		generations_retired(&m->generations);
}

void master_log_warnings(const struct settings *settings)
{
	for (size_t i = 0; i < settings->warnings.count; i++)
		log_event(LEVEL_WARN, "master", NULL, "%s", settings->warnings.items[i]);
}

static int take_over(struct master *m)
{
	struct generations *g = &m->generations;
	struct err err;

	/* What the system may refuse comes first. */
	if (control_move(m->control, g->pending->status.socket, &err) != 0) {
		generations_refuse(g, &err);
		return -1;
	}
	generations_take(g);
	pool_ask(&m->pool, g->current->workers, master_last_slot(m));
	limiter_publish(scoreboard_limiter(m->scoreboard), &g->current->limits);
	if (log_open(&g->current->log, "indexocrd", NULL, &err) != 0)
		log_event(LEVEL_ERROR, "master", &(struct log_more){.ms = -1, .error = err.text},
			"Going on without a log file");
	child_forgive(m->children);
	log_event(LEVEL_INFO, "master", NULL, "Reloaded, generation %d", g->number);
	master_log_warnings(g->current);
	return 0;
}

enum reload_outcome master_reload(struct master *m)
{
	enum reload_outcome outcome;
	struct settings *fresh;
	struct err err;

	master_tell_reloading(m);
	fresh = m->plan->load(m->plan->load_arg, &err);
	outcome = generations_offer(&m->generations, fresh, &err);
	if (outcome == RELOAD_READY && take_over(m) != 0)
		outcome = RELOAD_REFUSED;
	master_tell_ready(m);
	return outcome;
}

/* The service manager has been told when it was offered. */
void master_tend_generations(struct master *m)
{
	replace_old_children(m);
	if (master_is_running(m) && generations_due(&m->generations))
		(void)take_over(m);
	scoreboard_reload_waits(m->scoreboard, m->generations.pending != NULL);
}
