#include "core/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

/* Of the calling thread: calls under way, and how it had the signal before the first. */
static _Thread_local unsigned holds;
static _Thread_local bool was_blocked, was_pending;

static bool ends_process(void)
{
    struct sigaction now;

    return sigaction(SIGPIPE, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
           now.sa_handler == SIG_DFL;
}

static sigset_t just_sigpipe(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

static void block(void)
{
    sigset_t set = just_sigpipe();
    sigset_t before, pending;

    pthread_sigmask(SIG_BLOCK, &set, &before);
    was_blocked = sigismember(&before, SIGPIPE) == 1;
    was_pending = was_blocked && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

bool bine__sigpipe_hold(void)
{
    if (holds == 0) {
        if (!ends_process())
            return false;
        block();
    }
    holds++;
    return true;
}

void bine__sigpipe_release(void)
{
    const struct timespec at_once = {0};
    sigset_t set = just_sigpipe();
    int error = errno;

    if (--holds > 0)
        return;
    if (!was_pending)
        (void)sigtimedwait(&set, NULL, &at_once);
    if (!was_blocked)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    errno = error;
}
