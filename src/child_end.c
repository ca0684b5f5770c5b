/* Deaths: what follows from them, and what is written about them. */
#include "child_private.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "obituary.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { ORPHAN_NAP_MS = 10 };

/* One that has ended, and everything that is known of it. */
struct dead {
	const struct child *child;
	int slot;
	int wait_status;
	struct sb_slot_view last; /* its own half of the slot, as it left it */
	struct restart_decision decision;
	struct sb_death death;
};

/* ---- for the keeper: a claim that nobody holds any more */

/* One that has not learned yet which document it was given cannot have died of it. */
static void leave_claim_to_keeper(struct child_table *t, const struct dead *dead)
{
	const struct obituary_owner whose = {
		dead->slot, scoreboard_daemon(t->scoreboard), dead->child->spawn};
	struct sb_obituary words = {
		.environment = dead->last.environment,
		.crashed = dead->decision.crashed && dead->last.document[0] != '\0',
	};

	if (dead->last.claim == 0 || !obituary_prefix(&whose, dead->last.token, words.prefix))
		return;
	(void)snprintf(words.token, sizeof words.token, "%s", dead->last.token);
	obituary_of_document(&dead->death, &dead->decision,
		scoreboard_environment_name(t->scoreboard, words.environment), words.reason,
		sizeof words.reason);
	scoreboard_obituary_add(t->scoreboard, dead->slot, &words);
	scoreboard_wake(t->scoreboard, SB_KEEPER);
}

/* ---- for people */

static void what_follows(const struct child *c, char *text, size_t size)
{
	const int64_t wait_ms = c->due_ms - clock_boot_ms();

	if (!c->wanted)
		(void)snprintf(text, size, "%s", "");
	else if (c->held)
		(void)snprintf(text, size,
			"; a fault of the configuration, not started again before a reload");
	else if (wait_ms <= 0)
		(void)snprintf(text, size, "; starting it again");
	else
		(void)snprintf(text, size, "; starting it again in %lld s",
			(long long)(wait_ms + 999) / 1000);
}

static cJSON *facts_of(const struct dead *dead)
{
	cJSON *data = cJSON_CreateObject();

	json_add_int(data, "pid", dead->death.pid);
	json_add_int(data, "spawn", dead->death.spawn);
	json_add_int(data, "livedMs", dead->death.lived_ms);
	json_add_text(data, "reason", dead->death.reason);
	json_add_text(data, "state", sb_state_name(dead->death.state));
	return data;
}

static void log_death(
	const struct child_table *t, const struct settings *settings, const struct dead *dead)
{
	const struct sb_death *death = &dead->death;
	const char *environment = scoreboard_environment_name(t->scoreboard, death->environment);
	char name[CHILD_NAME_BYTES];
	char how[OBITUARY_BYTES], doing[OBITUARY_BYTES], next[OBITUARY_BYTES];

	child_name(settings, dead->slot, name);
	if (death->reason[0] == '\0') {
		log_event(LEVEL_DEBUG, "master", NULL, "%s (pid %d) has ended", name, death->pid);
		return;
	}
	obituary_how(&dead->decision, how);
	obituary_doing(death, environment, doing);
	what_follows(dead->child, next, sizeof next);
	log_job(environment, death->document);
	log_event(dead->decision.crashed || dead->decision.hold ? LEVEL_ERROR : LEVEL_WARN,
		"master",
		&(struct log_more){.page = death->page,
			.ms = -1,
			.error = death->trace[0] != '\0' ? death->trace : NULL,
			.data = facts_of(dead)},
		"%s (pid %d, %lld s old) %s%s%s%s", name, death->pid,
		(long long)(death->lived_ms / 1000), how,
		death->state != SB_STARTING ? " while " : "",
		death->state != SB_STARTING ? doing : "", next);
	log_job(NULL, NULL);
}

