/* Errors as data, and where they go. */
#include "fixture.h"

static bool looked;

static bine *open_with(bine_on_unhandled on_unhandled)
{
    bine_config config;

    bine_config_init(&config);
    config.on_unhandled = on_unhandled;
    return open_runtime_with(&config);
}

static void check_parts(bine *rt, const bine_error *error, void *user)
{
    (void)rt;
    (void)user;
    looked = true;
    CHECK_EQ(error->code, BINE_ESCRIPT);
    CHECK_STR(error->type, "ValueError");
    CHECK_STR(error->message, "too deep: caf\xc3\xa9");
    CHECK_EQ(error->frame_count, 3);
    CHECK_STR(error->frames[0].function, "Agent.walk");
    CHECK_STR(error->frames[1].function, "Agent.dig.<locals>.deeper");
    CHECK_STR(error->frames[2].function, "fail");
    CHECK_STR(error->frames[0].file, "agent.py");
    CHECK_EQ(error->frames[0].line, 5);
    CHECK_EQ(error->frames[1].line, 7);
    CHECK_EQ(error->frames[2].line, 2);
    CHECK_STR(error->micro_name, "digger");
    CHECK_STR(error->spawn_file, "agent.py");
    CHECK_EQ(error->spawn_line, 9);
    CHECK_HAS(error->text, "Traceback (most recent call last):\n");
    CHECK_HAS(error->text, "  File \"agent.py\", line 2, in fail\n");
    CHECK_HAS(error->text, "\nValueError: too deep: caf\xc3\xa9\n");
    CHECK_EQ(error->text[strlen(error->text) - 1], '\n');
}

TEST(an_error_carries_its_frames_its_name_and_its_spawn_site)
{
    bine *rt = open_with(check_parts);

    CHECK_OK(bine_run_string(rt,
                             "def fail():\n"
                             "    raise ValueError('too deep: caf\xc3\xa9')\n"
                             "class Agent:\n"
                             "    def walk(self):\n"
                             "        self.dig()()\n"
                             "    def dig(self):\n"
                             "        def deeper(): fail()\n"
                             "        return deeper\n"
                             "t = __import__('bine').spawn(Agent().walk)\n"
                             "t.name = 'digger'\n"
                             "del t\n",
                             "agent.py", NULL));
    settle(rt);
    CHECK(looked);
    close_runtime(rt);
}

static void check_hosts_own(bine *rt, const bine_error *error, void *user)
{
    (void)rt;
    (void)user;
    looked = true;
    CHECK_STR(error->micro_name, "agent.py");
    CHECK_STR(error->spawn_file, "");
    CHECK_EQ(error->spawn_line, 0);
}

TEST(what_the_host_spawned_has_no_spawn_site)
{
    bine *rt = open_with(check_hosts_own);

    CHECK_OK(bine_run_string(rt, "1/0", "agent.py", NULL));
    settle(rt);
    CHECK(looked);
    close_runtime(rt);
}

static char *printed;

static void print_it(bine *rt, const bine_error *error, void *user)
{
    size_t size;
    FILE *stream = open_memstream(&printed, &size);

    (void)rt;
    (void)user;
    CHECK(stream != NULL);
    bine_error_print(error, stream);
    fclose(stream);
}

TEST(a_printed_error_says_who_where_and_what)
{
    bine *rt = open_with(print_it);

    CHECK_OK(bine_run_string(rt,
                             "import bine\n"
                             "def f(): 1/0\n"
                             "bine.spawn(f).name = 'worker'\n",
                             "agent.py", NULL));
    settle(rt);
    CHECK_HAS(printed, "Exception in micro-thread 'worker' (spawned at agent.py:3):\n"
                       "Traceback (most recent call last):\n");
    CHECK_HAS(printed, "\nZeroDivisionError: division by zero\n");
    free(printed);
    bine_error_print(NULL, stderr);
    close_runtime(rt);
}

static void fail_with(bine *rt, const char *source)
{
    forget_errors();
    start_script(rt, source);
    settle(rt);
    CHECK_EQ(error_count(), 1);
}

TEST(types_are_named_with_their_module_but_for_builtins)
{
    bine *rt = open_runtime();

    fail_with(rt, "import json; json.loads('{')");
    CHECK_STR(error_type(0), "json.decoder.JSONDecodeError");
    fail_with(rt, "class Trouble(Exception):\n    class Inner(Exception): pass\nraise Trouble.Inner('x')");
    CHECK_STR(error_type(0), "Trouble.Inner");
    fail_with(rt, "import bine; raise bine.Timeout('x')");
    CHECK_STR(error_type(0), "bine.Timeout");
    forget_errors();
    close_runtime(rt);
}

