#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

int privileges_find(struct privileges *p, const char *user, struct err *err)
{
	const struct passwd *pw;

	*p = (struct privileges){.user = user, .uid = geteuid(), .gid = getegid()};
	if (p->uid != 0)
		return 0;
	if (user[0] == '\0')
		return err_set(err, ERR_CONFIG, "user",
			"started as root without a user to become: set user to an account without "
			"privileges, or to \"root\" if it must be");
	pw = getpwnam(user);
	if (pw == NULL)
		return err_set(err, ERR_CONFIG, "user",
			"there is no account \"%s\" to become, started as root: make it, or set "
			"user to another one",
			user);
	if (pw->pw_uid == 0 && strcmp(user, "root") != 0)
		return err_set(err, ERR_CONFIG, "user",
			"account \"%s\" has the rights of root: set user to one without, or to "
			"\"root\" if it must be",
			user);
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	p->dropped = p->uid != 0;
	return 0;
}

/* Is anything of root left, or to be had again? */
static bool is_root_still(const struct privileges *p)
{
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
		return true;
	for (int i = 0; i < 3; i++)
		if (uid[i] != p->uid || gid[i] != p->gid)
			return true;
	return setuid(0) == 0 || seteuid(0) == 0;
}

int privileges_drop(const struct privileges *p, struct err *err)
{
	if (!p->dropped)
		return 0;
	if (initgroups(p->user, p->gid) != 0 || setresgid(p->gid, p->gid, p->gid) != 0 ||
		setresuid(p->uid, p->uid, p->uid) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot become user %s", p->user);
	if (is_root_still(p))
		return err_set(err, ERR_SYSTEM, "privileges",
			"the rights of root are not gone after becoming user %s", p->user);
	privileges_seal(); /* the change of user has set it anew */
	return 0;
}

void privileges_seal(void)
{
	const struct rlimit none = {0, 0};
#ifdef SANITIZED /* the leak check traces its own process */
	const unsigned long dumpable = 1;
#else
	const unsigned long dumpable = 0;
#endif

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int privileges_try(const struct privileges *p, int (*fn)(void *arg), void *arg, struct err *err)
{
	const pid_t pid = fork();
	struct err why;
	int status;

	if (pid == -1)
		return err_errno(err, ERR_SYSTEM, "cannot fork");
	if (pid == 0)
		_exit(privileges_drop(p, &why) == 0 ? fn(arg) : EX_OSERR);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return err_errno(err, ERR_SYSTEM, "cannot wait for a child");
	if (!WIFEXITED(status))
		return err_set(err, ERR_SYSTEM, "privileges",
			"what user %s may do cannot be told: the child that tried it died",
			p->user);
	return WEXITSTATUS(status);
}
