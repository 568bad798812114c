/* Opening, configuring, interrupting, shutting down, closing. */
#include "fixture.h"

#include "core/runtime.h"

#include <bine/python.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- opening ---- */

TEST(the_defaults_open)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    CHECK_EQ(config.struct_size, sizeof config);
    CHECK(config.isolated);
    CHECK(!config.site_import);
    CHECK(!config.install_signal_handlers);
    CHECK_EQ(config.stack_class, BINE_STACK_DEFAULT);
    CHECK_OK(bine_open(&config, &rt));
    CHECK(bine_user(rt) == NULL);
    CHECK_OK(bine_run_string(rt, "import bine; bine.sleep(0)", "x", NULL));
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_OK(bine_close(rt));
}

TEST(a_bad_config_is_refused_and_spoils_nothing)
{
    bine_config config;
    bine *rt = (bine *)&config;

    CHECK_STATUS(bine_open(NULL, &rt), BINE_EINVAL);
    CHECK(rt == NULL);
    bine_config_init(&config);
    CHECK_STATUS(bine_open(&config, NULL), BINE_EINVAL);
    config.struct_size--;
    CHECK_STATUS(bine_open(&config, &rt), BINE_EINVAL);
    CHECK_HAS(bine_message(), "bine_config_init");
    bine_config_init(&config);
    config.stack_class = (bine_stack_class)99;
    CHECK_STATUS(bine_open(&config, &rt), BINE_EINVAL);
    CHECK_HAS(bine_message(), "99");
    bine_config_init(&config);
    config.argc = 1;
    CHECK_STATUS(bine_open(&config, &rt), BINE_EINVAL);
    config.argc = -1;
    CHECK_STATUS(bine_open(&config, &rt), BINE_EINVAL);
    bine_config_init(&config);
    config.module_path_count = 1;
    CHECK_STATUS(bine_open(&config, &rt), BINE_EINVAL);
    CHECK(rt == NULL);
    close_runtime(open_runtime());
}

TEST(a_second_runtime_is_busy_while_one_is_open_and_started_after)
{
    bine *rt = open_runtime();
    bine *second = rt;
    bine_config config;

    bine_config_init(&config);
    CHECK_STATUS(bine_open(&config, &second), BINE_EBUSY);
    CHECK(second == NULL);
    run_script(rt, "1");
    close_runtime(rt);
    second = rt;
    CHECK_STATUS(bine_open(&config, &second), BINE_ESTARTED);
    CHECK(second == NULL);
    CHECK_STATUS(bine_open(&config, &second), BINE_ESTARTED); /* and not busy */
}

TEST(a_host_that_started_python_itself_is_told_so)
{
    bine_config config;
    bine *rt;

    Py_InitializeEx(0);
    bine_config_init(&config);
    CHECK_STATUS(bine_open(&config, &rt), BINE_ESTARTED);
    CHECK_HAS(bine_message(), "host");
    CHECK_EQ(Py_FinalizeEx(), 0);
}

static void open_and_close(void *user)
{
    (void)user;
    close_runtime(open_runtime());
}

TEST(whichever_thread_opens_is_the_owner)
{
    in_thread(open_and_close, NULL);
}

TEST(argv_is_copied)
{
    char first[] = "game";
    char second[] = "--l\xc3\xa9vel=3";
    char *argv[] = {first, second, NULL};
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.argc = 2;
    config.argv = argv;
    rt = open_runtime_with(&config);
    memset(first, 'x', sizeof first - 1);
    memset(second, 'y', sizeof second - 1);
    argv[0] = argv[1] = NULL;
    run_script(rt, "import sys");
    CHECK_STR(script_str("ascii(sys.argv)"), "['game', '--l\\xe9vel=3']");
    close_runtime(rt);
}

TEST(without_arguments_argv_has_one_empty_name)
{
    bine *rt = open_runtime();

    run_script(rt, "import sys");
    CHECK_STR(script_str("repr(sys.argv)"), "['']");
    close_runtime(rt);
}

TEST(options_in_argv_are_the_scripts_not_pythons)
{
    char *argv[] = {(char *)(uintptr_t) "game", (char *)(uintptr_t) "-c", (char *)(uintptr_t) "exit(3)"};
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.argc = 3;
    config.argv = argv;
    rt = open_runtime_with(&config);
    run_script(rt, "import sys");
    CHECK_STR(script_str("repr(sys.argv)"), "['game', '-c', 'exit(3)']");
    close_runtime(rt);
}

