/* One pipe between C and scripts: ends that go either way, data that does, and how each side sees the
 * other's end. */
#include "fixture.h"

#include <bine/python.h>
#include <pthread.h>
#include <sched.h>

static bine *rt;
static bine_writer *writer; /* the host's */
static bine_reader *reader;
static bine_value *got[16];
static int statuses[16];
static size_t count;

/* feed() -> PipeReader: the host keeps the writer's end. */
static int feed(bine_call *call, void *user)
{
    bine_reader *r;
    int status = bine_pipe_new(rt, (size_t)(uintptr_t)user, &writer, &r);

    return status == BINE_OK ? bine_return(call, bine_value_reader(r)) : status;
}

/* drain() -> PipeWriter: the host keeps the reader's end. */
static int drain(bine_call *call, void *user)
{
    bine_writer *w;
    int status = bine_pipe_new(rt, (size_t)(uintptr_t)user, &w, &reader);

    return status == BINE_OK ? bine_return(call, bine_value_writer(w)) : status;
}

/* keep(end: PipeWriter | PipeReader): the host has one of a script's. */
static int keep(bine_call *call, void *user)
{
    bine_value *value = bine_arg_value(call, 0);

    (void)user;
    writer = bine_writer_retain(bine_value_as_writer(value));
    reader = bine_reader_retain(bine_value_as_reader(value));
    bine_value_free(value);
    return BINE_OK;
}

static int confuse(bine_call *call, void *user)
{
    (void)user;
    return bine_return(call, bine_value_i64(1));
}

static int refuse(bine_call *call, void *user)
{
    (void)call;
    return (int)(intptr_t)user;
}

static void open_host(size_t capacity)
{
    void *user = (void *)capacity;

    rt = open_runtime();
    CHECK_OK(bine_def(rt, "game", "feed() -> PipeReader", feed, user, NULL));
    CHECK_OK(bine_def(rt, "game", "drain() -> PipeWriter[int]", drain, user, NULL));
    CHECK_OK(bine_def(rt, "game", "keep(end: PipeWriter | PipeReader) -> None", keep, NULL, NULL));
    CHECK_OK(bine_def(rt, "game", "confuse() -> PipeReader | None", confuse, NULL, NULL));
    CHECK_OK(bine_def(rt, "game", "ended()", refuse, (void *)(intptr_t)BINE_EEND, NULL));
    CHECK_OK(bine_def(rt, "game", "broken()", refuse, (void *)(intptr_t)BINE_EPIPE, NULL));
}

/* More of the first script: in its namespace. */
static void go_on(const char *source)
{
    bine_python_enter(rt);
    if (PyRun_SimpleString(source) != 0)
        FAIL("%s", source);
    bine_python_leave(rt);
}

static void close_host(void)
{
    go_on("w = r = ends = None");
    for (size_t i = 0; i < count; i++)
        bine_value_free(got[i]);
    bine_writer_release(writer);
    bine_reader_release(reader);
    settle(rt);
    close_runtime(rt);
}

/* A micro-thread in C: gets until it is refused. */
static int get_all(bine *unused, void *user, bine_value **result)
{
    int status = BINE_OK;

    (void)unused;
    (void)user;
    (void)result;
    while (status == BINE_OK && count < 16) {
        status = bine_get(reader, -1, &got[count]);
        statuses[count++] = status;
    }
    return BINE_OK;
}

static void spawn_reader(void)
{
    CHECK_OK(bine_spawn(NULL, get_all, NULL, NULL, NULL));
}

