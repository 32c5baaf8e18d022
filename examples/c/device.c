/* main: be connected, for as long as the program lives. */
#define _POSIX_C_SOURCE 200809L
#include "device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLED 60000 /* ms; a session this long makes earlier failures forgotten */

static const char usage[] =
	"usage: device TOKENFILE [HOST [PORT]]\n"
	"Keeps a session with a linegate gateway, 127.0.0.1 8885 by default. TOKENFILE's\n"
	"first line is the token; it is read again for each renewal. - is standard input,\n"
	"and one token. Plain TCP, so on loopback only, perhaps to a TLS proxy there.\n";

static int gateway(const char *host, const char *port, struct trouble *t);

int main(int argc, char **argv)
{
	static const char *const words[] = { "retry", "reauth", "fix", "none" };
	const char *path, *host = "127.0.0.1", *port = "8885";
	struct pace pace = { 0 };
	struct trouble t;
	bool one_token;

	if (argc < 2 || argc > 4 || (argv[1][0] == '-' && argv[1][1])) {
		fputs(usage, stderr);
		return 64;
	}
	path = argv[1];
	if (argc > 2)
		host = argv[2];
	if (argc > 3)
		port = argv[3];
	one_token = strcmp(path, "-") == 0;
	if (one_token) {
		char token[TOKEN_ROOM];
		if (!token_read(path, token, &t)) {
			tell("%s", t.reason);
			return 1;
		}
	}
	signal(SIGPIPE, SIG_IGN); /* a gateway that is gone shows when reading */

	for (;;) {
		int fd = gateway(host, port, &t);
		ms wait;

		if (fd >= 0 && session_run(fd, path, &t) >= SETTLED)
			memset(&pace, 0, sizeof pace);
		if (one_token && t.action == REAUTH) {
			tell("%s; standard input had no other token", t.reason);
			return 1;
		}
		wait = pace_after(&pace, &t);
		tell("%s (action %s); connecting again in %.1f s", t.reason, words[t.action], (double)wait / 1000);
		poll(NULL, 0, (int)wait);
	}
}

/* only_loopback ends the program for any other address: the token would cross
 * the network readable. */
static void only_loopback(const char *host, const struct addrinfo *at)
{
	bool loopback = false;

	if (at->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)at->ai_addr;
		loopback = ntohl(in->sin_addr.s_addr) >> 24 == 127;
	} else if (at->ai_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)at->ai_addr;
		loopback = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
	}
	if (!loopback) {
		tell("%s is not loopback: the token would cross the network readable", host);
		exit(64);
	}
}

/* gateway returns a connected socket that does not block, or -1 and why. */
static int gateway(const char *host, const char *port, struct trouble *t)
{
	struct addrinfo hints, *found;
	int failure, fd = -1;

	memset(&hints, 0, sizeof hints);
	hints.ai_socktype = SOCK_STREAM;
	failure = getaddrinfo(host, port, &hints, &found);
	if (failure) {
		trouble(t, "%s port %s: %s", host, port, gai_strerror(failure));
		return -1;
	}
	for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
		only_loopback(host, at);
		fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
		if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0 &&
		    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
			break;
		trouble(t, "no connection to %s port %s: %s", host, port, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}
