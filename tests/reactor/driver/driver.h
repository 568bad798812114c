/* One way to drive the runtime: the host's loop of that way, written as a host would. The cases of
 * ../conformance run over each: reactor.conformance.NAME.CASE is a case of theirs with NAME.c of this folder,
 * which may have cases of its own. All on the owner thread but driver_call(). */
#ifndef BINE_TESTS_DRIVER_H
#define BINE_TESTS_DRIVER_H

#include <bine/bine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the loop does while nothing happens. */
typedef enum driver_pace {
    DRIVER_SLEEPS,    /* until something does */
    DRIVER_LOOKS_UP,  /* wakes of its own now and then; turns come when they are wanted */
    DRIVER_HAS_FRAMES /* gives turns, wanted or not */
} driver_pace;

extern const driver_pace driver_rests;

/* Before bine_open(): makes the host's loop, sets what the way needs of the config. */
void driver_configure(bine_config *config);
/* After it. */
void driver_start(bine *rt);

/* Runs the host's loop, which waits for what happens, until done(user) is true: asked between two turns,
 * before each wait, and after each call of driver_call(), which may have closed the runtime. */
void driver_run_until(bool (*done)(void *user), void *user);
/* The same as long as a micro-thread lives, the way such a host would end with its scripts. */
void driver_run_to_end(void);

/* Has the host's loop call `function`, between two turns: ends its wait, which is no turn of the runtime's.
 * At the next driver_run_until(), where driver_run_to_end() waits inside the runtime. Thread: any. */
void driver_call(void (*function)(void *user), void *user);

/* After the end of the runtime: ends the host's loop. Fails when that is not as it was. */
void driver_close(void);

#ifdef __cplusplus
}
#endif

#endif
