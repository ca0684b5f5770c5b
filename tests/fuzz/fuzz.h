/*
 * fuzz - what a target is
 *
 * One file tests/fuzz/fuzz_<name>.c with this function, one name in fuzz_targets of Makefile.am, and
 * inputs to begin with in tests/fuzz/corpus/<name>. With --enable-fuzz (clang) libFuzzer calls it
 * with inputs of its own: make fuzz. Without, replay.c calls it with the corpus: make check.
 */
#ifndef INDEXOCR_FUZZ_H
#define INDEXOCR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0; what must not happen ends the process (abort). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
