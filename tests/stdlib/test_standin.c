/* What is left of the stand-ins when they have been taken away. */
#include "fixture.h"

#include <stdlib.h>

TEST(the_sets_of_module_os_hold_its_functions_after_closing_too)
{
    bine *rt = open_runtime();

    start_script(
        rt, "import atexit, os\n"
            "def known():\n"
            "    return (os.stat in os.supports_fd and os.unlink in os.supports_dir_fd and\n"
            "            os.stat in os.supports_follow_symlinks and os.access in os.supports_effective_ids)\n"
            "@atexit.register\n"
            "def look():\n"
            "    os.environ['BINE_TEST_SEEN'] = str(known())\n");
    run_to_end(rt);
    CHECK_EQ(script_int("known()"), 1);
    close_runtime(rt);
    CHECK_STR(getenv("BINE_TEST_SEEN"), "True");
}
