#include "keeper.h"

#include "clock.h"
#include "db.h"
#include "heartbeat.h"
#include "http.h"
#include "keeper_lease.h"
#include "keeper_prune.h"
#include "keeper_reclaim.h"
#include "lifeline.h"
#include "log.h"
#include "mem.h"
#include "queue.h"
#include "retry.h"
#include "signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	TICK_MS = 1000,
	OWED_MS =
		50, /* a wake-up is owed and somebody will be asleep any moment: look again soon */
	OUTAGE_MS = 500,
	PROBE_CONNECT_MS =
		1000, /* of an environment that failed: the others are not to wait long for it */
	PROBE_STATEMENT_MS = 2000,
	OUTAGE_MAX_MS = 15 * 1000, /* or a quarter of the lease: see outage_max_ms() */
	LISTEN_PROOF_MS = 60 * 1000,
	SEE_OUT_MS = 15 * 1000, /* on top of the workers' time without a master */
	ORPHAN_SILENT_MS = 15 * 1000
};

/* One environment in the keeper's care. */
struct ward {
	const struct set_environment *settings;
	struct queue *queue;
	int index;
	struct sb_environment_view view;
	int failures;
	int64_t closed_ms;  /* outage: not before */
	int64_t contact_ms; /* in unbroken contact since; 0 = not */
	int64_t listen_ms;  /* when to listen, or to prove it, next */
	bool listening;
	bool said_polling;
	bool previous_settled; /* nothing of this host's previous daemon stands any more */
	int64_t look_ms, renew_ms, promote_ms, sweep_ms, previous_ms; /* due times */
	struct prune prune;
};

struct keeper {
	const struct process *process;
	const struct settings *settings;
	struct scoreboard *board;
	struct http *http; /* for waiting */
	struct heartbeat *heartbeat;
	struct ward *wards; /* owned */
	size_t ward_count;
	uint64_t claims_seen;
	bool wake_owed;
	bool closing;
	int64_t began_ms;
	struct lifeline lifeline;
};

static double random_unit(void)
{
	return (double)random() / ((double)RAND_MAX + 1.0);
}

/* ---- outages */

static void publish(struct keeper *k, struct ward *w)
{
	scoreboard_environment(k->board, w->index, &w->view);
}

/*
 * Short of the lease: after an outage another host takes over what was not renewed, but not before it has been in contact
 * for a whole lease. Until then this one must have looked, and renewed.
 */
static int64_t outage_max_ms(const struct keeper *k)
{
	const int64_t quarter_ms = k->settings->queue.lease_ms / 4;

	return quarter_ms < OUTAGE_MAX_MS ? quarter_ms : OUTAGE_MAX_MS;
}

static void note_failure(struct keeper *k, struct ward *w, const struct err *why)
{
	db_set_timeouts(queue_db(w->queue), PROBE_CONNECT_MS, PROBE_STATEMENT_MS);
	if (w->failures++ == 0)
		log_event(LEVEL_ERROR, "keeper", &(struct log_more){.ms = -1, .error = why->text},
			"Environment %s is not usable", w->settings->name);
	w->contact_ms = 0;
	w->closed_ms = clock_boot_ms() +
		       retry_backoff_ms(w->failures, OUTAGE_MS, outage_max_ms(k), random_unit());
	w->view.reach = why->kind == ERR_CONFIG ? SB_NO_MIGRATION : SB_DOWN;
	w->view.looked_ms = clock_boot_ms();
	w->view.oldest_created[0] = '\0';
	_Static_assert(
		sizeof w->view.error >= sizeof why->text, "the remedy stands at a text's end");
	memcpy(w->view.error, why->text, sizeof why->text);
	publish(k, w);
}

