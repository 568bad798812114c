#include "stdlib/offload.h"

#include "python/python.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* One call, with holds on all that it needs. */
typedef struct errand {
    bine__work work; /* first */
    bine__call call;
    PyObject *values; /* its arguments */
    PyObject *result;
    PyObject *exception;
} errand;

/* ---- who may still enter the interpreter ---- */

/* Once inside, a thread ends when it comes back from a blocking call and the interpreter has gone. To enter
 * then would be a crash: so close() waits for those that are about to. */
static atomic_int entering;
static atomic_bool closed;

/* False: it has gone. */
static bool enter(PyGILState_STATE *gil)
{
    bool open;

    atomic_fetch_add(&entering, 1);
    open = !atomic_load(&closed);
    if (open)
        *gil = PyGILState_Ensure();
    atomic_fetch_sub(&entering, 1);
    return open;
}

void bine__offload_close(void)
{
    atomic_store(&closed, true);
    while (atomic_load(&entering) > 0) {
        Py_BEGIN_ALLOW_THREADS;
        sched_yield();
        Py_END_ALLOW_THREADS;
    }
}

void bine__offload_forked(void)
{
    atomic_store(&entering, 0);
}

/* ---- one call ---- */

/* On whatever thread, without the GIL. */
static void run(bine__work *work)
{
    errand *e = (errand *)(void *)work;
    PyGILState_STATE gil;

    if (!enter(&gil))
        return; /* and nobody waits */
    e->result = bine__call_original(&e->call);
    if (e->result == NULL)
        e->exception = bine__take_exception();
    PyGILState_Release(gil);
}

static void free_errand(bine__work *work)
{
    errand *e = (errand *)(void *)work;

    Py_XDECREF(e->call.self);
    Py_XDECREF((PyObject *)e->call.class);
    Py_XDECREF(e->call.kwnames);
    Py_XDECREF(e->call.tuple);
    Py_XDECREF(e->call.dict);
    Py_XDECREF(e->values);
    Py_XDECREF(e->result);
    Py_XDECREF(e->exception);
    free(e);
}

static Py_ssize_t count_values(const bine__call *call)
{
    return call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames));
}

/* New, or NULL with an exception. */
static errand *new_errand(const bine__call *call)
{
    PyObject *values = bine__tuple_of(call->args, count_values(call));
    errand *e = values == NULL ? NULL : calloc(1, sizeof *e);

    if (e == NULL) {
        Py_XDECREF(values);
        PyErr_NoMemory();
        return NULL;
    }
    e->values = values;
    e->call = *call;
    e->call.args = ((PyTupleObject *)values)->ob_item;
    Py_XINCREF(call->self);
    Py_XINCREF((PyObject *)call->class);
    Py_XINCREF(call->kwnames);
    Py_XINCREF(call->tuple);
    Py_XINCREF(call->dict);
    e->work.run = run;
    e->work.drop = free_errand;
    return e;
}

/* As if it had been raised here. */
static PyObject *outcome(errand *e)
{
    PyObject *result = e->result;

    e->result = NULL;
    if (result == NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(e->exception), e->exception);
    free_errand(&e->work);
    return result;
}

static int send(const bine__call *call, bine__lane lane, int64_t deadline, const char *what, bool may_leave,
                PyObject **result)
{
    errand *e = new_errand(call);
    int status;

    *result = NULL;
    if (e == NULL)
        return BINE_OK; /* with an exception */
    e->work.what = what;
    if (!may_leave)
        e->work.drop = NULL;
    status = bine__offload(bine__here, lane, &e->work, deadline);
    if (status == BINE_OK)
        *result = outcome(e);
    else if (!may_leave)
        free_errand(&e->work);
    return status;
}

int bine__offload_call_until(const bine__call *call, bine__lane lane, int64_t deadline, const char *what,
                             PyObject **result)
{
    return send(call, lane, deadline, what, true, result);
}

static bool is_descriptor(PyObject *keyword)
{
    const char *name = PyUnicode_AsUTF8(keyword);

    if (name == NULL)
        PyErr_Clear();
    return name != NULL && strstr(name, "fd") != NULL;
}

/* A bool that is taken for a descriptor: 3.13 warns of that, of the line that calls, which a thread of the
 * pool has none of. */
static bool is_warned_of(const bine__call *call)
{
    Py_ssize_t names = count_values(call) - call->nargs;
    bool found = call->nargs > 0 && PyBool_Check(call->args[0]);

    for (Py_ssize_t i = 0; i < names && !found; i++)
        found = PyBool_Check(call->args[call->nargs + i]) &&
                is_descriptor(PyTuple_GET_ITEM(call->kwnames, i));
    return found;
}

PyObject *bine__offload_call(const bine__call *call, bine__lane lane, bool may_leave)
{
    PyObject *result;
    int status;

    if (is_warned_of(call))
        return bine__call_original(call);
    status = send(call, lane, BINE__NEVER, call->standin->public, may_leave, &result);

    return status == BINE_OK ? result : bine__raise_status(bine__here, status, NULL);
}
