/* Micro-threads in C: bine/micro.h, and the deferreds for their ends. */
#include "data/scope.h"
#include "python/microthread.h"
#include "python/python.h"
#include "python/report.h"

#include <stdlib.h>

/* ---- looking at them, ending them ---- */

bine_micro *bine_micro_current(void)
{
    bine *rt = bine__here;

    if (rt == NULL || rt->current == &rt->host || rt->current->done)
        return NULL;
    return bine__of_core(rt->current);
}

/* BINE_OK, or BINE_EINVAL / BINE_ETHREAD with a message naming `call`. */
static int check_micro(const bine_micro *micro, const char *call)
{
    if (micro == NULL)
        return bine__fail(BINE_EINVAL, "%s: the micro-thread is NULL", call);
    return bine__check_owner(micro->core.rt, call);
}

int bine_micro_cancel(bine_micro *micro)
{
    int status = check_micro(micro, "bine_micro_cancel");

    if (status == BINE_OK)
        bine__micro_cancel(&micro->core);
    return status;
}

bine_micro_state bine_micro_get_state(const bine_micro *micro)
{
    return micro == NULL ? BINE_MICRO_DONE : bine__micro_state(&micro->core);
}

int bine_micro_status(const bine_micro *micro)
{
    if (micro == NULL || !micro->core.done)
        return BINE_EBUSY;
    if (micro->error == NULL)
        return BINE_OK;
    return micro->farewell ? BINE_ECANCELED : BINE_ESCRIPT;
}

const char *bine__python_name(const bine__micro *micro)
{
    return bine_micro_name(bine__of_core((bine__micro *)micro));
}

const char *bine_micro_name(const bine_micro *micro)
{
    bine_micro *self = (bine_micro *)micro; /* the name is made when first asked for */
    PyObject *name;
    const char *text = NULL;

    if (self == NULL || bine__here != self->core.rt)
        return "";
    bine__gil_take(self->core.rt);
    name = bine__micro_name(self);
    if (name != NULL)
        text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        PyErr_Clear();
    Py_XDECREF(name);
    bine__gil_give(self->core.rt);
    return text != NULL ? text : "";
}

void bine_micro_set_data(bine_micro *micro, void *data)
{
    if (micro != NULL)
        micro->data = data;
}

void *bine_micro_data(const bine_micro *micro)
{
    return micro == NULL ? NULL : micro->data;
}

void bine_micro_release(bine_micro *micro)
{
    bine *rt = micro == NULL ? NULL : micro->core.rt;

    if (rt == NULL || rt != bine__here)
        return;
    bine__gil_take(rt);
    Py_DECREF(micro);
    bine__gil_give(rt);
}

static int rest(const char *call, int64_t deadline, bool sleeps)
{
    bine *rt = bine__here;
    int status = bine__may_wait(rt);

    while (status == BINE_OK && sleeps)
        status = bine__await(rt, NULL, deadline, NULL);
    if (status == BINE_OK) {
        bine__yield(rt);
        status = rt->current->pending == 0 || bine__python_interrupted(rt) == 0 ? BINE_OK : BINE_ECANCELED;
    }
    if (status == BINE_OK || (sleeps && status == BINE_ETIMEDOUT))
        return BINE_OK;
    return bine__explain_wait(call, status);
}

int bine_yield(void)
{
    return rest("bine_yield", 0, false);
}

int bine_sleep(int64_t ns)
{
    if (bine__here == NULL)
        return bine__explain_wait("bine_sleep", BINE_EMICRO);
    return rest("bine_sleep", bine__deadline(bine__here, ns < 0 ? 0 : ns), true);
}

/* A wait that real time ends; on the waiting stack. */
typedef struct real_rest {
    bine__describe describe; /* first */
    bine__timer timer;
    bine__micro *micro;
    bool over;
} real_rest;

static PyObject *describe_real_rest(const void *what)
{
    (void)what;
    return PyUnicode_FromString("real time to pass");
}

