/* Nothing is computed while all wait, for whatever it may be. */
#include "acts.h"
#include "driven.h"

#include <time.h>

#define REST_MS 100

static int64_t on_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* In a thread of its own, while the loop waits: what the process has computed meanwhile. */
static void measure_rest(void *ns)
{
    struct timespec rest = {.tv_nsec = REST_MS * MS};
    int64_t before = on_clock(CLOCK_PROCESS_CPUTIME_ID);

    while (nanosleep(&rest, &rest) != 0)
        ;
    *(int64_t *)ns = on_clock(CLOCK_PROCESS_CPUTIME_ID) - before;
    open_door(NULL);
}

static long waits_of_owner(void)
{
    char line[128];
    long waits = -1;
    FILE *file = fopen("/proc/self/status", "r"); /* of the main thread */

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "voluntary_ctxt_switches: %ld", &waits);
    fclose(file);
    return waits;
}

static void check_rest(const char *source)
{
    int64_t computed = -1;
    int64_t jobs;
    long waits;

    if (driver_rests == DRIVER_HAS_FRAMES)
        SKIP("frames come at any time");
    open_driven();
    start_driven(source);
    jobs = job_count();
    waits = waits_of_owner();
    when_idle(measure_rest, &computed);
    driver_run_to_end();
    waits = waits_of_owner() - waits;
    CHECK(computed >= 0);
    CHECK(computed < REST_MS * MS / 10);
    CHECK(job_count() - jobs < 20);
    CHECK(driver_rests == DRIVER_LOOKS_UP || waits < 30);
    close_driven();
}

TEST(nothing_is_computed_while_all_wait)
{
    check_rest(waits_at_door);
}

TEST(nothing_is_computed_while_all_wait_for_a_time_far_off)
{
    check_rest("import bine, host\n"
               "t = bine.spawn(bine.sleep, 3600)\n"
               "host.door()\n"
               "t.cancel()");
}

TEST(nothing_is_computed_while_all_wait_for_descriptors)
{
    check_rest("import bine, host, os\n"
               "ends = os.pipe()\n"
               "t = [bine.spawn(bine.wait_readable, ends[0], timeout=3600) for i in range(3)]\n"
               "host.door()\n"
               "for each in t: each.cancel()");
}

TEST(nothing_is_computed_while_a_descriptor_is_ready_that_nobody_waits_for_any_more)
{
    check_rest("import bine, host, os\n"
               "ends = os.pipe()\n"
               "os.write(ends[1], b'x')\n"
               "bine.wait_readable(ends[0])\n"
               "bine.wait_writable(ends[1])\n"
               "host.door()");
}

TEST(nothing_is_computed_when_game_time_is_paused_before_sleeps_are_over)
{
    check_rest("import bine, host\n"
               "bine.sleep(0.001)\n"
               "for i in range(3): bine.next_frame()\n"
               "host.door()");
}