TEST(a_script_reads_what_the_host_feeds)
{
    bine_value *list = bine_value_list();

    open_host(4);
    start_script(rt, "import game\n"
                     "r = game.feed()\n"
                     "seen = list(r)\n");
    settle(rt);
    CHECK_OK(bine_try_put(writer, bine_value_i64(1)));
    CHECK_OK(bine_try_put(writer, bine_value_str("two")));
    CHECK_OK(bine_value_append(list, bine_value_f64(3.5)));
    CHECK_OK(bine_try_put(writer, list));
    CHECK_OK(bine_try_put(writer, bine_value_nil()));
    settle(rt);
    CHECK_OK(bine_writer_close(writer));
    settle(rt);
    CHECK_STR(script_str("repr(seen)"), "[1, 'two', [3.5], None]");
    CHECK(bine_reader_error(NULL) == NULL);
    CHECK_STR(script_str("type(r).__name__"), "PipeReader");
    close_host();
}

TEST(the_host_reads_what_a_script_puts_as_data)
{
    open_host(16);
    run_script(rt, "import game\n"
                   "w = game.drain()\n"
                   "for x in None, True, 7, 1.5, 'text', b'bytes', [1, (2,)], {'a': 1}, 1 << 70, list:\n"
                   "    w.put(x)\n"
                   "w.close()\n");
    spawn_reader();
    settle(rt);
    CHECK_EQ(count, 11);
    CHECK_EQ(bine_value_kind(got[0]), BINE_NIL);
    CHECK(bine_value_as_bool(got[1]));
    CHECK_EQ(bine_value_as_i64(got[2]), 7);
    CHECK(bine_value_as_f64(got[3]) == 1.5);
    CHECK_STR(bine_value_as_str(got[4], NULL), "text");
    CHECK_EQ(bine_value_kind(got[5]), BINE_BYTES);
    CHECK_EQ(bine_value_as_i64(bine_value_at(bine_value_at(got[6], 1), 0)), 2);
    CHECK_EQ(bine_value_as_i64(bine_value_get(got[7], "a")), 1);
    CHECK_EQ(bine_value_kind(got[8]), BINE_OBJECT);
    CHECK_EQ(bine_value_kind(got[9]), BINE_OBJECT);
    CHECK_EQ(statuses[10], BINE_EEND);
    bine_python_enter(rt);
    CHECK(bine_value_to_python(got[9]) == (PyObject *)&PyList_Type);
    Py_DECREF((PyObject *)&PyList_Type);
    bine_python_leave(rt);
    close_host();
}

TEST(try_get_between_ticks_takes_the_gil_itself)
{
    bine_value *value;

    open_host(4);
    run_script(rt, "import game\n"
                   "w = game.drain()\n"
                   "w.put([1, 2]); w.put(w.put)\n");
    CHECK_OK(bine_try_get(reader, &value));
    CHECK_EQ(bine_value_count(value), 2);
    bine_value_free(value);
    CHECK_OK(bine_try_get(reader, &value));
    CHECK_EQ(bine_value_kind(value), BINE_OBJECT);
    bine_value_free(value);
    CHECK_STATUS(bine_try_get(reader, &value), BINE_EAGAIN);
    go_on("w.put(object())");
    bine_reader_release(reader); /* between ticks as well: lets go of the object */
    reader = NULL;
    close_host();
}

TEST(a_script_waits_for_a_reader_in_c_and_the_other_way_round)
{
    open_host(0);
    start_script(rt, "import game\n"
                     "w = game.drain()\n"
                     "w.put(1)\n"
                     "first = True\n"
                     "w.put(2)\n"
                     "w.close()\n");
    settle(rt);
    spawn_reader();
    settle(rt);
    CHECK_EQ(count, 3);
    CHECK(bine_reader_error(reader) == NULL);
    CHECK_EQ(bine_value_as_i64(got[1]), 2);
    CHECK_EQ(statuses[2], BINE_EEND);
    close_host();
}

