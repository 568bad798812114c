/* bine_micro_next(), bine_micro_stack(): which micro-threads live, and where each stands. */
#include "fixture.h"

#include <bine/python.h>

static bine_stack *stack_of(bine_micro *micro)
{
    bine_stack *stack;

    CHECK_OK(bine_micro_stack(micro, &stack));
    return stack;
}

/* The living one of that name, which must be there. Borrowed. */
static bine_micro *named(bine *rt, const char *name)
{
    bine_micro *micro = bine_micro_next(rt, NULL);

    while (micro != NULL && strcmp(bine_micro_name(micro), name) != 0)
        micro = bine_micro_next(rt, micro);
    CHECK(micro != NULL);
    return micro;
}

static void end_all(bine *rt)
{
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    close_runtime(rt);
}

/* ---- which live ---- */

TEST(those_that_live_come_the_oldest_first)
{
    bine *rt = open_runtime();
    bine_micro *first, *second, *third;

    CHECK(bine_micro_next(rt, NULL) == NULL);
    start_script(rt,
                 "import bine\nfor name in 'second', 'third':\n    bine.spawn(bine.sleep, 1).name = name\n"
                 "bine.current().name = 'first'\nbine.sleep(2)");
    settle(rt);
    first = bine_micro_next(rt, NULL);
    CHECK_STR(bine_micro_name(first), "first");
    second = bine_micro_next(rt, first);
    CHECK_STR(bine_micro_name(second), "second");
    third = bine_micro_next(rt, second);
    CHECK_STR(bine_micro_name(third), "third");
    CHECK(bine_micro_next(rt, third) == NULL);
    crank(SECOND);
    settle(rt);
    CHECK(bine_micro_next(rt, NULL) == first && bine_micro_next(rt, first) == NULL);
    run_to_end(rt);
    CHECK(bine_micro_next(rt, NULL) == NULL);
    close_runtime(rt);
}

TEST(after_one_that_has_ended_comes_none)
{
    bine *rt = open_runtime();
    bine_micro *fails[2];

    for (int i = 0; i < 2; i++) /* their errors are in a list too */
        CHECK_OK(bine_run_string(rt, "1 / 0", "fails", &fails[i]));
    start_script(rt, "import bine\nbine.sleep(1)");
    settle(rt);
    CHECK(bine_micro_next(rt, NULL) != NULL);
    for (int i = 0; i < 2; i++) {
        CHECK(bine_micro_next(rt, fails[i]) == NULL);
        bine_micro_release(fails[i]);
    }
    run_to_end(rt);
    CHECK_EQ(error_count(), 2);
    forget_errors();
    close_runtime(rt);
}

/* ---- where they stand ---- */

TEST(one_that_waits_shows_each_call_with_its_line_and_what_it_waits_for)
{
    bine *rt = open_runtime();
    bine_stack *stack;

    start_script(rt, "import bine\n"
                     "class Ant:\n"
                     "    def walk(self):\n"
                     "        bine.Event().wait()\n"
                     "def live():\n"
                     "    Ant().walk()\n"
                     "bine.spawn(live).name = 'ant'\n");
    settle(rt);
    stack = stack_of(named(rt, "ant"));
    CHECK_EQ(stack->frame_count, 2);
    CHECK_STR(stack->frames[0].file, "<test>");
    CHECK_STR(stack->frames[0].function, "live");
    CHECK_EQ(stack->frames[0].line, 6);
    CHECK_STR(stack->frames[0].source, "Ant().walk()");
    CHECK_STR(stack->frames[1].function, "Ant.walk");
    CHECK_EQ(stack->frames[1].line, 4);
    CHECK_STR(stack->frames[1].source, "bine.Event().wait()");
    CHECK_HAS(stack->waits_for, "bine.Event");
    CHECK_STR(stack->spawn_file, "<test>");
    CHECK_EQ(stack->spawn_line, 7);
    bine_stack_free(stack);
    end_all(rt);
}

TEST(it_is_a_copy_that_outlives_the_micro_thread_and_the_runtime)
{
    bine *rt = open_runtime();
    bine_stack *stack;

    start_script(rt, "import bine\nbine.sleep(1)");
    settle(rt);
    stack = stack_of(bine_micro_next(rt, NULL));
    run_to_end(rt);
    close_runtime(rt);
    CHECK_EQ(stack->frame_count, 1);
    CHECK_STR(stack->frames[0].source, "bine.sleep(1)");
    CHECK_STR(stack->waits_for, "its time");
    CHECK_STR(stack->spawn_file, "");
    CHECK_EQ(stack->spawn_line, 0);
    bine_stack_free(stack);
}

TEST(before_its_first_turn_and_after_its_end_it_has_no_frames)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_stack *stack;

    CHECK_OK(bine_run_string(rt, "import bine\nbine.pause()", "pauses", &micro));
    stack = stack_of(micro);
    CHECK_EQ(stack->frame_count, 0);
    CHECK_STR(stack->waits_for, "");
    bine_stack_free(stack);

    bine_tick(rt, -1, NULL);
    stack = stack_of(micro);
    CHECK_EQ(stack->frame_count, 1);
    CHECK_EQ(stack->frames[0].line, 2);
    CHECK_STR(stack->waits_for, "");
    bine_stack_free(stack);

    run_to_end(rt);
    stack = stack_of(micro);
    CHECK_EQ(stack->frame_count, 0);
    CHECK_STR(stack->waits_for, "");
    bine_stack_free(stack);
    bine_micro_release(micro);
    close_runtime(rt);
}

