/* driver_call() as a queue with a descriptor, for loops that wait for descriptors. */
#ifndef BINE_TESTS_HOST_CALLS_H
#define BINE_TESTS_HOST_CALLS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

void host_calls_add(void (*function)(void *user), void *user); /* Thread: any */
/* Readable while one is queued; made at the first use, and again after host_calls_renew(). */
int host_calls_fd(void);
/* Calls all of them; false: there was none. */
bool host_calls_run(void);
/* In the child of a fork. */
void host_calls_renew(void);

#ifdef __cplusplus
}
#endif

#endif