TEST(an_exception_whose_str_raises_is_still_reported)
{
    bine *rt = open_runtime();

    fail_with(rt, "class Bad(Exception):\n"
                  "    def __str__(self): raise RuntimeError('in str')\n"
                  "raise Bad()\n");
    CHECK_STR(error_type(0), "Bad");
    CHECK_HAS(error_message(0), "str() failed");
    CHECK_HAS(error_text(0), "Bad: <exception str() failed>");
    fail_with(rt, "class Bad(Exception):\n"
                  "    def __str__(self): return 5\n"
                  "raise Bad()\n");
    CHECK_HAS(error_message(0), "str() failed");
    fail_with(rt, "class M(type):\n"
                  "    def __getattribute__(c, n): raise RuntimeError(n)\n"
                  "class Bad(Exception, metaclass=M): pass\n"
                  "raise Bad('x')\n");
    CHECK_HAS(error_message(0), "x");
    forget_errors();
    close_runtime(rt);
}

TEST(text_that_is_no_utf8_is_escaped)
{
    bine *rt = open_runtime();

    fail_with(rt, "raise ValueError('lone \\udc80 surrogate')");
    CHECK_STR(error_message(0), "lone \\udc80 surrogate");
    CHECK_HAS(error_text(0), "lone \\udc80 surrogate");
    fail_with(rt, "raise ValueError('')");
    CHECK_STR(error_message(0), "");
    CHECK_HAS(error_text(0), "ValueError\n");
    forget_errors();
    close_runtime(rt);
}

TEST(causes_notes_and_groups_are_in_the_text)
{
    bine *rt = open_runtime();

    fail_with(rt, "try: 1/0\n"
                  "except ZeroDivisionError as e:\n"
                  "    n = ValueError('outer'); n.add_note('a note')\n"
                  "    raise n from e\n");
    CHECK_HAS(error_text(0), "ZeroDivisionError");
    CHECK_HAS(error_text(0), "direct cause");
    CHECK_HAS(error_text(0), "a note\n");
    fail_with(rt, "raise ExceptionGroup('both', [ValueError(1), KeyError(2)])");
    CHECK_STR(error_type(0), "ExceptionGroup");
    CHECK_HAS(error_text(0), "KeyError: 2");
    forget_errors();
    close_runtime(rt);
}

static void count_frames(bine *rt, const bine_error *error, void *user)
{
    (void)rt;
    (void)user;
    looked = true;
    CHECK_EQ(error->group_count, 1);
    CHECK_EQ(error->group[0]->frame_count, 0);
    CHECK_EQ(error->cause->frame_count, 0);
}

TEST(an_error_whose_traceback_a_script_has_taken_away_has_no_frames)
{
    bine *rt = open_with(count_frames);

    start_script(rt, "bare = ValueError('bare').with_traceback(None)\n"
                     "raise ExceptionGroup('of one', [bare]) from bare\n");
    settle(rt);
    CHECK(looked);
    close_runtime(rt);
}

TEST(system_exit_ends_its_script_and_not_the_host)
{
    bine *rt = open_runtime();

    fail_with(rt, "import sys; sys.exit(3)");
    CHECK_STR(error_type(0), "SystemExit");
    CHECK_STR(error_message(0), "3");
    forget_errors();
    run_script(rt, "1");
    close_runtime(rt);
}

TEST(an_error_is_reported_once_and_only_when_nobody_joined)
{
    bine *rt = open_runtime();

    run_script(rt, "import bine\n"
                   "t = bine.spawn(lambda: 1/0)\n"
                   "try: t.join()\n"
                   "except ZeroDivisionError: pass\n"
                   "del t\n");
    fail_with(rt, "import bine\n"
                  "bine.spawn(lambda: 1/0)\n");
    settle(rt);
    CHECK_EQ(error_count(), 1);
    forget_errors();
    close_runtime(rt);
}

static char log_lines[8192];

static void keep_log(bine *rt, bine_log_level level, const char *line, void *user)
{
    (void)rt;
    (void)user;
    CHECK_EQ(level, BINE_LOG_ERROR);
    CHECK(strchr(line, '\n') == NULL);
    strcat(log_lines, line);
    strcat(log_lines, "\n");
}