TEST(what_a_host_rejects_a_pipe_with_is_a_host_error)
{
    open_host(4);
    start_script(rt, "import bine, game\n"
                     "def end_of(r):\n"
                     "    try: list(r)\n"
                     "    except Exception as e: return e\n"
                     "ends = [end_of(game.feed())]\n");
    settle(rt);
    CHECK_OK(bine_writer_fail(writer, -1001, "the world \xff ends"));
    settle(rt);
    CHECK_STR(script_str("type(ends[0]).__name__"), "HostError");
    CHECK_EQ(script_int("ends[0].code"), -1001);
    CHECK_STR(script_str("str(ends[0])"), "the world \xef\xbf\xbd ends");
    bine_writer_release(writer);
    start_script(rt, "from __main__ import *\n"
                     "ends.append(end_of(game.feed()))\n");
    settle(rt);
    CHECK_OK(bine_writer_fail(writer, BINE_ETIMEDOUT, NULL));
    settle(rt);
    CHECK_STR(script_str("type(ends[1]).__name__"), "Timeout");
    close_host();
}

TEST(what_a_script_fails_with_is_escript_with_its_message)
{
    bine_value *value;

    open_host(4);
    run_script(rt, "import game\n"
                   "w = game.drain()\n"
                   "w.put(1)\n"
                   "w.fail(KeyError('lost'))\n");
    CHECK_OK(bine_try_get(reader, &value));
    bine_value_free(value);
    CHECK_STATUS(bine_try_get(reader, &value), BINE_ESCRIPT);
    CHECK_HAS(bine_message(), "KeyError: 'lost'");
    CHECK_STR(bine_reader_error(reader)->type, "KeyError");
    CHECK(bine_reader_error(reader) == bine_reader_error(reader));
    spawn_reader();
    settle(rt);
    CHECK_EQ(statuses[0], BINE_ESCRIPT);
    close_host();
}

TEST(a_failure_that_knows_a_pipe_of_the_hosts_is_garbage_once_the_host_lets_go)
{
    open_host(4);
    run_script(rt, "import game, gc, weakref\n"
                   "class Lost(Exception): pass\n"
                   "def write(w):\n"
                   "    global gone\n"
                   "    error = Lost()\n"
                   "    gone = weakref.ref(error)\n"
                   "    with w: raise error\n"
                   "try: write(game.drain())\n"
                   "except Lost: pass\n"
                   "gc.collect()\n");
    CHECK(script_true("gone() is not None"));
    bine_reader_release(reader);
    reader = NULL;
    go_on("gc.collect()");
    CHECK(script_true("gone() is None"));
    close_host();
}

TEST(a_host_that_lets_go_breaks_the_pipe_of_a_script)
{
    open_host(1);
    start_script(rt, "import bine, game\n"
                     "w = game.drain()\n"
                     "w.put(object())\n"
                     "try: w.put(2)\n"
                     "except bine.BrokenPipe: broken = True\n");
    settle(rt);
    bine_reader_release(reader);
    reader = NULL;
    settle(rt);
    CHECK(script_true("broken and len(w) == 0"));
    close_host();
}

TEST(a_script_that_lets_go_is_seen_by_the_host)
{
    open_host(1);
    run_script(rt, "import game\n"
                   "r = game.feed()\n"
                   "r.close()\n");
    CHECK_STATUS(bine_try_put(writer, bine_value_i64(1)), BINE_EPIPE);
    bine_writer_release(writer);
    writer = NULL;
    run_script(rt, "import game\n"
                   "w = game.drain()\n"
                   "del w\n");
    spawn_reader();
    settle(rt);
    CHECK_EQ(statuses[0], BINE_EEND);
    close_host();
}

TEST(a_script_hands_the_host_an_end_of_its_own_pipe)
{
    open_host(1);
    run_script(rt, "import bine, game\n"
                   "w, r = bine.Pipe(8).split()\n"
                   "w.put('before')\n"
                   "game.keep(r)\n"
                   "r.close()\n"
                   "w.put('after')\n");
    CHECK_EQ(bine_reader_count(reader), 2);
    spawn_reader();
    settle(rt);
    CHECK_STR(bine_value_as_str(got[1], NULL), "after");
    go_on("w.close()");
    settle(rt);
    CHECK_EQ(statuses[2], BINE_EEND);
    close_host();
}

