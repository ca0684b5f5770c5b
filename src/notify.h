/*
 * notify - tells the service manager how the daemon fares, in the protocol of sd_notify(3)
 *
 * Datagrams of NAME=value lines to $NOTIFY_SOCKET: systemd reads them, and container engines that
 * speak as it does. The protocol is fixed and documented for those who speak it themselves; so does
 * this module, because libsystemd's call waits for as long as the manager does not read (from the
 * 12th message on, with the kernel's own queue), and the master waits for nobody. What does not go
 * out is kept, the newest state of it, and goes out with the next turn.
 *
 * Nobody else speaks for us: the variables leave the environment when they have been read, and
 * children close the socket.
 *
 * Ownership  notify_open() makes it, notify_close() frees it; texts are copied. NULL is a manager
 *            that did not ask to be told: every function takes it.
 * Units      boot time in milliseconds, handed in.
 * Errors     nobody is told: a manager that cannot be reached stops nothing. One warning in the log
 *            until it can be reached again.
 * Processes  master; notify_forget() in its children.
 */
#ifndef INDEXOCR_NOTIFY_H
#define INDEXOCR_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct notify;

/* From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which it takes out of the environment. */
struct notify *notify_open(void);
void notify_close(struct notify *n);
/* In a child: closes the socket and says nothing. */
void notify_forget(struct notify *n);

/*
 * What has come about, told at once. status is one line for people, NULL = none; what would end the line becomes a blank.
 * A reload is ready again when it is over, taken over or refused.
 */
void notify_ready(struct notify *n, const char *status, int64_t now_ms);
void notify_reloading(struct notify *n, int64_t monotonic_us, int64_t now_ms);
void notify_stopping(struct notify *n, const char *status, int64_t now_ms);

/*
 * Once a turn of the master's loop: tells the status when it has changed, every few seconds at most, and feeds the
 * watchdog at half its interval while alive. A start that has to wait, and a stop, are given more time for as long as
 * this is called.
 */
void notify_turn(struct notify *n, const char *status, bool alive, int64_t now_ms);

/* When the watchdog is to be fed next, for the loop that sleeps; -1 = no turn is due before the next tick. */
int64_t notify_due_ms(const struct notify *n, int64_t now_ms);

#endif
