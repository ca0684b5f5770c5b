/* Claims whose result waits for its database, beside the one in work. */
#include "scoreboard_private.h"

void scoreboard_keep(struct scoreboard *sb, int slot, int place, const struct sb_kept_view *claim)
{
	struct kept *k = &sb->slot[slot].kept[place];

	sb_write_begin(&k->texts.sequence);
	sb_set_text(k->texts.token, sizeof k->texts.token, claim->token);
	sb_set_text(k->texts.document, sizeof k->texts.document, claim->document);
	sb_write_end(&k->texts.sequence);
	atomic_store(&k->environment, claim->environment);
	atomic_store(&k->claim, claim->claim);
}

void scoreboard_unkeep(struct scoreboard *sb, int slot, int place)
{
	atomic_store(&sb->slot[slot].kept[place].claim, 0);
}

bool scoreboard_kept(const struct scoreboard *sb, int slot, int place, struct sb_kept_view *out)
{
	const struct kept *k = &sb->slot[slot].kept[place];
	struct texts texts = {0};
	bool whole;

	*out = (struct sb_kept_view){
		.claim = atomic_load(&k->claim),
		.environment = atomic_load(&k->environment),
	};
	if (out->claim == 0)
		return false;
	whole = sb_read(&k->texts.sequence, texts.token, k->texts.token,
		sizeof texts.token + sizeof texts.document);
	texts.token[sizeof texts.token - 1] = '\0';
	texts.document[sizeof texts.document - 1] = '\0';
	sb_set_text(out->token, sizeof out->token, texts.token);
	sb_set_text(out->document, sizeof out->document, texts.document);
	return whole && atomic_load(&k->claim) == out->claim;
}

bool scoreboard_keeps(const struct scoreboard *sb, int slot, int64_t claim)
{
	for (int i = 0; i < SB_KEPT; i++)
		if (claim != 0 && atomic_load(&sb->slot[slot].kept[i].claim) == claim)
			return true;
	return false;
}

void scoreboard_kept_valid(
	struct scoreboard *sb, int slot, int place, int64_t claim, int64_t until_boot_ms)
{
	atomic_store(&sb->slot[slot].kept_valid[place], sb_valid_word(claim, until_boot_ms));
}

int64_t scoreboard_kept_valid_until(const struct scoreboard *sb, int slot, int place, int64_t claim)
{
	return sb_valid_until(atomic_load(&sb->slot[slot].kept_valid[place]), claim);
}
