/*
 * embed - texts compiled into the program: statements under sql, scripts under lua
 *
 * Made by tools/embed from the files themselves, so that psql and redis-cli run what the program
 * runs.
 *
 * Ownership  the text is static.
 * Errors     none: a name that was not compiled in is a fault of the program and aborts.
 * Processes  any.
 */
#ifndef INDEXOCR_EMBED_H
#define INDEXOCR_EMBED_H

const char *embed_get(const char *name);

#endif
