/* The host's signal handlers are as they were, whatever scripts import. */
#include "driven.h"

#include <signal.h>

#define SIGNALS 65

static struct sigaction actions_before[SIGNALS];

/* Two numbers belong to the C library, which does not say. */
static void read_actions(struct sigaction *actions)
{
    memset(actions, 0, SIGNALS * sizeof *actions);
    for (int i = 1; i < SIGNALS; i++)
        (void)sigaction(i, NULL, &actions[i]);
}

/* A mask is of what waits while a handler runs. Where there is no handler it means nothing, and
 * ThreadSanitizer has another there. */
static bool same_mask(const struct sigaction *a, const struct sigaction *b)
{
    if (a->sa_handler == SIG_DFL || a->sa_handler == SIG_IGN)
        return true;
    for (int i = 1; i < SIGNALS; i++)
        if (sigismember(&a->sa_mask, i) != sigismember(&b->sa_mask, i))
            return false;
    return true;
}

static bool same_action(const struct sigaction *a, const struct sigaction *b)
{
    const int restorer = 0x04000000; /* the C library's own, which it adds to what it is given */

    return a->sa_sigaction == b->sa_sigaction && (a->sa_flags | restorer) == (b->sa_flags | restorer) &&
           same_mask(a, b);
}

/* SIGRTMAX is the watchdog's. */
static void check_actions(const char *when)
{
    struct sigaction now[SIGNALS];

    read_actions(now);
    for (int i = 1; i < SIGRTMAX; i++)
        if (!same_action(&now[i], &actions_before[i]))
            FAIL("%s, signal %d (%s) is handled in another way", when, i, strsignal(i));
}

static void ignore(int number)
{
    (void)number;
}

/* A mixture: an own handler, ignored, default. */
static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};

    sigaddset(&action.sa_mask, SIGUSR2);
    for (int i = 1; i < SIGNALS; i += 3)
        (void)sigaction(i, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    read_actions(actions_before);
}

static const char imports_all[] = "import host, sys, importlib, warnings\n"
                                  "warnings.simplefilter('ignore')\n"
                                  "silly = {'antigravity', 'this', 'idlelib', 'turtle', 'turtledemo'}\n"
                                  "failed = 0\n"
                                  "for name in sorted(sys.stdlib_module_names - silly):\n"
                                  "    if name.startswith('_test') or name.startswith('_xx'): continue\n"
                                  "    try: importlib.import_module(name)\n"
                                  "    except ImportError: failed += 1\n"
                                  "    host.check(f'after the import of {name}')";

static int check_now(bine_call *call, void *user)
{
    (void)user;
    check_actions(bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

static void open_among_handlers(void)
{
    handle_signals();
    open_driven();
    check_actions("after bine_open()");
    CHECK_OK(bine_def(rt, "host", "check(when: str)", check_now, NULL, NULL));
}

TEST(the_hosts_signal_handlers_are_as_they_were_after_any_import)
{
    open_among_handlers();
    start_script(rt, imports_all);
    driver_run_to_end();
    check_actions("after all imports");
    close_driven();
    check_actions("after bine_close()");
}

TEST(the_hosts_signal_handlers_are_as_they_were_after_asyncio_and_processes)
{
    open_among_handlers();
    run_driven("import asyncio, host, subprocess, multiprocessing, concurrent.futures\n"
               "asyncio.run(asyncio.sleep(0.001))\n"
               "host.check('after asyncio.run()')\n"
               "subprocess.run(['true'], check=True)\n"
               "host.check('after subprocess.run()')\n"
               "with concurrent.futures.ThreadPoolExecutor() as pool: pool.submit(len, 'a').result()\n"
               "host.check('after a ThreadPoolExecutor')\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    check_actions("after it");
    close_driven();
    check_actions("after bine_close()");
}
