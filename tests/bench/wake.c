/* wake COUNT: how long from a bine_resolve() on another OS thread, when the loop is idle, until who
 * waits goes on: a C micro-thread, and a script. Prints one JSON object, in ns. */
#include "fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

/* By then the owner has gone to sleep in its loop. */
#define IDLE_NS 200000

static bine_resolver *handed_over; /* NULL: that was all */
static sem_t handed;
static int64_t *times;
static size_t taken;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void hand_over(bine_resolver *r)
{
    handed_over = r;
    sem_post(&handed);
}

/* Resolves with the time at which it does so. */
static void *resolve_all(void *user)
{
    const struct timespec idle = {0, IDLE_NS};

    (void)user;
    for (;;) {
        sem_wait(&handed);
        if (handed_over == NULL)
            return NULL;
        nanosleep(&idle, NULL);
        CHECK_OK(bine_resolve(handed_over, bine_value_i64(now_ns())));
    }
}

static int wait_for_all(bine *rt, void *count, bine_value **result)
{
    bine_deferred *d;
    bine_resolver *r;
    bine_value *start;

    (void)result;
    for (size_t i = 0; i < *(size_t *)count; i++) {
        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
        hand_over(r);
        CHECK_OK(bine_wait(d, -1, &start));
        times[taken++] = now_ns() - bine_value_as_i64(start);
        bine_value_free(start);
        bine_deferred_release(d);
    }
    return BINE_OK;
}

/* knock() -> int: the script waits until the other thread resolves. */
static int knock(bine_call *call, void *user)
{
    bine_resolver *r;

    (void)user;
    CHECK_OK(bine_defer(call, NULL, &r));
    hand_over(r);
    return BINE_OK;
}

static int note(bine_call *call, void *user)
{
    (void)user;
    times[taken++] = bine_arg_i64(call, 0);
    return BINE_OK;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Runs what has been spawned, and prints what it noted. */
static void run(bine *rt, size_t count, const char *median, const char *p90, const char *end)
{
    pthread_t worker;

    taken = 0;
    CHECK_EQ(pthread_create(&worker, NULL, resolve_all, NULL), 0);
    CHECK_OK(bine_run(rt, BINE_RUN_DEFAULT));
    hand_over(NULL);
    pthread_join(worker, NULL);
    CHECK_EQ(taken, count);
    qsort(times, count, sizeof *times, by_size);
    printf("\"%s\": %" PRId64 ", \"%s\": %" PRId64 "%s", median, times[count / 2], p90, times[count * 9 / 10],
           end);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)strtol(argv[1], NULL, 10) : 2000;
    char source[256];
    bine *rt = open_runtime();

    CHECK(count > 0);
    times = calloc(count, sizeof *times);
    CHECK(times != NULL);
    CHECK_EQ(sem_init(&handed, 0, 0), 0);
    CHECK_OK(bine_def(rt, "bench", "knock() -> int", knock, NULL, NULL));
    CHECK_OK(bine_def(rt, "bench", "note(ns: int) -> None", note, NULL, NULL));

    CHECK_OK(bine_spawn(NULL, wait_for_all, &count, NULL, NULL));
    printf("{");
    run(rt, count, "wake, in C", "wake, in C, p90", ", ");
    snprintf(source, sizeof source,
             "import bench, time\n"
             "for _ in range(%zu):\n"
             "    start = bench.knock()\n"
             "    bench.note(time.monotonic_ns() - start)\n",
             count);
    start_script(rt, source);
    run(rt, count, "wake, in a script", "wake, in a script, p90", "}\n");
    close_runtime(rt);
    free(times);
    return EXIT_SUCCESS;
}
