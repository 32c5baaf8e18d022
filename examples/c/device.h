/*
 * A device that keeps a session with a linegate gateway: C99 and POSIX sockets,
 * nothing else, no memory allocated. device.c has main and comes back after
 * failures, session.c is one connection, reply.c reads the gateway's lines,
 * token.c reads the token, pace.c says how long to wait.
 *
 * The protocol is docs/protocol.md; the sections named are its.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bounds in bytes. The gateway promises control lines of up to 1,024 with their
 * LF, and data lines of up to max_line + 14; 8,192 is its default max_line.
 * A device with less memory takes less, and skips data lines that are longer. */
#define MAX_CONTROL 1024
#define MAX_DATA (8192 + 14)
#define MAX_TOKEN 4096 /* the gateway takes 16,379; few issuers make a tenth of that */

/* Times in milliseconds, by a clock that nobody sets. */
typedef int64_t ms;
ms now(void);
#define NEVER INT64_MAX

/* What the protocol tells a client to do. */
enum action { RETRY, REAUTH, FIX, NONE };

/* Why a session ended, or a renewal failed. */
struct trouble {
	enum action action;
	ms retry_after; /* 0: not told */
	char reason[256];
};

/* trouble fills t for what the gateway said nothing about. */
void trouble(struct trouble *t, const char *format, ...);

/* reply_trouble fills t from a BYE or ERR. */
void reply_trouble(struct trouble *t, const char *line);

/* reply_number returns the number of key=... in a control line, or -1. */
int64_t reply_number(const char *line, const char *key);

/* reply_says reports whether a control line has key=word. */
bool reply_says(const char *line, const char *key, const char *word);

/* starts reports whether line begins with these words. */
bool starts(const char *line, const char *words);

/* show prints a line with a mark; what could steer a terminal becomes '?'. */
void show(const char *mark, const char *line, size_t length);

/* pace counts failures in a row; zeroed, none. */
struct pace {
	int failures;
	bool reauthed;
};

/* pace_after returns how long to wait now. */
ms pace_after(struct pace *p, const struct trouble *t);

/* token_read reads the first line of the file at path; "-" is standard input,
 * which has one token only. It fails into t. */
#define TOKEN_ROOM (MAX_TOKEN + 3) /* for CR, LF and NUL, while it is read */
bool token_read(const char *path, char token[TOKEN_ROOM], struct trouble *t);

/* session_run talks over a socket that does not block, until that is over,
 * closes it, and says in over why. It returns how long the session lasted, 0 if
 * there was none. The token is read from path, again for each renewal. */
ms session_run(int fd, const char *path, struct trouble *over);

/* tell prints a line about the device itself on standard error. */
void tell(const char *format, ...);

#endif
