#include "conf.h"

#include "buf.h"
#include "conf_check.h"
#include "conf_table.h"
#include "conf_value.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void print_keys(const char *section, const void *base, const char *indent, FILE *out)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (strcmp(conf_keys[i].section, section) == 0)
			conf_value_print(&conf_keys[i], base, indent, out);
}

int conf_print(const struct settings *settings, FILE *out)
{
	for (size_t i = 0; i < settings->warnings.count; i++)
		(void)fprintf(out, "# %s\n", settings->warnings.items[i]);
	print_keys("", settings, "", out);
	for (size_t i = 0; i < settings->environment_count; i++) {
		const struct set_environment *e = &settings->environments[i];

		(void)fprintf(out, "\nenvironment %s {\n", e->name);
		print_keys("environment", e, "\t", out);
		(void)fprintf(out, "}\n");
	}
	for (size_t i = 0; conf_sections[i] != NULL; i++) {
		(void)fprintf(out, "\n%s {\n", conf_sections[i]);
		print_keys(conf_sections[i], settings, "\t", out);
		(void)fprintf(out, "}\n");
	}
	return fflush(out) == 0 && ferror(out) == 0 ? 0 : -1;
}

char *conf_diff(const struct settings *running, const struct settings *wanted)
{
	char *names = NULL;

	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		char title[CONF_TEXT_BYTES];
		char *longer;

		if (!key->restart || conf_value_equal(key, running, wanted))
			continue;
		conf_key_title(key, NULL, title);
		longer = mem_printf(
			"%s%s%s", names != NULL ? names : "", names != NULL ? ", " : "", title);
		free(names);
		names = longer;
	}
	return names;
}

void conf_keep(struct settings *wanted, const struct settings *running)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].restart)
			conf_value_copy(&conf_keys[i], wanted, running);
}

void conf_free(struct settings *settings)
{
	if (settings == NULL)
		return;
	for (size_t i = 0; i < settings->environment_count; i++)
		conf_environment_fini(&settings->environments[i]);
	free(settings->environments);
	conf_list_fini(&settings->warnings);
	conf_list_fini(&settings->files);
	for (size_t i = 0; i < conf_key_count; i++)
		if (!conf_key_in_environment(&conf_keys[i]))
			conf_value_fini(&conf_keys[i], settings);
	free(settings);
}
