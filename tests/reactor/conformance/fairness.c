/* Nobody starves: neither scripts beside a busy one, nor the host, nor what a descriptor or a timer brings.
 */
#include "acts.h"
#include "driven.h"

#include "notes.h"

TEST(a_busy_script_keeps_nothing_else_from_being_served)
{
    open_driven();
    start_script(rt, "import bine, host, os\n"
                     "stop = False\n"
                     "seen = []\n"
                     "r, w = os.pipe()\n"
                     "def busy():\n"
                     "    while not stop: bine.pause()\n"
                     "def reads():\n"
                     "    for i in range(10):\n"
                     "        bine.wait_readable(r)\n"
                     "        os.read(r, 1)\n"
                     "        os.write(w, b'x')\n"
                     "    seen.append('descriptor')\n"
                     "def sleeps():\n"
                     "    for i in range(10): bine.sleep(0.001, real=i % 2)\n"
                     "    seen.append('timer')\n"
                     "def opens():\n"
                     "    host.note('asked')\n"
                     "    host.door()\n"
                     "    seen.append('door')\n"
                     "bine.spawn(busy), bine.spawn(busy)\n"
                     "os.write(w, b'x')\n"
                     "bine.parallel(reads, sleeps, opens)\n"
                     "stop = True");
    in_thread(post_note, NULL);
    run_until_noted("task");
    run_until_noted("asked");
    between_busy_turns(open_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("str(sorted(seen))"), "['descriptor', 'door', 'timer']");
    close_driven();
}

TEST(a_busy_script_does_not_keep_the_hosts_loop_from_its_own_work)
{
    open_driven();
    start_script(rt, "import bine, host\n"
                     "host.note('runs')\n"
                     "while True: bine.pause()");
    run_until_noted("runs");
    between_busy_turns(shut_down, NULL);
    close_driven();
}

TEST(a_busy_descriptor_keeps_no_script_from_running)
{
    open_driven();
    run_driven("import bine, os\n"
               "stop = False\n"
               "r, w = os.pipe()\n"
               "def busy():\n"
               "    while not stop: bine.wait_writable(w)\n"
               "bine.spawn(busy), bine.spawn(busy)\n"
               "for i in range(100): bine.pause()\n"
               "for i in range(5): bine.sleep(0.001, real=i % 2)\n"
               "stop = True");
    CHECK_EQ(script_int("i"), 4);
    close_driven();
}
