#include "worker_source.h"

#include "clock.h"
#include "log.h"
#include "retry.h"

#include <stdlib.h>

enum { OUTAGE_MS = 1000, OUTAGE_MAX_MS = 30 * 1000 };

static double chance(void)
{
	return (double)random() / ((double)RAND_MAX + 1.0);
}

int source_open(struct source *s, struct scoreboard *board,
	const struct set_environment *environment, const struct set_queue *settings,
	const char *worker_id, struct err *err)
{
	*s = (struct source){.settings = environment};
	s->index = scoreboard_environment_index(board, environment->name, environment->database);
	if (queue_new(&s->queue, environment, settings, worker_id, err) != 0)
		return err_prefix(err, "environment %s: ", environment->name);
	return 0;
}

void source_fini(struct source *s)
{
	queue_free(s->queue);
	s->queue = NULL;
}

bool source_has_news(const struct sb_environment_view *told, uint64_t empty_news)
{
	if (told->reach != SB_UP)
		return false;
	if (!told->hears && told->answer_ms < SOURCE_SLOW_MS)
		return true;
	return told->news > empty_news && told->news > told->stale_news;
}

bool source_is_worth_asking(
	const struct source *s, const struct scoreboard *board, bool keeper_is_silent)
{
	struct sb_environment_view told;

	if (s->closed_ms > clock_boot_ms())
		return false;
	if (keeper_is_silent)
		return true;
	scoreboard_environment_get(board, s->index, &told);
	return source_has_news(&told, s->empty_news);
}

/* One that cannot be asked is left alone for a while, longer each time. */
static void close_for_a_while(struct source *s, const struct err *why)
{
	const int64_t pause = retry_backoff_ms(++s->failures, OUTAGE_MS, OUTAGE_MAX_MS, chance());

	s->closed_ms = clock_boot_ms() + pause;
	if (s->failures == 1 && why->kind != ERR_STOPPED)
		log_event(LEVEL_ERROR, "claim", &(struct log_more){.ms = -1, .error = why->text},
			"Cannot claim from %s", s->settings->name);
}

void source_answered(struct source *s, int rc, uint64_t news, const struct err *err)
{
	if (rc == -1) {
		close_for_a_while(s, err);
		return;
	}
	s->failures = 0;
	if (rc == 1)
		s->empty_news = news;
}
