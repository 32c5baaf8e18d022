/* One connection, in one poll loop. */
#define _POSIX_C_SOURCE 200809L
#include "device.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO "Hello World!"
#define DATA "from server: "
#define FIRST_PING 5000  /* and sooner where idle_timeout asks for it */
#define PING_EVERY 10000
#define SILENCE 30000    /* without a line, not even a pong: the gateway is gone */
#define RENEW_EVERY 1000 /* more often is refused */

struct session {
	int fd;
	const char *path;
	bool deaf; /* sending failed; what is left to read may say why */

	char token[TOKEN_ROOM];  /* that was accepted last */
	char newest[TOKEN_ROOM]; /* that is being tried */
	bool renewing;           /* and awaits its answer */
	struct pace renewals;

	ms began, heard, ping_at, ping_every, renew_at;

	char in[MAX_DATA];
	size_t in_length;
	bool skipping; /* the rest of a data line that does not fit */

	char out[MAX_TOKEN + 1024];
	size_t out_length;
};

static void authenticate(struct session *s);
static void renew(struct session *s);
static void say(struct session *s, const char *verb, const char *rest);
static void flush(struct session *s);
static bool receive(struct session *s, struct trouble *over);
static bool too_long(const char *line, struct trouble *over);
static bool take(struct session *s, char *line, size_t length, struct trouble *over);
static void accepted(struct session *s, const char *ok);
static void not_renewed(struct session *s, const struct trouble *t);

static ms sooner(ms a, ms b) { return a < b ? a : b; }

ms session_run(int fd, const char *path, struct trouble *over)
{
	static struct session s; /* too large for a small stack */

	memset(&s, 0, sizeof s);
	s.fd = fd;
	s.path = path;
	s.heard = now();
	s.ping_at = s.renew_at = NEVER;
	if (!token_read(path, s.newest, over)) {
		close(fd);
		return 0;
	}
	authenticate(&s);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ms t = now(), next;

		if (t >= s.heard + SILENCE) {
			trouble(over, "the gateway was silent for %d s", SILENCE / 1000);
			break;
		}
		if (t >= s.ping_at) {
			say(&s, "ping", "");
			s.ping_at = t + s.ping_every;
		}
		if (t >= s.renew_at)
			renew(&s);
		if (s.out_length > 0)
			p.events |= POLLOUT;
		next = sooner(s.heard + SILENCE, sooner(s.ping_at, s.renew_at));
		if (poll(&p, 1, next > t ? (int)(next - t) : 0) < 0 && errno != EINTR) {
			trouble(over, "poll: %s", strerror(errno));
			break;
		}
		if (p.revents & POLLOUT)
			flush(&s);
		if (p.revents & (POLLIN | POLLHUP | POLLERR) && !receive(&s, over))
			break;
	}
	close(fd);
	return s.began ? now() - s.began : 0;
}

/* authenticate sends the newest token. */
static void authenticate(struct session *s)
{
	say(s, "AUTH ", s->newest);
	s->renewing = true;
	s->renew_at = NEVER;
}

/* renew sends a new token if there is one; the old one again would be answered
 * OK and extend nothing. */
static void renew(struct session *s)
{
	struct trouble t;

	if (!token_read(s->path, s->newest, &t)) {
		not_renewed(s, &t);
	} else if (strcmp(s->newest, s->token) == 0) {
		trouble(&t, "there is no newer token");
		not_renewed(s, &t);
	} else {
		authenticate(s);
	}
}

static void not_renewed(struct session *s, const struct trouble *t)
{
	ms wait = pace_after(&s->renewals, t);

	if (wait < RENEW_EVERY)
		wait = RENEW_EVERY;
	tell("not renewed: %s; again in %.1f s", t->reason, (double)wait / 1000);
	s->renewing = false;
	s->renew_at = now() + wait;
}

