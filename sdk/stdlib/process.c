/* Child processes: a wait for one that ends goes by its pidfd; any other (for whichever ends first, for a
 * group, for one that stops) by a thread in waitid(), which reaps nothing. What has been waited for is then
 * taken by CPython's own function, told not to wait. So nothing is reaped that the script has not asked for,
 * and the host's SIGCHLD is left alone. */
#include "stdlib/process.h"

#include "python/python.h"
#include "service/pool.h"
#include "stdlib/fair.h"
#include "stdlib/standin.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* What is waited for, as waitid() has it. */
typedef struct target {
    idtype_t type;
    id_t id;
    int options;
} target;

/* ---- by a thread ---- */

/* A thread waits for a target, for all micro-threads that wait for the same. When those are cancelled it goes
 * on, and serves the next. */
typedef struct watch {
    bine__work work; /* first */
    target of;
    bine__waiters waiters;
    struct watch *next;
} watch;

static watch *watches;

static void watch_children(bine__work *work)
{
    const target *t = &((watch *)(void *)work)->of;
    siginfo_t info;

    (void)waitid(t->type, t->id, &info, t->options | WNOWAIT); /* an error is for the one who waits to see */
}

static void on_change(bine__work *work)
{
    watch *w = (watch *)(void *)work;
    watch **link = &watches;

    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    bine__wake_all(&w->waiters);
    free(w);
}

static bool is_same(const target *a, const target *b)
{
    return a->type == b->type && a->id == b->id && a->options == b->options;
}

static watch *find_watch(const target *t)
{
    for (watch *w = watches; w != NULL; w = w->next)
        if (is_same(&w->of, t))
            return w;
    return NULL;
}

/* One that is under way, or a new one; NULL: there is no memory, or no thread. */
static watch *watch_for(bine *rt, const target *t)
{
    watch *w = find_watch(t);

    if (w != NULL)
        return w;
    w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->of = *t;
    w->work.run = watch_children;
    w->work.drop = on_change;
    if (!bine__pool_send(rt, BINE__CHILDREN, &w->work)) {
        free(w);
        return NULL;
    }
    w->next = watches;
    watches = w;
    return w;
}

/* Who waits looks again, and finds no child. */
void bine__children_forked(bine *rt)
{
    for (watch *w = watches; w != NULL; w = w->next)
        if (rt->current == &rt->host)
            bine__wake_all(&w->waiters);
    watches = NULL;
}

typedef struct wish {
    bine__describe describe; /* first */
    const target *of;
} wish;

static PyObject *describe(const void *what)
{
    const target *t = ((const wish *)what)->of;

    if (t->type == P_PID)
        return PyUnicode_FromFormat("child process %ld", (long)t->id);
    if (t->type == P_PGID)
        return PyUnicode_FromFormat("a child of process group %ld", (long)t->id);
    return PyUnicode_FromString("a child process");
}

static int await_by_thread(bine *rt, const target *t)
{
    wish w = {describe, t};
    int status = bine__may_wait(rt);
    watch *by = status == BINE_OK ? watch_for(rt, t) : NULL;

    if (status == BINE_OK && by == NULL) { /* then as CPython does */
        watch here = {.of = *t};

        PyEval_SaveThread();
        watch_children(&here.work);
        PyEval_RestoreThread(rt->tstate);
        return BINE_OK;
    }
    return status == BINE_OK ? bine__pool_stand(rt, &by->waiters, &w) : status;
}

/* ---- by a descriptor ---- */

/* -1: there is none; errno says why. */
static int open_pidfd(id_t pid)
{
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

/* Whether it is a child of ours that runs: else its number may be anybody's by now. */
static bool is_running_child(int pidfd)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == 0;
}

/* BINE_OK: it has ended, or is none of ours. BINE_ETIMEDOUT and so on; BINE_ENOTSUP: there are no pidfds, or
 * no descriptors. */
static int await_pid(id_t pid, int64_t timeout_ns)
{
    int fd = open_pidfd(pid);
    int status = BINE_OK;

    if (fd < 0)
        return errno == ESRCH ? BINE_OK : BINE_ENOTSUP;
    if (is_running_child(fd))
        status = bine_wait_fd(fd, BINE_READABLE, timeout_ns);
    close(fd);
    return status > 0 ? BINE_OK : status;
}

static int await_target(bine *rt, const target *t)
{
    int status = BINE_ENOTSUP;

    if (t->options == WEXITED && t->type == P_PID)
        status = await_pid(t->id, -1);
    else if (t->options == WEXITED && t->type == (idtype_t)P_PIDFD)
        status = bine_wait_fd((int)t->id, BINE_READABLE, -1);
    if (status == BINE_ENOTSUP || status == BINE_EIO)
        status = await_by_thread(rt, t);
    return status > 0 ? BINE_OK : status;
}

/* ---- os.waitpid() and the like ---- */