static int64_t no_time(void *user)
{
    (void)user;
    return 0;
}

TEST(without_on_unhandled_errors_go_to_the_log_whole_and_line_by_line)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.on_log = keep_log;
    config.clock = no_time;
    config.budget_clock = no_time;
    CHECK_OK(bine_open(&config, &rt));
    CHECK_OK(bine_run_string(rt, "raise ValueError('x' * 3000 + 'end')", "agent.py", NULL));
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_HAS(log_lines, "micro-thread 'agent.py'");
    CHECK_HAS(log_lines, "ValueError: xxx");
    CHECK_HAS(log_lines, "xend\n");
    CHECK_OK(bine_close(rt));
}

TEST(without_any_callback_errors_go_nowhere)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    CHECK_OK(bine_open(&config, &rt));
    CHECK_OK(bine_run_string(rt, "1/0", "agent.py", NULL));
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_OK(bine_close(rt));
}

/* ---- as data: causes and groups ---- */

/* How a script fails (new). */
static bine_error *error_of(bine *rt, const char *source)
{
    bine_micro *micro;
    bine_error *error;

    CHECK_OK(bine_run_string(rt, source, "agent.py", &micro));
    settle(rt);
    CHECK_OK(bine_micro_error(micro, &error));
    bine_micro_release(micro);
    return error;
}

static size_t chain_length(const bine_error *error)
{
    size_t n = 0;

    for (; error != NULL; error = error->cause)
        n++;
    return n;
}

TEST(frames_have_their_source_lines)
{
    char *folder = temporary_folder();
    char path[512];
    static const char source[] = "def fail():\n"
                                 "        raise ValueError(  'caf\xc3\xa9')\n"
                                 "fail()\n";
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_error *error;

    write_file(folder, "agent.py", source, sizeof source - 1);
    snprintf(path, sizeof path, "%s/agent.py", folder);
    CHECK_OK(bine_run_file(rt, path, &micro));
    settle(rt);
    CHECK_OK(bine_micro_error(micro, &error));
    bine_micro_release(micro);
    CHECK_EQ(error->frame_count, 2);
    CHECK_STR(error->frames[0].function, "<module>");
    CHECK_STR(error->frames[0].source, "fail()");
    CHECK_STR(error->frames[0].file, path);
    CHECK_STR(error->frames[1].source, "raise ValueError(  'caf\xc3\xa9')");
    bine_error_free(error);
    error = error_of(rt, "x = 1\n\n  \nexec('1/0')\n");
    CHECK_EQ(error->frame_count, 2);
    CHECK_STR(error->frames[0].source, "exec('1/0')");
    CHECK_EQ(error->frames[0].line, 4);
    CHECK_STR(error->frames[1].source, "");
    CHECK_EQ(error->frames[1].line, 1);
    bine_error_free(error);
    close_runtime(rt);
    free(folder);
}

TEST(a_syntax_error_has_no_frames)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "a = (1,\nb = 2\n");

    CHECK_STR(error->type, "SyntaxError");
    CHECK_EQ(error->frame_count, 0);
    CHECK_HAS(error->text, "File \"agent.py\", line 1");
    bine_error_free(error);
    close_runtime(rt);
}

TEST(an_explicit_cause_is_told)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "try: 1/0\n"
                                     "except ZeroDivisionError as e: raise ValueError('outer') from e\n");

    CHECK_EQ(chain_length(error), 2);
    CHECK(!error->cause_is_context);
    CHECK_STR(error->cause->type, "ZeroDivisionError");
    CHECK_STR(error->cause->message, "division by zero");
    CHECK_EQ(error->cause->code, BINE_ESCRIPT);
    CHECK_EQ(error->cause->frame_count, 1);
    CHECK_EQ(error->cause->frames[0].line, 1);
    CHECK_STR(error->cause->frames[0].source, "try: 1/0");
    CHECK_HAS(error->cause->text, "ZeroDivisionError: division by zero\n");
    CHECK_STR(error->cause->micro_name, "");
    CHECK_STR(error->cause->spawn_file, "");
    CHECK_HAS(error->text, "direct cause");
    bine_error_free(error);
    close_runtime(rt);
}

