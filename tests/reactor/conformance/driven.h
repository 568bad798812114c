/* The conformance suite: what a script and its host may rely on, whatever drives the runtime. Each file of
 * this folder has the cases of one subject, which run unchanged over each driver (see ../driver/driver.h), on
 * real clocks, except where they jump.
 *
 * This is what the cases stand on: a runtime on the loop of the driver that is linked in, and who does
 * something to it from outside. A case that hangs is ended by a watchdog. */
#ifndef BINE_TESTS_DRIVEN_H
#define BINE_TESTS_DRIVEN_H

#include "driver.h"
#include "fixture.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HOUR (3600 * SECOND)

/* The runtime of the case, NULL before and after. What module `host` of its scripts has: see acts.h. */
extern bine *rt;

void open_driven(void);
void open_driven_with(bine_config *config);

/* Runs until no script lives, closes all; fails when a script has failed or something leaked. */
void close_driven(void);
/* The rest of that, where the case itself has ended the runtime. */
void end_driven(void);

/* Starts `source` and runs until no script lives. */
void run_driven(const char *source);
/* Starts `source` and runs until all scripts wait. */
void start_driven(const char *source);
void run_until_idle(void);
void run_until_noted(const char *what);
/* Until no micro-thread lives, by driver_run_until(). */
void run_until_over(void);

bool any_alive(void);
/* That the runtime has run so far. */
int64_t job_count(void);

/* Calls act(user) in a thread of its own. close_driven() joins it. */
void meanwhile(void (*act)(void *user), void *user);
/* The same once the owner thread sleeps: waits in its loop, if nothing else is to be done. */
void when_idle(void (*act)(void *user), void *user);
/* The same on the host's loop, between two turns; runs it until that has been done. Not only when idle: */
void between_turns(void (*act)(void *user), void *user);
void between_busy_turns(void (*act)(void *user), void *user);

#ifdef __cplusplus
}
#endif

#endif