/* What the wait of Linux alone has, and is asked of the calling thread. */
#define FOR_THREADS ((int)(__WALL | __WCLONE | __WNOTHREAD))

/* One way to take what has happened to a child: without waiting. New, or NULL with an exception. */
typedef PyObject *(*attempt)(const bine__call *call, int options);

/* The result of an attempt that found nothing: (0, ...), or None. */
static bool is_nothing(PyObject *result)
{
    return result == Py_None ||
           (PyTuple_Check(result) && PyTuple_GET_SIZE(result) > 1 &&
            PyLong_Check(PyTuple_GET_ITEM(result, 0)) && PyLong_AsLong(PyTuple_GET_ITEM(result, 0)) == 0);
}

static PyObject *wait_for(const bine__call *call, const target *t, int options, attempt again)
{
    bine *rt = bine__here;
    uint64_t turn = rt->ready.out;

    for (;;) {
        PyObject *result = again(call, options | WNOHANG);
        int status;

        if (result == NULL || !is_nothing(result)) {
            if (rt->ready.out == turn)
                bine__fair(rt);
            return result;
        }
        Py_DECREF(result);
        status = await_target(rt, t);
        if (status != BINE_OK)
            return bine__raise_status(rt, status, NULL);
    }
}

static bool has_arguments(const bine__call *call, Py_ssize_t count)
{
    return call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames)) == count;
}

/* An argument that is an int; false: it is none, which CPython's own will say. */
static bool get_int(const bine__call *call, Py_ssize_t place, const char *name, int *out)
{
    PyObject *object = bine__call_argument(call, place, name);
    long value = object == NULL || !PyLong_Check(object) ? -1 : PyLong_AsLong(object);

    *out = (int)value;
    if (PyErr_Occurred())
        PyErr_Clear();
    else if (object != NULL && PyLong_Check(object) && *out == value)
        return true;
    return false;
}

/* CPython's own, with so many arguments by position. `last` is taken. */
static PyObject *call_with(const bine__call *call, PyObject **args, Py_ssize_t nargs)
{
    bine__call other = *call;
    PyObject *result = NULL;

    other.args = args;
    other.nargs = nargs;
    other.kwnames = NULL;
    if (args[nargs - 1] != NULL)
        result = bine__call_original(&other);
    Py_XDECREF(args[nargs - 1]);
    return result;
}

/* waitpid(pid, options), wait4(pid, options) */
static PyObject *try_pid(const bine__call *call, int options)
{
    PyObject *args[] = {bine__call_argument(call, 0, "pid"), PyLong_FromLong(options)};

    return call_with(call, args, 2);
}

/* wait3(options) */
static PyObject *try_any(const bine__call *call, int options)
{
    PyObject *args[] = {PyLong_FromLong(options)};

    return call_with(call, args, 1);
}

/* waitid(idtype, id, options) */
static PyObject *try_id(const bine__call *call, int options)
{
    PyObject *args[] = {call->args[0], call->args[1], PyLong_FromLong(options)};

    return call_with(call, args, 3);
}

/* wait(), which CPython cannot be told not to wait in. */
static PyObject *try_wait(const bine__call *call, int options)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, options);

    (void)call;
    return pid < 0 ? PyErr_SetFromErrno(PyExc_OSError) : Py_BuildValue("li", (long)pid, status);
}

/* waitpid()'s as waitid() has it. */
static target target_of(int pid, int options)
{
    target t = {.type = P_PID, .id = (id_t)pid, .options = WEXITED | (options & (WUNTRACED | WCONTINUED))};

    if (pid == -1)
        t = (target){P_ALL, 0, t.options};
    else if (pid <= 0)
        t = (target){P_PGID, (id_t)(pid == 0 ? getpgrp() : -pid), t.options};
    return t;
}

static bool may_wait_for(int options)
{
    return (options & (WNOHANG | FOR_THREADS)) == 0;
}

static PyObject *waitpid_waiting(const bine__call *call)
{
    int pid;
    int options;
    target t;

    if (!has_arguments(call, 2) || !get_int(call, 0, "pid", &pid) || !get_int(call, 1, "options", &options) ||
        pid == INT32_MIN || !may_wait_for(options))
        return bine__call_at_once(call);
    t = target_of(pid, options);
    return wait_for(call, &t, options, try_pid);
}

static PyObject *wait3_waiting(const bine__call *call)
{
    int options;
    target t;

    if (!has_arguments(call, 1) || !get_int(call, 0, "options", &options) || !may_wait_for(options))
        return bine__call_at_once(call);
    t = target_of(-1, options);
    return wait_for(call, &t, options, try_any);
}

static PyObject *wait_waiting(const bine__call *call)
{
    target t = target_of(-1, 0);

    return wait_for(call, &t, 0, try_wait);
}