/* Why the slot is empty, until its next process is born. */
static void post_why(struct child_table *t, const struct dead *dead)
{
	const struct child *c = dead->child;
	const char *environment =
		scoreboard_environment_name(t->scoreboard, dead->death.environment);
	char doing[OBITUARY_BYTES];
	char why[SB_TEXT_BYTES];

	obituary_doing(&dead->death, environment, doing);
	if (dead->death.document[0] != '\0')
		(void)snprintf(why, sizeof why, "%s while %s", dead->decision.reason, doing);
	else
		(void)snprintf(why, sizeof why, "%s", dead->decision.reason);
	scoreboard_post(t->scoreboard, dead->slot,
		c->held                    ? SB_HELD
		: dead->decision.throttled ? SB_THROTTLED
					   : SB_WAITING,
		0, c->spawn);
	scoreboard_post_why(t->scoreboard, dead->slot, c->due_ms, why);
}

/* ---- reaping */

static int find(const struct child_table *t, pid_t pid)
{
	for (int i = 0; i < t->slots; i++)
		if (t->children[i].pid == pid)
			return i;
	return -1;
}

/* A stamp is a number that somebody else wrote. */
static int64_t lived_ms(const struct dead *dead, int64_t now_ms)
{
	const int64_t heard_ms = dead->last.alive_ms;
	const int64_t born_ms = dead->child->started_ms;

	if (heard_ms < born_ms)
		return 0;
	return (heard_ms < now_ms ? heard_ms : now_ms) - born_ms;
}

static void decide(
	const struct child_table *t, struct dead *dead, const struct set_supervise *settings)
{
	const struct child *c = dead->child;
	const int64_t now_ms = clock_boot_ms();
	const struct restart_end end = {
		.wait_status = dead->wait_status,
		.told_to_end = c->told_to_end,
		.was_ready = dead->last.alive_ms != 0,
		.lived_ms = lived_ms(dead, now_ms),
		.hung_ms = c->hang.silent_ms,
		.past = c->past,
	};
	struct crash_words words;

	dead->decision = restart_decide(&end, settings);
	obituary_begin(&dead->death, &dead->last, &dead->decision);
	dead->death.at_ms = clock_real_ms();
	dead->death.pid = c->pid; /* ours: the slot's may be anybody's */
	dead->death.spawn = c->spawn;
	dead->death.lived_ms = now_ms - c->started_ms;
	if (crash_read(scoreboard_last_words(t->scoreboard, dead->slot), &words))
		crash_trace(&words, dead->death.trace, sizeof dead->death.trace);
	else if (WIFSIGNALED(dead->wait_status) && WTERMSIG(dead->wait_status) == SIGKILL &&
		 !c->told_to_end && !dead->decision.hung)
		(void)snprintf(dead->death.trace, sizeof dead->death.trace,
			"by a person, or by the kernel for want of memory, whose log says so");
}

static void bury(struct child_table *t, const struct settings *settings, int slot, int wait_status)
{
	struct child *c = &t->children[slot];
	struct dead dead = {.child = c, .slot = slot, .wait_status = wait_status};

	if (!scoreboard_look(t->scoreboard, slot, &dead.last))
		scoreboard_mend(t->scoreboard, slot, &dead.last);
	decide(t, &dead, &settings->supervise);
	leave_claim_to_keeper(t, &dead);
	scoreboard_bury(t->scoreboard, slot);
	c->pid = 0;
	c->past = dead.decision.past;
	c->held = dead.decision.hold;
	c->due_ms = clock_boot_ms() + dead.decision.delay_ms;
	if (!c->told_to_end)
		scoreboard_count(t->scoreboard, slot, SB_RESTARTS, 1);
	if (dead.decision.reason[0] != '\0')
		scoreboard_death(t->scoreboard, slot, &dead.death);
	if (c->wanted)
		post_why(t, &dead);
	else
		scoreboard_retire(t->scoreboard, slot);
	if (c->one == NULL || !WIFEXITED(wait_status)) /* it has said why itself */
		log_death(t, settings, &dead);
}

void child_reap(struct child_table *t, const struct settings *settings,
	void (*ended)(void *arg, int slot, int wait_status), void *arg)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		const int slot = find(t, pid);

		if (slot == -1)
			continue; /* inherited: a helper whose worker died, or any orphan as process 1 */
		bury(t, settings, slot, status);
		ended(arg, slot, status);
	}
}

void child_see_out(int wait_ms)
{
	const int64_t until_ms = clock_boot_ms() + wait_ms;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) != -1 && clock_left_ms(until_ms) > 0)
		if (pid == 0)
			(void)poll(NULL, 0, ORPHAN_NAP_MS);
}