TEST(module_paths_are_searched_in_their_order_and_copied)
{
    char *folders[2] = {temporary_folder(), temporary_folder()};
    bine_config config;
    bine *rt;

    write_file(folders[0], "here.py", "where = 0", 9);
    write_file(folders[1], "here.py", "where = 1", 9);
    write_file(folders[1], "json.py", "where = 1", 9); /* before Python's own */
    bine_config_init(&config);
    config.module_paths = (const char *const *)folders;
    config.module_path_count = 2;
    rt = open_runtime_with(&config);
    memset(folders[0], 'x', strlen(folders[0]));
    free(folders[0]);
    free(folders[1]);
    folders[0] = folders[1] = NULL;
    run_script(rt, "import here, json, sys");
    CHECK_EQ(script_int("here.where"), 0);
    CHECK_EQ(script_int("json.where"), 1);
    close_runtime(rt);
}

static void check_environment(bool isolated)
{
    bine_config config;
    bine *rt;

    setenv("PYTHONPATH", "/a/path/of/the/environment", 1);
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    bine_config_init(&config);
    config.isolated = isolated;
    rt = open_runtime_with(&config);
    run_script(rt, "import sys");
    CHECK_EQ(script_int("sys.path.count('/a/path/of/the/environment')"), isolated ? 0 : 1);
    CHECK_EQ(script_int("sys.flags.isolated"), isolated);
    CHECK_EQ(script_int("sys.dont_write_bytecode"), !isolated);
    close_runtime(rt);
}

TEST(isolated_ignores_pythons_variables)
{
    check_environment(true);
}

TEST(not_isolated_heeds_pythons_variables)
{
    check_environment(false);
}

TEST(site_is_imported_when_asked_for)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.site_import = true;
    rt = open_runtime_with(&config);
    run_script(rt, "import sys");
    CHECK(script_true("'site' in sys.modules"));
    close_runtime(rt);
}

TEST(the_user_pointer_is_handed_back)
{
    int mine;
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.user = &mine;
    rt = open_runtime_with(&config);
    CHECK(bine_user(rt) == &mine);
    close_runtime(rt);
}

static int64_t scripts_time;

static int64_t scripts_clock(void *user)
{
    (void)user;
    return scripts_time;
}

TEST(sleeping_goes_by_the_clock_and_budgets_by_the_other)
{
    bine_config config;
    bine_tick_info info = {.struct_size = sizeof info};
    bine *rt;

    bine_config_init(&config);
    config.clock = scripts_clock;
    rt = open_runtime_with(&config);
    start_script(rt, "import bine; bine.sleep(3)");
    CHECK_OK(bine_tick(rt, 0, &info));
    crank(100 * SECOND);
    CHECK_OK(bine_tick(rt, 0, &info));
    CHECK_EQ(info.next_wake_ns, 3 * SECOND);
    scripts_time = 3 * SECOND;
    CHECK_OK(bine_tick(rt, 0, &info));
    CHECK_EQ(info.alive, 0);
    CHECK_EQ(info.elapsed_ns, 0);
    close_runtime(rt);
}

TEST(the_version_names_both)
{
    CHECK_HAS(bine_version(), "0.1.0 (CPython 3.");
}

TEST(each_status_has_a_name_and_a_meaning)
{
    CHECK_STR(bine_message(), "");
    CHECK_STR(bine_err_name(BINE_OK), "BINE_OK");
    CHECK_STR(bine_err_name(BINE_EBUSY), "BINE_EBUSY");
    CHECK_STR(bine_err_name(-1001), "BINE_E?");
    CHECK_STR(bine_err_name(1), "BINE_E?");
    CHECK_STR(bine_strerror(-1001), "unknown status");
    for (int status = 0; status >= BINE_EIO; status--) {
        CHECK(strcmp(bine_err_name(status), "BINE_E?") != 0);
        CHECK(strcmp(bine_strerror(status), "unknown status") != 0);
    }
}

/* ---- the GIL and the host ---- */

TEST(between_ticks_pythons_threads_go_on)
{
    bine *rt = open_runtime();

    run_script(rt, "import threading\n"
                   "ran = threading.Lock(); ran.acquire()\n"
                   "t = threading.Thread(target=ran.release, daemon=True)\n"
                   "t.start()\n");
    while (script_true("ran.locked()"))
        sched_yield();
    run_script(rt, "import __main__; __main__.t.join()");
    close_runtime(rt);
}