TEST(an_implicit_cause_is_told_as_context)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "try: 1/0\n"
                                     "except ZeroDivisionError: {}['key']\n");

    CHECK_EQ(chain_length(error), 2);
    CHECK_STR(error->type, "KeyError");
    CHECK_STR(error->message, "'key'");
    CHECK(error->cause_is_context);
    CHECK_STR(error->cause->type, "ZeroDivisionError");
    CHECK(!error->cause->cause_is_context);
    bine_error_free(error);
    close_runtime(rt);
}

TEST(a_suppressed_cause_is_not_told)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "try: 1/0\n"
                                     "except ZeroDivisionError: raise ValueError('alone') from None\n");

    CHECK(error->cause == NULL);
    CHECK(!error->cause_is_context);
    CHECK(strstr(error->text, "division by zero") == NULL);
    bine_error_free(error);
    close_runtime(rt);
}

TEST(an_explicit_cause_goes_before_the_context)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt,
                                 "try: 1/0\n"
                                 "except ZeroDivisionError: raise ValueError('outer') from KeyError('k')\n");

    CHECK(!error->cause_is_context);
    CHECK_STR(error->cause->type, "KeyError");
    CHECK_EQ(error->cause->frame_count, 0);
    bine_error_free(error);
    close_runtime(rt);
}

TEST(causes_that_go_round_in_a_circle_are_told_once)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "a, b, c = ValueError('a'), ValueError('b'), ValueError('c')\n"
                                     "a.__cause__, b.__cause__, c.__context__ = b, c, a\n"
                                     "raise a\n");

    CHECK_EQ(chain_length(error), 3);
    CHECK_STR(error->message, "a");
    CHECK_STR(error->cause->message, "b");
    CHECK_STR(error->cause->cause->message, "c");
    bine_error_free(error);
    error = error_of(rt, "a = ValueError('a'); a.__cause__ = a; raise a");
    CHECK_EQ(chain_length(error), 1);
    bine_error_free(error);
    close_runtime(rt);
}

TEST(a_chain_of_thousands_is_told_in_part)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "e = None\n"
                                     "for n in range(3000):\n"
                                     "    f = ValueError(n); f.__cause__ = e; e = f\n"
                                     "raise e\n");
    size_t length = chain_length(error);

    CHECK_STR(error->message, "2999");
    CHECK_STR(error->cause->message, "2998");
    CHECK(length >= 10 && length <= 3000);
    CHECK_HAS(error->text, "ValueError: 2999\n");
    CHECK_HAS(error->text, "ValueError: 0\n");
    bine_error_free(error);
    close_runtime(rt);
}

TEST(groups_are_told_with_their_members)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "try: 1/0\n"
                                     "except ZeroDivisionError as e: first = e\n"
                                     "inner = ExceptionGroup('inner', [KeyError('k')])\n"
                                     "raise ExceptionGroup('outer', [first, inner, OSError(2, 'no')])\n");
    const bine_error *inner;

    CHECK_STR(error->type, "ExceptionGroup");
    CHECK_STR(error->message, "outer (3 sub-exceptions)");
    CHECK_EQ(error->group_count, 3);
    CHECK_STR(error->group[0]->type, "ZeroDivisionError");
    CHECK_EQ(error->group[0]->frame_count, 1);
    CHECK_EQ(error->group[0]->group_count, 0);
    CHECK(error->group[0]->cause == NULL);
    inner = error->group[1];
    CHECK_EQ(inner->group_count, 1);
    CHECK_STR(inner->group[0]->message, "'k'");
    CHECK_STR(error->group[2]->type, "FileNotFoundError");
    bine_error_free(error);
    close_runtime(rt);
}

TEST(groups_nested_beyond_all_measure_are_told_in_part)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "e = ValueError('core')\n"
                                     "for n in range(200): e = ExceptionGroup(str(n), [e])\n"
                                     "raise e\n");
    size_t depth = 0;

    for (const bine_error *at = error; at->group_count > 0; at = at->group[0])
        depth++;
    CHECK(depth >= 10 && depth <= 200);
    bine_error_free(error);
    close_runtime(rt);
}

/* Each member was raised again while the group was handled: it is their context. */
TEST(members_whose_context_is_their_group_are_told_once)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "g = ExceptionGroup('g', [ValueError(n) for n in range(4)])\n"
                                     "try: raise g\n"
                                     "except ExceptionGroup:\n"
                                     "    for m in g.exceptions:\n"
                                     "        try: raise m\n"
                                     "        except ValueError: pass\n"
                                     "    raise\n");

    CHECK_EQ(error->group_count, 4);
    for (size_t i = 0; i < 4; i++)
        CHECK(error->group[i]->cause == NULL);
    bine_error_free(error);
    close_runtime(rt);
}

