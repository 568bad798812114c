/* Module os: names that come, go and move. Scripts make such calls by the thousand, so a thread of the pool
 * makes them without the GIL. What is out of the ordinary (objects with __fspath__, several dir_fd) CPython
 * does on that thread itself. */
#include "stdlib/offload.h"

#include "python/python.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* On the caller's stack, which waits for it to the end. */
typedef struct change {
    bine__work work; /* first */
    int (*make)(const struct change *c);
    PyObject *names[2]; /* as they were given; borrowed */
    PyObject *paths[2]; /* bytes; owned */
    int folder;         /* where the first begins */
    mode_t mode;
    int error;
} change;

static const char *path_of(const change *c, int i)
{
    return PyBytes_AS_STRING(c->paths[i]);
}

static int make_unlink(const change *c)
{
    return unlinkat(c->folder, path_of(c, 0), 0);
}

static int make_rmdir(const change *c)
{
    return unlinkat(c->folder, path_of(c, 0), AT_REMOVEDIR);
}

static int make_mkdir(const change *c)
{
    return mkdirat(c->folder, path_of(c, 0), c->mode);
}

static int make_rename(const change *c)
{
    return rename(path_of(c, 0), path_of(c, 1));
}

static void run(bine__work *work)
{
    change *c = (change *)(void *)work;

    c->error = c->make(c) == 0 ? 0 : errno;
}

static PyObject *raise_error(const change *c)
{
    errno = c->error;
    return PyErr_SetFromErrnoWithFilenameObjects(PyExc_OSError, c->names[0], c->names[1]);
}

static PyObject *make(change *c)
{
    int status = bine__offload(bine__here, BINE__FILES, &c->work, BINE__NEVER);

    if (status != BINE_OK)
        return bine__raise_status(bine__here, status, NULL);
    return c->error == 0 ? Py_NewRef(Py_None) : raise_error(c);
}

/* ---- arguments ---- */

static PyObject *leave_it(const bine__call *call)
{
    return bine__offload_call(call, BINE__FILES, false);
}

static bool is_int(PyObject *object, int *out)
{
    long value = PyLong_CheckExact(object) ? PyLong_AsLong(object) : -1;

    PyErr_Clear();
    *out = (int)value;
    return value >= 0 && value <= INT_MAX;
}

/* Whether what comes by name is nothing, or a dir_fd alone. */
static bool takes_folder(const bine__call *call, change *c)
{
    PyObject *given;

    c->folder = AT_FDCWD;
    if (call->kwnames == NULL)
        return true;
    given = bine__call_argument(call, PY_SSIZE_T_MAX, "dir_fd");
    return PyTuple_GET_SIZE(call->kwnames) == 1 && given != NULL &&
           (given == Py_None || is_int(given, &c->folder));
}

/* The first `count` arguments. False: they are none of ours; no exception is set. */
static bool take_names(const bine__call *call, change *c, Py_ssize_t count)
{
    if (call->nargs < count)
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        c->names[i] = call->args[i];
        if (!PyUnicode_CheckExact(c->names[i]) && !PyBytes_CheckExact(c->names[i]))
            return false;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!PyUnicode_FSConverter(c->names[i], &c->paths[i])) {
            PyErr_Clear();
            return false;
        }
    return true;
}

static void drop_names(change *c)
{
    Py_XDECREF(c->paths[0]);
    Py_XDECREF(c->paths[1]);
}

static int folder_for_audit(const change *c)
{
    return c->folder == AT_FDCWD ? -1 : c->folder;
}

/* ---- calls ---- */

static PyObject *remove_name(const bine__call *call, const char *event, int (*how)(const change *c))
{
    change c = {.work = {.run = run, .what = call->standin->public, .brief = true}, .make = how};
    PyObject *result = NULL;

    if (call->nargs != 1 || !takes_folder(call, &c) || !take_names(call, &c, 1))
        result = leave_it(call);
    else if (PySys_Audit(event, "Oi", c.names[0], folder_for_audit(&c)) == 0)
        result = make(&c);
    drop_names(&c);
    return result;
}

static PyObject *os_unlink(const bine__call *call)
{
    return remove_name(call, "os.remove", make_unlink);
}

static PyObject *os_rmdir(const bine__call *call)
{
    return remove_name(call, "os.rmdir", make_rmdir);
}

static PyObject *os_mkdir(const bine__call *call)
{
    change c = {.work = {.run = run, .what = "os.mkdir", .brief = true}, .make = make_mkdir};
    PyObject *result = NULL;
    int mode = 0777;

    if (call->nargs > 2 || (call->nargs == 2 && !is_int(call->args[1], &mode)) || !takes_folder(call, &c) ||
        !take_names(call, &c, 1))
        result = leave_it(call);
    else if (PySys_Audit("os.mkdir", "Oii", c.names[0], mode, folder_for_audit(&c)) == 0) {
        c.mode = (mode_t)mode;
        result = make(&c);
    }
    drop_names(&c);
    return result;
}

static PyObject *os_rename(const bine__call *call)
{
    change c = {.work = {.run = run, .what = call->standin->public, .brief = true}, .make = make_rename};
    PyObject *result = NULL;

    if (call->nargs != 2 || call->kwnames != NULL || !take_names(call, &c, 2))
        result = leave_it(call);
    else if (PySys_Audit("os.rename", "OOii", c.names[0], c.names[1], -1, -1) == 0)
        result = make(&c);
    drop_names(&c);
    return result;
}

#define CHANGE(id, call) BINE__STANDIN(standin_##id, "posix", #id, "os." #id, "a thread", call)

CHANGE(mkdir, os_mkdir);
CHANGE(remove, os_unlink);
CHANGE(rename, os_rename);
CHANGE(replace, os_rename);
CHANGE(rmdir, os_rmdir);
CHANGE(unlink, os_unlink);

bine__standin *const bine__change_standins[] = {&standin_mkdir,
                                                &standin_remove,
                                                &standin_rename,
                                                &standin_replace,
                                                &standin_rmdir,
                                                &standin_unlink,
                                                NULL};
