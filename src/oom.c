#include "oom.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Raises the score of a process by half of all memory; 1000 would make it the first of the whole host. */
static const char score[] = "500\n";

void oom_volunteer(void)
{
	const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd == -1)
		return;
	(void)!write(fd, score, strlen(score));
	(void)close(fd);
}
