#include "driven.h"

#include "acts.h"
#include "notes.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 60
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

typedef struct passage {
    void (*act)(void *user);
    void *user;
    bool done;
} passage;

static void act_now(void *user)
{
    passage *p = user;

    p->done = true;
    p->act(p->user);
}

static void pass_on(void *p)
{
    driver_call(act_now, p);
}

static bool is_done(void *p)
{
    return ((const passage *)p)->done;
}

void between_turns(void (*act)(void *user), void *user)
{
    passage p = {.act = act, .user = user};

    when_idle(pass_on, &p);
    driver_run_until(is_done, &p);
}

void between_busy_turns(void (*act)(void *user), void *user)
{
    passage p = {.act = act, .user = user};

    pass_on(&p);
    driver_run_until(is_done, &p);
}

/* ---- opening, running, closing ---- */

void open_driven_with(bine_config *config)
{
    owner = gettid();
    set_watchdog();
    driver_configure(config);
    rt = open_runtime_in_real_time(config);
    driver_start(rt);
    define_host_functions();
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

static bine_stats stats_now(void)
{
    bine_stats stats = {.struct_size = sizeof stats};

    CHECK_OK(bine_get_stats(rt, &stats));
    return stats;
}

bool any_alive(void)
{
    return stats_now().alive > 0;
}

int64_t job_count(void)
{
    return (int64_t)stats_now().jobs;
}

static bool is_over(void *user)
{
    (void)user;
    return !any_alive();
}

void run_until_over(void)
{
    driver_run_until(is_over, NULL);
}

static bool is_idle(void *user)
{
    bine_idle why;

    (void)user;
    CHECK_OK(bine_why_idle(rt, &why, NULL));
    return why != BINE_IDLE_BUSY && !anybody_waits_for_file(rt); /* it imports */
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
