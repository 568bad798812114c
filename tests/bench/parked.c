/* parked COUNT: memory of COUNT micro-threads that wait, in the small stack class: resident set
 * and page tables, everything included. Prints one JSON object, in bytes per micro-thread. */
#include "fixture.h"

static long status_kb(const char *key)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long value = -1;

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key), NULL, 10);
    fclose(file);
    CHECK(value >= 0);
    return value;
}

static int park(bine_call *call, void *user)
{
    bine_deferred **d = user;

    (void)call;
    return bine_wait(*d, -1, NULL);
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    bine_config config;
    bine_deferred *never;
    bine_resolver *r;
    char source[256];
    long rss;
    long tables;
    bine *rt;

    bine_config_init(&config);
    config.stack_class = BINE_STACK_SMALL;
    rt = open_runtime_with(&config);
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &never, &r));
    CHECK_OK(bine_def(rt, "bench", "park() -> None", park, &never, NULL));
    run_script(rt, "import bine, bench\ndef wait(): bench.park()\n");
    rss = status_kb("VmRSS:");
    tables = status_kb("VmPTE:");
    snprintf(source, sizeof source,
             "import bine, bench\ndef wait(): bench.park()\nfor _ in range(%ld): bine.spawn(wait)\n", count);
    start_script(rt, source);
    settle(rt);
    printf("{\"micro-threads\": %ld, \"resident\": %.0f, \"page tables\": %.0f}\n", count,
           (double)(status_kb("VmRSS:") - rss) * 1024 / (double)count,
           (double)(status_kb("VmPTE:") - tables) * 1024 / (double)count);
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    settle(rt);
    bine_deferred_release(never);
    close_runtime(rt);
    return EXIT_SUCCESS;
}
