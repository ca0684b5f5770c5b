#include "keeper_ward.h"

#include "clock.h"
#include "db.h"
#include "keeper_lease.h"
#include "keeper_prune.h"
#include "keeper_reclaim.h"
#include "log.h"
#include "mem.h"
#include "pace.h"
#include "queue.h"
#include "retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OUTAGE_MS = 500,
	OUTAGE_MAX_MS = 15 * 1000, /* or a quarter of the lease: see outage_max_ms() */
	PROBE_CONNECT_MS =
		1000, /* of an environment that failed: the others are not to wait long for it */
	PROBE_STATEMENT_MS = 2000,
	AGAIN_MS = 500, /* claims that are to be given back, and were locked */
	PREVIOUS_MS = 1000,
	PROOF_MS = 60 * 1000,
	LISTEN_AGAIN_MS =
		10 * 60 * 1000 /* it was accepted and delivers nothing: a pooler stays one */
};

/* The most urgent first. */
enum duty {
	OBITUARIES,
	PREVIOUS,
	RENEW,
	STRAYS,
	EXPIRED,
	ADOPT,
	LOOK,
	PROMOTE,
	LISTEN,
	PRUNE,
	DUTIES
};

#define NEVER INT64_MAX

struct ward {
	struct ward_home home;
	const struct set_environment *settings;
	struct queue *queue; /* owned */
	int index;
	struct sb_environment_view view;
	int64_t due_ms[DUTIES]; /* all but LOOK's, which is the pace's */
	struct pace pace;
	struct prune prune;
	int failures;
	int64_t closed_ms;  /* outage: not before */
	int64_t contact_ms; /* in unbroken contact since; 0 = not */
	int64_t began_ms;
	int64_t full_ms; /* when to look at all claims next, however old */
	bool is_tended;  /* a statement is under way */
	bool has_event;
	bool listens;
	bool said_polling;
};

static double chance(void)
{
	return (double)random() / ((double)RAND_MAX + 1.0);
}

static const struct set_queue *queue_settings(const struct ward *w)
{
	return &w->home.settings->queue;
}

static void publish(struct ward *w)
{
	w->view.hears = queue_hears(w->queue);
	scoreboard_environment(w->home.board, w->index, &w->view);
}

/* ---- outages */

/*
 * Short of the lease: after an outage another host takes over what was not renewed, but not before it has been in contact
 * for a whole lease. Until then this one must have looked, and renewed.
 */
static int64_t outage_max_ms(const struct ward *w)
{
	const int64_t quarter_ms = queue_settings(w)->lease_ms / 4;

	return quarter_ms < OUTAGE_MAX_MS ? quarter_ms : OUTAGE_MAX_MS;
}

static void note_failure(struct ward *w, const struct err *why)
{
	db_set_timeouts(queue_db(w->queue), PROBE_CONNECT_MS, PROBE_STATEMENT_MS);
	if (w->failures++ == 0)
		log_event(LEVEL_ERROR, "keeper", &(struct log_more){.ms = -1, .error = why->text},
			"Environment %s is not usable", w->settings->name);
	w->contact_ms = 0;
	w->closed_ms = clock_boot_ms() +
		       retry_backoff_ms(w->failures, OUTAGE_MS, outage_max_ms(w), chance());
	w->due_ms[OBITUARIES] = w->due_ms[PREVIOUS] = 0;
	w->due_ms[RENEW] = w->due_ms[STRAYS] = w->due_ms[EXPIRED] = 0;
	w->pace.due_ms = 0;
	w->view.reach = why->kind == ERR_CONFIG ? SB_NO_MIGRATION : SB_DOWN;
	w->view.looked_ms = clock_boot_ms();
	w->view.created_after[0] = '\0';
	_Static_assert(
		sizeof w->view.error >= sizeof why->text, "the remedy stands at a text's end");
	memcpy(w->view.error, why->text, sizeof why->text);
}

static void note_success(struct ward *w)
{
	const struct set_queue *q = queue_settings(w);

	if (w->failures > 0)
		log_event(LEVEL_INFO, "keeper", NULL, "Environment %s is usable again",
			w->settings->name);
	db_set_timeouts(queue_db(w->queue), q->connect_timeout_ms, q->statement_timeout_ms);
	w->failures = 0;
	if (w->contact_ms == 0)
		w->contact_ms = clock_boot_ms();
	w->view.reach = SB_UP;
	w->view.error[0] = '\0';
}