TEST(a_tick_between_enter_and_leave_is_refused)
{
    bine *rt = open_runtime();

    bine_python_enter(rt);
    bine_python_enter(rt);
    CHECK_STATUS(bine_tick(rt, 0, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    bine_python_leave(rt);
    CHECK_STATUS(bine_run(rt, BINE_RUN_NOWAIT), BINE_EBUSY);
    bine_python_leave(rt);
    CHECK_OK(bine_tick(rt, 0, NULL));
    close_runtime(rt);
}

/* ---- signals ---- */

static volatile sig_atomic_t host_signals;

static void on_sigint(int number)
{
    (void)number;
    host_signals++;
}

#define CHECK_OWN_HANDLER()                               \
    do {                                                  \
        struct sigaction check_now;                       \
        CHECK_EQ(sigaction(SIGINT, NULL, &check_now), 0); \
        CHECK(check_now.sa_handler == on_sigint);         \
    } while (0)

TEST(the_hosts_sigint_handler_stays_whatever_scripts_import)
{
    struct sigaction mine = {.sa_handler = on_sigint};
    bine *rt;

    CHECK_EQ(sigaction(SIGINT, &mine, NULL), 0);
    rt = open_runtime();
    CHECK_OWN_HANDLER();
    run_script(rt, "import signal");
    CHECK_OWN_HANDLER();
    run_script(rt, "import asyncio");
    CHECK_OWN_HANDLER();
    run_script(rt, "import asyncio\n"
                   "asyncio.new_event_loop().close()\n");
    CHECK_OWN_HANDLER();
    raise(SIGINT);
    CHECK_EQ(host_signals, 1);
    settle(rt);
    close_runtime(rt); /* no KeyboardInterrupt anywhere */
    CHECK_OWN_HANDLER();
}

TEST(a_signal_that_comes_before_a_script_has_begun_leaves_it_alone)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.install_signal_handlers = true;
    rt = open_runtime_with(&config);
    run_script(rt, "import _signal\n"
                   "came = []\n"
                   "_signal.signal(_signal.SIGUSR1, lambda *args: came.append(1))");
    start_script(rt, "import __main__ as m; m.begun = len(m.came)");
    raise(SIGUSR1);
    run_to_end(rt);
    CHECK(script_true("begun == 1"));
    close_runtime(rt);
}

/* asyncio, say, that waits for it: the runtime has its own descriptor in that place while the loop waits. */
TEST(a_signal_that_comes_when_a_wait_is_over_is_told_to_the_scripts_descriptor_too)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.install_signal_handlers = true;
    rt = open_runtime_with(&config);
    run_script(rt, "import _signal, os\n"
                   "readable, writable = os.pipe2(os.O_NONBLOCK)\n"
                   "_signal.set_wakeup_fd(writable)\n"
                   "_signal.signal(_signal.SIGUSR1, lambda *args: None)");
    bine__signals_attend(rt);
    raise(SIGUSR1);
    bine__signals_release(rt);
    run_script(rt, "import __main__ as m\n"
                   "m.got = m.os.read(m.readable, 9) == bytes([m._signal.SIGUSR1])\n"
                   "m._signal.set_wakeup_fd(-1)");
    CHECK(script_true("got"));
    close_runtime(rt);
}

TEST(asyncio_run_gives_the_hosts_sigint_handler_back)
{
    struct sigaction mine = {.sa_handler = on_sigint};
    bine *rt;

    CHECK_EQ(sigaction(SIGINT, &mine, NULL), 0);
    rt = open_runtime();
    run_script(rt, "import asyncio\n"
                   "async def f(): return 1\n"
                   "a = asyncio.run(f())\n");
    CHECK_EQ(script_int("a"), 1);
    CHECK_OWN_HANDLER();
    close_runtime(rt);
}

