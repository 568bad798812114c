/* Child processes in real time, and where the kernel has no descriptors for them. */
#include "fixture.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static int no_pidfds; /* an errno: what the kernel says */
static int asked;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    va_list args;
    long a[6];

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_pidfd_open) {
        asked++;
        if (no_pidfds) {
            errno = no_pidfds;
            return -1;
        }
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static bine *open_real(void)
{
    bine_config config;

    bine_config_init(&config);
    return open_runtime_in_real_time(&config);
}

static void run_real(bine *rt, const char *source)
{
    start_script(rt, source);
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
}

/* A child that another micro-thread releases while it is waited for with a timeout. */
static const char waits[] = "import bine, subprocess, time\n"
                            "sleeps = []\n"
                            "sleep = time.sleep\n"
                            "subprocess.time.sleep = lambda s: (sleeps.append(s), sleep(s))\n"
                            "child = subprocess.Popen(['/bin/sh', '-c', 'read x; exit 3'],"
                            " stdin=subprocess.PIPE)\n"
                            "waiter = bine.spawn(child.wait, timeout=60)\n"
                            "for i in range(5): bine.pause()\n"
                            "assert not waiter.done\n"
                            "child.stdin.close()\n"
                            "code = waiter.join()\n";

TEST(popen_wait_with_a_timeout_wakes_by_the_end_of_the_process_and_not_by_asking)
{
    bine *rt = open_real();

    run_real(rt, waits);
    CHECK_EQ(script_int("code"), 3);
    CHECK_EQ(script_int("len(sleeps)"), 0);
    CHECK_EQ(asked, 1);
    close_runtime(rt);
}

TEST(without_descriptors_of_processes_it_asks_as_cpython_does)
{
    bine *rt = open_real();

    no_pidfds = ENOSYS;
    run_real(rt, waits);
    CHECK_EQ(script_int("code"), 3);
    CHECK(script_int("len(sleeps)") > 0);
    close_runtime(rt);
}

/* waitpid() of one child, and of another that ends first. */
static const char waitpids[] = "import bine, os, subprocess\n"
                               "def start(code): return subprocess.Popen(['/bin/sh', '-c',"
                               " f'read x; exit {code}'], stdin=subprocess.PIPE)\n"
                               "first, second = start(1), start(2)\n"
                               "order = []\n"
                               "def wait(child): os.waitpid(child.pid, 0); order.append(child)\n"
                               "micros = [bine.spawn(wait, child) for child in (first, second)]\n"
                               "for i in range(5): bine.pause()\n"
                               "second.stdin.close(); micros[1].join()\n"
                               "first.stdin.close(); micros[0].join()\n"
                               "ok = order == [second, first]\n"
                               "first.returncode = second.returncode = 0\n";

TEST(without_descriptors_of_processes_threads_wait)
{
    bine *rt = open_real();

    no_pidfds = EPERM;
    run_real(rt, waitpids);
    CHECK(script_true("ok"));
    CHECK_EQ(asked, 2);
    close_runtime(rt);
}

TEST(without_a_free_descriptor_threads_wait)
{
    bine *rt = open_real();

    no_pidfds = EMFILE;
    run_real(rt, waitpids);
    CHECK(script_true("ok"));
    close_runtime(rt);
}

TEST(closing_leaves_a_thread_behind_that_waits_for_children)
{
    bine *rt = open_real();

    run_real(rt, "import bine, os, subprocess\n"
                 "child = subprocess.Popen(['/bin/cat'], stdin=subprocess.PIPE)\n"
                 "micro = bine.spawn(os.wait)\n"
                 "for i in range(5): bine.pause()\n"
                 "micro.cancel()\n"
                 "try: micro.join()\n"
                 "except bine.Cancelled: pass\n"
                 "child.returncode = 0\n"
                 "pid, pipe = child.pid, os.dup(child.stdin.fileno())\n");
    close_runtime(rt);
}