static void on_real_time(bine__timer *timer)
{
    real_rest *r = (real_rest *)(void *)((char *)timer - offsetof(real_rest, timer));

    r->over = true;
    bine__micro_wake(r->micro, r);
}

int bine_sleep_real(int64_t ns)
{
    bine *rt = bine__here;
    real_rest r = {.describe = describe_real_rest, .timer.fire = on_real_time};
    int status = bine__may_wait(rt);

    if (status != BINE_OK)
        return bine__explain_wait("bine_sleep_real", status);
    r.micro = rt->current;
    if (bine__timer_set(rt->real_timers, &r.timer, bine__real_deadline(rt, ns < 0 ? 0 : ns)) != 0)
        return bine__explain_wait("bine_sleep_real", BINE_ENOMEM);
    while (status == BINE_OK && !r.over)
        status = bine__await(rt, NULL, BINE__NEVER, &r);
    bine__timer_stop(&r.timer);
    return r.over ? BINE_OK : bine__explain_wait("bine_sleep_real", status);
}

typedef struct frame_rest {
    bine__describe describe; /* first */
    uint64_t frame;          /* the one that has begun */
} frame_rest;

static PyObject *describe_frame_rest(const void *what)
{
    (void)what;
    return PyUnicode_FromString("the next frame");
}

int bine_next_frame(void)
{
    bine *rt = bine__here;
    frame_rest r = {.describe = describe_frame_rest, .frame = rt == NULL ? 0 : rt->frames};
    int status = BINE_OK;

    while (status == BINE_OK && (rt == NULL || rt->frames == r.frame))
        status = rt == NULL ? BINE_EMICRO : bine__await(rt, &rt->next_frame, BINE__NEVER, &r);
    return status == BINE_OK ? BINE_OK : bine__explain_wait("bine_next_frame", status);
}