TEST(no_handler_is_installed_where_there_was_none)
{
    struct sigaction now;
    bine *rt = open_runtime();

    run_script(rt, "import signal, asyncio");
    CHECK_EQ(sigaction(SIGINT, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    CHECK_EQ(sigaction(SIGPIPE, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_DFL);
    close_runtime(rt);
}

static bine *target;

static void interrupt(void *user)
{
    (void)user;
    bine_interrupt(target);
}

static pthread_t interrupter;

static void *interrupt_thread(void *user)
{
    interrupt(user);
    return NULL;
}

static int interrupt_soon(bine_call *call, void *user)
{
    (void)call;
    CHECK_EQ(pthread_create(&interrupter, NULL, interrupt_thread, user), 0);
    return BINE_OK;
}

TEST(interrupt_from_another_thread_breaks_an_endless_loop)
{
    target = open_runtime();
    CHECK_OK(bine_def(target, "host", "interrupt_soon() -> None", interrupt_soon, NULL, NULL));
    start_script(target, "import host\n"
                         "host.interrupt_soon()\n"
                         "while True: pass\n");
    run_to_end(target);
    pthread_join(interrupter, NULL);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "KeyboardInterrupt");
    forget_errors();
    run_script(target, "1");
    close_runtime(target);
}

TEST(interrupt_reaches_a_script_that_waits)
{
    target = open_runtime();
    start_script(target, "import bine\n"
                         "try: bine.sleep(1000)\n"
                         "except KeyboardInterrupt: got = 1\n");
    settle(target);
    in_thread(interrupt, NULL);
    settle(target);
    CHECK_EQ(script_int("got"), 1);
    close_runtime(target);
}

TEST(interrupt_goes_to_the_main_script_when_all_wait)
{
    target = open_runtime();
    start_script(target, "import bine\n"
                         "def child():\n"
                         "    bine.sleep(2000)\n"
                         "    return 'whole'\n"
                         "t = bine.spawn(child)\n"
                         "try: bine.sleep(1000)\n"
                         "except KeyboardInterrupt: got = t.join()\n");
    settle(target);
    interrupt(NULL);
    run_to_end(target);
    CHECK_STR(script_str("got"), "whole");
    close_runtime(target);
}

TEST(interrupt_with_no_script_is_harmless)
{
    target = open_runtime();
    interrupt(NULL);
    settle(target);
    CHECK_EQ(bine_run(target, BINE_RUN_DEFAULT), 0);
    close_runtime(target);
}

TEST(interrupt_ends_a_run_that_waits)
{
    target = open_runtime();
    CHECK_OK(bine_def(target, "host", "interrupt_soon() -> None", interrupt_soon, NULL, NULL));
    start_script(target, "import bine, host\n"
                         "try:\n"
                         "    host.interrupt_soon()\n"
                         "    bine.sleep(1000)\n"
                         "except KeyboardInterrupt: got = 1\n");
    CHECK_EQ(bine_run(target, BINE_RUN_DEFAULT), 0);
    pthread_join(interrupter, NULL);
    CHECK_EQ(script_int("got"), 1);
    close_runtime(target);
}

/* ---- shutting down ---- */

static const char family[] = "import bine\n"
                             "ended = []\n"
                             "def wait(name):\n"
                             "    try: bine.sleep(1000)\n"
                             "    except bine.Exit: ended.append(name); raise\n"
                             "def parent():\n"
                             "    bine.spawn(wait, 'grandchild')\n"
                             "    wait('child')\n"
                             "bine.spawn(parent)\n"
                             "wait('main')\n";

TEST(shutdown_raises_exit_in_children_first)
{
    bine_tick_info info = {.struct_size = sizeof info};
    bine *rt = open_runtime();

    start_script(rt, family);
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_STR(script_str("repr(ended)"), "[]"); /* nothing runs in the call */
    CHECK_OK(bine_tick(rt, -1, &info));
    CHECK_STR(script_str("repr(ended)"), "['grandchild', 'child', 'main']");
    CHECK_EQ(info.alive, 0);
    close_runtime(rt);
}

TEST(shutdown_refuses_spawns)
{
    bine_micro *micro;
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "try: bine.sleep(1000)\n"
                     "except bine.Exit:\n"
                     "    try: bine.spawn(print)\n"
                     "    except bine.HostError as e: name = e.name\n"
                     "    raise\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_STATUS(bine_run_string(rt, "1", "x", &micro), BINE_ECLOSED);
    CHECK(micro == NULL);
    CHECK_STATUS(bine_run_file(rt, "x.py", NULL), BINE_ECLOSED);
    CHECK_STATUS(bine_spawn_named(rt, "os", "getpid", NULL, NULL), BINE_ECLOSED);
    settle(rt);
    CHECK_STR(script_str("name"), "BINE_ECLOSED");
    CHECK_OK(bine_shutdown(rt, SECOND)); /* a second one changes nothing */
    close_runtime(rt);
}

TEST(shutdown_drops_what_has_not_begun)
{
    bine *rt = open_runtime();

    start_script(rt, "raise SystemError('it ran')");
    CHECK_OK(bine_shutdown(rt, 0));
    settle(rt);
    close_runtime(rt);
}

TEST(exit_is_raised_again_at_each_wait)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "got = 0\n"
                     "for _ in range(3):\n"
                     "    try: bine.sleep(1000)\n"
                     "    except bine.Exit: got += 1\n"
                     "try: bine.pause()\n"
                     "except bine.Exit: got += 1\n"
                     "bine.sleep(0)\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    CHECK_EQ(script_int("got"), 4);
    close_runtime(rt);
}

TEST(finally_blocks_run_at_the_shutdown)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "try: bine.sleep(1000)\n"
                     "finally: cleaned = 1\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, 0));
    settle(rt);
    CHECK_EQ(script_int("cleaned"), 1);
    close_runtime(rt);
}