static void note_success(struct keeper *k, struct ward *w)
{
	const struct set_queue *q = &k->settings->queue;

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

/* Rows became ready: somebody shall look, and the bound below which nothing stood no longer holds. */
static void became_ready(struct keeper *k, struct ward *w)
{
	k->wake_owed = true;
	w->view.oldest_created[0] = '\0';
	publish(k, w);
}

/* ---- reclaim */

static struct reclaim reclaim_of(const struct keeper *k, const struct ward *w)
{
	return (struct reclaim){k->board, w->queue, w->index, w->settings->name};
}

/* Runs one of the kinds; what it gave back is ready now. */
static int reclaim(struct keeper *k, struct ward *w,
	int (*kind)(const struct reclaim *r, int *count, struct err *err), struct err *err)
{
	const struct reclaim r = reclaim_of(k, w);
	int count = 0;
	const int rc = kind(&r, &count, err);

	if (count > 0)
		became_ready(k, w);
	return rc;
}

static bool has_obituary(const struct keeper *k, const struct ward *w)
{
	const struct reclaim r = reclaim_of(k, w);

	return reclaim_has_obituaries(&r);
}

/* It may have died with a claim under way that the server commits after our first look. */
static int settle_previous(struct keeper *k, struct ward *w, struct err *err)
{
	const struct reclaim r = reclaim_of(k, w);
	int count = 0;
	int left = 0;
	const int rc = reclaim_previous(&r, &count, &left, err);

	if (count > 0)
		became_ready(k, w);
	w->previous_settled =
		rc == 0 && left == 0 &&
		clock_boot_ms() - k->began_ms >= k->settings->queue.statement_timeout_ms;
	return rc;
}

/* Others' leases mean something only to one who was there all the time they could have been renewed in. */
static int sweep(struct keeper *k, struct ward *w, struct err *err)
{
	int adopted = 0;

	if (reclaim(k, w, reclaim_strays, err) != 0)
		return -1;
	if (w->contact_ms != 0 && clock_boot_ms() - w->contact_ms >= k->settings->queue.lease_ms &&
		reclaim(k, w, reclaim_expired, err) != 0)
		return -1;
	if (queue_adopt_foreign(w->queue, &adopted, err) != 0)
		return -1;
	if (adopted > 0)
		became_ready(k, w);
	return 0;
}

/* ---- ready rows */

static int promote(struct keeper *k, struct ward *w, struct err *err)
{
	int64_t next_ms;
	int count;

	if (queue_promote(w->queue, &count, &next_ms, err) != 0)
		return -1;
	if (count > 0)
		became_ready(k, w);
	w->promote_ms =
		clock_boot_ms() + (next_ms >= 0 && next_ms < k->settings->queue.poll_interval_ms
						  ? next_ms
						  : k->settings->queue.poll_interval_ms);
	return 0;
}

static int look(struct keeper *k, struct ward *w, struct err *err)
{
	struct queue_depth depth;

	if (queue_depth(w->queue, &depth, err) != 0)
		return -1;
	w->view.ready = depth.ready;
	w->view.waiting = depth.waiting;
	w->view.claimed = depth.claimed;
	w->view.foreign = depth.foreign;
	w->view.failed = depth.failed;
	w->view.oldest_ready_ms = depth.oldest_ready_ms;
	(void)snprintf(
		w->view.oldest_created, sizeof w->view.oldest_created, "%s", depth.oldest_created);
	w->view.looked_ms = clock_boot_ms();
	if (depth.ready > 0)
		k->wake_owed = true;
	return 0;
}

/* ---- listening */

/* Connects and listens, or proves once a minute that what is listened to is still delivered. */
static void listen_to(struct keeper *k, struct ward *w)
{
	struct err err;
	int rc;

	w->listen_ms = clock_boot_ms() + LISTEN_PROOF_MS;
	rc = w->listening ? queue_listen_prove(w->queue, &err) : 1;
	if (rc != 0)
		rc = queue_listen(w->queue, &err);
	w->listening = rc == 0;
	if (rc != 0 && !w->said_polling)
		log_event(LEVEL_WARN, "keeper",
			&(struct log_more){.ms = -1, .error = rc == -1 ? err.text : NULL},
			"No notifications from %s, polling every %lld ms", w->settings->name,
			(long long)k->settings->queue.poll_interval_ms);
	w->said_polling = rc != 0;
}

static void take_notifications(struct keeper *k, struct ward *w)
{
	struct err err;
	int rc;

	if (!w->listening)
		return;
	rc = queue_notified(w->queue, &err);
	if (rc == 1)
		became_ready(k, w);
	if (rc == -1) {
		w->listening = false;
		w->listen_ms = 0;
	}
}

/* ---- one environment, one turn */

static bool due(int64_t *at_ms, int64_t every_ms)
{
	if (clock_boot_ms() < *at_ms)
		return false;
	*at_ms = clock_boot_ms() + every_ms;
	return true;
}

static int tend_due(struct keeper *k, struct ward *w, struct err *err)
{
	const struct set_queue *q = &k->settings->queue;

	if (has_obituary(k, w) && reclaim(k, w, reclaim_obituaries, err) != 0)
		return -1;
	if (!w->previous_settled && due(&w->previous_ms, TICK_MS) &&
		settle_previous(k, w, err) != 0)
		return -1;
	if (due(&w->renew_ms, q->lease_ms / 3) &&
		lease_renew(k->board, w->queue, w->index, q->lease_ms, err) != 0)
		return -1;
	if (due(&w->sweep_ms, q->lease_ms / 3) && sweep(k, w, err) != 0)
		return -1;
	if (due(&w->promote_ms, q->poll_interval_ms) && promote(k, w, err) != 0)
		return -1;
	if (due(&w->look_ms, q->poll_interval_ms) && look(k, w, err) != 0)
		return -1;
	return prune_stored_pages(&w->prune, w->queue, w->settings->name, err);
}

static void tend(struct keeper *k, struct ward *w)
{
	struct err err;

	if (clock_boot_ms() < w->closed_ms)
		return;
	if (tend_due(k, w, &err) != 0) {
		note_failure(k, w, &err);
		/* What was due stays due. */
		w->renew_ms = w->promote_ms = w->look_ms = w->sweep_ms = w->previous_ms = 0;
		return;
	}
	note_success(k, w);
	publish(k, w);
	/* Who works on one document waits for no other. */
	if (k->process->one == NULL && clock_boot_ms() >= w->listen_ms)
		listen_to(k, w);
}

/* ---- waking */

/* The most recently active sleeper: its connection is still open. somebody_comes: one is looking, or just starting. */
static int sleeper(const struct keeper *k, bool *somebody_comes)
{
	int64_t latest = -1;
	int found = 0;

	*somebody_comes = false;
	for (int i = 1; i < scoreboard_slots(k->board); i++) {
		struct sb_slot_view v;

		(void)scoreboard_look(k->board, i, &v);
		if (v.post != SB_RUNNING)
			continue;
		*somebody_comes =
			*somebody_comes || v.state == SB_CLAIMING || v.state == SB_STARTING;
		if (v.state == SB_IDLE && v.since_ms > latest) {
			latest = v.since_ms;
			found = i;
		}
	}
	return found;
}

/*
 * One sleeper for an event, the next for each claim made: no herd, and none too few. What finds nobody asleep stays
 * owed: who starts next begins asleep. True = look again soon.
 */
static bool wake_sleepers(struct keeper *k)
{
	uint64_t totals[SB_COUNTERS];
	bool somebody_comes;
	int slot;

	scoreboard_totals(k->board, totals);
	if (totals[SB_CLAIMS_MADE] != k->claims_seen)
		k->wake_owed = true;
	k->claims_seen = totals[SB_CLAIMS_MADE];
	/* A wake-up stays owed through an operator's pause. */
	if (!k->wake_owed || scoreboard_paused_since(k->board) != 0)
		return false;
	slot = sleeper(k, &somebody_comes);
	if (slot != 0)
		scoreboard_wake(k->board, slot);
	k->wake_owed = slot == 0;
	return k->wake_owed && somebody_comes;
}

/* ---- life */

static bool keeps_claim(const struct keeper *k, int slot, const struct ward *w)
{
	struct sb_kept_view kept;

	for (int place = 0; place < SB_KEPT; place++) {
		(void)scoreboard_kept(k->board, slot, place, &kept);
		if (kept.claim != 0 && kept.environment == w->index)
			return true;
	}
	return false;
}

/* Does anybody hold a claim here, or is anybody of the generation before left who might take one? */
static bool is_held(const struct keeper *k, const struct ward *w)
{
	struct sb_slot_view v;

	for (int i = 1; i < scoreboard_slots(k->board); i++) {
		(void)scoreboard_look(k->board, i, &v);
		if (v.environment == w->index || v.post == SB_DRAINING || keeps_claim(k, i, w))
			return true;
	}
	return has_obituary(k, w);
}

static bool somebody_works(const struct keeper *k)
{
	struct sb_slot_view v;

	for (int i = 1; i < scoreboard_slots(k->board); i++) {
		(void)scoreboard_look(k->board, i, &v);
		if (v.state != SB_ENDING && clock_boot_ms() - v.alive_ms < ORPHAN_SILENT_MS)
			return true;
	}
	return false;
}

static void watch(struct keeper *k);

/* The master is gone: its children are seen out, within a bound. */
static void notice_lifeline(struct keeper *k)
{
	if (lifeline_is_cut_now(&k->lifeline)) {
		watch(k);
		log_event(LEVEL_WARN, "keeper", NULL, "The master is gone: seeing its workers out");
	}
	if (lifeline_is_cut(&k->lifeline) && (!somebody_works(k) || lifeline_is_over(&k->lifeline)))
		k->closing = true;
}

static int check(void *arg, struct err *err)
{
	struct keeper *k = arg;

	scoreboard_alive(k->board, SB_KEEPER);
	(void)scoreboard_woken(k->board, SB_KEEPER);
	if (signals_take(SIGUSR1))
		log_reopen();
	if (signals_take(SIGTERM) || signals_take(SIGQUIT))
		k->closing = true;
	notice_lifeline(k);
	(void)err;
	return 0;
}

static void watch(struct keeper *k)
{
	struct pollfd fds[2] = {{.fd = scoreboard_event_fd(k->board, SB_KEEPER), .events = POLLIN}};
	size_t count = 1;

	count += lifeline_poll_fd(&k->lifeline, &fds[count]);
	http_watch(k->http, fds, count, check, k);
}

static int open_ward(
	struct keeper *k, const struct set_environment *environment, bool retiring, struct err *err)
{
	struct ward *w = &k->wards[k->ward_count];

	w->settings = environment;
	w->index = scoreboard_environment_index(k->board, environment->name, environment->database);
	w->view.oldest_ready_ms = -1;
	w->view.retiring = retiring;
	for (size_t i = 0; i < k->ward_count; i++)
		if (k->wards[i].index == w->index)
			return 0; /* configured still */
	if (queue_new(&w->queue, environment, &k->settings->queue, "indexocr-keeper", err) != 0)
		return err_prefix(err, "environment %s: ", environment->name);
	queue_watch(w->queue, check, k);
	k->ward_count++;
	return 0;
}

/* What is configured, and what workers of the generation before may still hold claims of. */
static int open_wards(struct keeper *k, struct err *err)
{
	const struct settings *now = k->settings;
	const struct settings *old = k->process->retiring;
	const size_t most = now->environment_count + (old != NULL ? old->environment_count : 0);

	k->wards = mem_calloc(most, sizeof *k->wards);
	for (size_t i = 0; i < now->environment_count; i++)
		if (open_ward(k, &now->environments[i], false, err) != 0)
			return -1;
	for (size_t i = 0; old != NULL && i < old->environment_count; i++)
		if (open_ward(k, &old->environments[i], true, err) != 0)
			return -1;
	return 0;
}

/* A retiring environment is let go with its last claim. */
static void let_go(struct keeper *k)
{
	for (size_t i = 0; i < k->ward_count; i++) {
		struct ward *w = &k->wards[i];

		if (!w->view.retiring || is_held(k, w))
			continue;
		log_event(LEVEL_INFO, "keeper", NULL, "Environment %s is no longer served",
			w->settings->name);
		w->view = (struct sb_environment_view){.oldest_ready_ms = -1};
		publish(k, w);
		queue_free(w->queue);
		k->wards[i] = k->wards[--k->ward_count];
		return;
	}
}

static int open_keeper(struct keeper *k, const struct process *process, struct err *err)
{
	static const int caught[] = {SIGTERM, SIGQUIT, SIGUSR1, 0};
	static const int ignored[] = {SIGINT, SIGHUP, SIGTTIN, SIGTTOU, 0};

	k->process = process;
	k->settings = process->settings;
	k->board = process->scoreboard;
	k->began_ms = clock_boot_ms();
	lifeline_init(&k->lifeline, process->lifeline_fd,
		lifeline_limits(&k->settings->supervise, SEE_OUT_MS));
	if (log_open(&k->settings->log, "indexocrd", NULL, err) != 0)
		log_event(LEVEL_ERROR, "keeper", &(struct log_more){.ms = -1, .error = err->text},
			"Going on without a log file");
	srandom((unsigned)clock_real_ms());
	signals_catch(caught, ignored, scoreboard_event_fd(k->board, SB_KEEPER));
	if (http_new(&k->http, err) != 0)
		return -1;
	watch(k);
	if (open_wards(k, err) != 0)
		return -1;
	return process->one != NULL ? 0 : heartbeat_new(&k->heartbeat, k->settings, k->board, err);
}

static void close_keeper(struct keeper *k)
{
	heartbeat_free(k->heartbeat);
	for (size_t i = 0; i < k->ward_count; i++)
		queue_free(k->wards[i].queue);
	free(k->wards);
	http_free_all(k->http);
}

static void turn(struct keeper *k)
{
	struct pollfd fds[SB_ENVIRONMENTS_MAX];
	size_t count = 0;
	struct err err;
	bool owed;

	for (size_t i = 0; i < k->ward_count; i++) {
		take_notifications(k, &k->wards[i]);
		if (k->wards[i].failures == 0)
			tend(k, &k->wards[i]);
	}
	for (size_t i = 0; i < k->ward_count;
		i++) /* those who answer never wait for those who do not */
		if (k->wards[i].failures > 0)
			tend(k, &k->wards[i]);
	(void)heartbeat_tend(k->heartbeat);
	scoreboard_redis(k->board, heartbeat_redis(k->heartbeat));
	let_go(k);
	owed = wake_sleepers(k);
	for (size_t i = 0; i < k->ward_count; i++)
		if (k->wards[i].listening)
			fds[count++] = (struct pollfd){
				.fd = queue_listen_fd(k->wards[i].queue), .events = POLLIN};
	(void)http_wait(k->http, fds, count, owed ? OWED_MS : TICK_MS, &err);
}

/* The workers are gone; what they left behind is given back before the last of us goes. */
static void last_turn(struct keeper *k)
{
	struct err err;

	heartbeat_remove(k->heartbeat);
	for (size_t i = 0; i < k->ward_count; i++) {
		struct ward *w = &k->wards[i];

		if (w->closed_ms > clock_boot_ms())
			continue;
		if (reclaim(k, w, reclaim_obituaries, &err) != 0 ||
			reclaim(k, w, reclaim_strays, &err) != 0)
			log_event(LEVEL_ERROR, "keeper",
				&(struct log_more){.ms = -1, .error = err.text},
				"Claims in %s are left to the next daemon", w->settings->name);
	}
}

static int keeper_main(const struct process *process)
{
	struct keeper k = {0};
	struct err err;
	int status = EX_OK;

	if (open_keeper(&k, process, &err) != 0) {
		log_event(LEVEL_ERROR, "keeper", &(struct log_more){.ms = -1, .error = err.text},
			"Cannot start");
		status = err.kind == ERR_CONFIG ? EX_CONFIG : EX_SOFTWARE;
	} else {
		scoreboard_alive(k.board, SB_KEEPER); /* ready */
		scoreboard_state(k.board, SB_KEEPER, SB_IDLE);
		while (!k.closing)
			turn(&k);
		last_turn(&k);
	}
	scoreboard_state(k.board, SB_KEEPER, SB_ENDING);
	close_keeper(&k);
	return status;
}

const struct role keeper_role = {"keeper", keeper_main};