static int looks(bine_call *call, void *user)
{
    bine_stack *stack = stack_of(bine_call_micro(call));
    int line = stack->frame_count == 0 ? 0 : stack->frames[stack->frame_count - 1].line;

    (void)user;
    CHECK_STR(stack->waits_for, "");
    bine_stack_free(stack);
    return bine_return(call, bine_value_i64(line));
}

TEST(one_that_runs_is_seen_from_a_host_function_that_it_calls)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "looker", "line() -> int", looks, NULL, NULL));
    run_script(rt, "import looker\ndef f():\n    return looker.line()\nline = f()");
    CHECK_EQ(script_int("line"), 3);
    close_runtime(rt);
}

static int sleeps(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    return bine_sleep(SECOND);
}

static int calls(bine *rt, void *user, bine_value **result)
{
    (void)user;
    return bine_call_named(rt, "sleeper", "sleep", NULL, result, NULL);
}

TEST(c_functions_have_no_frames_but_what_they_call_in_python_has)
{
    bine *rt = open_runtime();
    bine_micro *plain, *caller;
    bine_stack *stack;

    run_script(rt, "import bine, sys, types\nsleeper = sys.modules['sleeper'] = types.ModuleType('sleeper')\n"
                   "def sleep():\n    bine.sleep(1)\nsleeper.sleep = sleep");
    CHECK_OK(bine_spawn(NULL, sleeps, NULL, NULL, &plain));
    CHECK_OK(bine_spawn(NULL, calls, NULL, NULL, &caller));
    settle(rt);
    stack = stack_of(plain);
    CHECK_EQ(stack->frame_count, 0);
    CHECK_STR(stack->waits_for, "its time");
    bine_stack_free(stack);
    stack = stack_of(caller);
    CHECK_EQ(stack->frame_count, 1);
    CHECK_STR(stack->frames[0].function, "sleep");
    bine_stack_free(stack);
    run_to_end(rt);
    bine_micro_release(plain);
    bine_micro_release(caller);
    close_runtime(rt);
}

static int looks_with_an_exception(bine *rt, void *user, bine_value **result)
{
    (void)user;
    (void)result;
    PyErr_SetString(PyExc_KeyError, "mine");
    bine_stack_free(stack_of(bine_micro_next(rt, NULL)));
    CHECK(PyErr_ExceptionMatches(PyExc_KeyError));
    return BINE_ESCRIPT;
}

TEST(looking_leaves_an_exception_that_is_set)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\nbine.sleep(1)");
    settle(rt);
    CHECK_OK(bine_spawn(NULL, looks_with_an_exception, NULL, NULL, NULL));
    run_to_end(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "KeyError");
    forget_errors();
    close_runtime(rt);
}

TEST(names_and_reprs_may_be_anything)
{
    bine *rt = open_runtime();
    bine_stack *stack;

    start_script(rt, "import bine\n"
                     "class Hostile(bine.SimpleQueue):\n"
                     "    def __repr__(self): raise SystemExit(1)\n"
                     "class Odd(bine.SimpleQueue):\n"
                     "    def __repr__(self): return '\\ud800 %n'\n"
                     "exec(compile('def get(q):\\n q.get()', 'a\\udcff.py', 'exec'))\n"
                     "bine.spawn(get, Hostile()).name = 'hostile'\n"
                     "bine.spawn(get, Odd()).name = 'odd'");
    settle(rt);
    stack = stack_of(named(rt, "hostile"));
    CHECK_STR(stack->waits_for, "<its repr() failed>");
    CHECK_STR(stack->frames[0].file, "a\\udcff.py");
    CHECK_EQ(stack->frames[0].line, 2);
    CHECK_STR(stack->frames[0].source, "");
    bine_stack_free(stack);
    stack = stack_of(named(rt, "odd"));
    CHECK_HAS(stack->waits_for, "\\ud800 %n");
    bine_stack_free(stack);
    end_all(rt);
}

static void look_elsewhere(void *user)
{
    bine_stack *stack;

    CHECK_STATUS(bine_micro_stack(user, &stack), BINE_ETHREAD);
    CHECK(stack == NULL);
    CHECK_HAS(bine_message(), "bine_micro_stack: only the thread that called bine_open()");
}

static void next_elsewhere(void *user)
{
    CHECK(bine_micro_next(user, NULL) == NULL);
}

TEST(bad_input_is_told)
{
    bine *rt = open_runtime();
    bine_stack *stack = (bine_stack *)rt;
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine\nbine.sleep(1)", "sleeps", &micro));
    CHECK_STATUS(bine_micro_stack(NULL, &stack), BINE_EINVAL);
    CHECK(stack == NULL);
    CHECK_HAS(bine_message(), "bine_micro_stack: the micro-thread is NULL");
    CHECK_STATUS(bine_micro_stack(micro, NULL), BINE_EINVAL);
    CHECK_HAS(bine_message(), "bine_micro_stack: out is NULL");
    CHECK(bine_micro_next(NULL, NULL) == NULL);
    in_thread(look_elsewhere, micro);
    in_thread(next_elsewhere, rt);
    bine_stack_free(NULL);
    run_to_end(rt);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(looking_many_times_leaks_nothing)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\ndef deep(n):\n    if n > 0: deep(n - 1)\n    bine.sleep(1)\ndeep(50)");
    settle(rt);
    for (int i = 0; i < 1000; i++) {
        bine_stack *stack = stack_of(bine_micro_next(rt, NULL));

        CHECK_EQ(stack->frame_count, 52);
        bine_stack_free(stack);
    }
    crank(SECOND);
    settle(rt);
    end_all(rt);
}
