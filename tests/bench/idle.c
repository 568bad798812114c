/* idle MODE SECONDS: what a runtime costs in which 100 scripts sleep for long, on its own loop (owned), on a
 * libuv loop of the host's (uv), as a guest (guest: its thread is counted too) or on GLib's (glib). Prints
 * one JSON object: processor time in us, and how often a thread of the process was woken. */
#include "fixture.h"

#include <sys/resource.h>
#include <uv.h>

#if BINE_BENCH_GLIB
#include <bine/adapter/glib.h>
#endif

#define SCRIPTS                      \
    "import bine\n"                  \
    "def idle(): bine.sleep(3600)\n" \
    "for _ in range(100): bine.spawn(idle)\n"

static double seconds;
static bool over;

typedef struct usage {
    int64_t cpu_us;
    long wakes; /* a voluntary switch is a wait that has begun */
} usage;

static usage used(void)
{
    struct rusage all;

    CHECK_EQ(getrusage(RUSAGE_SELF, &all), 0);
    return (usage){(all.ru_utime.tv_sec + all.ru_stime.tv_sec) * 1000000LL + all.ru_utime.tv_usec +
                       all.ru_stime.tv_usec,
                   all.ru_nvcsw};
}

static void print_since(usage before)
{
    usage now = used();

    printf("{\"cpu\": %" PRId64 ", \"wakes\": %ld}\n", now.cpu_us - before.cpu_us, now.wakes - before.wakes);
}

static int finish(bine *rt)
{
    CHECK_OK(bine_shutdown(rt, 0));
    settle(rt);
    CHECK_OK(bine_close(rt));
    return EXIT_SUCCESS;
}

/* It ends itself: a micro-thread in C sleeps for so long. */
static int measure(bine *rt, void *user, bine_value **result)
{
    usage before;

    (void)rt;
    (void)user;
    (void)result;
    CHECK_OK(bine_sleep(SECOND / 10)); /* all have begun to sleep */
    before = used();
    CHECK_OK(bine_sleep((int64_t)(seconds * 1e9)));
    print_since(before);
    over = true;
    return BINE_OK;
}

static bine *open_idle(uv_loop_t *loop)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.uv_loop = loop;
    CHECK_OK(bine_open(&config, &rt));
    CHECK_OK(bine_run_string(rt, SCRIPTS, "idle", NULL));
    CHECK_OK(bine_spawn(NULL, measure, NULL, NULL, NULL));
    return rt;
}

static int run_owned(void)
{
    bine *rt = open_idle(NULL);

    while (!over)
        CHECK_EQ(bine_run(rt, BINE_RUN_ONCE), 1);
    return finish(rt);
}

static int run_uv(void)
{
    uv_loop_t loop;
    bine *rt;
    int status;

    CHECK_EQ(uv_loop_init(&loop), 0);
    rt = open_idle(&loop);
    while (!over)
        uv_run(&loop, UV_RUN_ONCE);
    status = finish(rt);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
    return status;
}

static uv_sem_t requested;

static void request(void *user)
{
    (void)user;
    uv_sem_post(&requested);
}

static int run_guest(void)
{
    bine *rt = open_idle(NULL);

    CHECK_EQ(uv_sem_init(&requested, 0), 0);
    CHECK_OK(bine_guest_start(rt, request, NULL));
    while (!over) {
        uv_sem_wait(&requested);
        CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    }
    CHECK_OK(bine_guest_stop(rt));
    return finish(rt);
}

#if BINE_BENCH_GLIB
static int run_glib(void)
{
    bine *rt = open_idle(NULL);
    GSource *source = bine_glib_source_new(rt);
    int status;

    CHECK(source != NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
    while (!over)
        g_main_context_iteration(NULL, TRUE);
    status = finish(rt);
    g_main_context_iteration(NULL, FALSE);
    return status;
}
#endif

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "owned";

    seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    if (strcmp(mode, "owned") == 0)
        return run_owned();
    if (strcmp(mode, "uv") == 0)
        return run_uv();
    if (strcmp(mode, "guest") == 0)
        return run_guest();
#if BINE_BENCH_GLIB
    if (strcmp(mode, "glib") == 0)
        return run_glib();
#endif
    return SKIPPED;
}
