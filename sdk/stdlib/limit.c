#include "stdlib/limit.h"

#include "python/python.h"

#include <errno.h>

int64_t bine__limit_left(bine *rt, bine__limit *limit)
{
    int64_t now;

    if (limit->ns < 0)
        return -1;
    now = bine__real_deadline(rt, 0);
    if (!limit->begun)
        limit->end = bine__real_deadline(rt, limit->ns);
    limit->begun = true;
    return limit->end > now ? limit->end - now : 0;
}

int bine__limit_wait(bine *rt, bine__limit *limit, int fd, unsigned events)
{
    int64_t left = bine__limit_left(rt, limit);
    int status;

    if (left == 0)
        return BINE_ETIMEDOUT;
    status = bine_wait_fd(fd, events, left);
    return status > 0 ? BINE_OK : status;
}

PyObject *bine__limit_raise(bine *rt, int status, const char *late)
{
    if (status == BINE_ETIMEDOUT)
        PyErr_SetString(PyExc_TimeoutError, late);
    else if (status == BINE_EIO)
        PyErr_SetFromErrno(PyExc_OSError); /* bine_wait_fd() has set it */
    else
        bine__raise_status(rt, status, NULL);
    return NULL;
}