TEST(an_end_that_went_to_the_host_comes_back)
{
    open_host(1);
    CHECK_OK(bine_def(rt, "game", "same(end: object) -> object", keep, NULL, NULL));
    run_script(rt, "import bine, game\n"
                   "w, r = bine.Pipe(8).split()\n"
                   "game.keep(w)\n");
    bine_python_enter(rt);
    {
        PyObject *object = bine_writer_to_python(writer);
        PyObject *wrong = PyLong_FromLong(1);
        bine_writer *again = bine_writer_from_python(object);

        CHECK(again == writer);
        CHECK_STR(Py_TYPE(object)->tp_name, "bine.PipeWriter");
        bine_writer_release(again);
        CHECK(bine_writer_from_python(wrong) == NULL);
        CHECK(PyErr_ExceptionMatches(PyExc_TypeError));
        PyErr_Clear();
        CHECK(bine_reader_from_python(object) == NULL);
        CHECK(PyErr_ExceptionMatches(PyExc_TypeError));
        PyErr_Clear();
        Py_DECREF(wrong);
        Py_DECREF(object);
    }
    bine_python_leave(rt);
    CHECK_OK(bine_try_put(writer, bine_value_i64(5)));
    go_on("assert r.get() == 5");
    close_host();
}

TEST(a_wrong_end_is_refused_by_name)
{
    open_host(1);
    run_script(rt, "import bine, game\n"
                   "def text(call):\n"
                   "    try: call()\n"
                   "    except Exception as e: return f'{type(e).__name__}: {e}'\n"
                   "w, r = bine.Pipe().split()\n"
                   "w.close()\n"
                   "texts = [text(lambda: game.keep(bine.Pipe())), text(lambda: game.keep(w)),\n"
                   "         text(game.confuse), text(game.ended), text(game.broken)]\n");
    CHECK_STR(script_str("texts[0]"),
              "TypeError: keep() argument 'end' must be PipeWriter | PipeReader, not bine.Pipe");
    CHECK_STR(script_str("texts[1]"), "ValueError: this bine.PipeWriter was closed");
    CHECK_STR(script_str("texts[2]"),
              "TypeError: confuse(): the host answered with int, but is declared -> PipeReader | None");
    CHECK_HAS(script_str("texts[3]"), "PipeClosed: ");
    CHECK_HAS(script_str("texts[4]"), "BrokenPipe: ");
    close_host();
}

TEST(stubs_name_the_ends)
{
    char *stubs;

    open_host(1);
    CHECK_OK(bine_stubs(rt, "game", &stubs));
    CHECK_HAS(stubs, "from bine import Deferred, PipeReader, PipeWriter");
    CHECK_HAS(stubs, "def feed() -> PipeReader: ...");
    free(stubs);
    close_host();
}

TEST(a_value_that_carries_an_end_frees_it)
{
    bine_writer *w;
    bine_reader *r;
    bine_value *value;

    open_host(1);
    CHECK_OK(bine_pipe_new(rt, 1, &w, &reader));
    value = bine_value_writer(w);
    CHECK(bine_value_as_writer(value) == w && bine_value_as_reader(value) == NULL);
    bine_value_free(value);
    CHECK_STATUS(bine_try_get(reader, &value), BINE_EEND);
    CHECK(bine_value_writer(NULL) == NULL && bine_value_reader(NULL) == NULL);
    CHECK(bine_value_as_writer(NULL) == NULL && bine_value_as_reader(bine_value_nil()) == NULL);
    CHECK_OK(bine_pipe_new(rt, 1, &writer, &r));
    bine_value_free(bine_value_reader(r));
    CHECK_STATUS(bine_try_put(writer, bine_value_nil()), BINE_EPIPE);
    close_host();
}

/* ---- signals ---- */

