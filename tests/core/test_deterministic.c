/* Deterministic mode: the same seed, the same order, the same result, tick by tick. */
#include "fixture.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A runtime in deterministic mode, whose clocks are as the config has them. */
static bine *open_deterministic(bine_config *config, uint64_t seed)
{
    bine *rt;

    config->deterministic = true;
    config->seed = seed;
    CHECK_OK(bine_open(config, &rt));
    return rt;
}

static bine *open_with_seed(uint64_t seed)
{
    bine_config config;

    bine_config_init(&config);
    return open_deterministic(&config, seed);
}

static bine_tick_info tick(bine *rt, int64_t budget_ns)
{
    bine_tick_info info = {.struct_size = sizeof info};

    CHECK_OK(bine_tick(rt, budget_ns, &info));
    return info;
}

/* ---- a world of scripts ---- */

#define TICKS 300
#define TICK_BUDGET 40000 /* counts 40 jobs: not all that are ready */

static const char world_script[] =
    "import bine, random, threading, world\n"
    "def log(value): world.log(repr(value))\n"
    "names = {f'name {i}' for i in range(40)}\n"
    "lock, event, pipe, free = bine.Lock(), bine.Event(), bine.Pipe(3), bine.Semaphore(2)\n"
    "written = bine.Pipe(0)\n"
    "def walker():\n"
    "    for _ in range(40):\n"
    "        bine.sleep(random.random() / 5, real=random.random() < 0.2)\n"
    "        log(f'walked {bine.time()}')\n"
    "def collector():\n"
    "    seen = set()\n"
    "    for _ in range(20):\n"
    "        bine.next_frame()\n"
    "        seen |= set(random.sample(sorted(names), 5))\n"
    "        log(next(iter(seen)))\n"
    "def locker():\n"
    "    for _ in range(30):\n"
    "        with lock: bine.sleep(random.expovariate(100))\n"
    "        with free: bine.pause(); log(random.choice('abcdefgh'))\n"
    "def producer():\n"
    "    for i in range(50): pipe.put(random.getrandbits(20)); world.spin()\n"
    "def consumer():\n"
    "    for n in pipe:\n"
    "        log(n)\n"
    "        if n % 3 == 0: bine.pause()\n"
    "def impatient():\n"
    "    for _ in range(20):\n"
    "        try:\n"
    "            with bine.timeout(random.random() / 10): written.get() if random.random() < 0.5 else "
    "event.wait()\n"
    "        except bine.Timeout: log('too late')\n"
    "def family():\n"
    "    for _ in range(8):\n"
    "        try:\n"
    "            with bine.Scope() as s:\n"
    "                for _ in range(random.randrange(5)): s.spawn(child)\n"
    "                bine.sleep(random.random() / 20)\n"
    "        except ExceptionGroup as group: log(len(group.exceptions))\n"
    "def child():\n"
    "    try:\n"
    "        bine.sleep(random.random() / 10)\n"
    "        if random.random() < 0.2: raise ValueError\n"
    "    except bine.Cancelled: log('cancelled'); raise\n"
    "def canceller():\n"
    "    for _ in range(15):\n"
    "        t = bine.spawn(walker)\n"
    "        bine.sleep(random.random() / 5)\n"
    "        t.cancel()\n"
    "        try: t.join()\n"
    "        except bine.Cancelled: log('ended it')\n"
    "def mapper():\n"
    "    def one(i): bine.sleep(random.random() / 10); return i * random.random()\n"
    "    log(f'{sum(bine.parallel_map(one, range(20), limit=4)):.9f}')\n"
    "def emitter():\n"
    "    for n in bine.generate(lambda: [bine.emit(random.random()) for _ in range(20)]):\n"
    "        world.spin(); bine.pause(); log(n)\n"
    "def waiter():\n"
    "    c = threading.Condition()\n"
    "    with c: log(c.wait(random.random()))\n"
    "roles = [walker, collector, locker, producer, consumer, impatient, family, canceller, mapper, emitter, "
    "waiter]\n"
    "for i in range(220): bine.spawn(random.choice(roles)).name = f'm{i}'\n";

static int ticks;

