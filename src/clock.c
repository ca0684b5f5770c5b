#include "clock.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t read_ms(clockid_t id)
{
	return read_us(id) / 1000;
}

int64_t clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_monotonic_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_real_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

void clock_format(int64_t real_ms, char *text)
{
	const time_t seconds = (time_t)(real_ms / 1000);
	struct tm parts = {0};
	size_t used;

	(void)gmtime_r(&seconds, &parts);
	used = strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
	(void)snprintf(text + used, CLOCK_TEXT_BYTES - used, ".%03dZ", (int)(real_ms % 1000));
}

int clock_left_ms(int64_t deadline_boot_ms)
{
	const int64_t left = deadline_boot_ms - clock_boot_ms();

	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}