static PyObject *waitid_waiting(const bine__call *call)
{
    const int asked = WEXITED | WSTOPPED | WCONTINUED;
    int type;
    int id;
    int options;
    target t;

    if (!has_arguments(call, 3) || !get_int(call, 0, "", &type) || !get_int(call, 1, "", &id) ||
        !get_int(call, 2, "", &options) || !may_wait_for(options) || (options & asked) == 0)
        return bine__call_at_once(call);
    t = (target){(idtype_t)type, (id_t)id, options & asked};
    return wait_for(call, &t, options, try_id);
}

/* ---- for subprocess.Popen.wait(timeout) ---- */

/* True: as await_child(). -1 with an exception. */
static int await_ended(long pid, double seconds)
{
    int status = await_pid((id_t)pid, (int64_t)ceil(seconds * 1e9));

    if (status == BINE_ETIMEDOUT)
        return 0;
    if (status == BINE_OK || status == BINE_ENOTSUP || status == BINE_EIO)
        return 1;
    bine__raise_status(bine__here, status, NULL);
    return -1;
}

PyObject *bine__await_child(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    long pid = nargs == 2 ? PyLong_AsLong(args[0]) : -1;
    double seconds = nargs == 2 ? PyFloat_AsDouble(args[1]) : -1;
    int ended = 1;

    (void)unused;
    PyErr_Clear();
    if (pid > 0 && seconds > 0 && seconds < 9e9 && bine__stands_in(bine__here))
        ended = await_ended(pid, seconds);
    return ended < 0 ? NULL : PyBool_FromLong(ended);
}

/* ---- os.system() ---- */

/* Shells whose os.system() was cancelled: each call takes those that have ended. */
static pid_t *orphans;
static size_t orphan_count;

static void bury_orphans(void)
{
    size_t left = 0;

    for (size_t i = 0; i < orphan_count; i++)
        if (waitpid(orphans[i], NULL, WNOHANG) == 0)
            orphans[left++] = orphans[i];
    orphan_count = left;
}

static void leave_orphan(pid_t pid)
{
    pid_t *more = realloc(orphans, (orphan_count + 1) * sizeof *orphans);

    if (more == NULL)
        return; /* it stays a zombie when it ends */
    orphans = more;
    orphans[orphan_count++] = pid;
}

/* 0, or an errno. */
static int start_shell(const char *command, pid_t *pid)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t) "--",
                    (char *)(uintptr_t)command, NULL};

    return posix_spawn(pid, "/bin/sh", NULL, NULL, argv, environ);
}

/* What the shell came to: 127 in its upper byte when it could not be started, as with the C library's. */
static PyObject *await_shell(bine *rt, pid_t pid)
{
    const target t = {P_PID, (id_t)pid, WEXITED};
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        int why = await_target(rt, &t);

        if (why != BINE_OK) {
            leave_orphan(pid);
            return bine__raise_status(rt, why, NULL);
        }
    }
    return PyLong_FromLong(status);
}

static PyObject *run_shell(PyObject *command)
{
    bine *rt = bine__here;
    int status = bine__may_wait(rt);
    pid_t pid;

    if (PySys_Audit("os.system", "(O)", command) < 0)
        return NULL;
    if (status != BINE_OK)
        return bine__raise_status(rt, status, NULL);
    bury_orphans();
    if (start_shell(PyBytes_AS_STRING(command), &pid) != 0)
        return PyLong_FromLong(127 << 8);
    return await_shell(rt, pid);
}

/* The host's SIGINT and SIGQUIT stay as they are meanwhile, which the C library's ignores: all others run. */
static PyObject *system_waiting(const bine__call *call)
{
    PyObject *given = bine__call_argument(call, 0, "command");
    PyObject *command = NULL;
    PyObject *result;

    if (given == NULL || !has_arguments(call, 1) || !PyUnicode_FSConverter(given, &command)) {
        PyErr_Clear();
        return bine__call_original(call);
    }
    result = run_shell(command);
    Py_DECREF(command);
    return result;
}

#define PIDFD "its end, by a descriptor of the process"
#define THREAD "a thread that waits for children, and reaps none"

BINE__STANDIN(standin_waitpid, "posix", "waitpid", "os.waitpid", PIDFD, waitpid_waiting);
BINE__STANDIN(standin_wait, "posix", "wait", "os.wait", THREAD, wait_waiting);
BINE__STANDIN(standin_wait3, "posix", "wait3", "os.wait3", THREAD, wait3_waiting);
BINE__STANDIN(standin_wait4, "posix", "wait4", "os.wait4", PIDFD, waitpid_waiting);
BINE__STANDIN(standin_waitid, "posix", "waitid", "os.waitid", PIDFD, waitid_waiting);
BINE__STANDIN(standin_system, "posix", "system", "os.system", PIDFD, system_waiting);

bine__standin *const bine__process_standins[] = {
    &standin_waitpid, &standin_wait, &standin_wait3, &standin_wait4, &standin_waitid, &standin_system, NULL};
