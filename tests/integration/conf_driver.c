/*
 * conf_driver - what conf.c makes of a file, for tests/integration/test_conf.py
 *
 * conf_driver check FILE    loads it: 0, or 78 and the sentence on standard error
 * conf_driver print FILE    and prints what is in force
 * conf_driver diff A B      names what a reload from A to B cannot change
 * conf_driver table         every key of the table, tab-separated
 */
#include "conf.h"
#include "conf_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static int load(struct settings **out, const char *path)
{
	struct err err;

	if (conf_load(out, path, NULL, &err) == 0)
		return 0;
	(void)fprintf(stderr, "%s\n", err.text);
	return -1;
}

static int diff(const char *a, const char *b)
{
	struct settings *running = NULL;
	struct settings *wanted = NULL;
	int rc = EX_CONFIG;

	if (load(&running, a) == 0 && load(&wanted, b) == 0) {
		char *names = conf_diff(running, wanted);

		(void)printf("%s\n", names != NULL ? names : "");
		free(names);
		rc = 0;
	}
	conf_free(running);
	conf_free(wanted);
	return rc;
}

static int table(void)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		char allowed[CONF_TEXT_BYTES];
		char fallback[CONF_TEXT_BYTES];

		conf_key_allowed(key, allowed);
		conf_key_default(key, fallback);
		(void)printf("%s\t%s\t%s\t%s\t%s\t%s\n", key->section, key->name, allowed, fallback,
			key->restart ? "restart" : "reload", key->help);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct settings *settings = NULL;
	int rc = EX_CONFIG;

	if (argc == 2 && strcmp(argv[1], "table") == 0)
		return table();
	if (argc == 4 && strcmp(argv[1], "diff") == 0)
		return diff(argv[2], argv[3]);
	if (argc != 3)
		return EX_USAGE;
	if (load(&settings, argv[2]) == 0)
		rc = strcmp(argv[1], "print") != 0 || conf_print(settings, stdout) == 0 ? 0
											: EX_IOERR;
	conf_free(settings);
	return rc;
}
