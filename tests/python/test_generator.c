/* Generators and their runtime's end, on the host's own stack, and where there is no more stack. What scripts
 * see of them is in generate.py. */
#include <bine/python.h> /* before any other */

#include "fixture.h"

#include "python/python.h"

#include <sys/resource.h>

/* What the scripts' finally blocks have noted. */
static char noted[1000];

static int note(bine_call *call, void *user)
{
    (void)user;
    strncat(noted, bine_arg_str(call, 0, NULL), sizeof noted - strlen(noted) - 1);
    return BINE_OK;
}

#define COMMON                                         \
    "import bine, host\n"                              \
    "def work(name):\n"                                \
    "    try:\n"                                       \
    "        for i in range(100): bine.emit(i)\n"      \
    "    finally: host.note(name)\n"                   \
    "def stubborn():\n"                                \
    "    while True:\n"                                \
    "        try: bine.emit(1)\n"                      \
    "        except GeneratorExit: host.note('no ')\n" \
    "def begun(function, *args):\n"                    \
    "    g = bine.generate(function, *args)\n"         \
    "    next(g)\n"                                    \
    "    return g\n"

/* A runtime in which `script` has run: to its end, or until all wait. */
static bine *open_with(const char *script, void (*run)(bine *rt, const char *source))
{
    bine *rt = open_runtime();
    char source[4000];

    noted[0] = '\0';
    CHECK_OK(bine_def(rt, "host", "note(text: str) -> None", note, NULL, NULL));
    snprintf(source, sizeof source, "%s%s", COMMON, script);
    run(rt, source);
    return rt;
}

static bine *open_after(const char *script)
{
    return open_with(script, run_script);
}

static void run_until_all_wait(bine *rt, const char *source)
{
    start_script(rt, source);
    settle(rt);
}

/* ---- the end ---- */

TEST(closing_ends_the_generators_that_are_suspended)
{
    bine *rt = open_after("kept = [begun(work, 'a '), begun(work, 'b '), bine.generate(work, 'never ')]\n"
                          "kept.append(kept)\n");

    CHECK_STR(noted, "");
    close_runtime(rt);
    CHECK_STR(noted, "b a ");
}

TEST(closing_leaves_one_that_would_not_end_on_its_stack_and_says_so)
{
    bine *rt = open_after("import sys\n"
                          "sys.unraisablehook = lambda u: host.note(str(u.exc_value) + ', ')\n"
                          "kept = [begun(work, 'a '), begun(stubborn), begun(stubborn)]\n");

    CHECK_OK(bine_close(rt));
    CHECK_HAS(log_text(), "bine_close: generator 'stubborn' ignored GeneratorExit; its stack is left behind");
    CHECK_STR(noted, "no generator ignored GeneratorExit, no generator ignored GeneratorExit, a ");
}

TEST(no_generator_begins_while_the_runtime_closes)
{
    bine *rt = open_after("def again():\n"
                          "    try: bine.emit(1)\n"
                          "    finally:\n"
                          "        try: begun(again)\n"
                          "        except RuntimeError as error: host.note(str(error))\n"
                          "kept = begun(again)\n");

    close_runtime(rt);
    CHECK_STR(noted, "the runtime is closing: no generator begins any more");
}

TEST(one_that_waits_in_a_generator_ends_with_the_scripts)
{
    bine_tick_info info = {.struct_size = sizeof info, .alive = 1};
    bine *rt = open_with("def wait():\n"
                         "    try: bine.sleep(1000)\n"
                         "    except bine.Exit: host.note('exit ')\n"
                         "    bine.emit(1)\n"
                         "def ask(g):\n"
                         "    try: host.note(f'got {next(g)} ')\n"
                         "    finally: host.note('asker')\n"
                         "bine.spawn(ask, bine.generate(wait))\n",
                         run_until_all_wait);

    CHECK_OK(bine_shutdown(rt, SECOND));
    while (info.alive > 0)
        CHECK_OK(bine_tick(rt, -1, &info));
    close_runtime(rt);
    CHECK_STR(noted, "exit got 1 asker");
}

static bine *open_with_one_waiting_inside(void)
{
    return open_with("def inside():\n"
                     "    while True:\n"
                     "        try: bine.sleep(1000)\n"
                     "        except BaseException: pass\n"
                     "def ask(): next(bine.generate(inside))\n"
                     "bine.spawn(ask)\n"
                     "kept = [begun(work, 'a '), begun(stubborn)]\n"
                     "bine.pause()\n",
                     run_until_all_wait);
}

