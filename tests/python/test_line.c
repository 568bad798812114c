/* What the host's own stack does at a lock: it waits as CPython does, but never for what only a micro-thread
 * could do, which does not run meanwhile. */
#include "fixture.h"

#include <bine/python.h>

/* A thread that reads from a pipe until somebody writes; the script runs beside it. */
static bine *open_with_a_thread(const char *script)
{
    bine *rt = open_runtime();

    run_script(rt, "import bine, os, threading\n"
                   "r, w = os.pipe()\n"
                   "thread = threading.Thread(target=os.read, args=(r, 1))\n"
                   "thread.start()\n");
    start_script(rt, script);
    settle(rt);
    return rt;
}

static void join_and_close(bine *rt)
{
    run_script(rt, "from __main__ import *\n"
                   "os.write(w, b'x')\n"
                   "thread.join()\n"
                   "os.close(r)\n"
                   "os.close(w)");
    close_runtime(rt);
}

/* On the host's stack. */
static void run_here(bine *rt, const char *source)
{
    bine_python_enter(rt);
    CHECK_EQ(PyRun_SimpleString(source), 0);
    bine_python_leave(rt);
}

TEST(a_module_that_a_micro_thread_imports_is_not_waited_for)
{
    bine *rt = open_with_a_thread(
        "import bine, importlib.machinery, sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'slow': return importlib.machinery.ModuleSpec(name, self)\n"
        "    def create_module(self, spec): pass\n"
        "    def exec_module(self, module): bine.sleep(1)\n"
        "sys.meta_path.append(Slow())\n"
        "import slow\n");

    run_here(rt, "try: import slow\n"
                 "except bine.NotInMicroThread: refused = True\n");
    CHECK(script_true("refused"));
    run_to_end(rt);
    run_here(rt, "import slow");
    join_and_close(rt);
}

/* Another thread does `act` when this one waits for the lock: until then it has the interpreter. */
#define WAIT_WHILE_ANOTHER(act)                \
    "lock = threading.Lock()\n"                \
    "lock.acquire()\n"                         \
    "waits = []\n"                             \
    "def other():\n"                           \
    "    while not waits: pass\n"              \
    "    " act "\n"                            \
    "other = threading.Thread(target=other)\n" \
    "other.start()\n"                          \
    "waits.append(True)\n"

TEST(when_no_other_thread_is_left_the_wait_ends)
{
    bine *rt = open_runtime();

    run_script(rt, "import bine, threading");
    run_here(rt, WAIT_WHILE_ANOTHER("pass") "try: lock.acquire()\n"
                                            "except bine.NotInMicroThread: refused = True\n"
                                            "other.join()\n");
    CHECK(script_true("refused"));
    close_runtime(rt);
}

TEST(what_another_thread_lets_go_of_is_waited_for)
{
    bine *rt = open_runtime();

    run_script(rt, "import threading");
    run_here(rt, WAIT_WHILE_ANOTHER("lock.release()") "assert lock.acquire()\n"
                                                      "other.join()\n");
    close_runtime(rt);
}
