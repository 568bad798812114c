#include "stdlib/offload.h"

#include "python/python.h"

#include <stdlib.h>

/* One call, with holds on all that it needs. */
typedef struct errand {
    bine__work work; /* first */
    bine__call call;
    PyObject *values; /* its arguments */
    PyObject *result;
    PyObject *exception;
} errand;

/* On whatever thread, without the GIL. */
static void run(bine__work *work)
{
    errand *e = (errand *)(void *)work;
    PyGILState_STATE gil = PyGILState_Ensure();

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

PyObject *bine__offload_call(const bine__call *call, bine__lane lane, bool may_leave)
{
    PyObject *result;
    int status = send(call, lane, BINE__NEVER, call->standin->public, may_leave, &result);

    return status == BINE_OK ? result : bine__raise_status(bine__here, status, NULL);
}
