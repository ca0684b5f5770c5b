#include "obituary.h"

#include <stdio.h>
#include <string.h>

/* An id is a number or a UUID; whatever else stands there is shown, as far as it can be. */
static void copy_clean(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from);
	for (char *c = to; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
			*c = '?';
}

void obituary_begin(struct sb_death *death, const struct sb_slot_view *last,
	const struct restart_decision *decision)
{
	*death = (struct sb_death){
		.pid = last->pid, .spawn = last->spawn, .state = last->state, .environment = -1};
	(void)snprintf(death->reason, sizeof death->reason, "%s", decision->reason);
	if (last->claim == 0 || last->document[0] == '\0')
		return;
	death->environment = last->environment;
	copy_clean(death->document, sizeof death->document, last->document);
	death->page = last->page > 0 ? last->page : 0;
	death->pages = last->pages > 0 ? last->pages : 0;
}

void obituary_doing(
	const struct sb_death *death, const char *environment, char text[OBITUARY_BYTES])
{
	const char *const state = sb_state_name(death->state);
	char page[48] = "";

	if (death->page > 0 && death->pages > 0)
		(void)snprintf(page, sizeof page, " page %d of %d", death->page, death->pages);
	else if (death->page > 0)
		(void)snprintf(page, sizeof page, " page %d", death->page);
	if (death->document[0] == '\0')
		(void)snprintf(text, OBITUARY_BYTES, "%s", state);
	else
		(void)snprintf(text, OBITUARY_BYTES, "%s %.64s/%s%s", state,
			environment != NULL ? environment : "?", death->document, page);
}

void obituary_how(const struct restart_decision *decision, char text[OBITUARY_BYTES])
{
	(void)snprintf(text, OBITUARY_BYTES, "%s%s",
		decision->hung      ? ""
		: decision->crashed ? "crashed by "
				    : "ended by ",
		decision->reason);
}

void obituary_of_document(const struct sb_death *death, const struct restart_decision *decision,
	const char *environment, char *text, size_t size)
{
	char how[OBITUARY_BYTES];
	char doing[OBITUARY_BYTES];

	obituary_how(decision, how);
	obituary_doing(death, environment, doing);
	if (decision->hung)
		(void)snprintf(text, size, "worker %s while %s", how, doing);
	else if (death->page > 0)
		(void)snprintf(text, size, "worker %s at page %d", how, death->page);
	else
		(void)snprintf(text, size, "worker %s while %s", how, sb_state_name(death->state));
}

bool obituary_prefix(
	const struct obituary_owner *owner, const char *token, char prefix[CLAIM_TOKEN_BYTES])
{
	const char *end = strrchr(token, '/');
	char own[CLAIM_TOKEN_BYTES];
	size_t len, own_len;

	if (end == NULL)
		return false;
	(void)snprintf(prefix, CLAIM_TOKEN_BYTES, "%.*s/", (int)(end - token), token);
	(void)snprintf(own, sizeof own, "-%d/%s/%lld/", owner->slot, owner->daemon,
		(long long)owner->spawn);
	len = strlen(prefix);
	own_len = strlen(own);
	return len > own_len && strcmp(prefix + len - own_len, own) == 0;
}