/* say puts a line where poll will find it. */
static void say(struct session *s, const char *verb, const char *rest)
{
	size_t a = strlen(verb), b = strlen(rest);

	if (*rest)
		show(">", "AUTH ...", 8);
	else
		show(">", verb, a);
	if (s->deaf || a + b + 1 > sizeof s->out - s->out_length) {
		s->deaf = true;
		return;
	}
	memcpy(s->out + s->out_length, verb, a);
	memcpy(s->out + s->out_length + a, rest, b);
	s->out_length += a + b;
	s->out[s->out_length++] = '\n';
}

static void flush(struct session *s)
{
	ssize_t n = send(s->fd, s->out, s->out_length, 0);

	if (n >= 0) {
		s->out_length -= (size_t)n;
		memmove(s->out, s->out + n, s->out_length);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		s->deaf = true;
		s->out_length = 0;
	}
}

/* receive reads once and takes the lines that are whole. False: it is over. */
static bool receive(struct session *s, struct trouble *over)
{
	ssize_t n = recv(s->fd, s->in + s->in_length, sizeof s->in - s->in_length, 0);
	char *line = s->in, *end;

	if (n == 0) {
		trouble(over, "the gateway closed without a BYE");
		return false;
	}
	if (n < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
			return true;
		trouble(over, "the connection broke: %s", strerror(errno));
		return false;
	}
	s->heard = now();
	s->in_length += (size_t)n;
	while ((end = memchr(line, '\n', s->in_length)) != NULL) { /* at LF only */
		size_t length = (size_t)(end - line);
		*end = '\0';
		if (s->skipping)
			s->skipping = false;
		else if (!take(s, line, length, over))
			return false;
		s->in_length -= length + 1;
		line = end + 1;
	}
	memmove(s->in, line, s->in_length);

	if (s->skipping) {
		s->in_length = 0;
	} else if (s->in_length == sizeof s->in) {
		tell("a data line was too long for this device, and skipped");
		s->skipping = true;
		s->in_length = 0;
	}
	return s->in_length < MAX_CONTROL || !too_long(s->in, over);
}

/* too_long is asked about a line, or the beginning of one, of MAX_CONTROL bytes
 * and more. */
static bool too_long(const char *line, struct trouble *over)
{
	if (memcmp(line, DATA, strlen(DATA)) == 0)
		return false;
	trouble(over, "the gateway sent a line longer than the protocol allows");
	return true;
}

/* take acts on one line. False: the session is over. */
static bool take(struct session *s, char *line, size_t length, struct trouble *over)
{
	if (length >= MAX_CONTROL && too_long(line, over))
		return false;
	show("<", line, length);
	if (starts(line, DATA))
		return true; /* here a device would use it, whatever it looks like */
	if (starts(line, "BYE ")) {
		reply_trouble(over, line);
		return false;
	}
	if (starts(line, "OK AUTH ")) {
		accepted(s, line);
	} else if (starts(line, "ERR ") && reply_says(line, "for", "auth")) {
		struct trouble t;
		reply_trouble(&t, line);
		not_renewed(s, &t);
	} else if (starts(line, "NOTICE reauth ") && !s->renewing) {
		s->renew_at = now();
	}
	/* Nothing to do for pong, other notices, and verbs that are not known:
	 * later versions may bring some. */
	return true;
}

static void accepted(struct session *s, const char *ok)
{
	int64_t idle = reply_number(ok, "idle_timeout"), reauth = reply_number(ok, "reauth_in");
	ms third = idle > 0 ? idle * 1000 / 3 : PING_EVERY;

	memcpy(s->token, s->newest, sizeof s->token);
	s->renewing = false;
	memset(&s->renewals, 0, sizeof s->renewals);
	s->renew_at = reauth >= 0 ? now() + reauth * 1000 : NEVER;
	s->ping_every = sooner(PING_EVERY, third);
	if (!s->began) {
		s->began = now();
		s->ping_at = s->began + sooner(FIRST_PING, third);
		say(s, HELLO, "");
	}
}
