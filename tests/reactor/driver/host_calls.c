#include "host_calls.h"

#include "check.h"

#include <pthread.h>
#include <sys/eventfd.h>

typedef struct host_call {
    void (*function)(void *user);
    void *user;
    struct host_call *next;
} host_call;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static host_call *calls;
static int calls_fd = -1;

void host_calls_renew(void)
{
    pthread_mutex_init(&lock, NULL);
    calls_fd = -1;
}

static int fd_of_calls(void)
{
    if (calls_fd < 0)
        calls_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(calls_fd >= 0);
    return calls_fd;
}

int host_calls_fd(void)
{
    int fd;

    pthread_mutex_lock(&lock);
    fd = fd_of_calls();
    pthread_mutex_unlock(&lock);
    return fd;
}

void host_calls_add(void (*function)(void *user), void *user)
{
    host_call *call = malloc(sizeof *call);
    host_call **end = &calls;

    CHECK(call != NULL);
    *call = (host_call){.function = function, .user = user};
    pthread_mutex_lock(&lock);
    while (*end != NULL)
        end = &(*end)->next;
    *end = call;
    CHECK_EQ(eventfd_write(fd_of_calls(), 1), 0);
    pthread_mutex_unlock(&lock);
}

static host_call *take_calls(void)
{
    host_call *all;
    eventfd_t count;

    pthread_mutex_lock(&lock);
    all = calls;
    calls = NULL;
    if (all != NULL)
        CHECK_EQ(eventfd_read(fd_of_calls(), &count), 0);
    pthread_mutex_unlock(&lock);
    return all;
}

bool host_calls_run(void)
{
    host_call *call = take_calls();
    bool any = call != NULL;

    while (call != NULL) {
        host_call *next = call->next;

        call->function(call->user);
        free(call);
        call = next;
    }
    return any;
}
