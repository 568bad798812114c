/* deferred ROUNDS: what a deferred costs, from its making to the last hold let go, in ns. Each is
 * resolved with a number, which its consumer gets. Prints one JSON object: medians of ROUNDS. */
#include "fixture.h"

#include <time.h>

#define COUNT 200000
#define BATCH 100
#define MOST_ROUNDS 99

static bine_resolver *handed_over;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void new_pair(bine *rt, bine_deferred **d, bine_resolver **r)
{
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, d, r));
}

static void wait_and_release(bine_deferred *d)
{
    bine_value *value;

    CHECK_OK(bine_wait(d, -1, &value));
    bine_value_free(value);
    bine_deferred_release(d);
}

/* ---- a C micro-thread resolves it, then waits: it is never suspended ---- */

static int resolve_and_wait(bine *rt, void *user, bine_value **result)
{
    bine_deferred *d;
    bine_resolver *r;

    (void)user;
    (void)result;
    for (int i = 0; i < COUNT; i++) {
        new_pair(rt, &d, &r);
        CHECK_OK(bine_resolve(r, bine_value_i64(i)));
        wait_and_release(d);
    }
    return BINE_OK;
}

static void run_resolve_and_wait(bine *rt)
{
    CHECK_OK(bine_spawn(NULL, resolve_and_wait, NULL, NULL, NULL));
    CHECK_OK(bine_run(rt, BINE_RUN_DEFAULT));
}

/* ---- one C micro-thread waits, another resolves: two switches ---- */

static int wait_for_other(bine *rt, void *user, bine_value **result)
{
    bine_deferred *d;

    (void)user;
    (void)result;
    for (int i = 0; i < COUNT; i++) {
        new_pair(rt, &d, &handed_over);
        wait_and_release(d);
    }
    return BINE_OK;
}

static int resolve_for_other(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    for (int i = 0; i < COUNT; i++) {
        CHECK_OK(bine_resolve(handed_over, bine_value_i64(i)));
        CHECK_OK(bine_yield());
    }
    return BINE_OK;
}

static void run_suspended(bine *rt)
{
    CHECK_OK(bine_spawn(NULL, wait_for_other, NULL, NULL, NULL));
    CHECK_OK(bine_spawn(NULL, resolve_for_other, NULL, NULL, NULL));
    CHECK_OK(bine_run(rt, BINE_RUN_DEFAULT));
}

/* ---- a step, on the host's stack ---- */

static int take(bine_step *step, void *sum)
{
    *(int64_t *)sum += bine_value_as_i64(bine_step_value(step));
    return BINE_OK;
}

static void run_steps(bine *rt)
{
    int64_t sum = 0;
    bine_deferred *d;
    bine_resolver *r;

    for (int i = 0; i < COUNT; i++) {
        new_pair(rt, &d, &r);
        CHECK_OK(bine_then(d, take, NULL, &sum, NULL, NULL));
        CHECK_OK(bine_resolve(r, bine_value_i64(1)));
        bine_deferred_release(d);
        if (i % BATCH == BATCH - 1)
            CHECK_OK(bine_tick(rt, SECOND, NULL));
    }
    CHECK_EQ(sum, COUNT);
}

/* ---- a host function that a script calls; it resolves before it returns ---- */

static int answer(bine_call *call, void *user)
{
    bine_resolver *r;

    (void)user;
    CHECK_OK(bine_defer(call, NULL, &r));
    return bine_resolve(r, bine_value_i64(1));
}

static void run_script_calls(bine *rt)
{
    CHECK_OK(bine_spawn_named(rt, "__main__", "calls", NULL, NULL));
    CHECK_OK(bine_run(rt, BINE_RUN_DEFAULT));
}

/* ---- all of them ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(bine *rt, void (*run)(bine *), int rounds)
{
    double times[MOST_ROUNDS];

    for (int i = 0; i < rounds; i++) {
        int64_t start = now_ns();

        run(rt);
        times[i] = (double)(now_ns() - start) / COUNT;
    }
    qsort(times, (size_t)rounds, sizeof *times, by_size);
    return times[rounds / 2];
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 3;
    char source[256];
    bine *rt = open_runtime();

    CHECK(rounds > 0 && rounds <= MOST_ROUNDS);
    CHECK_OK(bine_def(rt, "bench", "answer() -> int", answer, NULL, NULL));
    snprintf(source, sizeof source,
             "import bench, gc\n"
             "gc.disable()\n"
             "def calls():\n"
             "    answer = bench.answer\n"
             "    for _ in range(%d): answer()\n",
             COUNT);
    run_script(rt, source);
    printf("{\"resolve + wait\": %.1f, ", median_of(rt, run_resolve_and_wait, rounds));
    printf("\"resolve + wait, suspended\": %.1f, ", median_of(rt, run_suspended, rounds));
    printf("\"resolve + callback\": %.1f, ", median_of(rt, run_steps, rounds));
    printf("\"call that defers\": %.1f}\n", median_of(rt, run_script_calls, rounds));
    close_runtime(rt);
    return EXIT_SUCCESS;
}
