/*
 * clock - the only place that asks what time it is
 *
 * Intervals are measured on CLOCK_BOOTTIME (it counts through a suspend, nobody sets it); real time
 * is for what other people see. Times that hosts share come from the database's and Redis' own
 * clocks, never from here.
 *
 * Units      milliseconds.
 * Processes  any.
 */
#ifndef INDEXOCR_CLOCK_H
#define INDEXOCR_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since the machine started. */
int64_t clock_boot_ms(void);

/* Microseconds as CLOCK_MONOTONIC counts them, for a service manager that compares them with its own. */
int64_t clock_monotonic_us(void);

/* Milliseconds since 1970, UTC. */
int64_t clock_real_ms(void);

/* "2026-11-23T22:25:37.123Z" for real_ms. text has room for at least CLOCK_TEXT_BYTES. */
enum { CLOCK_TEXT_BYTES = 32 };
void clock_format(int64_t real_ms, char *text);

/* Milliseconds left until a deadline in boot time: 0 when past, INT_MAX at most, for poll(). */
int clock_left_ms(int64_t deadline_boot_ms);

#endif
