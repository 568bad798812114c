/* frames COUNT AGENTS: how far bine_tick() goes beyond a budget of 2 ms, with well-behaved scripts that have
 * more to do than fits: each turn a little work, then a sleep, a frame or a pause. The peer is a loop that
 * does nothing but look at the clock for as long, in turns with the ticks: what it is late by, the machine
 * is. Prints one JSON object, in ns. */
#include "fixture.h"

#include <sys/resource.h>
#include <time.h>

#define BUDGET (2 * MS)

static const char agents_script[] = "import bine, random, sys\n"
                                    "class Agent:\n"
                                    "    def __init__(self, seed):\n"
                                    "        self.random = random.Random(seed)\n"
                                    "        self.x = self.y = 0.0\n"
                                    "    def think(self):\n"
                                    "        for _ in range(4):\n"
                                    "            self.x += self.random.random() - 0.5\n"
                                    "            self.y += self.random.random() - 0.5\n"
                                    "        return abs(self.x) + abs(self.y) > 5\n"
                                    "    def live(self):\n"
                                    "        while True:\n"
                                    "            if self.think(): self.x = self.y = 0.0\n"
                                    "            what = self.random.random()\n"
                                    "            if what < 0.4: bine.sleep(what / 10)\n"
                                    "            elif what < 0.7: bine.next_frame()\n"
                                    "            else: bine.pause()\n"
                                    "for i in range(agents): bine.spawn(Agent(i).live).name = f'agent {i}'\n";

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* How often this thread has lost the processor to another one. */
static long interruptions(void)
{
    struct rusage usage;

    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nivcsw;
}

static int64_t spin(void)
{
    int64_t end = now_ns() + BUDGET;
    int64_t now;

    do
        now = now_ns();
    while (now < end);
    return now - end;
}

/* What it was late by, frame by frame. */
typedef struct samples {
    int64_t *late;
    size_t count;
} samples;

static void add(samples *s, int64_t late)
{
    s->late[s->count++] = late;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print(const char *name, samples *s, const char *end)
{
    qsort(s->late, s->count, sizeof *s->late, by_size);
    CHECK(s->count > 0);
    printf("\"%s\": {\"frames\": %zu, \"p50\": %" PRId64 ", \"p99\": %" PRId64 ", \"p99.9\": %" PRId64
           ", \"max\": %" PRId64 "}%s",
           name, s->count, s->late[s->count / 2], s->late[s->count * 99 / 100],
           s->late[s->count * 999 / 1000], s->late[s->count - 1], end);
}

static bine *open_with_agents(size_t agents)
{
    bine_config config;
    char *source = malloc(sizeof agents_script + 40);
    bine *rt;

    bine_config_init(&config);
    config.stack_class = BINE_STACK_SMALL;
    CHECK_OK(bine_open(&config, &rt));
    CHECK(source != NULL);
    sprintf(source, "agents = %zu\n%s", agents, agents_script);
    start_script(rt, source);
    free(source);
    return rt;
}

int main(int argc, char **argv)
{
    size_t frames = argc > 1 ? (size_t)strtol(argv[1], NULL, 10) : 10000;
    size_t agents = argc > 2 ? (size_t)strtol(argv[2], NULL, 10) : 10000;
    samples all = {calloc(frames, sizeof(int64_t)), 0};
    samples alone = {calloc(frames, sizeof(int64_t)), 0};
    samples peer = {calloc(frames, sizeof(int64_t)), 0};
    bine_tick_info info = {.struct_size = sizeof info};
    bine *rt = open_with_agents(agents);
    uint64_t jobs = 0;
    size_t full = 0;

    CHECK(frames > 0 && all.late != NULL && alone.late != NULL && peer.late != NULL);
    for (int i = 0; i < 100; i++) /* all have begun */
        CHECK_OK(bine_tick(rt, 10 * BUDGET, &info));
    CHECK_EQ(info.alive, agents);
    for (size_t i = 0; i < frames; i++) {
        long before = interruptions();

        CHECK_OK(bine_tick(rt, BUDGET, &info));
        add(&all, info.overrun_ns);
        if (interruptions() == before)
            add(&alone, info.overrun_ns);
        jobs += info.jobs;
        full += info.ready > 0;
        if (info.overrun_ns > MS / 10 && getenv("BINE_BENCH_VERBOSE") != NULL)
            fprintf(stderr, "frame %zu: %" PRId64 " over, longest %" PRId64 " %s, jobs %" PRIu64 "%s\n", i,
                    info.overrun_ns, info.longest_ns, info.longest_name, info.jobs,
                    interruptions() == before ? "" : ", interrupted");
        add(&peer, spin());
    }
    printf("{\"agents\": %zu, \"jobs per frame\": %.0f, \"frames with more to do\": %zu, ", agents,
           (double)jobs / (double)frames, full);
    print("all", &all, ", ");
    print("not interrupted", &alone, ", ");
    print("spinning", &peer, "}\n");
    CHECK_OK(bine_shutdown(rt, 60 * SECOND));
    settle(rt);
    CHECK_OK(bine_close(rt));
    return EXIT_SUCCESS;
}
