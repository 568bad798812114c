/* bine.Scope: a with block that is left when all that was spawned in it has ended; and what a
 * scope's errors come to. */
#include "data/scope.h"
#include "python/microthread.h"
#include "python/python.h"

#include <stddef.h>

typedef struct scope_object {
    PyObject_HEAD
    bine_scope *scope;
    bine__block block; /* while inside, that is a reference to this */
    int64_t timeout_ns;
    bool left;
} scope_object;

/* ---- errors ---- */

/* The failures (new list), the first one first; they count as taken. */
static PyObject *take_failures(bine_scope *scope)
{
    PyObject *errors = PyList_New(0);
    bine__micro *core;

    while (errors != NULL && (core = bine__scope_take_failed(scope)) != NULL) {
        bine_micro *micro = bine__of_core(core);

        if (PyList_Append(errors, micro->error) == 0) {
            bine__micro_take_error(micro);
            micro->told = true; /* by the group */
        } else {
            Py_CLEAR(errors);
        }
        bine__python_drop_failed(core);
    }
    return errors;
}

static bool ends_the_program(PyObject *error)
{
    return PyErr_GivenExceptionMatches(error, PyExc_SystemExit) ||
           PyErr_GivenExceptionMatches(error, PyExc_KeyboardInterrupt);
}

/* One of `errors` that wants to end the program (borrowed), or NULL. */
static PyObject *find_exit(PyObject *errors)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(errors); i++)
        if (ends_the_program(PyList_GET_ITEM(errors, i)))
            return PyList_GET_ITEM(errors, i);
    return NULL;
}

static PyObject *timeout_error(const bine_scope *scope)
{
    PyObject *text = PyUnicode_FromFormat("the time of %s is over",
                                          scope->name != NULL ? scope->name : "the scope");
    PyObject *error = text == NULL ? NULL : PyObject_CallOneArg(bine__python_now->timeout_error, text);

    Py_XDECREF(text);
    return error;
}

/* `errors` (taken, not empty) as one exception (new): a group, or the one that ends the program. */
static PyObject *as_one(const bine_scope *scope, PyObject *errors)
{
    PyObject *exit = find_exit(errors);
    PyObject *text;
    PyObject *group = NULL;

    if (exit != NULL) {
        Py_INCREF(exit);
        Py_DECREF(errors);
        return exit;
    }
    text = PyUnicode_FromFormat("%s failed", scope->name != NULL ? scope->name : "micro-threads of a scope");
    if (text != NULL)
        group = PyObject_CallFunctionObjArgs(PyExc_BaseExceptionGroup, text, errors, NULL);
    Py_XDECREF(text);
    Py_DECREF(errors);
    return group;
}

/* Whether an exception of the body is an error of its own, that is to be told of beside others. */
static bool is_error(PyObject *error)
{
    return error != NULL && !bine__is_farewell(bine__python_now, error) &&
           !PyErr_GivenExceptionMatches(error, PyExc_GeneratorExit);
}

/* Adds what the body raised, unless it is what a child did: it had joined that. */
static int add_body_error(PyObject *errors, PyObject *error, bool first)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(errors); i++)
        if (PyList_GET_ITEM(errors, i) == error)
            return 0;
    return PyList_Insert(errors, first ? 0 : PyList_GET_SIZE(errors), error);
}

/* The failures and what the body raised (NULL: nothing), before or after them, as one exception (new); first
 * of all that of the deadline if it passed. NULL: with an exception. */
static PyObject *failure(bine_scope *scope, PyObject *body_error, bool body_first)
{
    PyObject *errors = take_failures(scope);
    PyObject *late = errors != NULL && scope->timed_out ? timeout_error(scope) : NULL;
    bool lost = errors == NULL || (scope->timed_out && late == NULL);

    if (!lost && is_error(body_error))
        lost = add_body_error(errors, body_error, body_first) != 0;
    if (!lost && late != NULL)
        lost = PyList_Insert(errors, 0, late) != 0;
    Py_XDECREF(late);
    if (!lost)
        return as_one(scope, errors);
    Py_XDECREF(errors);
    return NULL;
}