TEST(odd_groups_and_causes_harm_nobody)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "class Odd(ExceptionGroup):\n"
                                     "    exceptions = property(lambda self: 1/0)\n"
                                     "raise Odd('odd', [ValueError(1)])\n");

    CHECK_STR(error->type, "Odd");
    CHECK_EQ(error->group_count, 0);
    bine_error_free(error);
    error = error_of(rt, "class Odd(ExceptionGroup):\n"
                         "    exceptions = (5, 'x')\n"
                         "raise Odd('odd', [ValueError(1)])\n");
    CHECK_EQ(error->group_count, 0);
    bine_error_free(error);
    close_runtime(rt);
}

TEST(the_text_is_what_python_prints)
{
    static const char source[] = "import traceback\n"
                                 "try:\n"
                                 "    try: 1/0\n"
                                 "    except ZeroDivisionError as e: raise ExceptionGroup('g', [e]) from e\n"
                                 "except Exception as e:\n"
                                 "    e.add_note('a note')\n"
                                 "    printed = traceback.format_exc()\n"
                                 "    raise\n";
    char *folder = temporary_folder();
    char path[512];
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_error *error;

    write_file(folder, "agent.py", source, sizeof source - 1);
    snprintf(path, sizeof path, "%s/agent.py", folder);
    CHECK_OK(bine_run_file(rt, path, &micro));
    settle(rt);
    CHECK_OK(bine_micro_error(micro, &error));
    bine_micro_release(micro);
    CHECK_STR(error->text, script_str("printed"));
    bine_error_free(error);
    close_runtime(rt);
    free(folder);
}

/* ---- rejections ---- */

TEST(a_rejection_by_the_host_is_an_error_without_frames)
{
    static const struct {
        int code;
        const char *type;
    } cases[] = {{-1234, "bine.HostError"},
                 {BINE_EIO, "bine.HostError"},
                 {BINE_ETIMEDOUT, "bine.Timeout"},
                 {BINE_ENOMEM, "MemoryError"}};
    bine *rt = open_runtime();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bine_deferred *d;
        bine_resolver *r;
        const bine_error *error;

        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
        CHECK(bine_deferred_error(d) == NULL);
        CHECK_OK(bine_reject(r, cases[i].code, "the door is shut"));
        settle(rt);
        error = bine_deferred_error(d);
        CHECK(error != NULL && bine_deferred_error(d) == error);
        CHECK_EQ(error->code, cases[i].code);
        CHECK_STR(error->type, cases[i].type);
        CHECK_STR(error->message, "the door is shut");
        CHECK_EQ(error->frame_count, 0);
        CHECK_EQ(error->group_count, 0);
        CHECK(error->cause == NULL);
        CHECK_STR(error->micro_name, "");
        CHECK_STR(error->spawn_file, "");
        CHECK_HAS(error->text, "the door is shut\n");
        CHECK(bine_deferred_handled(d));
        bine_deferred_release(d);
    }
    close_runtime(rt);
}

TEST(a_rejection_by_a_script_tells_all_of_its_error)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *d;
    const bine_error *error;

    CHECK_OK(bine_run_string(rt,
                             "def fail():\n"
                             "    try: 1/0\n"
                             "    except ZeroDivisionError: raise ValueError('x')\n"
                             "fail()\n",
                             "agent.py", &micro));
    CHECK_OK(bine_micro_result(micro, &d));
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(bine_deferred_state(d), BINE_ESCRIPT);
    error = bine_deferred_error(d);
    CHECK_STR(error->type, "ValueError");
    CHECK_EQ(error->frame_count, 2);
    CHECK_STR(error->frames[1].function, "fail");
    CHECK_STR(error->cause->type, "ZeroDivisionError");
    CHECK(error->cause_is_context);
    CHECK_STR(error->micro_name, "agent.py");
    bine_deferred_release(d);
    close_runtime(rt);
}

TEST(an_error_outlives_its_runtime)
{
    bine *rt = open_runtime();
    bine_error *error = error_of(rt, "raise ExceptionGroup('g', [ValueError(1)]) from KeyError(2)");

    close_runtime(rt);
    CHECK_STR(error->group[0]->message, "1");
    CHECK_STR(error->cause->message, "2");
    bine_error_free(error);
    bine_error_free(NULL);
}
