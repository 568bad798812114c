/* Names of hosts: a getaddrinfo() of our own stands before the C library's, and answers for names that end
 * in ".hole" only when it is told to. */
#include <Python.h> /* before any other */

#include "fixture.h"

#include "service/pool.h"

#include <bine/python.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

enum { NAMES = 16 };

static sem_t hole;    /* lets one out */
static sem_t arrived; /* one for each inside */
static atomic_int lookups;
static atomic_bool gives_up; /* and lets all out without an answer */
static _Atomic pthread_t last_by;

typedef int (*getaddrinfo_function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    size_t size = node == NULL ? 0 : strlen(node);
    getaddrinfo_function original;

    *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
    atomic_fetch_add(&lookups, 1);
    last_by = pthread_self();
    if (size > 5 && strcmp(node + size - 5, ".hole") == 0) {
        sem_post(&arrived);
        while (sem_wait(&hole) != 0)
            CHECK_EQ(errno, EINTR);
        if (atomic_load(&gives_up))
            return EAI_AGAIN;
        node = "127.0.0.1";
    }
    return original(node, service, hints, out);
}

static bine *open_names(void)
{
    CHECK_EQ(sem_init(&hole, 0, 0), 0);
    CHECK_EQ(sem_init(&arrived, 0, 0), 0);
    return open_runtime();
}

static void await_arrivals(int count)
{
    for (int i = 0; i < count; i++)
        while (sem_wait(&arrived) != 0)
            ;
}

static void open_hole(int count)
{
    for (int i = 0; i < count; i++)
        sem_post(&hole);
}

/* In real time: the clock, which would be cranked to the end of the lookup, stands still. */
static void await_end(bine *rt)
{
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
}

/* For lookups that nobody waits for: as they end without an interpreter, nobody frees an answer. */
static void give_up(int count)
{
    atomic_store(&gives_up, true);
    open_hole(count);
}

/* ask(name): its answer, or what went wrong, goes to `said`. */
static const char asker[] =
    "import bine, socket\n"
    "said = {}\n"
    "def ask(name, how=lambda name: socket.getaddrinfo(name, 80)):\n"
    "    try: said[name] = how(name)\n"
    "    except (OSError, bine.Cancelled, bine.Timeout) as error: said[name] = error\n";

static void start_asking(bine *rt, const char *script)
{
    start_script(rt, asker);
    await_end(rt); /* importing may wait for files */
    bine_python_enter(rt);
    CHECK_EQ(PyRun_SimpleString(script), 0);
    bine_python_leave(rt);
    settle(rt);
}

TEST(a_lookup_suspends_its_script_alone)
{
    bine *rt = open_names();

    start_asking(rt, "micro = bine.spawn(ask, 'a.hole')");
    await_arrivals(1);
    CHECK(script_true("said == {} and not micro.done"));
    CHECK(!pthread_equal(last_by, pthread_self()));
    open_hole(1);
    await_end(rt);
    CHECK(script_true("said['a.hole'][0][4] == ('127.0.0.1', 80)"));
    close_runtime(rt);
}

TEST(what_is_an_address_needs_no_thread)
{
    bine *rt = open_names();

    start_asking(rt, "for host in '127.0.0.1', '::1', b'10.0.0.1', None, 'fe80::1%lo':\n"
                     "    bine.spawn(ask, host)\n"
                     "bine.spawn(ask, 'x', lambda _: socket.getaddrinfo('127.0.0.1', '80'))\n"
                     "bine.spawn(ask, 'y', lambda _: socket.gethostbyname('127.0.0.1'))\n"
                     "bine.spawn(ask, 'z', lambda _: socket.getnameinfo(('127.0.0.1', 80), 3))\n");
    await_end(rt);
    CHECK(script_true("said['y'] == '127.0.0.1' and said['z'] == ('127.0.0.1', '80')"));
    CHECK_EQ(script_int("len(said)"), 8);
    CHECK(pthread_equal(last_by, pthread_self()));
    close_runtime(rt);
}

TEST(bad_arguments_are_told_of_as_ever)
{
    bine *rt = open_names();

    start_script(
        rt,
        "import socket\n"
        "def error_of(*args, f=socket.getaddrinfo, **kwargs):\n"
        "    try: f(*args, **kwargs)\n"
        "    except Exception as error: return type(error).__name__, str(error)\n"
        "assert error_of()[0] == 'TypeError'\n"
        "assert error_of(1, 2)[1] == 'getaddrinfo() argument 1 must be string or None', error_of(1, 2)\n"
        "assert error_of('x', 2.5)[1] == 'Int or String expected', error_of('x', 2.5)\n"
        "assert error_of('a\\0b', 1)[0] in ('ValueError', 'gaierror', 'UnicodeError'), error_of('a\\0b', 1)\n"
        "assert error_of('localhost', 1, foo=1)[0] == 'TypeError'\n"
        "assert error_of(1, f=socket.gethostbyname)[0] == 'TypeError'\n"
        "assert error_of(f=socket.getnameinfo)[0] == 'TypeError'\n"
        "assert error_of('.'.join(['x' * 70] * 2), 1)[0] in ('UnicodeError', 'UnicodeEncodeError')\n");
    await_end(rt);
    close_runtime(rt);
}

