/* What the cases of the conformance suite stand on: a runtime on the loop of the driver that is linked in, on
 * real clocks, and what happens to it from outside. A case that hangs is ended by a watchdog. */
#ifndef BINE_TESTS_DRIVEN_H
#define BINE_TESTS_DRIVEN_H

#include "driver.h"
#include "fixture.h"

/* The runtime of the case, NULL before and after; module `host` of scripts has
 *   door() -> object: waits until somebody resolves what take_door() gives
 *   note(what): see notes.h. */
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

/* Calls act(user) in a thread of its own. close_driven() joins it. */
void meanwhile(void (*act)(void *user), void *user);
/* The same once the owner thread sleeps: waits in its loop, if nothing else is
 * to be done. */
void when_idle(void (*act)(void *user), void *user);
/* The same on the host's loop, between two turns; runs it until that has been done. Not only when idle: */
void between_turns(void (*act)(void *user), void *user);
void between_busy_turns(void (*act)(void *user), void *user);

/* The resolver of the oldest door() that has not been taken; waits for it. Thread: any but the owner; there
 * it must have been asked for. */
bine_resolver *take_door(void);
/* With "open". For when_idle() and between_turns(). */
void open_door(void *unused);

/* ---- for drivers: driver_call() as a queue ---- */

void host_calls_add(void (*function)(void *user), void *user); /* Thread: any */
/* Readable while one is queued; made at the first use, and again after host_calls_renew(). */
int host_calls_fd(void);
/* Calls all of them; false: there was none. */
bool host_calls_run(void);
/* In the child of a fork. */
void host_calls_renew(void);

/* Whether a micro-thread lives. */
bool any_alive(void);

#endif
