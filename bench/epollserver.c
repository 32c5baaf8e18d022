/*
 * epollserver: the least that a line server can do, as a measure for linegate.
 * One thread, one epoll, one read and one write for what has come. It answers
 * ping with pong and any other line with "from server: " and the line. It has
 * no authentication, no deadlines, no limits, no TLS and no metrics.
 *
 *     cc -O2 -o epollserver epollserver.c
 *     ./epollserver 127.0.0.1 PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { max_files = 65536, max_line = 8192, read_size = 1 << 16, events_at_once = 512 };

/* What a connection keeps between two events: nothing, unless a line has come
 * in part, or the client takes no more. */
struct rest {
	char *in; /* the start of a line */
	size_t in_size;
	char *out; /* replies not sent yet */
	size_t out_size;
};

static struct rest rests[max_files];
static int epoll;

/* The one buffer for what comes, behind room for the start of a line, and the
 * one for replies: each line may be as short as its LF, and get 14 bytes. */
static char input[max_line + read_size];
static char output[(max_line + read_size) * 14];

static void hang_up(int fd)
{
	free(rests[fd].in);
	free(rests[fd].out);
	memset(&rests[fd], 0, sizeof rests[fd]);
	close(fd); /* which takes it out of the epoll */
}

static void watch(int fd, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (epoll_ctl(epoll, operation, fd, &event) < 0) {
		perror("epollserver: epoll_ctl");
		exit(1);
	}
}

static char *keep(const char *bytes, size_t size)
{
	char *copy = malloc(size);
	if (copy == NULL) {
		perror("epollserver");
		exit(1);
	}
	return memcpy(copy, bytes, size);
}

/* Sends replies. What the client does not take is kept, and nothing more is
 * read from it until it has. */
static void send_all(int fd, const char *bytes, size_t size, int kept)
{
	ssize_t sent = write(fd, bytes, size);
	if (sent < 0 && errno != EAGAIN) {
		hang_up(fd);
		return;
	}
	if (sent < 0)
		sent = 0;
	char *left = (size_t)sent < size ? keep(bytes + sent, size - sent) : NULL;
	free(rests[fd].out);
	rests[fd].out = left;
	rests[fd].out_size = size - sent;
	if (left != NULL && !kept)
		watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
	if (left == NULL && kept)
		watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static char *answer(char *out, const char *line, size_t size)
{
	if (size > 0 && line[size - 1] == '\r')
		size--;
	if (size == 4 && memcmp(line, "ping", 4) == 0)
		return mempcpy(out, "pong\n", 5);
	out = mempcpy(out, "from server: ", 13);
	out = mempcpy(out, line, size);
	*out++ = '\n';
	return out;
}

/* Reads once, answers every whole line, and keeps the start of the next. */
static void serve(int fd)
{
	struct rest *r = &rests[fd];
	memcpy(input, r->in, r->in_size);
	ssize_t got = read(fd, input + r->in_size, read_size);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		hang_up(fd);
		return;
	}
	char *line = input, *end = input + r->in_size + got, *out = output, *lf;
	while ((lf = memchr(line, '\n', end - line)) != NULL) {
		out = answer(out, line, lf - line);
		line = lf + 1;
	}
	free(r->in);
	r->in = NULL;
	r->in_size = end - line;
	if (r->in_size > max_line) {
		hang_up(fd);
		return;
	}
	if (r->in_size > 0)
		r->in = keep(line, r->in_size);
	if (out > output)
		send_all(fd, output, out - output, 0);
}

static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		if (fd < 0)
			return; /* EAGAIN, or one that has gone again */
		if (fd >= max_files) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		watch(fd, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static int listen_at(const char *ip, const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (inet_pton(AF_INET, ip, &address.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) {
		perror("epollserver: listen");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: epollserver IP PORT\n");
		return 64;
	}
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	int listener = listen_at(argv[1], argv[2]);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(listener, EPOLL_CTL_ADD, EPOLLIN);
	for (;;) {
		struct epoll_event events[events_at_once];
		int n = epoll_wait(epoll, events, events_at_once, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener)
				accept_all(listener);
			else if (rests[fd].out != NULL)
				send_all(fd, rests[fd].out, rests[fd].out_size, 1);
			else
				serve(fd);
		}
	}
}
