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
