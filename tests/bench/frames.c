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

/* What it was late by, frame by frame; and in those alone in which the thread kept its processor. (A virtual
 * machine may lose it unseen.) */
typedef struct samples {
    int64_t *all;
    int64_t *kept;
    size_t count;
    size_t kept_count;
} samples;

static samples samples_for(size_t frames)
{
    samples s = {calloc(frames, sizeof(int64_t)), calloc(frames, sizeof(int64_t)), 0, 0};

    CHECK(s.all != NULL && s.kept != NULL);
    return s;
}

static void add(samples *s, int64_t late, bool kept)
{
    s->all[s->count++] = late;
    if (kept)
        s->kept[s->kept_count++] = late;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print(const char *name, int64_t *late, size_t count)
{
    CHECK(count > 0);
    qsort(late, count, sizeof *late, by_size);
    printf(", \"%s\": {\"frames\": %zu, \"p50\": %" PRId64 ", \"p99\": %" PRId64 ", \"p99.9\": %" PRId64
           ", \"max\": %" PRId64 "}",
           name, count, late[count / 2], late[count * 99 / 100], late[count * 999 / 1000], late[count - 1]);
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

static void tick(bine *rt, samples *s, bine_tick_info *info)
{
    long before = interruptions();

    CHECK_OK(bine_tick(rt, BUDGET, info));
    add(s, info->overrun_ns, interruptions() == before);
}

static void be_peer(samples *s)
{
    long before = interruptions();
    int64_t late = spin();

    add(s, late, interruptions() == before);
}

int main(int argc, char **argv)
{
    size_t frames = argc > 1 ? (size_t)strtol(argv[1], NULL, 10) : 10000;
    size_t agents = argc > 2 ? (size_t)strtol(argv[2], NULL, 10) : 10000;
    samples ours = samples_for(frames);
    samples peers = samples_for(frames);
    bine_tick_info info = {.struct_size = sizeof info};
    bine *rt = open_with_agents(agents);
    uint64_t jobs = 0;
    size_t full = 0;

    for (int i = 0; i < 100; i++) /* all have begun */
        CHECK_OK(bine_tick(rt, 10 * BUDGET, &info));
    CHECK_EQ(info.alive, agents);
    for (size_t i = 0; i < frames; i++) {
        tick(rt, &ours, &info);
        jobs += info.jobs;
        full += info.ready > 0;
        be_peer(&peers);
    }
    printf("{\"agents\": %zu, \"jobs per frame\": %.0f, \"frames with more to do\": %zu", agents,
           (double)jobs / (double)frames, full);
    print("tick", ours.all, ours.count);
    print("tick, kept", ours.kept, ours.kept_count);
    print("spin", peers.all, peers.count);
    print("spin, kept", peers.kept, peers.kept_count);
    printf("}\n");
    CHECK_OK(bine_shutdown(rt, 60 * SECOND));
    settle(rt);
    CHECK_OK(bine_close(rt));
    return EXIT_SUCCESS;
}
