/* The scoreboard in one line, for the service manager. */
#include "buf.h"
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* queue.h counts up to here, and one more for all above. */
enum { COUNTED_MAX = 100000, SECOND_MS = 1000, MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

/* No finer than a person needs it: a line that is the same is not sent again. */
static const char *age(int64_t ms, char text[32])
{
	if (ms < 2 * MINUTE_MS)
		(void)snprintf(text, 32, "%" PRId64 " s", ms > 0 ? ms / SECOND_MS : 0);
	else if (ms < 2 * (int64_t)HOUR_MS)
		(void)snprintf(text, 32, "%" PRId64 " min", ms / MINUTE_MS);
	else if (ms < 48 * (int64_t)HOUR_MS)
		(void)snprintf(text, 32, "%" PRId64 " h", ms / HOUR_MS);
	else
		(void)snprintf(text, 32, "%" PRId64 " d", ms / (24 * (int64_t)HOUR_MS));
	return text;
}

struct pool {
	int workers, busy, paused, restarting, throttled, held;
};

static struct pool count_workers(const struct scoreboard *sb)
{
	struct pool pool = {0};
	struct sb_slot_view v;

	for (int i = SB_KEEPER + 1; i < scoreboard_used(sb); i++) {
		(void)scoreboard_look(sb, i, &v);
		pool.workers += v.post != SB_EMPTY;
		pool.busy += v.claim != 0;
		pool.paused += v.post == SB_RUNNING && v.state == SB_PAUSED;
		pool.restarting += v.post == SB_WAITING;
		pool.throttled += v.post == SB_THROTTLED;
		pool.held += v.post == SB_HELD;
	}
	return pool;
}

static void add_count(struct buf *line, int count, const char *what)
{
	if (count > 0)
		(void)!buf_addf(line, ", %d %s", count, what);
}

/* Those that are wanted count, started or not, and those that are not gone yet. */
static void add_pool(struct buf *line, const struct pool *pool, int wanted)
{
	const int workers = pool->workers > wanted ? pool->workers : wanted;

	(void)!buf_addf(line, "%d %s", workers, workers == 1 ? "worker" : "workers");
	add_count(line, pool->busy, "busy");
	add_count(line, pool->paused, "paused");
	add_count(line, pool->restarting, "restarting");
	add_count(line, pool->throttled, "throttled");
	add_count(line, pool->held, "held by a configuration fault");
}

static void add_stop(
	struct buf *line, const struct scoreboard *sb, const struct pool *pool, const char *phase)
{
	char waiting[STATUS_LINE_BYTES] = "waiting for the keeper";

	if (pool->workers > 0)
		status_drain_text(sb, waiting);
	(void)!buf_addf(
		line, "%s: %s", strcmp(phase, "drain") == 0 ? "draining" : "stopping", waiting);
}

/* What keeps the whole pool from working. */
static void add_hindrance(struct buf *line, const struct scoreboard *sb)
{
	struct sb_loop loop;

	if (scoreboard_paused_since(sb) != 0)
		(void)!buf_addf(line, "; claiming is paused");
	if (scoreboard_loop_get(sb, &loop))
		(void)!buf_addf(line, "; no worker becomes ready: %s", loop.reason);
}

static void add_keeper(struct buf *line, const struct scoreboard *sb)
{
	struct sb_slot_view v;

	(void)scoreboard_look(sb, SB_KEEPER, &v);
	if (v.post == SB_WAITING || v.post == SB_THROTTLED || v.post == SB_HELD)
		(void)!buf_addf(line, "; keeper %s", sb_post_name(v.post));
}

static void add_environment(
	struct buf *line, const char *name, const struct sb_environment_view *v, int64_t now_ms)
{
	const bool beyond = v->ready > COUNTED_MAX;
	char oldest[48] = "";
	char text[32];

	if (v->reach != SB_UP) {
		(void)!buf_addf(line, "; %s %s", name,
			v->reach == SB_UNKNOWN ? "not asked yet" : sb_reach_name(v->reach));
		return;
	}
	if (v->ready > 0 && v->oldest_ready_ms >= 0)
		(void)snprintf(oldest, sizeof oldest, ", oldest %s",
			age(v->oldest_ready_ms + now_ms - v->looked_ms, text));
	(void)!buf_addf(line, "; %s %" PRId64 "%s ready%s", name, beyond ? COUNTED_MAX : v->ready,
		beyond ? "+" : "", oldest);
}

static void add_environments(
	struct buf *line, struct scoreboard *sb, const struct settings *settings, int64_t now_ms)
{
	for (size_t i = 0; i < settings->environment_count; i++) {
		const struct set_environment *e = &settings->environments[i];
		struct sb_environment_view v;

		scoreboard_environment_get(
			sb, scoreboard_environment_index(sb, e->name, e->database), &v);
		add_environment(line, e->name, &v, now_ms);
	}
}

void status_line(struct scoreboard *sb, const struct status_facts *facts, int64_t now_ms,
	char *text, size_t size)
{
	const struct pool pool = count_workers(sb);
	struct buf line;

	buf_init(&line, size - 1);
	if (facts->reload_error[0] != '\0')
		(void)!buf_addf(&line, "reload refused: %s; ", facts->reload_error);
	if (facts->stop_phase != NULL) {
		add_stop(&line, sb, &pool, facts->stop_phase);
	} else {
		add_pool(&line, &pool, facts->pool_wanted);
		add_hindrance(&line, sb);
		add_keeper(&line, sb);
		if (scoreboard_redis_state(sb) == SB_REDIS_DOWN)
			(void)!buf_addf(&line, "; Redis down");
		add_environments(&line, sb, facts->settings, now_ms);
	}
	(void)snprintf(text, size, "%s", buf_text(&line));
	buf_fini(&line);
}
