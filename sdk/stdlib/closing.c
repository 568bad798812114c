#include "stdlib/closing.h"

#include "python/python.h"
#include "service/descriptor.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

/* More than a runtime has. */
#define MOST_OWN 16

/* On another thread they are told when it is done: a micro-thread that is told before may try once more, and
 * wait again. Meanwhile the runtime may have been closed, and the number may be that of another file. */
PyObject *bine__let_go(const bine__call *call, int first, int last)
{
    bine *rt = bine__python_now->rt;
    uint64_t waits = rt == NULL ? 0 : bine__descriptors_waits(rt);
    PyObject *result;

    if (rt != NULL && rt == bine__here)
        bine__descriptors_closing(rt, first, last);
    result = bine__call_original(call);
    if (rt != NULL && rt != bine__here && bine__python_now->rt == rt)
        bine__descriptors_closed(rt, first, last, waits);
    return result;
}

PyObject *bine__close(const bine__call *call, int fd)
{
    const bine *rt = bine__python_now->rt;

    if (rt == NULL || !bine__descriptor_is_own(rt, fd))
        return bine__let_go(call, fd, fd);
    errno = EBADF;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- a range ---- */

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The runtime's own among them, in their order: how many. */
static size_t find_own(int first, int end, int *own)
{
    const bine *rt = bine__python_now->rt;
    DIR *folder = rt == NULL ? NULL : opendir("/proc/self/fd");
    const struct dirent *entry;
    size_t count = 0;

    if (folder == NULL)
        return 0;
    while (count < MOST_OWN && (entry = readdir(folder)) != NULL) {
        int fd = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);

        if (fd >= first && fd < end && bine__descriptor_is_own(rt, fd))
            own[count++] = fd;
    }
    closedir(folder);
    qsort(own, count, sizeof *own, compare);
    return count;
}

static PyObject *close_piece(const bine__call *call, int first, int end)
{
    PyObject *args[2] = {PyLong_FromLong(first), PyLong_FromLong(end)};
    bine__call piece = *call;
    PyObject *result = NULL;

    piece.args = args;
    piece.nargs = 2;
    if (args[0] != NULL && args[1] != NULL)
        result = bine__let_go(&piece, first, end - 1);
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    return result;
}

PyObject *bine__close_range(const bine__call *call, int first, int end)
{
    int own[MOST_OWN + 1];
    size_t count = find_own(first, end, own);
    PyObject *result = Py_NewRef(Py_None);

    own[count] = end;
    for (size_t i = 0; i <= count && result != NULL; i++) {
        if (first < own[i])
            Py_SETREF(result, close_piece(call, first, own[i]));
        first = own[i] + 1;
    }
    return result;
}