void bine__python_scope_failed(bine_scope *scope, bine__result *out)
{
    bine *rt = scope->rt;
    PyObject *error;

    bine__gil_take(rt);
    error = failure(scope, NULL, false);
    if (error == NULL) {
        PyErr_Clear();
        *out = (bine__result){.state = BINE_ENOMEM};
    } else {
        *out = bine__result_of(rt, error, error);
        Py_DECREF(error);
    }
    bine__gil_give(rt);
}

/* ---- the block ---- */

static void leave(scope_object *self)
{
    bine_scope *scope = self->scope;

    if (scope->cancelled)
        bine__body_cancel_end(scope->body);
    else
        bine__timer_stop(&scope->deadline);
    scope->body = NULL;
    scope->closed = true;
    self->left = true;
    bine__block_leave(&self->block);
    Py_DECREF(self); /* that of the block; the caller has one */
}

/* Its micro-thread ends inside the block: a generator, say, had entered it. Or a fork has left it behind: one
 * of the children, which has called that, goes on. */
static void abandon(bine__block *block)
{
    scope_object *self = (scope_object *)(void *)((char *)block - offsetof(scope_object, block));

    if (!self->scope->body->left)
        bine__scope_stop(self->scope);
    leave(self);
}

static PyObject *scope_enter(scope_object *self, PyObject *unused)
{
    bine_micro *micro = bine_micro_current();
    bine_scope *scope = self->scope;

    (void)unused;
    if (micro == NULL)
        return bine__raise_status(bine__here, BINE_EMICRO,
                                  "a scope waits for its children, which only a micro-thread can");
    if (self->block.micro != NULL || self->left) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this scope has been entered before; make one for each with block");
        return NULL;
    }
    if (self->timeout_ns >= 0 && !scope->cancelled &&
        bine_scope_set_deadline(scope, self->timeout_ns) != BINE_OK)
        return PyErr_NoMemory();
    scope->body = &micro->core;
    scope->outer = micro->core.scope;
    if (scope->outer != NULL)
        scope->outer->holds++;
    bine__block_enter(&self->block, micro);
    Py_INCREF(self);
    if (scope->cancelled)
        bine__body_cancel_begin(scope->body);
    return Py_NewRef((PyObject *)self);
}

static PyObject *describe_children(const void *unused)
{
    (void)unused;
    return PyUnicode_FromString("the children of its scope");
}

/* Waits for all children. When that is cut short, they are cancelled, and then nothing cuts it short
 * any more. Returns why it was: BINE_OK, or a status. */
static int await_children(bine *rt, bine_scope *scope)
{
    bine__describe what = describe_children;
    int status = BINE_OK;

    while (status == BINE_OK && scope->alive > 0 && !scope->cancelled)
        status = bine__await(rt, &scope->waiting, BINE__NEVER, &what);
    if (status != BINE_OK && scope->cancelled)
        status = BINE_OK; /* by itself */
    else if (status != BINE_OK)
        bine__scope_stop(scope);
    while (scope->alive > 0 && bine__can_wait(rt) != BINE_EMICRO && bine__can_wait(rt) != BINE_EBUSY)
        bine__park(rt, &scope->waiting, BINE__NEVER, &what);
    return status;
}

/* Whether an exception of the body is just what the scope's own cancel came to. */
static bool is_own_cancel(const bine_micro *body, PyObject *error)
{
    return PyErr_GivenExceptionMatches(error, bine__python_now->cancelled) &&
           ((body->core.pending | body->core.kept_back) & (BINE__CANCEL | BINE__EXIT)) == 0;
}

/* Raises `error` (taken); NULL: an exception is set already. */
static PyObject *raise_made(PyObject *error)
{
    if (error != NULL)
        bine__raise(error);
    return NULL;
}