TEST(when_no_server_answers_in_time_it_fails_and_leaves_the_thread_behind)
{
    bine *rt = open_names();

    start_asking(rt, "bine.spawn(ask, 'a.hole')\n"
                     "bine.spawn(ask, 'b.hole', socket.gethostbyname)");
    await_arrivals(2);
    crank(30 * SECOND - 1);
    settle(rt);
    CHECK(script_true("said == {}"));
    crank(1);
    settle(rt);
    CHECK(script_true("[type(e) for e in said.values()] == [socket.gaierror] * 2"));
    CHECK(script_true("said['a.hole'].args == (socket.EAI_AGAIN, 'Temporary failure in name resolution')"));
    give_up(2);
    close_runtime(rt);
}

TEST(a_config_without_a_limit_waits_on)
{
    bine_config config;
    bine *rt;

    CHECK_EQ(sem_init(&hole, 0, 0), 0);
    CHECK_EQ(sem_init(&arrived, 0, 0), 0);
    bine_config_init(&config);
    config.lookup_timeout_ns = -1;
    rt = open_runtime_with(&config);
    start_asking(rt, "bine.spawn(ask, 'a.hole')");
    await_arrivals(1);
    crank(3600 * SECOND);
    settle(rt);
    CHECK(script_true("said == {}"));
    open_hole(1);
    await_end(rt);
    close_runtime(rt);
}

TEST(a_cancelled_lookup_leaves_at_once)
{
    bine *rt = open_names();

    start_asking(rt, "micro = bine.spawn(ask, 'a.hole')");
    await_arrivals(1);
    start_script(rt, "import __main__; __main__.micro.cancel()");
    settle(rt);
    CHECK(script_true("type(said['a.hole']) is bine.Cancelled"));
    give_up(1);
    close_runtime(rt);
}

TEST(a_timeout_of_the_scripts_ends_a_lookup)
{
    bine *rt = open_names();

    start_asking(rt, "def limited(name):\n"
                     "    with bine.timeout(2): return socket.getaddrinfo(name, 80)\n"
                     "bine.spawn(ask, 'a.hole', limited)");
    await_arrivals(1);
    crank(2 * SECOND);
    settle(rt);
    CHECK(script_true("type(said['a.hole']) is bine.Timeout"));
    give_up(1);
    close_runtime(rt);
}

static int work_on_files(bine *rt, void *user, bine_value **out)
{
    (void)out;
    return bine__offload(rt, BINE__FILES, user, BINE__NEVER);
}

static void do_nothing(bine__work *work)
{
    (void)work;
}

TEST(sixty_four_black_holes_hold_up_no_file)
{
    bine *rt = open_names();
    bine__work work = {.run = do_nothing};
    bine_micro *micro;

    start_asking(rt, "for i in range(64): bine.spawn(ask, f'{i}.hole')");
    await_arrivals(NAMES);
    CHECK_OK(bine_spawn(NULL, work_on_files, &work, NULL, &micro));
    while (bine_micro_get_state(micro) != BINE_MICRO_DONE)
        bine_run(rt, BINE_RUN_ONCE);
    CHECK_EQ(atomic_load(&lookups), NAMES);
    CHECK(script_true("said == {}"));
    bine_micro_release(micro);
    open_hole(64);
    await_end(rt);
    CHECK(script_true("len(said) == 64"));
    close_runtime(rt);
}

TEST(an_error_of_the_lookup_has_the_context_that_it_was_raised_in)
{
    bine *rt = open_names();

    start_script(rt,
                 "import socket\n"
                 "try:\n"
                 "    try: 1 / 0\n"
                 "    except ZeroDivisionError as first: socket.getaddrinfo('localhost', 'no such service')\n"
                 "except socket.gaierror as error: assert isinstance(error.__context__, ZeroDivisionError)\n"
                 "else: raise AssertionError\n");
    await_end(rt);
    close_runtime(rt);
}

/* ---- the end ---- */

static const bine *closing; /* while a thread of the pool is to be late */
static atomic_bool is_late;
static atomic_bool has_entered;

PyGILState_STATE __real_PyGILState_Ensure(void);
PyGILState_STATE __wrap_PyGILState_Ensure(void);

/* A thread that enters the interpreter when that has gone crashes. */
PyGILState_STATE __wrap_PyGILState_Ensure(void)
{
    PyGILState_STATE gil;

    if (closing != NULL) {
        atomic_store(&is_late, true);
        for (int i = 0; i < 100000 && !atomic_load(&closing->over); i++)
            sched_yield();
    }
    gil = __real_PyGILState_Ensure();
    atomic_store(&has_entered, true);
    return gil;
}

TEST(closing_waits_for_a_lookup_that_is_about_to_begin)
{
    bine *rt = open_names();

    start_asking(rt, "pass");
    closing = rt; /* what has been imported needs no thread any more */
    start_asking(rt, "micro = bine.spawn(ask, 'a.hole')");
    while (!atomic_load(&is_late))
        sched_yield();
    start_script(rt, "import __main__; __main__.micro.cancel()");
    settle(rt);
    close_runtime(rt);
    CHECK(atomic_load(&has_entered));
    give_up(1);
}

TEST(closing_leaves_a_lookup_behind)
{
    bine *rt = open_names();

    start_asking(rt, "micro = bine.spawn(ask, 'a.hole')");
    await_arrivals(1);
    start_script(rt, "import __main__; __main__.micro.cancel()");
    settle(rt);
    close_runtime(rt);
    give_up(1);
}
