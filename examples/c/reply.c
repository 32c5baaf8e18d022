/* The gateway's lines: VERB WORD key=value ... [:text] */
#define _POSIX_C_SOURCE 200809L
#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool starts(const char *line, const char *words)
{
	return strncmp(line, words, strlen(words)) == 0;
}

/* value finds key=... before the text and returns where its value begins. */
static const char *value(const char *line, const char *key)
{
	const char *end = strstr(line, " :"); /* no value holds a space */
	size_t length = strlen(key);
	for (const char *p = strchr(line, ' '); p && p != end; p = strchr(p + 1, ' '))
		if (strncmp(p + 1, key, length) == 0 && p[1 + length] == '=')
			return p + 1 + length + 1;
	return NULL;
}

int64_t reply_number(const char *line, const char *key)
{
	const char *p = value(line, key);
	int64_t n = 0;
	if (!p || *p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++)
		if ((n = 10 * n + (*p - '0')) > INT32_MAX)
			return INT32_MAX; /* 68 years of seconds will do */
	return n;
}

bool reply_says(const char *line, const char *key, const char *word)
{
	const char *p = value(line, key);
	size_t length = strlen(word);
	return p && strcspn(p, " ") == length && strncmp(p, word, length) == 0;
}

static enum action action_of(const char *line)
{
	if (reply_says(line, "action", "reauth"))
		return REAUTH;
	if (reply_says(line, "action", "fix"))
		return FIX;
	if (reply_says(line, "action", "none"))
		return NONE;
	return RETRY; /* and so is what this device does not know */
}

void reply_trouble(struct trouble *t, const char *line)
{
	const char *text = strstr(line, " :");
	const char *code = strchr(line, ' ') + 1; /* behind the verb */
	int64_t seconds = reply_number(line, "retry_after");

	trouble(t, "the gateway said %.*s%s%s", (int)strcspn(code, " "), code,
		text ? ": " : "", text ? text + 2 : "");
	t->action = action_of(line);
	t->retry_after = seconds > 0 ? seconds * 1000 : 0;
}

void trouble(struct trouble *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(t->reason, sizeof t->reason, format, args);
	va_end(args);
	t->action = RETRY;
	t->retry_after = 0;
}

/* print writes what a stranger chose. UTF-8 passes, but for its control
 * characters, U+0080 to U+009F. */
static void print(FILE *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;
		bool control = c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
		putc(control ? '?' : c, out);
	}
	putc('\n', out);
	fflush(out);
}

void show(const char *mark, const char *line, size_t length)
{
	fprintf(stdout, "%s ", mark);
	print(stdout, line, length);
}

void tell(const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	fputs("device: ", stderr);
	print(stderr, line, strlen(line));
}
