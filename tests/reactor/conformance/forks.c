/* A fork: the loops of both processes go on, and neither is the other's. */
#include "driven.h"

static const char forks[] = "import bine, os, signal, threading\n"
                            "r, w = os.pipe()\n"
                            "said, tell = os.pipe()\n"
                            "other = bine.spawn(bine.wait_readable, r)\n"
                            "bine.sleep(0.001)\n"
                            "child = os.fork()\n"
                            "if child == 0:\n"
                            "    signal.alarm(60)\n"
                            "    a, b = os.pipe()\n"
                            "    threading.Timer(0.005, os.write, (b, b'x')).start()\n"
                            "    bine.wait_readable(a)\n"
                            "    bine.sleep(0.002)\n"
                            "    bine.sleep(0.002, real=True)\n"
                            "    told = bine.Event()\n"
                            "    threading.Timer(0.005, told.set).start()\n"
                            "    told.wait()\n"
                            "    os.write(tell, b'child')\n"
                            "    os._exit(7)\n"
                            "bine.wait_readable(said)\n"
                            "word = os.read(said, 10).decode()\n"
                            "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
                            "waits = not other.done\n"
                            "os.write(w, b'x')\n"
                            "other.join()\n"
                            "bine.sleep(0.001)";

TEST(a_fork_leaves_both_loops_in_order)
{
    open_driven();
    run_driven(forks);
    CHECK_STR(script_str("word"), "child");
    CHECK_EQ(script_int("status"), 7);
    CHECK_EQ(script_int("waits"), 1);
    close_driven();
}