/* ---- news */

/* A row may have become ready. */
static void raise_news(struct ward *w)
{
	w->view.news++;
	w->has_event = true;
	pace_stir(&w->pace, clock_boot_ms());
	publish(w);
}

/* Rows became ready that were created long ago: the bound below which nothing stood no longer holds. */
static void old_rows_became_ready(struct ward *w)
{
	w->view.created_after[0] = '\0';
	raise_news(w);
}

/* ---- duties: 0 the database answered, 1 it was not asked, -1 it failed */

static void next_in(struct ward *w, enum duty duty, int64_t ms)
{
	w->due_ms[duty] = clock_boot_ms() + ms;
}

static struct reclaim reclaim_of(const struct ward *w)
{
	return (struct reclaim){w->home.board, w->queue, w->index, w->settings->name};
}

/* Runs one of the kinds; what it gave back is ready now. */
static int reclaim(struct ward *w,
	int (*kind)(const struct reclaim *r, int *count, struct err *err), struct err *err)
{
	const struct reclaim r = reclaim_of(w);
	int count = 0;
	const int rc = kind(&r, &count, err);

	if (count > 0)
		old_rows_became_ready(w);
	return rc;
}

static int settle_obituaries(struct ward *w, struct err *err)
{
	next_in(w, OBITUARIES, AGAIN_MS);
	return reclaim(w, reclaim_obituaries, err);
}

/* It may have died with a claim under way that the server commits after our first look. */
static int settle_previous(struct ward *w, struct err *err)
{
	const struct reclaim r = reclaim_of(w);
	int count = 0;
	int left = 0;

	w->due_ms[PREVIOUS] = NEVER;
	if (scoreboard_previous(w->home.board)[0] == '\0')
		return 1;
	if (reclaim_previous(&r, &count, &left, err) != 0)
		return -1;
	if (count > 0)
		old_rows_became_ready(w);
	if (left > 0 || clock_boot_ms() - w->began_ms < queue_settings(w)->statement_timeout_ms)
		next_in(w, PREVIOUS, PREVIOUS_MS);
	return 0;
}

static int renew(struct ward *w, struct err *err)
{
	const int64_t lease_ms = queue_settings(w)->lease_ms;

	next_in(w, RENEW, lease_ms / 3);
	return lease_renew(w->home.board, w->queue, w->index, lease_ms, err);
}

/*
 * Once a lease, strays and leases that have ended are looked for among all claims: nobody but a person makes one with a start
 * so old that the bound, which the next look sets again, hides it.
 */
static void look_at_all_claims(struct ward *w)
{
	if (clock_boot_ms() < w->full_ms)
		return;
	w->full_ms = clock_boot_ms() + queue_settings(w)->lease_ms;
	queue_bound_claims(w->queue, "");
}

static int give_strays_back(struct ward *w, struct err *err)
{
	look_at_all_claims(w);
	next_in(w, STRAYS, queue_settings(w)->lease_ms / 3);
	return reclaim(w, reclaim_strays, err);
}

/* Others' leases mean something only to one who was there all the time they could have been renewed in. */
static int take_expired(struct ward *w, struct err *err)
{
	const int64_t lease_ms = queue_settings(w)->lease_ms;

	next_in(w, EXPIRED, lease_ms / 3);
	if (w->contact_ms == 0 || clock_boot_ms() - w->contact_ms < lease_ms)
		return 1;
	return reclaim(w, reclaim_expired, err);
}

static int adopt(struct ward *w, struct err *err)
{
	int adopted = 0;

	next_in(w, ADOPT, queue_settings(w)->lease_ms / 3);
	if (queue_settings(w)->adopt_foreign_after_ms == 0)
		return 1;
	if (queue_adopt_foreign(w->queue, &adopted, err) != 0)
		return -1;
	if (adopted > 0)
		old_rows_became_ready(w);
	return 0;
}

static void show_depth(struct ward *w, const struct queue_depth *depth)
{
	struct sb_environment_view *v = &w->view;

	v->ready = depth->ready;
	v->waiting = depth->waiting;
	v->claimed = depth->claimed;
	v->foreign = depth->foreign;
	v->failed = depth->failed;
	v->oldest_ready_ms = depth->oldest_ready_ms;
	(void)snprintf(v->created_after, sizeof v->created_after, "%s", depth->created_after);
	v->looked_ms = clock_boot_ms();
}

