/* Claims of other programs that nobody works on any more, where the configuration lets us take them. */
#include "queue.h"

#include "clock.h"
#include "mem.h"
#include "queue_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOREIGN_AT_MOST = 1000 };

/* Such a row has no time that could be trusted: how long it stayed unchanged is our own observation.
 */
struct queue_foreign {
	char id[JOB_ID_BYTES];
	char version[QUEUE_NUMBER_BYTES];
	int64_t since_ms;
};

static int64_t seen_since(const struct queue *q, const struct queue_foreign *row, int64_t now_ms)
{
	for (size_t i = 0; i < q->foreign_count; i++)
		if (strcmp(q->foreign[i].id, row->id) == 0 &&
			strcmp(q->foreign[i].version, row->version) == 0)
			return q->foreign[i].since_ms;
	return now_ms;
}

/* What is there now takes the place of what was there at the last look. */
static void remember(struct queue *q, const struct db_result *r, int64_t now_ms)
{
	const size_t count = (size_t)db_rows(r);
	struct queue_foreign *rows = mem_calloc(count, sizeof *rows);

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(rows[i].id, sizeof rows[i].id, "%s", db_text(r, (int)i, 0));
		(void)snprintf(
			rows[i].version, sizeof rows[i].version, "%s", db_text(r, (int)i, 1));
		rows[i].since_ms = seen_since(q, &rows[i], now_ms);
	}
	free(q->foreign);
	q->foreign = rows;
	q->foreign_count = count;
}

static int adopt(struct queue *q, const char **ids, const char **versions, size_t ripe, int *count,
	struct err *err)
{
	char *id_array = queue_array(ids, ripe);
	char *version_array = queue_array(versions, ripe);
	const char *const params[] = {id_array, version_array};
	struct db_result *r = NULL;
	int rc = queue_run(q, "adopt", 2, params, &r, err);

	if (rc == 0)
		*count = (int)db_affected(r);
	db_result_free(r);
	free(id_array);
	free(version_array);
	return rc;
}

static int adopt_ripe(struct queue *q, int64_t now_ms, int *count, struct err *err)
{
	const int64_t before_ms = now_ms - q->settings->adopt_foreign_after_ms;
	const char **ids = mem_calloc(q->foreign_count, sizeof *ids);
	const char **versions = mem_calloc(q->foreign_count, sizeof *versions);
	size_t ripe = 0;
	int rc = 0;

	for (size_t i = 0; i < q->foreign_count; i++) {
		if (q->foreign[i].since_ms > before_ms)
			continue;
		ids[ripe] = q->foreign[i].id;
		versions[ripe++] = q->foreign[i].version;
	}
	if (ripe > 0)
		rc = adopt(q, ids, versions, ripe, count, err);
	free(ids);
	free(versions);
	return rc;
}

int queue_adopt_foreign(struct queue *q, int *count, struct err *err)
{
	char at_most[QUEUE_NUMBER_BYTES];
	const char *const params[] = {q->sources, queue_number(at_most, FOREIGN_AT_MOST)};
	const int64_t now_ms = clock_boot_ms();
	struct db_result *r = NULL;

	*count = 0;
	if (q->settings->adopt_foreign_after_ms == 0)
		return 0;
	if (queue_run(q, "foreign", 2, params, &r, err) != 0)
		return -1;
	remember(q, r, now_ms);
	db_result_free(r);
	return adopt_ripe(q, now_ms, count, err);
}
