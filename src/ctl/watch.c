/* indexocrctl status --watch: in place on a terminal, one status after the other elsewhere. */
#include "clock.h"
#include "ctl.h"
#include "fdio.h"
#include "json.h"
#include "show.h"
#include "signals.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

enum { SECOND_MS = 1000, COLUMNS = 80, ROWS = 24 };

/* NULL with *err. */
static char *look(struct ctl *ctl, struct err *err)
{
	cJSON *status = ctl_ask(ctl, "status", err);
	char *text = NULL;

	if (status != NULL && ctl_judge(status, err) == 0)
		text = ctl->json ? json_print(status) : show_status(status);
	cJSON_Delete(status);
	return text;
}

/* ---- elsewhere: one after the other, with an empty line between */

/* The end of whoever reads ends us, by SIGPIPE. */
static int watch_plainly(struct ctl *ctl, int seconds)
{
	for (bool first = true;; first = false) {
		struct err err;
		char *text = look(ctl, &err);

		if (text == NULL && first)
			return ctl_fail(&err);
		if (text == NULL)
			(void)ctl_fail(&err);
		else if (puts(text) < 0 || fflush(stdout) != 0)
			return EX_IOERR;
		free(text);
		(void)poll(NULL, 0, seconds * SECOND_MS);
	}
}

/* ---- on a terminal */

struct screen {
	bool has_keys; /* standard input is a terminal too */
	struct termios before;
	int wake_fd;
};

/* Keys come at once and are not shown, the cursor is hidden, the screen empty. */
static void enter(struct screen *s)
{
	struct termios raw;

	s->has_keys = tcgetattr(STDIN_FILENO, &s->before) == 0;
	if (s->has_keys) {
		raw = s->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	(void)fputs("\033[?25l\033[2J", stdout);
}

static void leave(const struct screen *s)
{
	(void)fputs("\033[?25h", stdout);
	(void)fflush(stdout);
	if (s->has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

/* The last row stays free, for the cursor. */
static bool draw(const char *text)
{
	struct winsize size = {0};
	char *fitted;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row < 3)
		size = (struct winsize){.ws_col = COLUMNS, .ws_row = ROWS};
	fitted = show_fit(text, size.ws_col, size.ws_row - 1, "\033[K\n");
	(void)printf("\033[H%s\033[J", fitted);
	free(fitted);
	return fflush(stdout) == 0;
}

/* "q" among the keys that have come. */
static bool wants_to_quit(struct screen *s)
{
	char keys[16];
	const ssize_t n = read(STDIN_FILENO, keys, sizeof keys);

	if (n <= 0)
		s->has_keys = false;
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q')
			return true;
	return false;
}

/* The shell shall find its terminal as it was. */
static void be_suspended(struct screen *s)
{
	leave(s);
	(void)raise(SIGSTOP);
	enter(s);
}

enum wish { NOTHING, AGAIN, QUIT };

static enum wish take_signals(struct screen *s)
{
	uint64_t count;

	(void)!read(s->wake_fd, &count, sizeof count);
	if (signals_take(SIGINT) || signals_take(SIGTERM) || signals_take(SIGHUP))
		return QUIT;
	if (signals_take(SIGTSTP)) {
		be_suspended(s);
		return AGAIN;
	}
	return signals_take(SIGWINCH) ? AGAIN : NOTHING;
}

/* False = somebody has had enough. */
static bool wait_for_next(struct screen *s, int64_t until_ms)
{
	for (;;) {
		struct pollfd fds[2] = {{.fd = s->wake_fd, .events = POLLIN},
			{.fd = s->has_keys ? STDIN_FILENO : -1, .events = POLLIN}};
		const int ready = poll(fds, 2, clock_left_ms(until_ms));
		const enum wish wish = take_signals(s);

		if (wish == QUIT || (ready > 0 && fds[1].revents != 0 && wants_to_quit(s)))
			return false;
		if (ready == 0 || wish == AGAIN)
			return true;
	}
}

/* A daemon that is restarted is what people watch for: its silence is shown, and it is asked again. */
static void watch_in_place(struct ctl *ctl, int seconds, struct screen *s, char *text)
{
	struct err err = {0};
	bool more = true;

	enter(s);
	while (more) {
		const int64_t next_ms = clock_boot_ms() + (int64_t)seconds * SECOND_MS;

		more = draw(text != NULL ? text : err.text) && wait_for_next(s, next_ms);
		free(text);
		text = more ? look(ctl, &err) : NULL;
	}
	leave(s);
}

static int watch_on_terminal(struct ctl *ctl, int seconds)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, 0};
	static const int ignored[] = {0};
	struct screen screen = {.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	struct err err;
	char *text = look(ctl, &err);

	if (text == NULL)
		return ctl_fail(&err);
	signals_catch(caught, ignored, screen.wake_fd);
	watch_in_place(ctl, seconds, &screen, text);
	fd_close(&screen.wake_fd);
	return EX_OK;
}

int ctl_watch(struct ctl *ctl, int seconds)
{
	return isatty(STDOUT_FILENO) == 1 && !ctl->json ? watch_on_terminal(ctl, seconds)
							: watch_plainly(ctl, seconds);
}
