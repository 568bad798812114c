#include "driven.h"

#include "notes.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 60
#define DOORS_MAX 64
#define THREADS_MAX 16

bine *rt;

static pid_t owner;

/* ---- the watchdog ---- */

static void give_up(int number)
{
    static const char text[] = "the watchdog: it hangs\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_FAILURE);
}

/* Not by SIGALRM, which is for cases. */
static void set_watchdog(void)
{
    struct sigaction action = {.sa_handler = give_up};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMAX};
    struct itimerspec limit = {.it_value.tv_sec = PATIENCE_S};
    timer_t timer;

    CHECK_EQ(sigaction(SIGRTMAX, &action, NULL), 0);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &limit, NULL), 0);
}

/* ---- doors ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t another_door = PTHREAD_COND_INITIALIZER;
static bine_resolver *doors[DOORS_MAX];
static size_t doors_made;
static size_t doors_taken;

static int door(bine_call *call, void *user)
{
    bine_resolver *r;
    int status = bine_defer(call, NULL, &r);

    (void)user;
    if (status != BINE_OK)
        return status;
    pthread_mutex_lock(&lock);
    doors[doors_made++ % DOORS_MAX] = r;
    pthread_cond_signal(&another_door);
    pthread_mutex_unlock(&lock);
    return BINE_OK;
}

bine_resolver *take_door(void)
{
    bine_resolver *r;

    pthread_mutex_lock(&lock);
    while (doors_made == doors_taken)
        pthread_cond_wait(&another_door, &lock);
    r = doors[doors_taken++ % DOORS_MAX];
    pthread_mutex_unlock(&lock);
    return r;
}

void open_door(void *unused)
{
    (void)unused;
    CHECK_OK(bine_resolve(take_door(), bine_value_str("open")));
}

/* ---- threads ---- */

typedef struct errand {
    pthread_t thread;
    void (*act)(void *user);
    void *user;
    bool when_idle;
} errand;

static errand errands[THREADS_MAX];
static size_t errand_count;

static bool owner_sleeps(void)
{
    char path[64];
    char text[256] = "";
    FILE *file;
    const char *name_end;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)owner);
    file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    name_end = strrchr(text, ')');
    return name_end != NULL && name_end[2] == 'S';
}

/* Three times in a row: not just for a moment, for a lock. */
static void *run_errand(void *arg)
{
    const errand *e = arg;

    for (int asleep = 0; e->when_idle && asleep < 3; sched_yield())
        asleep = owner_sleeps() ? asleep + 1 : 0;
    e->act(e->user);
    return NULL;
}

static void start_errand(errand given)
{
    errand *e = &errands[errand_count++];

    CHECK(errand_count <= THREADS_MAX);
    *e = given;
    CHECK_EQ(pthread_create(&e->thread, NULL, run_errand, e), 0);
}

void meanwhile(void (*act)(void *user), void *user)
{
    start_errand((errand){.act = act, .user = user});
}

void when_idle(void (*act)(void *user), void *user)
{
    start_errand((errand){.act = act, .user = user, .when_idle = true});
}

static void join_errands(void)
{
    while (errand_count > 0)
        CHECK_EQ(pthread_join(errands[--errand_count].thread, NULL), 0);
}

/* ---- on the host's loop ---- */

typedef struct host_call {
    void (*function)(void *user);
    void *user;
    bool called; /* of between_turns() alone */
    struct host_call *next;
} host_call;

static void call_it(void *user)
{
    host_call *call = user;

    call->called = true;
    call->function(call->user);
}

static void pass_on(void *call)
{
    driver_call(call_it, call);
}

static bool is_called(void *call)
{
    return ((const host_call *)call)->called;
}

void between_turns(void (*act)(void *user), void *user)
{
    host_call call = {.function = act, .user = user};

    when_idle(pass_on, &call);
    driver_run_until(is_called, &call);
}

void between_busy_turns(void (*act)(void *user), void *user)
{
    host_call call = {.function = act, .user = user};

    pass_on(&call);
    driver_run_until(is_called, &call);
}

/* ---- opening, running, closing ---- */

static int note_it(bine_call *call, void *user)
{
    (void)user;
    note("%s ", bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

void open_driven_with(bine_config *config)
{
    owner = gettid();
    set_watchdog();
    driver_configure(config);
    rt = open_runtime_in_real_time(config);
    driver_start(rt);
    CHECK_OK(bine_def(rt, "host", "door() -> object", door, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "note(what: str)", note_it, NULL, NULL));
}

void open_driven(void)
{
    bine_config config;

    bine_config_init(&config);
    open_driven_with(&config);
}

void end_driven(void)
{
    join_errands();
    rt = NULL;
    driver_close();
}

void close_driven(void)
{
    driver_run_to_end();
    join_errands();
    close_runtime(rt);
    end_driven();
}

bool any_alive(void)
{
    bine_stats stats = {.struct_size = sizeof stats};

    CHECK_OK(bine_get_stats(rt, &stats));
    return stats.alive > 0;
}

static bool is_idle(void *user)
{
    bine_idle why;

    (void)user;
    CHECK_OK(bine_why_idle(rt, &why, NULL));
    return why != BINE_IDLE_BUSY;
}

void run_until_idle(void)
{
    driver_run_until(is_idle, NULL);
}

static bool is_noted(void *what)
{
    return strstr(notes(), what) != NULL;
}

void run_until_noted(const char *what)
{
    driver_run_until(is_noted, (void *)(uintptr_t)what);
}

void run_driven(const char *source)
{
    start_script(rt, source);
    driver_run_to_end();
}

void start_driven(const char *source)
{
    start_script(rt, source);
    run_until_idle();
}

/* ---- the host's calls ---- */

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