TEST(one_that_will_not_end_is_reported_with_its_stack_and_keeps_the_runtime_open)
{
    bine_tick_info info = {.struct_size = sizeof info};
    bine *rt = open_runtime();

    alarm(20); /* the host must get its turns */
    start_script(rt, "import bine\n"
                     "def stubborn():\n"
                     "    while not give_in:\n"
                     "        try: bine.sleep(1000)\n"
                     "        except bine.Exit: pass\n"
                     "give_in = False\n"
                     "stubborn()\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    for (int i = 0; i < 5; i++)
        CHECK_OK(bine_tick(rt, -1, &info));
    CHECK_EQ(info.alive, 1);
    CHECK_STR(log_text(), "");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_HAS(bine_message(), "1 micro-thread");
    crank(SECOND);
    for (int i = 0; i < 5; i++)
        CHECK_OK(bine_tick(rt, -1, &info));
    CHECK_HAS(log_text(), "'<test>' has not ended");
    CHECK_HAS(log_text(), "line 4, in stubborn");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    bine_python_enter(rt);
    CHECK_EQ(PyRun_SimpleString("give_in = True"), 0);
    bine_python_leave(rt);
    for (int i = 0; i < 5; i++)
        CHECK_OK(bine_tick(rt, -1, &info));
    CHECK_EQ(info.alive, 0);
    close_runtime(rt);
}

/* ---- closing ---- */

TEST(close_is_busy_while_a_micro_thread_lives_and_nothing_has_happened)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine; bine.sleep(5); a = 1");
    settle(rt);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_HAS(bine_message(), "micro-thread");
    run_script(rt, "1"); /* spawns are still taken */
    run_to_end(rt);
    CHECK_EQ(script_int("a"), 1);
    close_runtime(rt);
}

TEST(close_is_busy_while_a_python_thread_lives_that_is_no_daemon)
{
    bine *rt = open_runtime();
    int status = BINE_EBUSY;

    run_script(rt, "import threading\n"
                   "hold = threading.Lock(); hold.acquire()\n"
                   "threading.Thread(target=hold.acquire, name='worker').start()\n");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_HAS(bine_message(), "'worker'");
    run_script(rt, "import __main__; __main__.hold.release()");
    while (status == BINE_EBUSY) {
        status = bine_close(rt);
        sched_yield();
    }
    CHECK_OK(status);
}

TEST(a_daemon_thread_does_not_keep_the_runtime_open)
{
    bine *rt = open_runtime();

    run_script(rt, "import threading\n"
                   "hold = threading.Lock(); hold.acquire()\n"
                   "threading.Thread(target=hold.acquire, daemon=True).start()\n");
    CHECK_OK(bine_close(rt));
}

static int closes;

static void count_and_free(void *user)
{
    (void)user;
    closes++;
}

static void ignore(bine *rt, void *user)
{
    (void)rt;
    (void)user;
}

TEST(close_reports_the_errors_that_a_handle_kept_back)
{
    bine_micro *micro;
    bine *rt = open_runtime();

    CHECK_OK(bine_run_string(rt, "1/0", "x", &micro));
    settle(rt);
    CHECK_EQ(error_count(), 0);
    CHECK_OK(bine_post(rt, ignore, NULL, count_and_free));
    CHECK_OK(bine_close(rt));
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ZeroDivisionError");
    CHECK_EQ(closes, 1);
    forget_errors();
}