static int log_text_of(bine_call *call, void *user)
{
    (void)user;
    printf("%d %s %s\n", ticks, bine_micro_name(bine_micro_current()), bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

/* On a slow machine this takes a while, and never twice as long. */
static int spin(bine_call *call, void *user)
{
    struct timespec t;

    (void)call;
    (void)user;
    if (getenv("BINE_TEST_SLOW") == NULL)
        return BINE_OK;
    do
        clock_gettime(CLOCK_MONOTONIC, &t);
    while (t.tv_nsec % 1000 > 3 || t.tv_nsec / 1000 % 128 > 3);
    return BINE_OK;
}

static void on_unhandled(bine *rt, const bine_error *error, void *user)
{
    (void)rt;
    (void)user;
    printf("%d %s: %s: %s\n", ticks, error->micro_name, error->type, error->message);
}

/* Has the scripts of a world play, and prints what they log. `left_over`: in how many ticks there was more to
 * do than the budget allows. */
static void play(uint64_t seed, int *left_over)
{
    bine_config config;
    bine_tick_info info = {.alive = 1};
    bine *rt;

    bine_config_init(&config);
    config.on_unhandled = on_unhandled;
    rt = open_deterministic(&config, seed);
    CHECK_OK(bine_def(rt, "world", "log(text: str) -> None", log_text_of, NULL, NULL));
    CHECK_OK(bine_def(rt, "world", "spin() -> None", spin, NULL, NULL));
    CHECK_OK(bine_run_string(rt, world_script, "world", NULL));
    for (ticks = 0; ticks < TICKS; ticks++) {
        CHECK_OK(bine_step_time(rt, 16 * MS));
        info = tick(rt, TICK_BUDGET);
        *left_over += info.ready > 0;
        printf("%d: %" PRIu64 " %zu %zu\n", ticks, info.jobs, info.ready, info.alive);
    }
    CHECK_OK(bine_shutdown(rt, SECOND));
    for (; info.alive > 0 && ticks < 2 * TICKS; ticks++)
        info = tick(rt, TICK_BUDGET);
    CHECK_OK(bine_close(rt));
}

/* The others run this case in processes of its own. */
TEST(a_world_of_scripts_has_more_to_do_than_fits_its_budget)
{
    const char *seed = getenv("BINE_TEST_SEED");
    int left_over = 0;

    play(seed == NULL ? 1 : strtoull(seed, NULL, 10), &left_over);
    CHECK(left_over > 20);
}

/* What a world of that seed has logged (free()), in a process of its own. */
static char *log_of(const char *seed, bool slow)
{
    char command[600];
    char self[512];
    size_t size = 0;
    size_t room = 1 << 20;
    char *text = malloc(room);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    FILE *pipe;

    CHECK(length > 0 && text != NULL);
    self[length] = '\0';
    snprintf(command, sizeof command, "exec '%s' a_world_of_scripts_has_more_to_do_than_fits_its_budget",
             self);
    CHECK_EQ(setenv("BINE_TEST_SEED", seed, 1), 0);
    CHECK_EQ(slow ? setenv("BINE_TEST_SLOW", "1", 1) : unsetenv("BINE_TEST_SLOW"), 0);
    pipe = popen(command, "r");
    CHECK(pipe != NULL);
    size = fread(text, 1, room - 1, pipe);
    CHECK(size < room - 1);
    text[size] = '\0';
    CHECK_EQ(pclose(pipe), 0);
    return text;
}

static void check_same(const char *a, const char *b)
{
    size_t line = 1;

    for (; *a == *b && *a != '\0'; a++, b++)
        line += *a == '\n';
    if (*a != *b)
        FAIL("they differ in line %zu: \"%.60s\", \"%.60s\"", line, a, b);
}

TEST(the_same_seed_gives_the_same_world_in_another_process)
{
    char *one = log_of("42", false);
    char *other = log_of("42", false);

    CHECK(strlen(one) > 20000);
    CHECK_HAS(one, "ended it");
    CHECK_HAS(one, "too late");
    CHECK_HAS(one, "cancelled");
    check_same(one, other);
    free(one);
    free(other);
}

TEST(a_slow_machine_changes_nothing)
{
    char *one = log_of("7", false);
    char *other = log_of("7", true);

    check_same(one, other);
    free(one);
    free(other);
}

TEST(another_seed_gives_another_world)
{
    char *one = log_of("42", false);
    char *other = log_of("43", false);

    CHECK(strcmp(one, other) != 0);
    free(one);
    free(other);
}

/* ---- what starts from the seed ---- */

static void run(bine *rt, const char *source)
{
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, source, "<test>", &micro));
    while (bine_micro_get_state(micro) != BINE_MICRO_DONE)
        tick(rt, -1);
    CHECK_OK(bine_micro_status(micro));
    bine_micro_release(micro);
}

TEST(random_starts_from_the_seed)
{
    bine *rt = open_with_seed(UINT64_MAX);

    run(rt, "import random\n"
            "expected = random.Random(2**64 - 1)\n"
            "assert [random.random() for _ in range(9)] == [expected.random() for _ in range(9)]\n"
            "assert random.randrange(1000) == expected.randrange(1000)\n");
    CHECK_OK(bine_close(rt));
}

TEST(a_script_may_seed_random_itself)
{
    bine *rt = open_with_seed(1);

    run(rt, "import random, importlib\n"
            "random.seed(5)\n"
            "a = random.random()\n"
            "import random\n"
            "assert a == random.Random(5).random()\n");
    CHECK_OK(bine_close(rt));
}

TEST(without_deterministic_mode_the_seed_is_not_looked_at)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.seed = 5;
    CHECK_OK(bine_open(&config, &rt));
    run(rt, "import random\n"
            "assert random.getrandbits(256) != random.Random(5).getrandbits(256)\n");
    CHECK_OK(bine_close(rt));
}