static PyObject *conclude(bine_scope *scope, const bine_micro *body, PyObject *error, int status,
                          bool body_first)
{
    if (scope->failed != NULL || (scope->timed_out && is_error(error) &&
                                  !PyErr_GivenExceptionMatches(error, bine__python_now->timeout_error)))
        return raise_made(failure(scope, error, body_first));
    if (scope->timed_out && (error == NULL || is_own_cancel(body, error)))
        return raise_made(timeout_error(scope));
    if (error != NULL)
        return PyBool_FromLong(!body_first && is_own_cancel(body, error));
    if (status != BINE_OK)
        return bine__raise_status(scope->rt, status, NULL);
    Py_RETURN_FALSE;
}

/* Whether the running micro-thread is among those that the scope waits for, however far down. */
static bool is_inside(const bine_scope *scope)
{
    const bine__micro *micro = scope->rt->current;

    while (micro != NULL && micro->scope != NULL && micro->scope != scope)
        micro = micro->scope->body;
    return micro != NULL && micro->scope == scope;
}

static PyObject *scope_exit(scope_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    bine_scope *scope = self->scope;
    PyObject *error = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    bine_micro *body = self->block.micro;
    bool body_first = !scope->cancelled;
    PyObject *result;
    int status;

    if (body == NULL)
        Py_RETURN_FALSE;
    if (scope->rt != bine__here)
        return bine__raise_status(NULL, BINE_ETHREAD, "a scope is left on the thread that entered it");
    if (is_inside(scope))
        return bine__raise_status(NULL, BINE_EBUSY,
                                  "a scope's end is not to be waited for by who belongs to it");
    Py_INCREF(self);
    Py_INCREF(body);
    if (body != bine_micro_current())
        leave(self); /* another closes the generator that the block is in: the body is elsewhere */
    if (error != NULL)
        bine__scope_stop(scope);
    status = await_children(scope->rt, scope);
    if (self->block.micro != NULL)
        leave(self);
    result = conclude(scope, body, error, status, body_first);
    Py_DECREF(body);
    Py_DECREF(self);
    return result;
}

/* ---- inside ---- */

static PyObject *scope_spawn(scope_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (self->scope->rt != bine__here) {
        PyErr_SetString(PyExc_RuntimeError, "spawn() is for the thread that runs the host's loop");
        return NULL;
    }
    if (self->block.micro == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        self->left ? "the scope has been left" : "a scope is a with block: enter it first");
        return NULL;
    }
    if (bine__scope_check_member(self->scope, true, "spawn") != BINE_OK) {
        bine__raise_text(PyExc_RuntimeError, bine_message());
        return NULL;
    }
    return (PyObject *)bine__spawn_call(self->scope->rt, self->scope, args, nargs, kwnames);
}

static PyObject *scope_cancel(scope_object *self, PyObject *args)
{
    const char *reason = NULL;

    if (!PyArg_ParseTuple(args, "|z:cancel", &reason))
        return NULL;
    if (self->scope->rt != bine__here)
        return bine__raise_status(NULL, BINE_ETHREAD, "a scope is cancelled on the thread that made it");
    bine_scope_cancel(self->scope, reason);
    Py_RETURN_NONE;
}

static PyObject *get_alive(scope_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(self->scope->alive);
}

static PyObject *get_cancelled(scope_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->scope->cancelled);
}

static PyObject *scope_repr(scope_object *self)
{
    const bine_scope *scope = self->scope;

    return PyUnicode_FromFormat("<bine.Scope%s%s %s, %zu alive>", scope->name != NULL ? " " : "",
                                scope->name != NULL ? scope->name : "",
                                scope->cancelled ? "cancelled"
                                : scope->closed  ? "closed"
                                                 : "open",
                                scope->alive);
}