TEST(atexit_functions_run_at_the_close_and_cannot_spawn)
{
    char *folder = temporary_folder();
    char source[1024];
    char path[512];
    char text[64] = "";
    FILE *file;
    bine *rt = open_runtime();

    snprintf(source, sizeof source,
             "import atexit, bine\n"
             "def last():\n"
             "    try: bine.spawn(print)\n"
             "    except bine.HostError as e: said = e.name\n"
             "    try: bine.sleep(1)\n"
             "    except bine.NotInMicroThread: said += ' no wait'\n"
             "    open('%s/said', 'w').write(said)\n"
             "atexit.register(last)\n",
             folder);
    run_script(rt, source);
    close_runtime(rt);
    snprintf(path, sizeof path, "%s/said", folder);
    file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    CHECK_STR(text, "BINE_ECLOSED no wait");
    fclose(file);
    free(folder);
}

TEST(standard_output_is_flushed_at_the_close)
{
    int ends[2];
    char text[32] = "";
    bine *rt;

    CHECK_EQ(pipe(ends), 0);
    CHECK(dup2(ends[1], STDOUT_FILENO) >= 0);
    rt = open_runtime();
    run_script(rt, "print('to the end')");
    close_runtime(rt);
    CHECK_EQ(read(ends[0], text, sizeof text - 1), 11);
    CHECK_STR(text, "to the end\n");
}

static bine_resolver *late[3];

static void settle_late(void *user)
{
    (void)user;
    CHECK_STATUS(bine_resolve(late[0], bine_value_str("nobody is left")), BINE_ECLOSED);
    CHECK_STATUS(bine_reject(late[1], BINE_EIO, "nobody is left"), BINE_ECLOSED);
    bine_resolver_drop(late[2]);
}

TEST(a_resolver_used_after_the_close_finds_it_closed_and_leaks_nothing)
{
    bine *rt = open_runtime();

    for (size_t i = 0; i < 3; i++) {
        bine_deferred *d;

        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &late[i]));
        bine_deferred_release(d);
    }
    CHECK_OK(bine_close(rt));
    in_thread(settle_late, NULL);
}

TEST(the_former_owner_finds_it_closed_too)
{
    bine *rt = open_runtime();

    for (size_t i = 0; i < 3; i++) {
        bine_deferred *d;

        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &late[i]));
        bine_deferred_release(d);
    }
    CHECK_OK(bine_close(rt));
    settle_late(NULL);
}

TEST(a_waiting_script_that_is_cancelled_at_the_shutdown_frees_its_deferred)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    start_script(rt, "import host; host.wait_for(1)");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    close_runtime(rt);
}

TEST(in_deterministic_mode_the_seed_is_that_of_module_random)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.deterministic = true;
    config.seed = UINT64_MAX;
    rt = open_runtime_with(&config);
    run_script(rt, "import random\n"
                   "same = random.random() == random.Random(2**64 - 1).random()");
    CHECK(script_true("same"));
    close_runtime(rt);
}

TEST(without_deterministic_mode_nobody_knows_what_random_brings)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.seed = 7;
    rt = open_runtime_with(&config);
    run_script(rt, "import random\n"
                   "same = random.random() == random.Random(7).random()");
    CHECK(!script_true("same"));
    close_runtime(rt);
}

/* A signal handler that spoils errno spoils the call that it came into. */
TEST(an_interrupt_leaves_errno_as_it_is)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "try: bine.sleep(3600)\n"
                     "except KeyboardInterrupt: pass");
    settle(rt);
    for (int i = 0; i < 100000; i++) { /* more than a pipe takes */
        errno = EDOM;
        bine_interrupt(rt);
        CHECK_EQ(errno, EDOM);
    }
    settle(rt);
    close_runtime(rt);
}

TEST(without_descriptors_it_does_not_open_and_says_so)
{
    struct rlimit before;
    struct rlimit none = {0, 0};
    bine_config config;
    bine *rt = NULL;

    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    bine_config_init(&config);
    none.rlim_max = before.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQ(bine_open(&config, &rt), BINE_EIO);
    CHECK_STR(bine_message(), "bine_open: there is no loop: Too many open files");
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    rt = open_runtime(); /* that was no start of Python's */
    close_runtime(rt);
}