/* The main script stands first in the line of pipe p, `second` after it, when SIGINT comes. */
static void interrupt_first(const char *handler, const char *wait)
{
    open_host(0);
    start_script(rt, "import bine, signal\n"
                     "p = bine.Pipe()\n"
                     "seen = []\n"
                     "def tell(who, function, *args):\n"
                     "    try: seen.append((who, function(*args)))\n"
                     "    except BaseException as e: seen.append((who, type(e).__name__))\n"
                     "def note(*_): seen.append('signal')\n"
                     "def rest(*_): seen.append('signal'); bine.sleep(1)\n"
                     "def fail(*_): raise KeyError\n"
                     "def go(handler, *wait):\n"
                     "    signal.signal(signal.SIGINT, handler)\n"
                     "    bine.spawn(tell, 'second', *wait[:1], *(['second'] if len(wait) > 1 else []))\n"
                     "    tell('main', *wait)\n"
                     "while seen == []: bine.sleep(1)\n"
                     "command, = seen\n"
                     "del seen[:]\n"
                     "eval(command)\n");
    settle(rt);
    bine_python_enter(rt);
    {
        PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__"));
        PyObject *command = PyUnicode_FromFormat("go(%s, %s)", handler, wait);

        CHECK_EQ(PyList_Append(PyDict_GetItemString(names, "seen"), command), 0);
        Py_DECREF(command);
    }
    bine_python_leave(rt);
    crank(SECOND);
    settle(rt);
    CHECK(script_true("seen == []"));
    bine_interrupt(rt);
    settle(rt);
}

static void close_interrupted(void)
{
    run_to_end(rt);
    go_on("import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); p = seen = None");
    close_host();
}

TEST(a_signal_does_not_cost_a_reader_its_place)
{
    interrupt_first("note", "p.get");
    CHECK(script_true("seen == ['signal']"));
    go_on("p.try_put(1); p.try_put(2)");
    settle(rt);
    CHECK(script_true("seen == ['signal', ('main', 1), ('second', 2)]"));
    close_interrupted();
}

TEST(a_signal_does_not_cost_a_writer_its_place)
{
    interrupt_first("note", "p.put, 'main'");
    go_on("seen.append([p.try_get(), p.try_get()])");
    settle(rt);
    CHECK(script_true("seen == ['signal', ['main', 'second'], ('main', None), ('second', None)]"));
    close_interrupted();
}

TEST(a_reader_is_served_while_its_signal_handler_waits)
{
    interrupt_first("rest", "p.get");
    go_on("p.try_put(1); p.try_put(2)");
    settle(rt);
    CHECK(script_true("seen == ['signal', ('second', 2)]"));
    run_to_end(rt);
    CHECK(script_true("seen == ['signal', ('second', 2), ('main', 1)]"));
    close_interrupted();
}

TEST(the_time_of_a_wait_goes_on_while_its_signal_handler_waits)
{
    interrupt_first("rest", "lambda who='main': p.get(0.5)");
    run_to_end(rt);
    CHECK(script_true("seen == ['signal', ('second', 'Timeout'), ('main', 'Timeout')]"));
    close_interrupted();
}

TEST(a_signal_handler_that_raises_ends_the_wait)
{
    interrupt_first("fail", "p.get");
    CHECK(script_true("seen == [('main', 'KeyError')]"));
    go_on("p.try_put(1)");
    settle(rt);
    CHECK(script_true("seen == [('main', 'KeyError'), ('second', 1)]"));
    close_interrupted();
}

TEST(a_cancel_while_its_signal_handler_waits_ends_the_wait)
{
    interrupt_first("rest", "p.get");
    go_on("bine.all()[0].cancel()");
    settle(rt);
    CHECK(script_true("seen == ['signal', ('main', 'Cancelled')]"));
    go_on("p.try_put(1)");
    settle(rt);
    CHECK(script_true("seen[2:] == [('second', 1)]"));
    close_interrupted();
}

/* ---- other threads ---- */

#define MANY 20000

static int to_produce = MANY;

static void produce(void *user)
{
    for (int i = 0; i < to_produce;) {
        int status = bine_try_put(writer, bine_value_i64(i));

        CHECK(status == BINE_OK || status == BINE_EAGAIN);
        if (status == BINE_OK)
            i++;
        else
            sched_yield();
    }
    (void)user;
}