TEST(a_survivor_that_waits_in_a_generator_is_told_of_with_all_its_frames)
{
    bine *rt = open_with_one_waiting_inside();

    CHECK_OK(bine_shutdown(rt, 0));
    for (int i = 0; i < 10; i++)
        CHECK_OK(bine_tick(rt, -1, NULL)); /* it never waits for long */
    CHECK_HAS(log_text(), "'ask-");
    CHECK_HAS(log_text(), "in ask");
    CHECK_HAS(log_text(), "in inside");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_close_abandon(rt));
    CHECK_STR(noted, "");
}

TEST(abandoning_leaves_generators_alone)
{
    bine *rt = open_with_one_waiting_inside();

    CHECK_OK(bine_close_abandon(rt));
    CHECK_HAS(log_text(), "is left behind");
    CHECK_STR(noted, "");
}

/* ---- on the host's stack ---- */

/* What `call` gives in the host's hands. */
static long on_the_host(bine *rt, const char *expression)
{
    PyObject *names;
    PyObject *result;
    long value;

    CHECK_OK(bine_python_enter(rt));
    names = PyModule_GetDict(PyImport_AddModule("__main__"));
    result = PyRun_String(expression, Py_eval_input, names, names);
    if (result == NULL)
        PyErr_Print();
    CHECK(result != NULL);
    value = PyLong_AsLong(result);
    Py_DECREF(result);
    bine_python_leave(rt);
    return value;
}

TEST(the_hosts_stack_may_ask_too)
{
    bine *rt = open_after("def waits():\n"
                          "    try: bine.sleep(1)\n"
                          "    except bine.NotInMicroThread: bine.emit(-1)\n"
                          "def deep(n): return bine.emit(n) if n < 900 else deep(n - 1)\n"
                          "g = begun(work, 'end')\n"
                          "def down(n): return down(n + 1)\n"
                          "def too_deep():\n"
                          "    try: return next(bine.generate(down, 0))\n"
                          "    except RecursionError: return 1\n"
                          "def raises_limit():\n"
                          "    import sys\n"
                          "    sys.setrecursionlimit(10**6)\n"
                          "    try: return down_some(50000)\n"
                          "    except (RecursionError, MemoryError): return 1\n"
                          "    finally: sys.setrecursionlimit(1000); bine.emit(7)\n"
                          "def down_some(n): return n and down_some(n - 1)\n");

    CHECK_EQ(on_the_host(rt, "next(g)"), 1);
    CHECK_EQ(on_the_host(rt, "sum(bine.generate(work, 'host ') | (lambda s: [bine.emit(x) for x in s]))"),
             4950);
    CHECK_EQ(on_the_host(rt, "next(bine.generate(waits))"), -1);
    CHECK_EQ(on_the_host(rt, "too_deep()"), 1);
    CHECK_EQ(on_the_host(rt, "next(bine.generate(raises_limit))"), 7);
    CHECK_EQ(on_the_host(rt, "bine.current() is None and len(g.stack())"), 1);
    run_script(rt, "import __main__; assert next(__main__.g) == 2; __main__.g.close()");
    close_runtime(rt);
    CHECK_STR(noted, "host end");
}

TEST(a_collection_on_the_hosts_stack_keeps_generators_from_emitting)
{
    bine *rt = open_after("import gc\n"
                          "def try_it(phase, info):\n"
                          "    try: bine.emit(1)\n"
                          "    except RuntimeError: host.note('refused ' if phase == 'stop' else '')\n"
                          "def collects():\n"
                          "    gc.callbacks.append(try_it)\n"
                          "    gc.collect()\n"
                          "    gc.callbacks.remove(try_it)\n"
                          "    bine.emit(5)\n");

    CHECK_EQ(on_the_host(rt, "next(bine.generate(collects))"), 5);
    CHECK_STR(noted, "refused ");
    close_runtime(rt);
}

/* ---- no more stack ---- */

TEST(without_a_stack_a_generator_does_not_begin_and_may_be_asked_again)
{
    struct rlimit before;
    struct rlimit none;
    bine *rt = open_after("kept = [begun(work, '') for _ in range(16)]\n"
                          "def try_it():\n"
                          "    global kept\n"
                          "    made = 0\n"
                          "    try:\n"
                          "        while made < 10**6:\n"
                          "            kept.append(bine.generate(work, ''))\n"
                          "            next(kept[-1])\n"
                          "            made += 1\n"
                          "    except MemoryError as error:\n"
                          "        last = kept.pop()\n"
                          "        kept = None\n"
                          "        if 'stack' in str(error) and next(last) == 0: return 1\n"
                          "    return 0\n");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    close_runtime(rt);
    SKIP("a sanitizer needs all the address space there is");
#endif
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)4 << 30;
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    CHECK_EQ(on_the_host(rt, "try_it()"), 1);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    close_runtime(rt);
}