int bine_micro_interrupt(bine_micro *micro)
{
    bine *rt;
    int status;

    if (micro == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_interrupt: the micro-thread is NULL");
    rt = micro->core.rt;
    status = bine__check_owner(rt, "bine_micro_interrupt");
    if (status != BINE_OK || micro->core.done)
        return status;
    bine__gil_take(rt);
    status = bine__throw_interrupt(micro) == 0 ? BINE_OK : BINE_ENOMEM;
    bine__gil_give(rt);
    return status == BINE_OK ? BINE_OK : bine__fail(status, "bine_micro_interrupt: out of memory");
}

/* ---- C functions as micro-threads ---- */

int bine_spawn(bine_scope *scope, bine_micro_fn function, void *user, bine_free release, bine_micro **out)
{
    bine *rt = bine__here;
    bine_micro *micro = NULL;
    int status = BINE_OK;

    if (out != NULL)
        *out = NULL;
    if (function == NULL)
        status = bine__fail(BINE_EINVAL, "bine_spawn: the function is NULL");
    else if (rt == NULL)
        status = bine__fail(BINE_ETHREAD, "bine_spawn: no runtime is open on this thread");
    else if (rt->shutting_down)
        status = bine__fail(BINE_ECLOSED, "bine_spawn: the runtime is shutting down: no new micro-threads");
    else if (scope != NULL)
        status = bine__scope_check_member(scope, true, "bine_spawn");
    if (status != BINE_OK || rt == NULL) {
        bine__release(user, release);
        return status;
    }
    bine__gil_take(rt);
    micro = bine__spawn_native(rt, scope, function, user, release);
    if (micro == NULL)
        status = bine__fail_with_exception(BINE_ECLOSED, "bine_spawn", "a C function");
    else if (out != NULL)
        *out = micro;
    else
        Py_DECREF(micro);
    bine__gil_give(rt);
    return status;
}

/* ---- calling Python ---- */

static PyObject *named_function(const char *module, const char *function)
{
    PyObject *name = PyUnicode_FromString(module);
    PyObject *object = name == NULL ? NULL : PyImport_Import(name);
    PyObject *callable = object == NULL ? NULL : PyObject_GetAttrString(object, function);

    Py_XDECREF(object);
    Py_XDECREF(name);
    return callable;
}

static PyObject *as_tuple(bine_value *args)
{
    PyObject *list = args == NULL ? PyList_New(0) : bine_value_to_python(args);
    PyObject *tuple = list == NULL ? NULL : PyList_AsTuple(list);

    Py_XDECREF(list);
    return tuple;
}

/* An exception is set: its status. It goes to *error, or stays. */
static int hand_over(bine *rt, const char *module, const char *function, bine_error **error)
{
    PyObject *exception = bine__take_exception();
    const bine_micro *micro = bine_micro_current();
    bool told = micro != NULL && micro->core.pending != 0 && bine__is_farewell(rt->python, exception);
    int status = told ? BINE_ECANCELED : BINE_ESCRIPT;

    bine__fail(status, "bine_call_named: %s.%s: %s", module, function, Py_TYPE(exception)->tp_name);
    if (told) {
        Py_DECREF(exception);
    } else if (error == NULL) {
        bine__raise(exception);
    } else {
        *error = bine__error_new(exception, "", "", 0);
        if (*error == NULL)
            status = bine__fail(BINE_ENOMEM, "bine_call_named: out of memory for the error");
        Py_DECREF(exception);
    }
    return status;
}

static int call_it(bine *rt, const char *module, const char *function, bine_value *args, bine_value **value,
                   bine_error **error)
{
    PyObject *callable = named_function(module, function);
    PyObject *tuple = callable == NULL ? NULL : as_tuple(args);
    PyObject *result = tuple == NULL ? NULL : PyObject_CallObject(callable, tuple);

    Py_XDECREF(tuple);
    Py_XDECREF(callable);
    if (result != NULL && value != NULL)
        *value = bine_value_from_python(result);
    Py_XDECREF(result);
    return PyErr_Occurred() ? hand_over(rt, module, function, error) : BINE_OK;
}

int bine_call_named(bine *rt, const char *module, const char *function, bine_value *args, bine_value **value,
                    bine_error **error)
{
    int status = bine__check_owner(rt, "bine_call_named");

    if (value != NULL)
        *value = NULL;
    if (error != NULL)
        *error = NULL;
    if (status == BINE_OK && (module == NULL || function == NULL))
        status = bine__fail(BINE_EINVAL, "bine_call_named: a name is NULL");
    if (status == BINE_OK && args != NULL && bine_value_kind(args) != BINE_LIST)
        status = bine__fail(BINE_ETYPE, "bine_call_named: args is no list");
    if (status == BINE_OK && !rt->ticking)
        status = bine__fail(BINE_EMICRO, "bine_call_named: only inside a tick");
    if (status == BINE_OK) {
        PyErr_Clear(); /* of a call before, which nobody handed on */
        status = call_it(rt, module, function, args, value, error);
    }
    bine_value_free(args);
    return status;
}

/* ---- how they end ---- */

/* A deferred for the end of a micro-thread. */
typedef struct bine__ending {
    bine_deferred base; /* first */
    bine_micro *micro;  /* that lives; it knows of this */
    struct bine__ending *next;
    bool as_object;
} ending;

static void cancel_ending(bine_deferred *d)
{
    bine__micro_cancel(&((ending *)(void *)d)->micro->core);
}

static const bine__kind ending_kind = {.cancel = cancel_ending, .name = "the end of a micro-thread"};

bine__result bine__micro_outcome(bine_micro *micro, bool as_object)
{
    bine *rt = micro->core.rt;
    bine_value *value = NULL;
    bool no_memory = false;

    if (micro->error != NULL) {
        bine__micro_take_error(micro);
        if (micro->farewell)
            return (bine__result){.state = BINE_ECANCELED};
        return bine__result_of(rt, (PyObject *)micro, micro->error);
    }
    if (!as_object) {
        value = bine_value_from_python(micro->result);
        no_memory = value == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);
        PyErr_Clear();
    }
    if (value == NULL && !no_memory)
        value = bine_value_from_object(rt, micro->result);
    if (value == NULL)
        return (bine__result){.state = BINE_ENOMEM};
    return (bine__result){.state = BINE__RESOLVED, .value = value};
}