static void *produce_all(void *user)
{
    produce(user);
    bine_writer_close(writer);
    return NULL;
}

/* Closing would refuse those that are still putting. */
static void *produce_among_others(void *user)
{
    produce(user);
    return NULL;
}

static void tick_until_done(bine_micro *micro)
{
    while (bine_micro_get_state(micro) != BINE_MICRO_DONE)
        CHECK_OK(bine_tick(rt, MS, NULL));
    CHECK_OK(bine_micro_status(micro));
    bine_micro_release(micro);
}

static void feed_from_a_thread(size_t capacity)
{
    pthread_t thread;
    bine_micro *micro;

    open_host(capacity);
    run_script(rt, "import bine, game\n"
                   "r = game.feed()\n"
                   "seen = 0\n"
                   "def read():\n"
                   "    global seen\n"
                   "    for x in r:\n"
                   "        assert x == seen\n"
                   "        seen += 1\n");
    CHECK_EQ(pthread_create(&thread, NULL, produce_all, NULL), 0);
    CHECK_OK(bine_spawn_named(rt, "__main__", "read", NULL, &micro));
    tick_until_done(micro);
    pthread_join(thread, NULL);
    CHECK_EQ(script_int("seen"), to_produce);
    close_host();
}

TEST(a_thread_of_the_host_feeds_a_script)
{
    feed_from_a_thread(64);
}

TEST(a_thread_of_the_host_feeds_a_script_through_a_pipe_without_room)
{
    to_produce = MANY / 20; /* each has to find the reader waiting */
    feed_from_a_thread(0);
}

static void release_reader(void *r)
{
    bine_reader_release(r);
}

TEST(a_reader_released_on_another_thread_leaves_its_objects_to_the_owner)
{
    open_host(4);
    run_script(rt, "import game, weakref\n"
                   "class Thing: pass\n"
                   "w = game.drain()\n"
                   "t = Thing()\n"
                   "gone = weakref.ref(t)\n"
                   "w.put(t)\n"
                   "del t\n");
    CHECK(script_true("gone() is not None"));
    in_thread(release_reader, reader);
    reader = NULL;
    settle(rt);
    CHECK(script_true("gone() is None"));
    close_host();
}

/* A Python thread, the host's thread and a script at one pipe. */
TEST(threads_of_python_and_of_the_host_put_into_one_pipe)
{
    pthread_t thread;
    bine_micro *micro;

    open_host(16);
    run_script(rt, "import bine, game, threading\n"
                   "w, r = bine.Pipe(16).split()\n"
                   "game.keep(w)\n"
                   "def produce():\n"
                   "    for i in range(500):\n"
                   "        while not w.try_put(('python', i)): pass\n"
                   "def read():\n"
                   "    a, b = [], []\n"
                   "    while len(a) < 20000 or len(b) < 500:\n"
                   "        x = r.get()\n"
                   "        (b if type(x) is tuple else a).append(x)\n"
                   "    assert a == list(range(20000))\n"
                   "    assert b == [('python', i) for i in range(500)]\n"
                   "    t.join()\n"
                   "t = threading.Thread(target=produce)\n"
                   "t.start()\n");
    CHECK_EQ(pthread_create(&thread, NULL, produce_among_others, NULL), 0);
    CHECK_OK(bine_spawn_named(rt, "__main__", "read", NULL, &micro));
    tick_until_done(micro);
    pthread_join(thread, NULL);
    close_host();
}

/* ---- the end ---- */

TEST(pipes_outlive_the_runtime_with_what_is_in_them)
{
    bine_value *value;

    open_host(4);
    run_script(rt, "import game\n"
                   "w = game.drain()\n"
                   "w.put([1]); w.put(2)\n"
                   "w.fail(KeyError('lost'))\n");
    CHECK_OK(bine_close(rt));
    CHECK_STATUS(bine_try_get(reader, &value), BINE_ETHREAD);
    bine_reader_release(reader);
}
