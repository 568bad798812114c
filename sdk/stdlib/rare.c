/* What blocks now and then, and only a thread can take: CPython's own function is called on one of the pool.
 */
#include "stdlib/offload.h"

static PyObject *by_thread(const bine__call *call)
{
    return bine__offload_call(call, BINE__REST, true);
}

#define RARE(id, module, name, public) \
    BINE__STANDIN(standin_##id, module, name, public, "a thread, for what is rare", by_thread)

RARE(getpwnam, "pwd", "getpwnam", "pwd.getpwnam");
RARE(getpwuid, "pwd", "getpwuid", "pwd.getpwuid");
RARE(getpwall, "pwd", "getpwall", "pwd.getpwall");
RARE(getgrnam, "grp", "getgrnam", "grp.getgrnam");
RARE(getgrgid, "grp", "getgrgid", "grp.getgrgid");
RARE(getgrall, "grp", "getgrall", "grp.getgrall");
RARE(getgrouplist, "posix", "getgrouplist", "os.getgrouplist");
RARE(syslog, "syslog", "syslog", "syslog.syslog");
RARE(tcdrain, "termios", "tcdrain", "termios.tcdrain");
RARE(tcsetattr, "termios", "tcsetattr", "termios.tcsetattr");

bine__standin *const bine__rare_standins[] = {&standin_getpwnam,
                                              &standin_getpwuid,
                                              &standin_getpwall,
                                              &standin_getgrnam,
                                              &standin_getgrgid,
                                              &standin_getgrall,
                                              &standin_getgrouplist,
                                              &standin_syslog,
                                              &standin_tcdrain,
                                              &standin_tcsetattr,
                                              NULL};