static int look(struct ward *w, struct err *err)
{
	const int64_t sent_ms = clock_boot_ms();
	const uint64_t news = w->view.news;
	struct queue_depth depth;
	struct pace_seen seen;

	if (queue_depth(w->queue, &depth, err) != 0)
		return -1;
	show_depth(w, &depth);
	queue_bound_claims(w->queue, depth.claims_after);
	w->due_ms[PROMOTE] = depth.due_ms >= 0 ? w->view.looked_ms + depth.due_ms : NEVER;
	seen = (struct pace_seen){
		.now_ms = w->view.looked_ms,
		.took_ms = w->view.looked_ms - sent_ms,
		.is_idle = depth.ready + depth.waiting + depth.claimed == 0,
		.hears = queue_hears(w->queue),
	};
	pace_looked(&w->pace, &seen, queue_settings(w)->poll_interval_ms, chance());
	if (depth.ready == 0) {
		w->view.stale_news = news;
	} else {
		w->view.news++;
		w->has_event = true;
	}
	return 0;
}

static int promote(struct ward *w, struct err *err)
{
	int64_t next_ms;
	int count;

	if (queue_promote(w->queue, &count, &next_ms, err) != 0)
		return -1;
	w->due_ms[PROMOTE] = next_ms >= 0 ? clock_boot_ms() + next_ms : NEVER;
	if (count > 0)
		old_rows_became_ready(w);
	return 0;
}

static int prune(struct ward *w, struct err *err)
{
	const int rc = prune_stored_pages(&w->prune, w->queue, w->settings->name, err);

	w->due_ms[PRUNE] = w->prune.due_ms;
	return rc;
}

/* ---- listening */

static void say_how_rows_are_found(struct ward *w, int rc, const struct err *err)
{
	const long long poll_ms = queue_settings(w)->poll_interval_ms;
	const bool hears = queue_hears(w->queue);

	if (hears && w->said_polling)
		log_event(LEVEL_INFO, "keeper", NULL, "Notifications from %s are delivered",
			w->settings->name);
	if (rc != 0 && !w->said_polling)
		log_event(LEVEL_WARN, "keeper",
			&(struct log_more){.ms = -1, .error = rc == -1 ? err->text : NULL},
			"No notifications from %s, polling every %lld ms", w->settings->name,
			poll_ms);
	else if (!hears && !w->said_polling)
		log_event(LEVEL_INFO, "keeper", NULL,
			"The queue of %s has no triggers that notify, polling every %lld ms",
			w->settings->name, poll_ms);
	w->said_polling = !hears;
}

/* Connects and listens, or proves once a minute that what is listened to is still delivered. Says nothing of the database. */
static int listen_to(struct ward *w, struct err *err)
{
	int rc = w->listens ? queue_listen_prove(w->queue, err) : 1;

	if (rc != 0) {
		rc = queue_listen(w->queue, err);
		w->pace.due_ms = 0; /* what came while nobody listened */
	}
	w->listens = rc == 0;
	next_in(w, LISTEN, rc == 1 ? LISTEN_AGAIN_MS : PROOF_MS);
	say_how_rows_are_found(w, rc, err);
	return 1;
}

void ward_attend(struct ward *w)
{
	struct err err;
	int rc;

	if (w->is_tended || !w->listens)
		return;
	rc = queue_notified(w->queue, &err);
	if (rc == 1)
		raise_news(w);
	if (rc == -1) {
		w->listens = false;
		w->due_ms[LISTEN] = 0;
		publish(w);
	}
}

int ward_fd(const struct ward *w)
{
	return w->listens ? queue_listen_fd(w->queue) : -1;
}

/* ---- one thing at a time */

static int (*const duties[DUTIES])(struct ward *w, struct err *err) = {
	[OBITUARIES] = settle_obituaries,
	[PREVIOUS] = settle_previous,
	[RENEW] = renew,
	[STRAYS] = give_strays_back,
	[EXPIRED] = take_expired,
	[ADOPT] = adopt,
	[LOOK] = look,
	[PROMOTE] = promote,
	[LISTEN] = listen_to,
	[PRUNE] = prune,
};

