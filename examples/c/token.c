/* The token: the first line of a file that somebody else keeps fresh. */
#define _POSIX_C_SOURCE 200809L
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

static bool read_line(FILE *file, const char *name, char token[TOKEN_ROOM], struct trouble *t)
{
	bool read = fgets(token, TOKEN_ROOM, file) != NULL;
	size_t length = read ? strcspn(token, "\r\n") : 0;

	if (length == 0 || length > MAX_TOKEN || strspn(token, ALPHABET) != length) {
		/* Neither to be sent nor to be shown: half a token is a secret too. */
		trouble(t, "no token: the first line of %s is not one", name);
		return false;
	}
	token[length] = '\0';
	return true;
}

bool token_read(const char *path, char token[TOKEN_ROOM], struct trouble *t)
{
	static char only[TOKEN_ROOM]; /* what standard input had */
	FILE *file;
	bool ok;

	if (strcmp(path, "-") == 0) {
		if (!*only && !read_line(stdin, "standard input", only, t))
			return false;
		memcpy(token, only, sizeof only);
		return true;
	}
	file = fopen(path, "r");
	if (!file) {
		trouble(t, "no token: %s: %s", path, strerror(errno));
		return false;
	}
	ok = read_line(file, path, token, t);
	fclose(file);
	return ok;
}
