#include "hang.h"

#include <stdbool.h>

static int64_t patience(const struct hang *h, int64_t timeout_ms)
{
	const int64_t least_ms = h->stamp_ms == 0 ? HANG_START_MS : HANG_LEAST_MS;

	return timeout_ms > least_ms ? timeout_ms : least_ms;
}

void hang_begin(struct hang *h, int64_t now_ms)
{
	*h = (struct hang){.since_ms = now_ms, .looked_ms = now_ms};
}

enum hang_verdict hang_look(struct hang *h, int64_t stamp_ms, int64_t now_ms, int64_t timeout_ms)
{
	const bool unwatched = now_ms - h->looked_ms > HANG_UNWATCHED_MS;

	h->looked_ms = now_ms;
	if (h->aborted_ms != 0)
		return now_ms - h->aborted_ms >= HANG_EVIDENCE_MS ? HANG_KILL : HANG_FINE;
	if (unwatched || stamp_ms != h->stamp_ms)
		h->since_ms = now_ms;
	h->stamp_ms = stamp_ms;
	if (now_ms - h->since_ms < patience(h, timeout_ms))
		return HANG_FINE;
	h->aborted_ms = now_ms;
	h->silent_ms = now_ms - h->since_ms;
	return HANG_ABORT;
}