static int64_t due_ms(const struct ward *w, enum duty duty)
{
	if (duty == OBITUARIES && !ward_has_obituaries(w))
		return NEVER;
	return duty == LOOK ? w->pace.due_ms : w->due_ms[duty];
}

/* DUTIES = none is due. */
static enum duty most_urgent(const struct ward *w)
{
	const int64_t now_ms = clock_boot_ms();
	enum duty duty = 0;

	while (duty < DUTIES && due_ms(w, duty) > now_ms)
		duty++;
	return duty;
}

bool ward_tend(struct ward *w)
{
	const int64_t began_ms = clock_boot_ms();
	const enum duty duty = most_urgent(w);
	struct err err;
	int rc;

	if (began_ms < w->closed_ms || duty == DUTIES)
		return false;
	w->is_tended = true;
	rc = duties[duty](w, &err);
	w->is_tended = false;
	if (rc == -1)
		note_failure(w, &err);
	if (rc == 0) {
		w->view.answer_ms = clock_boot_ms() - began_ms;
		note_success(w);
	}
	publish(w);
	return true;
}

int64_t ward_due_ms(const struct ward *w)
{
	int64_t earliest_ms = NEVER;

	for (enum duty duty = 0; duty < DUTIES; duty++)
		if (due_ms(w, duty) < earliest_ms)
			earliest_ms = due_ms(w, duty);
	return earliest_ms > w->closed_ms ? earliest_ms : w->closed_ms;
}

bool ward_take_event(struct ward *w)
{
	const bool had_event = w->has_event;

	w->has_event = false;
	return had_event;
}

/* ---- life */

int ward_open(struct ward **out, const struct ward_home *home,
	const struct set_environment *environment, bool retiring, struct err *err)
{
	struct ward *w = mem_calloc(1, sizeof *w);
	struct sb_environment_view before;

	w->home = *home;
	w->settings = environment;
	w->index =
		scoreboard_environment_index(home->board, environment->name, environment->database);
	/* The news go on where an earlier keeper left them: workers remember their number. */
	scoreboard_environment_get(home->board, w->index, &before);
	w->view = (struct sb_environment_view){
		.oldest_ready_ms = -1,
		.retiring = retiring,
		.news = before.news,
		.stale_news = before.stale_news,
	};
	w->began_ms = clock_boot_ms();
	w->due_ms[PROMOTE] = NEVER; /* until a look has shown that something waits */
	if (home->for_one)
		w->due_ms[LISTEN] = NEVER;
	*out = w;
	if (queue_new(&w->queue, environment, &home->settings->queue, "indexocr-keeper", err) !=
		0) {
		ward_free(w);
		*out = NULL;
		return err_prefix(err, "environment %s: ", environment->name);
	}
	queue_watch(w->queue, home->check, home->check_arg);
	return 0;
}

void ward_free(struct ward *w)
{
	if (w == NULL)
		return;
	queue_free(w->queue);
	free(w);
}

const char *ward_name(const struct ward *w)
{
	return w->settings->name;
}

int ward_index(const struct ward *w)
{
	return w->index;
}

bool ward_is_retiring(const struct ward *w)
{
	return w->view.retiring;
}

bool ward_is_down(const struct ward *w)
{
	return w->failures > 0;
}

bool ward_has_obituaries(const struct ward *w)
{
	const struct reclaim r = reclaim_of(w);

	return reclaim_has_obituaries(&r);
}

void ward_close(struct ward *w)
{
	struct err err;

	if (w->closed_ms > clock_boot_ms())
		return;
	w->is_tended = true; /* nobody else reads from its connection any more */
	if (reclaim(w, reclaim_obituaries, &err) != 0 || reclaim(w, reclaim_strays, &err) != 0)
		log_event(LEVEL_ERROR, "keeper", &(struct log_more){.ms = -1, .error = err.text},
			"Claims in %s are left to the next daemon", w->settings->name);
}

void ward_forget(struct ward *w)
{
	log_event(LEVEL_INFO, "keeper", NULL, "Environment %s is no longer served",
		w->settings->name);
	w->view = (struct sb_environment_view){.oldest_ready_ms = -1, .news = w->view.news};
	scoreboard_environment(w->home.board, w->index, &w->view);
}
