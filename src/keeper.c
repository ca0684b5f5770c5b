#include "keeper.h"

#include "clock.h"
#include "heartbeat.h"
#include "http.h"
#include "keeper_wake.h"
#include "keeper_ward.h"
#include "lifeline.h"
#include "log.h"
#include "mem.h"
#include "signals.h"

#include <stdlib.h>
#include <sysexits.h>

enum {
	TICK_MS = 1000,
	SEE_OUT_MS = 15 * 1000, /* on top of the workers' time without a master */
	ORPHAN_SILENT_MS = 15 * 1000
};

struct keeper {
	const struct process *process;
	const struct settings *settings;
	struct scoreboard *board;
	struct http *http; /* for waiting */
	struct heartbeat *heartbeat;
	struct ward **wards; /* owned */
	size_t ward_count;
	struct waking waking;
	bool closing;
	struct lifeline lifeline;
};

/* ---- life */

static bool keeps_claim(const struct keeper *k, int slot, const struct ward *w)
{
	struct sb_kept_view kept;

	for (int place = 0; place < SB_KEPT; place++) {
		(void)scoreboard_kept(k->board, slot, place, &kept);
		if (kept.claim != 0 && kept.environment == ward_index(w))
			return true;
	}
	return false;
}

/* Does anybody hold a claim here, or is anybody of the generation before left who might take one? */
static bool is_held(const struct keeper *k, const struct ward *w)
{
	struct sb_slot_view v;

	for (int i = 1; i < scoreboard_used(k->board); i++) {
		(void)scoreboard_look(k->board, i, &v);
		if (v.environment == ward_index(w) || v.post == SB_DRAINING || keeps_claim(k, i, w))
			return true;
	}
	return ward_has_obituaries(w);
}

static bool somebody_works(const struct keeper *k)
{
	struct sb_slot_view v;

	for (int i = 1; i < scoreboard_used(k->board); i++) {
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

/* ---- waking */

/* First of all in every wait, also in those for a slow database: who comes to an idle fleet is not to wait for others. */
static void attend(struct keeper *k)
{
	bool event = false;

	for (size_t i = 0; i < k->ward_count; i++) {
		ward_attend(k->wards[i]);
		event = ward_take_event(k->wards[i]) || event;
	}
	waking_tend(&k->waking, k->board, event);
}

static int check(void *arg, struct err *err)
{
	struct keeper *k = arg;

	(void)scoreboard_woken(k->board, SB_KEEPER);
	attend(k);
	scoreboard_alive(k->board, SB_KEEPER);
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

/* ---- opening and closing */

static int open_ward(
	struct keeper *k, const struct set_environment *environment, bool retiring, struct err *err)
{
	const struct ward_home home = {
		.board = k->board,
		.settings = k->settings,
		.for_one = k->process->one != NULL,
		.check = check,
		.check_arg = k,
	};
	const int index =
		scoreboard_environment_index(k->board, environment->name, environment->database);

	for (size_t i = 0; i < k->ward_count; i++)
		if (ward_index(k->wards[i]) == index)
			return 0; /* configured still */
	if (ward_open(&k->wards[k->ward_count], &home, environment, retiring, err) != 0)
		return -1;
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
		struct ward *w = k->wards[i];

		if (!ward_is_retiring(w) || is_held(k, w))
			continue;
		ward_forget(w);
		ward_free(w);
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
		ward_free(k->wards[i]);
	free(k->wards);
	http_free_all(k->http);
}

/* ---- turns */

/* Each of these wards does the one thing that is most urgent. True = there was something to do. */
static bool tend(struct keeper *k, bool down)
{
	bool busy = false;

	for (size_t i = 0; i < k->ward_count; i++)
		if (ward_is_down(k->wards[i]) == down)
			busy = ward_tend(k->wards[i]) || busy;
	return busy;
}

static int until_due_ms(const struct keeper *k)
{
	int least_ms = TICK_MS;

	for (size_t i = 0; i < k->ward_count; i++) {
		const int left_ms = clock_left_ms(ward_due_ms(k->wards[i]));

		if (left_ms < least_ms)
			least_ms = left_ms;
	}
	return least_ms;
}

static void turn(struct keeper *k)
{
	struct pollfd fds[SB_ENVIRONMENTS_MAX];
	size_t count = 0;
	struct err err;
	bool busy = tend(k, false);

	busy = tend(k, true) || busy; /* those who answer never wait for those who do not */
	(void)heartbeat_tend(k->heartbeat);
	scoreboard_redis(k->board, heartbeat_redis(k->heartbeat));
	let_go(k);
	attend(k); /* a statement's answer may have brought notifications along */
	for (size_t i = 0; i < k->ward_count; i++)
		if (ward_fd(k->wards[i]) != -1)
			fds[count++] =
				(struct pollfd){.fd = ward_fd(k->wards[i]), .events = POLLIN};
	(void)http_wait(k->http, fds, count, busy || k->closing ? 0 : until_due_ms(k), &err);
}

/* The workers are gone; what they left behind is given back before the last of us goes. */
static void last_turn(struct keeper *k)
{
	heartbeat_remove(k->heartbeat);
	for (size_t i = 0; i < k->ward_count; i++)
		ward_close(k->wards[i]);
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