bine_deferred *bine__micro_ending(bine_micro *micro, bool as_object)
{
    bool done = micro->core.done;
    bine__extra *extra = done ? NULL : bine__extra_of(micro);
    ending *e;

    if (!done && extra == NULL) {
        bine__fail(BINE_ENOMEM, "out of memory for a deferred");
        return NULL;
    }
    e = (ending *)(void *)bine__deferred_alloc(micro->core.rt, &ending_kind, sizeof *e, !done);
    if (e == NULL)
        return NULL;
    if (done) {
        bine__deferred_settle(&e->base, bine__micro_outcome(micro, as_object));
        return &e->base;
    }
    e->micro = micro;
    e->as_object = as_object;
    e->next = extra->endings;
    extra->endings = e;
    return &e->base;
}

bool bine__micro_awaited_by(bine_micro *micro, bine_deferred *d)
{
    for (ending *e = micro->extra == NULL ? NULL : micro->extra->endings; e != NULL; e = e->next)
        if (bine__depends(d, &e->base))
            return true;
    return false;
}

void bine__endings_settle(bine_micro *micro)
{
    while (micro->extra->endings != NULL) {
        ending *e = micro->extra->endings;
        bool wanted = e->base.consumers > 0 || bine__deferred_shared(&e->base, NULL);

        micro->extra->endings = e->next;
        /* One that nobody wants any more does not take the error from who has a handle. */
        bine__deferred_settle(&e->base, wanted ? bine__micro_outcome(micro, e->as_object)
                                               : (bine__result){.state = BINE_ECANCELED});
        bine__deferred_let_go(&e->base);
    }
}

int bine_micro_result(bine_micro *micro, bine_deferred **out)
{
    int status;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_result: out is NULL");
    *out = NULL;
    status = check_micro(micro, "bine_micro_result");
    if (status != BINE_OK)
        return status;
    bine__gil_take(micro->core.rt);
    *out = bine__micro_ending(micro, false);
    bine__gil_give(micro->core.rt);
    return *out != NULL ? BINE_OK : BINE_ENOMEM;
}

int bine_micro_error(bine_micro *micro, bine_error **out)
{
    int status;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_error: out is NULL");
    *out = NULL;
    status = check_micro(micro, "bine_micro_error");
    if (status != BINE_OK)
        return status;
    if (!micro->core.done || micro->error == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_error: the micro-thread has not failed");
    bine__gil_take(micro->core.rt);
    bine__micro_take_error(micro);
    micro->told = true;
    *out = bine__error_of_micro(micro);
    bine__gil_give(micro->core.rt);
    return *out != NULL ? BINE_OK : bine__fail(BINE_ENOMEM, "bine_micro_error: out of memory");
}

int bine_micro_set_name(bine_micro *micro, const char *name)
{
    PyObject *text;
    int status;

    if (micro == NULL || name == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_set_name: the micro-thread or the name is NULL");
    status = bine__check_owner(micro->core.rt, "bine_micro_set_name");
    if (status != BINE_OK)
        return status;
    bine__gil_take(micro->core.rt);
    text = PyUnicode_FromString(name);
    if (text == NULL) {
        status = bine__fail_with_exception(BINE_EINVAL, "bine_micro_set_name", "the name");
    } else {
        Py_XSETREF(micro->name, text);
        micro->named = true;
    }
    bine__gil_give(micro->core.rt);
    return status;
}
