#include "clock.h"
#include "fdio.h"
#include "mem.h"
#include "scoreboard_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* A kill in the middle of a write leaves the sequence odd for ever: no reader waits for it longer than this. */
enum { READ_RETRIES = 1000 };

static size_t round_up(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

static int map_board(struct scoreboard *sb, size_t limiter_bytes, struct err *err)
{
	const size_t header_bytes = round_up(sizeof(struct header), 4096);
	const size_t slot_bytes = round_up((size_t)sb->slots * sizeof(struct slot), 4096);
	int fd = memfd_create("indexocr-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *base;

	sb->bytes = header_bytes + slot_bytes + round_up(limiter_bytes, 4096);
	if (fd == -1 || ftruncate(fd, (off_t)sb->bytes) == -1) {
		(void)err_errno(
			err, ERR_SYSTEM, "cannot make the scoreboard of %zu bytes", sb->bytes);
		fd_close(&fd);
		return -1;
	}
	base = mmap(NULL, sb->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) == -1) {
		(void)err_errno(err, ERR_SYSTEM, "cannot map the scoreboard");
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	sb->header = (void *)base;
	sb->slot = (void *)(base + header_bytes);
	sb->limiter = base + header_bytes + slot_bytes;
	return 0;
}

static int make_events(struct scoreboard *sb, struct err *err)
{
	sb->events = mem_calloc((size_t)sb->slots, sizeof *sb->events);
	for (int i = 0; i < sb->slots; i++)
		sb->events[i] = -1;
	for (int i = 0; i < sb->slots; i++) {
		sb->events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (sb->events[i] == -1)
			return err_errno(err, ERR_SYSTEM,
				"cannot make an eventfd for each of %d slots", sb->slots);
	}
	return 0;
}

int scoreboard_new(
	struct scoreboard **out, int workers_limit, size_t limiter_bytes, struct err *err)
{
	struct scoreboard *sb = mem_calloc(1, sizeof *sb);

	sb->slots = workers_limit + 1;
	if (map_board(sb, limiter_bytes, err) != 0 || make_events(sb, err) != 0) {
		scoreboard_free(sb);
		return -1;
	}
	*out = sb;
	return 0;
}

void scoreboard_free(struct scoreboard *sb)
{
	if (sb == NULL)
		return;
	if (sb->header != NULL)
		(void)munmap(sb->header, sb->bytes);
	for (int i = 0; sb->events != NULL && i < sb->slots; i++)
		fd_close(&sb->events[i]);
	free(sb->events);
	free(sb);
}

int scoreboard_slots(const struct scoreboard *sb)
{
	return sb->slots;
}

int scoreboard_used(const struct scoreboard *sb)
{
	const int used = atomic_load(&sb->header->used);

	return used < 0 ? 0 : used > sb->slots ? sb->slots : used; /* as written there, no bound */
}

void *scoreboard_limiter(struct scoreboard *sb)
{
	return sb->limiter;
}

void scoreboard_set_daemon(struct scoreboard *sb, const char *daemon, const char *previous)
{
	(void)snprintf(sb->header->daemon, sizeof sb->header->daemon, "%s", daemon);
	(void)snprintf(sb->header->previous, sizeof sb->header->previous, "%s", previous);
}

const char *scoreboard_daemon(const struct scoreboard *sb)
{
	return sb->header->daemon;
}

const char *scoreboard_previous(const struct scoreboard *sb)
{
	return sb->header->previous;
}

/* ---- waking */

int scoreboard_event_fd(const struct scoreboard *sb, int slot)
{
	return sb->events[slot];
}

void scoreboard_wake(const struct scoreboard *sb, int slot)
{
	const uint64_t one = 1;

	(void)!write(sb->events[slot], &one, sizeof one); /* a full counter is awake already */
}

bool scoreboard_woken(const struct scoreboard *sb, int slot)
{
	uint64_t count;

	return read(sb->events[slot], &count, sizeof count) == (ssize_t)sizeof count;
}

void scoreboard_keep_events(struct scoreboard *sb, int slot)
{
	if (slot == SB_KEEPER)
		return;
	for (int i = 0; i < sb->slots; i++)
		if (i != slot && i != SB_KEEPER)
			fd_close(&sb->events[i]);
}

/* ---- sequence lock */

void sb_write_begin(_Atomic uint32_t *sequence)
{
	atomic_fetch_or_explicit(sequence, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

void sb_write_end(_Atomic uint32_t *sequence)
{
	atomic_fetch_add_explicit(sequence, 1, memory_order_release);
}

bool sb_read(const _Atomic uint32_t *sequence, void *to, const void *from, size_t bytes)
{
	for (int i = 0; i < READ_RETRIES; i++) {
		const uint32_t before = atomic_load_explicit(sequence, memory_order_acquire);

		if ((before & 1) != 0)
			continue;
		memcpy(to, from, bytes);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(sequence, memory_order_relaxed) == before)
			return true;
	}
	return false;
}

void sb_set_text(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text != NULL ? text : "");
}

/* ---- post */

void scoreboard_born_with(struct scoreboard *sb, int slot, int generation)
{
	atomic_store(&sb->slot[slot].generation, generation);
}

void scoreboard_post(struct scoreboard *sb, int slot, enum sb_post post, int pid, int64_t spawn)
{
	struct slot *s = &sb->slot[slot];

	if (slot >= atomic_load(&sb->header->used))
		atomic_store(&sb->header->used, slot + 1);
	atomic_store(&s->pid, pid);
	atomic_store(&s->spawn, spawn);
	atomic_store(&s->post, (int)post);
}

void scoreboard_post_why(struct scoreboard *sb, int slot, int64_t restart_at_ms, const char *reason)
{
	struct slot *s = &sb->slot[slot];

	atomic_store(&s->restart_at_ms, restart_at_ms);
	sb_write_begin(&s->reason.sequence);
	sb_set_text(s->reason.text, sizeof s->reason.text, reason);
	sb_write_end(&s->reason.sequence);
}

void scoreboard_bury(struct scoreboard *sb, int slot)
{
	struct slot *s = &sb->slot[slot];

	sb_write_begin(&s->texts.sequence);
	s->texts.token[0] = '\0';
	s->texts.document[0] = '\0';
	sb_write_end(&s->texts.sequence);
	atomic_store(&s->claim, 0);
	atomic_store(&s->environment_1, 0);
	atomic_store(&s->page, 0);
	atomic_store(&s->pages, 0);
	atomic_store(&s->alive_ms, 0);
	atomic_store(&s->lost_claim, 0);
	atomic_store(&s->valid, 0);
	for (int i = 0; i < SB_KEPT; i++)
		scoreboard_unkeep(sb, slot, i);
	atomic_store(&s->state, SB_STARTING);
	atomic_store(&s->since_ms, clock_boot_ms());
	crash_clear(&s->words);
}

void scoreboard_retire(struct scoreboard *sb, int slot)
{
	struct slot *s = &sb->slot[slot];

	scoreboard_bury(sb, slot);
	for (int i = 0; i < SB_COUNTERS; i++)
		atomic_fetch_add(&sb->header->retired[i], atomic_exchange(&s->counters[i], 0));
	scoreboard_post_why(sb, slot, 0, "");
	scoreboard_death(sb, slot, &(struct sb_death){0});
	scoreboard_post(sb, slot, SB_EMPTY, 0, atomic_load(&s->spawn));
}

/* ---- own */

struct crash_words *scoreboard_last_words(struct scoreboard *sb, int slot)
{
	return &sb->slot[slot].words;
}

void scoreboard_alive(struct scoreboard *sb, int slot)
{
	atomic_store_explicit(&sb->slot[slot].alive_ms, clock_boot_ms(), memory_order_relaxed);
}

int64_t scoreboard_alive_ms(const struct scoreboard *sb, int slot)
{
	return atomic_load_explicit(&sb->slot[slot].alive_ms, memory_order_relaxed);
}

void scoreboard_state(struct scoreboard *sb, int slot, enum sb_state state)
{
	struct slot *s = &sb->slot[slot];

	if (atomic_load(&s->state) == (int)state)
		return;
	atomic_store(&s->since_ms, clock_boot_ms());
	atomic_store(&s->state, (int)state);
}

enum sb_state scoreboard_state_of(const struct scoreboard *sb, int slot)
{
	return (enum sb_state)atomic_load(&sb->slot[slot].state);
}

void scoreboard_claim(
	struct scoreboard *sb, int slot, int environment, int64_t claim, const char *token)
{
	struct slot *s = &sb->slot[slot];

	sb_write_begin(&s->texts.sequence);
	sb_set_text(s->texts.token, sizeof s->texts.token, token);
	s->texts.document[0] = '\0';
	sb_write_end(&s->texts.sequence);
	atomic_store(&s->environment_1, environment + 1);
	atomic_store(&s->job_since_ms, clock_boot_ms());
	atomic_store(&s->page, 0);
	atomic_store(&s->pages, 0);
	atomic_store(&s->claim, claim);
}

void scoreboard_document(struct scoreboard *sb, int slot, const char *id)
{
	struct texts *t = &sb->slot[slot].texts;

	sb_write_begin(&t->sequence);
	sb_set_text(t->document, sizeof t->document, id);
	sb_write_end(&t->sequence);
}

void scoreboard_page(struct scoreboard *sb, int slot, int page, int pages)
{
	atomic_store(&sb->slot[slot].page, page);
	atomic_store(&sb->slot[slot].pages, pages);
}

void scoreboard_count(struct scoreboard *sb, int slot, enum sb_counter counter, uint64_t delta)
{
	atomic_fetch_add_explicit(&sb->slot[slot].counters[counter], delta, memory_order_relaxed);
}

/* ---- mailbox */

static const uint64_t until_mask = (UINT64_C(1) << 44) - 1;

static uint64_t claim_tag(int64_t claim)
{
	return ((uint64_t)claim & 0xFFFFF) << 44;
}

uint64_t sb_valid_word(int64_t claim, int64_t until_boot_ms)
{
	return claim_tag(claim) | ((uint64_t)until_boot_ms & until_mask);
}

int64_t sb_valid_until(uint64_t word, int64_t claim)
{
	return (word & ~until_mask) == claim_tag(claim) ? (int64_t)(word & until_mask) : 0;
}

/* FNV-1a: one word instead of a text and its lock. */
static uint64_t token_word(const char *token)
{
	uint64_t word = UINT64_C(14695981039346656037);

	for (; *token != '\0'; token++)
		word = (word ^ (unsigned char)*token) * UINT64_C(1099511628211);
	return word != 0 ? word : 1;
}

void scoreboard_claim_lost(struct scoreboard *sb, int slot, const char *token)
{
	atomic_store(&sb->slot[slot].lost_claim, token_word(token));
	scoreboard_wake(sb, slot);
}

bool scoreboard_is_lost(const struct scoreboard *sb, int slot, const char *token)
{
	const uint64_t lost = atomic_load(&sb->slot[slot].lost_claim);

	return lost != 0 && lost == token_word(token);
}

void scoreboard_claim_valid(struct scoreboard *sb, int slot, int64_t claim, int64_t until_boot_ms)
{
	atomic_store(&sb->slot[slot].valid, sb_valid_word(claim, until_boot_ms));
}

int64_t scoreboard_valid_until(const struct scoreboard *sb, int slot, int64_t claim)
{
	return sb_valid_until(atomic_load(&sb->slot[slot].valid), claim);
}

/* ---- environments */

/* The mapping is everybody's: what stands there is no bound. */
static int environment_count(const struct scoreboard *sb)
{
	const int count = atomic_load(&sb->header->environment_count);

	return count < 0 ? 0 : count > SB_ENVIRONMENTS_MAX ? SB_ENVIRONMENTS_MAX : count;
}

int scoreboard_environment_index(struct scoreboard *sb, const char *name, const char *database)
{
	char hash[HASH_TEXT_BYTES];
	const int count = environment_count(sb);
	struct environment *e;

	hash_text(database, hash);
	for (int i = 0; i < count; i++)
		if (strcmp(sb->header->environments[i].name, name) == 0 &&
			strcmp(sb->header->environments[i].database, hash) == 0)
			return i;
	if (count == SB_ENVIRONMENTS_MAX)
		return -1;
	e = &sb->header->environments[count];
	sb_set_text(e->name, sizeof e->name, name);
	sb_set_text(e->database, sizeof e->database, hash);
	e->view = (struct sb_environment_view){.oldest_ready_ms = -1};
	atomic_store(&sb->header->environment_count, count + 1);
	return count;
}

const char *scoreboard_environment_name(const struct scoreboard *sb, int environment)
{
	return environment >= 0 && environment < SB_ENVIRONMENTS_MAX &&
			       environment < environment_count(sb)
		       ? sb->header->environments[environment].name
		       : NULL;
}

void scoreboard_environment(
	struct scoreboard *sb, int environment, const struct sb_environment_view *view)
{
	struct environment *e = &sb->header->environments[environment];

	sb_write_begin(&e->sequence);
	e->view = *view;
	sb_write_end(&e->sequence);
}

void scoreboard_environment_get(
	const struct scoreboard *sb, int environment, struct sb_environment_view *out)
{
	const struct environment *e = &sb->header->environments[environment];

	if (!sb_read(&e->sequence, out, &e->view, sizeof *out))
		*out = (struct sb_environment_view){.oldest_ready_ms = -1};
}

struct gate *scoreboard_storage_gate(struct scoreboard *sb, int environment)
{
	return &sb->header->environments[environment].storage;
}

struct gate *scoreboard_engine_gate(struct scoreboard *sb)
{
	return &sb->header->engine;
}

void scoreboard_redis(struct scoreboard *sb, enum sb_redis state)
{
	atomic_store(&sb->header->redis, (int)state);
}

enum sb_redis scoreboard_redis_state(const struct scoreboard *sb)
{
	return (enum sb_redis)atomic_load(&sb->header->redis);
}

void scoreboard_draining(struct scoreboard *sb, bool draining)
{
	atomic_store(&sb->header->draining, draining);
}

bool scoreboard_is_draining(const struct scoreboard *sb)
{
	return atomic_load(&sb->header->draining);
}

void scoreboard_pause(struct scoreboard *sb, bool paused)
{
	if (paused == (scoreboard_paused_since(sb) != 0))
		return;
	atomic_store(&sb->header->paused_ms, paused ? clock_boot_ms() : 0);
	for (int i = 0; i < sb->slots; i++)
		scoreboard_wake(sb, i);
}

int64_t scoreboard_paused_since(const struct scoreboard *sb)
{
	return atomic_load(&sb->header->paused_ms);
}

void scoreboard_reload_waits(struct scoreboard *sb, bool waits)
{
	if (waits != (scoreboard_reload_waits_since(sb) != 0))
		atomic_store(&sb->header->reload_waits_ms, waits ? clock_boot_ms() : 0);
}

int64_t scoreboard_reload_waits_since(const struct scoreboard *sb)
{
	return atomic_load(&sb->header->reload_waits_ms);
}

/* ---- reading */

bool scoreboard_look(const struct scoreboard *sb, int slot, struct sb_slot_view *out)
{
	const struct slot *s = &sb->slot[slot];
	struct texts texts = {0};
	struct reason reason = {0};
	bool whole;

	whole = sb_read(&s->texts.sequence, texts.token, s->texts.token,
		sizeof texts.token + sizeof texts.document);
	whole = sb_read(&s->reason.sequence, reason.text, s->reason.text, sizeof reason.text) &&
		whole;
	/* What others wrote need not end where it should. */
	texts.token[sizeof texts.token - 1] = '\0';
	texts.document[sizeof texts.document - 1] = '\0';
	reason.text[sizeof reason.text - 1] = '\0';
	*out = (struct sb_slot_view){
		.post = (enum sb_post)atomic_load(&s->post),
		.pid = atomic_load(&s->pid),
		.spawn = atomic_load(&s->spawn),
		.generation = atomic_load(&s->generation),
		.restart_at_ms = atomic_load(&s->restart_at_ms),
		.state = (enum sb_state)atomic_load(&s->state),
		.since_ms = atomic_load(&s->since_ms),
		.alive_ms = atomic_load(&s->alive_ms),
		.environment = atomic_load(&s->environment_1) - 1,
		.claim = atomic_load(&s->claim),
		.page = atomic_load(&s->page),
		.pages = atomic_load(&s->pages),
		.job_since_ms = atomic_load(&s->job_since_ms),
	};
	sb_set_text(out->token, sizeof out->token, whole ? texts.token : "");
	sb_set_text(out->document, sizeof out->document, whole ? texts.document : "");
	sb_set_text(out->reason, sizeof out->reason, whole ? reason.text : "");
	for (int i = 0; i < SB_COUNTERS; i++)
		out->counters[i] = atomic_load_explicit(&s->counters[i], memory_order_relaxed);
	return whole;
}

void scoreboard_mend(struct scoreboard *sb, int slot, struct sb_slot_view *out)
{
	struct texts *t = &sb->slot[slot].texts;

	t->token[sizeof t->token - 1] = '\0';
	t->document[sizeof t->document - 1] = '\0';
	sb_write_begin(&t->sequence);
	sb_write_end(&t->sequence);
	(void)scoreboard_look(sb, slot, out);
}

void scoreboard_totals(const struct scoreboard *sb, uint64_t totals[SB_COUNTERS])
{
	for (int i = 0; i < SB_COUNTERS; i++)
		totals[i] = scoreboard_total(sb, (enum sb_counter)i);
}

uint64_t scoreboard_total(const struct scoreboard *sb, enum sb_counter counter)
{
	uint64_t total = atomic_load(&sb->header->retired[counter]);

	for (int s = 0; s < scoreboard_used(sb); s++)
		total += atomic_load_explicit(&sb->slot[s].counters[counter], memory_order_relaxed);
	return total;
}