static PyObject *scope_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", "name", NULL};
    PyObject *timeout = Py_None;
    const char *name = NULL;
    scope_object *self;
    int64_t ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$z:Scope", names, &timeout, &name))
        return NULL;
    if (bine__seconds(timeout, "timeout", true, &ns) != 0)
        return NULL;
    if (bine__here == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Scope() is for the thread that runs the host's loop");
        return NULL;
    }
    self = (scope_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->timeout_ns = ns;
    self->block.abandon = abandon;
    self->scope = bine__scope_new(bine__here, name);
    if (self->scope != NULL)
        return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_NoMemory();
}

static void release(void *scope)
{
    bine_scope_release(scope);
}

static void scope_dealloc(scope_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (self->scope != NULL)
        bine__release_on_owner(self->scope->rt, self->scope, release);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef scope_methods[] = {
    {"__enter__", (PyCFunction)scope_enter, METH_NOARGS, PyDoc_STR("__enter__($self, /)\n--\n\nBegin.")},
    {"__exit__", (PyCFunction)(void (*)(void))scope_exit, METH_FASTCALL,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\n"
               "Wait for every child; raise what failed as an ExceptionGroup, the first one first.")},
    {"spawn", (PyCFunction)(void (*)(void))scope_spawn, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("spawn($self, function, /, *args, **kwargs)\n--\n\n"
               "Start function(*args, **kwargs) as a child: a MicroThread.")},
    {"cancel", (PyCFunction)scope_cancel, METH_VARARGS,
     PyDoc_STR("cancel($self, reason=None, /)\n--\n\n"
               "Raise bine.Cancelled in every child, and in the block where it waits. The block is then\n"
               "left quietly.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scope_getset[] = {
    {"alive", (getter)get_alive, NULL, PyDoc_STR("How many children have not ended."), NULL},
    {"cancelled", (getter)get_cancelled, NULL,
     PyDoc_STR("Whether its children have been cancelled: by cancel(), an error, or its time."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scope_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR(
         "Scope(timeout=None, *, name=None)\n--\n\n"
         "Micro-threads that end together:\n\n"
         "    with bine.Scope() as scope:\n"
         "        scope.spawn(lift, bridge)\n"
         "        scope.spawn(stop, cars)\n\n"
         "The block is left when all of them have ended. The first that fails cancels the rest and the\n"
         "block itself; then an ExceptionGroup is raised, with the first error first. After `timeout`\n"
         "seconds all are cancelled and bine.Timeout is raised. `name` stands in messages.")},
    {Py_tp_new, scope_new},
    {Py_tp_dealloc, scope_dealloc},
    {Py_tp_repr, scope_repr},
    {Py_tp_methods, scope_methods},
    {Py_tp_getset, scope_getset},
    {0, NULL},
};

static PyType_Spec scope_spec = {
    .name = "bine.Scope",
    .basicsize = sizeof(scope_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scope_slots,
};

int bine__add_scope_type(bine__python *py)
{
    py->scope_type = bine__add_type(py, &scope_spec);
    return py->scope_type == NULL ? -1 : 0;
}

/* ---- for C ---- */

int bine_scope_adopt(bine_scope *scope, bine_micro *micro)
{
    int status;

    if (scope == NULL || micro == NULL)
        return bine__fail(BINE_EINVAL, "bine_scope_adopt: the scope or the micro-thread is NULL");
    status = bine__check_owner(scope->rt, "bine_scope_adopt");
    if (status != BINE_OK)
        return status;
    if (micro->core.done || micro->core.is_child)
        return bine__fail(BINE_EBUSY, "bine_scope_adopt: the micro-thread %s",
                          micro->core.done ? "has ended" : "belongs to a scope already");
    status = bine__scope_check_member(scope, true, "bine_scope_adopt");
    if (status != BINE_OK) {
        bine__micro_cancel(&micro->core);
        return status;
    }
    if (micro->core.scope != NULL)
        (void)bine__scope_leave(&micro->core, false); /* that of who started it */
    bine__scope_enter(scope, &micro->core, true);
    return BINE_OK;
}