TEST(a_module_random_of_the_scripts_own_is_let_be)
{
    char *folder = temporary_folder();
    const char *paths[] = {folder};
    static const char text[] = "_inst = []\ndef seed(n): raise AssertionError\n";
    bine_config config;
    bine *rt;

    write_file(folder, "random.py", text, sizeof text - 1);
    bine_config_init(&config);
    config.module_paths = paths;
    config.module_path_count = 1;
    rt = open_deterministic(&config, 1);
    run(rt, "import random\nassert random._inst == []\n");
    CHECK_OK(bine_close(rt));
    free(folder);
}

/* ---- time ---- */

static int64_t leaping;

/* A clock on which every look takes a minute. */
static int64_t leaping_clock(void *user)
{
    (void)user;
    return leaping += 60 * SECOND;
}

TEST(a_budget_counts_jobs_whatever_they_take)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.budget_clock = leaping_clock;
    rt = open_deterministic(&config, 1);
    CHECK_OK(bine_run_string(rt,
                             "import bine\n"
                             "for _ in range(5): bine.spawn(lambda: [bine.pause() for _ in range(3)])\n",
                             "<test>", NULL));
    CHECK_EQ(tick(rt, 0).jobs, 1); /* at least one */
    CHECK_EQ(tick(rt, 999).jobs, 1);
    CHECK_EQ(tick(rt, 3999).jobs, 3);
    CHECK_EQ(tick(rt, 7000).jobs, 7);
    CHECK_EQ(tick(rt, INT64_MAX).jobs, 1 + 5 * 4 - 12);
    CHECK_OK(bine_close(rt));
}

TEST(time_goes_by_steps_alone_real_time_too)
{
    bine *rt = open_with_seed(1);

    CHECK_OK(bine_run_string(rt,
                             "import bine\n"
                             "bine.spawn(bine.sleep, 1)\n"
                             "bine.spawn(bine.sleep, 2, real=True)\n"
                             "assert bine.time() == 0\n",
                             "<test>", NULL));
    CHECK_EQ(tick(rt, 1000000).alive, 2);
    CHECK_EQ(tick(rt, 1000000).next_wake_ns, -1); /* nothing but a step brings it nearer */
    CHECK_EQ(bine_time(rt), 0);
    CHECK_OK(bine_step_time(rt, SECOND));
    CHECK_EQ(tick(rt, 1000000).alive, 1);
    CHECK_OK(bine_step_time(rt, SECOND));
    CHECK_EQ(tick(rt, 1000000).alive, 0);
    CHECK_EQ(bine_time(rt), 2 * SECOND);
    CHECK_OK(bine_close(rt));
}

TEST(a_scale_is_refused_but_for_a_clock_of_the_hosts)
{
    bine *rt = open_with_seed(1);

    CHECK_STATUS(bine_set_time_scale(rt, 1.0), BINE_EINVAL);
    CHECK_HAS(bine_message(), "bine_step_time()");
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    CHECK_OK(bine_close(rt));
}

TEST(a_clock_of_the_hosts_goes_on_as_it_says)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.clock = leaping_clock;
    rt = open_deterministic(&config, 1);
    CHECK_OK(bine_set_time_scale(rt, 0.5));
    CHECK(bine_time(rt) > 0);
    run(rt, "import bine; bine.sleep(600); bine.sleep(60, real=True)");
    CHECK_OK(bine_close(rt));
}

TEST(the_grace_and_shields_go_by_steps)
{
    bine *rt = open_with_seed(1);

    CHECK_OK(bine_run_string(rt, "import bine\nwith bine.shield(5): bine.sleep(10)\n", "<test>", NULL));
    tick(rt, -1);
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_EQ(tick(rt, 1000000).alive, 1);
    CHECK_OK(bine_step_time(rt, 5 * SECOND));
    CHECK_EQ(tick(rt, 1000000).alive, 0);
    CHECK_OK(bine_close(rt));
}

static int frames;

static int count_frame(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    frames++;
    return BINE_OK;
}

TEST(frames_of_turns_that_are_none_go_by_steps)
{
    bine *rt = open_with_seed(1);

    CHECK_OK(bine_def(rt, "host", "count() -> None", count_frame, NULL, NULL));
    CHECK_OK(bine_run_string(rt,
                             "import bine, host\n"
                             "while True: bine.next_frame(); host.count()\n",
                             "<test>", NULL));
    for (int i = 0; i < 200; i++)
        CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    CHECK_EQ(frames, 1); /* there was none before it */
    CHECK_EQ(bine_poll_timeout_ns(rt), -1);
    for (int i = 0; i < 6; i++) {
        CHECK_OK(bine_step_time(rt, 10 * MS));
        CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
        CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    }
    CHECK_EQ(frames, 4);
    CHECK_OK(bine_shutdown(rt, 0));
    CHECK_EQ(tick(rt, -1).alive, 0);
    CHECK_OK(bine_close(rt));
}
