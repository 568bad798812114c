/* os.sendfile() to a socket or a pipe; os.splice(), as CPython has it. */
#include "stdlib/standin.h"

#include "core/sigpipe.h"
#include "python/python.h"
#include "stdlib/fair.h"
#include "stdlib/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

typedef struct task {
    int to;
    int from;
    off_t offset;
    bool here; /* it goes on where `from` stands, and moves that */
    size_t size;
    size_t done;
} task;

/* A whole number. False: it is none; no exception is set. */
static bool number_of(PyObject *object, long long *out)
{
    *out = object != NULL && PyLong_Check(object) ? PyLong_AsLongLong(object) : -1;
    if (*out >= 0)
        return true;
    PyErr_Clear();
    return false;
}

/* False: CPython is to judge. */
static bool parse(const bine__call *call, task *t)
{
    PyObject *offset = bine__call_argument(call, 2, "offset");
    long long to, from, size, at = 0;

    if (call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames)) != 4 ||
        !number_of(bine__call_argument(call, 0, "out_fd"), &to) ||
        !number_of(bine__call_argument(call, 1, "in_fd"), &from) ||
        !number_of(bine__call_argument(call, 3, "count"), &size) || to > INT_MAX || from > INT_MAX)
        return false;
    if (offset != Py_None && !number_of(offset, &at))
        return false;
    *t = (task){
        .to = (int)to, .from = (int)from, .here = offset == Py_None, .offset = at, .size = (size_t)size};
    return true;
}

/* Whether the call would wait for it to become writable. */
static bool may_wait(int fd, int *flags)
{
    struct stat is;

    *flags = fcntl(fd, F_GETFL);
    return *flags >= 0 && (*flags & O_NONBLOCK) == 0 && fstat(fd, &is) == 0 &&
           (S_ISSOCK(is.st_mode) || S_ISFIFO(is.st_mode));
}

static ssize_t try_once(task *t, int flags)
{
    bool held = bine__sigpipe_hold();
    ssize_t sent;
    int error;

    fcntl(t->to, F_SETFL, flags | O_NONBLOCK);
    sent = sendfile(t->to, t->from, t->here ? NULL : &t->offset, t->size - t->done);
    error = errno;
    fcntl(t->to, F_SETFL, flags);
    if (held)
        bine__sigpipe_release();
    errno = error;
    return sent;
}

/* Until all is sent or the file is at its end, as the kernel does it: 0, or -1 with an exception. What ends
 * it midway is raised by the next wait: the caller is to know how far it came. */
static int run(task *t, int flags)
{
    bine__limit none = {.ns = -1};
    int status = BINE_OK;
    ssize_t sent;

    do {
        sent = try_once(t, flags);
        t->done += sent > 0 ? (size_t)sent : 0;
        if (sent < 0 && errno == EAGAIN)
            status = bine__limit_wait(bine__here, &none, t->to, BINE_WRITABLE);
        else if (sent < 0 && errno != EINTR)
            status = BINE_EIO;
    } while (status == BINE_OK && sent != 0 && t->done < t->size);
    if (status != BINE_OK && t->done > 0)
        bine__raise_thrown_soon();
    if (status == BINE_OK || t->done > 0)
        return 0;
    bine__limit_raise(bine__here, status, "");
    return -1;
}

static PyObject *os_sendfile(const bine__call *call)
{
    int flags, status;
    task t;

    if (!parse(call, &t) || !may_wait(t.to, &flags))
        return bine__call_original(call);
    status = run(&t, flags);
    bine__fair(bine__here);
    return status == 0 ? PyLong_FromSize_t(t.done) : NULL;
}

BINE__STANDIN_WRITES(standin_sendfile, "posix", "sendfile", "os.sendfile", "readiness of what it writes to",
                     os_sendfile);

BINE__STANDIN_WRITES(standin_splice, "posix", "splice", "os.splice",
                     "blocks: neither end of it can be told not to", bine__call_original);

bine__standin *const bine__sendfile_standins[] = {&standin_sendfile, &standin_splice, NULL};
