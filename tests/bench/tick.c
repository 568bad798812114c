/* tick ROUNDS: what a tick costs in which nothing is to be done, with no micro-thread and with 100,000 that
 * wait; and what bine_tick_info adds to a job. Prints one JSON object, in ns. */
#include "fixture.h"

#include <time.h>

#define PARKED 100000
#define TICKS 2000
#define JOBS 10000

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof *times, by_size);
    return times[count / 2];
}

/* Per tick. */
static double idle_ticks(bine *rt)
{
    int64_t start = now_ns();

    for (int i = 0; i < TICKS; i++)
        CHECK_OK(bine_tick(rt, 2 * MS, NULL));
    return (double)(now_ns() - start) / TICKS;
}

static double idle_tick(bine *rt, size_t rounds)
{
    double times[64];

    for (size_t i = 0; i < rounds; i++)
        times[i] = idle_ticks(rt);
    return median(times, rounds);
}

/* Per job, where each of JOBS micro-threads has one turn in a tick. */
static double busy_tick(bine *rt, bine_tick_info *info)
{
    int64_t start = now_ns();

    CHECK_OK(bine_tick(rt, -1, info));
    return (double)(now_ns() - start) / JOBS;
}

static void busy_ticks(bine *rt, size_t rounds, double *without, double *with)
{
    double times[2][64];
    bine_tick_info info = {.struct_size = sizeof info};

    for (size_t i = 0; i < rounds; i++) {
        times[0][i] = busy_tick(rt, NULL);
        times[1][i] = busy_tick(rt, &info);
        CHECK_EQ(info.jobs, JOBS);
    }
    *without = median(times[0], rounds);
    *with = median(times[1], rounds);
}

/* With the clocks that a host has who names none. */
static bine *open_plain(void)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.stack_class = BINE_STACK_SMALL;
    CHECK_OK(bine_open(&config, &rt));
    return rt;
}

static void end_all(bine *rt)
{
    CHECK_OK(bine_shutdown(rt, 60 * SECOND));
    settle(rt);
    CHECK_OK(bine_close(rt));
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? (size_t)strtol(argv[1], NULL, 10) : 21;
    bine *rt = open_plain();
    char source[200];
    double none;
    double parked;
    double without;
    double with;

    CHECK(rounds > 0 && rounds <= 64);
    none = idle_tick(rt, rounds);
    snprintf(source, sizeof source,
             "import bine, gc\ngc.disable()\nfor _ in range(%d): bine.spawn(bine.sleep, 1e6)\n", PARKED);
    start_script(rt, source);
    settle(rt);
    parked = idle_tick(rt, rounds);
    snprintf(source, sizeof source,
             "import bine\n"
             "def loop():\n"
             "    while True: bine.pause()\n"
             "for _ in range(%d): bine.spawn(loop)\n",
             JOBS);
    start_script(rt, source);
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_OK(bine_tick(rt, -1, NULL));
    busy_ticks(rt, rounds, &without, &with);
    printf("{\"idle tick\": %.1f, \"idle tick, 100,000 parked\": %.1f, \"job\": %.1f, \"job, with info\": "
           "%.1f}\n",
           none, parked, without, with);
    end_all(rt);
    return EXIT_SUCCESS;
}
