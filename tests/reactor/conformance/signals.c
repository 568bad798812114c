/* Signals reach who they are meant for: a handler of a script, an interrupt by the host; those that are for
 * neither disturb nobody. */
#include "acts.h"
#include "driven.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static void count_alarm(int number)
{
    (void)number;
}

static void set_alarms(long every_us)
{
    struct itimerval period = {.it_interval.tv_usec = every_us, .it_value.tv_usec = every_us};
    struct sigaction action = {.sa_handler = count_alarm}; /* no SA_RESTART */

    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &period, NULL), 0);
}

TEST(a_thousand_signals_a_second_change_nothing)
{
    open_driven();
    start_script(
        rt, "import bine, host, os\n"
            "def sleeps():\n"
            "    for i in range(20): bine.sleep(0.005, real=i % 2)\n"
            "    return i\n"
            "def talks(r, w):\n"
            "    for i in range(200):\n"
            "        bine.wait_writable(w)\n"
            "        os.write(w, b'x')\n"
            "        bine.wait_readable(r)\n"
            "        os.read(r, 1)\n"
            "    return i\n"
            "def at_doors():\n"
            "    for i in range(500): host.door()\n"
            "    return i\n"
            "a, b = os.pipe(), os.pipe()\n"
            "got = bine.parallel(sleeps, lambda: talks(a[0], b[1]), lambda: talks(b[0], a[1]), at_doors)");
    set_alarms(1000);
    meanwhile(open_doors, NULL);
    produce();
    driver_run_to_end();
    set_alarms(0);
    CHECK_STR(script_str("str(got)"), "[19, 199, 199, 499]");
    CHECK(all_posts_are_in(NULL));
    close_driven();
}

static void send_signal(void *number)
{
    CHECK_EQ(kill(getpid(), *(const int *)number), 0);
}

/* In this thread: no call of the owner thread's is interrupted. */
static void raise_here(void *number)
{
    CHECK_EQ(raise(*(const int *)number), 0);
}

static const int usr1 = SIGUSR1;

static void check_script_handles(void (*send)(void *user))
{
    open_driven();
    start_driven("import bine, _signal\n" /* in the program: it is there before all wait for the first time */
                 "came = bine.Event()\n"
                 "_signal.signal(_signal.SIGUSR1, lambda *args: came.set())\n"
                 "came.wait()");
    when_idle(send, (void *)(uintptr_t)&usr1);
    driver_run_to_end();
    close_driven();
}

TEST(a_scripts_signal_handler_runs_though_all_wait)
{
    check_script_handles(send_signal);
}

TEST(a_scripts_handler_runs_for_a_signal_that_another_thread_gets)
{
    check_script_handles(raise_here);
}

static pthread_t owner;

static void signal_owner(void *number)
{
    CHECK_EQ(pthread_kill(owner, *(const int *)number), 0);
}

static void check_sigwait(void (*send)(void *user))
{
    sigset_t set;

    owner = pthread_self();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0); /* in all threads */
    open_driven();
    start_driven("import _signal\n"
                 "number = int(_signal.sigwait([_signal.SIGUSR1]))");
    when_idle(send, (void *)(uintptr_t)&usr1);
    driver_run_to_end();
    CHECK_EQ(script_int("number"), SIGUSR1);
    close_driven();
}

TEST(a_script_in_sigwait_gets_a_signal_to_the_process)
{
    check_sigwait(send_signal);
}

TEST(a_script_in_sigwait_gets_a_signal_to_its_thread)
{
    check_sigwait(signal_owner);
}

/* One that waits within the handler, for longer than what it has interrupted. */
TEST(what_ends_a_wait_while_a_signal_handler_waits_ends_it)
{
    open_driven();
    start_driven("import bine, _signal, os\n"
                 "readable, _ = os.pipe()\n"
                 "came = late = 0\n"
                 "def handler(*args):\n"
                 "    global came\n"
                 "    came = 1\n"
                 "    bine.sleep(0.04, real=True)\n"
                 "_signal.signal(_signal.SIGUSR1, handler)\n"
                 "while not came:\n"
                 "    try: bine.wait_readable(readable, timeout=0.02)\n"
                 "    except bine.Timeout: late = 1");
    when_idle(send_signal, (void *)(uintptr_t)&usr1);
    driver_run_to_end();
    CHECK_EQ(script_int("late"), 1);
    close_driven();
}

static void interrupt(void *unused)
{
    (void)unused;
    bine_interrupt(rt);
}

static const char catches_interrupt[] = "import bine\n"
                                        "try: bine.sleep(3600)\n"
                                        "except KeyboardInterrupt: caught = 1";

TEST(an_interrupt_by_another_thread_is_raised_though_all_wait)
{
    open_driven();
    start_driven(catches_interrupt);
    when_idle(interrupt, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

TEST(an_interrupt_between_two_turns_is_raised)
{
    open_driven();
    start_driven(catches_interrupt);
    between_turns(interrupt, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

static void on_sigint(int number)
{
    (void)number;
    bine_interrupt(rt);
}

static const int sigint = SIGINT;

TEST(an_interrupt_in_the_hosts_signal_handler_is_raised_though_all_wait)
{
    struct sigaction action = {.sa_handler = on_sigint};

    CHECK_EQ(sigaction(SIGINT, &action, NULL), 0);
    open_driven();
    start_driven(catches_interrupt);
    when_idle(send_signal, (void *)(uintptr_t)&sigint);
    driver_run_to_end();
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

static void interrupt_at_door(void *unused)
{
    bine_resolver *r = take_door();

    interrupt(unused);
    bine_resolver_drop(r);
}

TEST(an_interrupt_reaches_a_script_that_never_waits)
{
    open_driven();
    meanwhile(interrupt_at_door, NULL);
    run_driven("import bine, host\n"
               "def sees_that_it_breaks():\n"
               "    try: host.door()\n"
               "    except bine.HostError: pass\n"
               "t = bine.spawn(sees_that_it_breaks)\n"
               "try:\n"
               "    bine.pause()\n"
               "    while True: pass\n"
               "except KeyboardInterrupt: caught = 1\n"
               "t.join()");
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}
