/* How long to wait after each of a row of failures ("Coming back"). Always with
 * jitter: a thousand devices that lost one gateway must not return as one. */
#define _POSIX_C_SOURCE 200809L
#include "device.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SECOND ((ms)1000)
#define LONGEST (300 * SECOND)
#define STAY_AWAY (3600 * SECOND)
#define LONGEST_RETRY_AFTER (86400 * SECOND) /* one wrong setting is not for ever */

/* jitter returns something from 0 to ceiling. Devices that booted together must
 * not draw the same numbers, so they come from the system. */
static ms jitter(ms ceiling)
{
	uint32_t drawn = (uint32_t)getpid() ^ (uint32_t)now();
	FILE *random = fopen("/dev/urandom", "rb");
	if (random) {
		uint32_t better;
		if (fread(&better, sizeof better, 1, random) == 1)
			drawn = better;
		fclose(random);
	}
	return (ms)((double)drawn / UINT32_MAX * (double)ceiling);
}

static ms back_off(struct pace *p)
{
	ms ceiling = SECOND << p->failures;
	if (ceiling >= LONGEST)
		ceiling = LONGEST;
	else
		p->failures++;
	return jitter(ceiling);
}

ms pace_after(struct pace *p, const struct trouble *t)
{
	ms wait, least = t->retry_after;

	if (t->action == FIX || t->action == NONE) {
		wait = STAY_AWAY + jitter(LONGEST);
	} else if (t->action == REAUTH && !p->reauthed) {
		p->reauthed = true; /* at once, but only once */
		wait = 0;
	} else {
		wait = back_off(p);
	}
	if (least > 0) {
		if (least > LONGEST_RETRY_AFTER)
			least = LONGEST_RETRY_AFTER;
		least += jitter(SECOND);
		if (wait < least)
			wait = least;
	}
	return wait;
}

ms now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
