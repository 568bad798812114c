#include "python/microthread.h"

#include "data/scope.h"
#include "python/library.h"
#include "python/python.h"

#include <stddef.h>
#include <stdlib.h>
#include <structmember.h>

/* ---- running ---- */

PyObject *bine__name_of(PyObject *function, const char *attribute)
{
    PyObject *name = PyObject_GetAttrString(function, attribute);

    if (name != NULL && PyUnicode_Check(name))
        return name;
    PyErr_Clear();
    Py_XDECREF(name);
    return PyUnicode_FromString(Py_TYPE(function)->tp_name);
}

/* What a name is made from when nobody gave one (new). */
static PyObject *base_name(PyObject *function)
{
    if (PyFunction_Check(function))
        return Py_NewRef(((PyFunctionObject *)function)->func_qualname);
    return bine__name_of(function, "__qualname__");
}

/* The decimal context is one mutable object inside contextvars: a copied context would share it.
 * *out: a copy of the spawner's (new), or NULL when decimal has not been imported. */
static int copy_decimal_context(PyObject **out)
{
    PyObject *decimal = bine__imported("_decimal"); /* borrowed */
    PyObject *context;

    *out = NULL;
    if (decimal == NULL)
        return PyErr_Occurred() != NULL ? -1 : 0;
    context = PyObject_CallMethod(decimal, "getcontext", NULL);
    if (context != NULL)
        *out = PyObject_CallMethod(context, "copy", NULL);
    Py_XDECREF(context);
    return *out == NULL ? -1 : 0;
}

static int set_decimal_context(PyObject *context)
{
    PyObject *decimal = bine__imported("_decimal"); /* borrowed */
    PyObject *none = decimal == NULL ? NULL : PyObject_CallMethod(decimal, "setcontext", "O", context);

    Py_XDECREF(none);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

/* What a coroutine yields: None gives the others a turn; all else needs an event loop. */
static bool yielded(bine *rt, PyObject *value)
{
    if (value == Py_None) {
        if (bine_yield() == BINE_OK)
            return true;
        bine__raise_pending(rt);
        return false;
    }
    PyErr_Format(
        PyExc_RuntimeError,
        "the coroutine awaits a %.100s, which needs an event loop; a micro-thread by itself can await "
        "MicroThread and Deferred",
        Py_TYPE(value)->tp_name);
    return false;
}

/* Runs a coroutine to its end. What it awaits waits by itself. */
static PyObject *drive(bine *rt, PyObject *coroutine)
{
    PyObject *value = NULL;
    PySendResult sent = PyIter_Send(coroutine, Py_None, &value);

    while (sent == PYGEN_NEXT) {
        bool again = yielded(rt, value);

        Py_CLEAR(value);
        sent = again ? PyIter_Send(coroutine, Py_None, &value) : bine__throw_into(coroutine, &value);
    }
    return value;
}

static PyObject *call(bine_micro *self)
{
    size_t given = self->args == NULL ? 0 : (size_t)PyTuple_GET_SIZE(self->args);
    PyObject *kwnames = self->extra == NULL ? NULL : self->extra->kwnames;
    size_t named = kwnames == NULL ? 0 : (size_t)PyTuple_GET_SIZE(kwnames);
    PyObject *const *args = given == 0 ? NULL : &PyTuple_GET_ITEM(self->args, 0);
    PyObject *result = PyObject_Vectorcall(self->function, args, given - named, kwnames);

    if (result != NULL && PyCoro_CheckExact(result))
        Py_SETREF(result, drive(self->core.rt, result));
    return result;
}

static void abandon_blocks(bine_micro *self)
{
    while (self->blocks != NULL) {
        bine__block *block = self->blocks;

        block->abandon(block);
    }
}

/* The C function's status as an exception. */
static void raise_native(bine_micro *self, int status)
{
    if (status == BINE_ESCRIPT)
        PyErr_SetString(PyExc_SystemError, "a C micro-thread returned BINE_ESCRIPT without an exception");
    else if (status > 0)
        PyErr_Format(PyExc_SystemError, "a C micro-thread returned %d, which is no status", status);
    else
        bine__raise_status(self->core.rt, status, NULL);
    if (!PyErr_Occurred()) /* cancelled, it says, though nobody did */
        bine__raise_host_error(status, bine_strerror(status));
}

static PyObject *call_native(bine_micro *self)
{
    bine_value *value = NULL;
    int status = self->extra->native.function(self->core.rt, self->extra->native.user, &value);
    PyObject *result = NULL;

    abandon_blocks(self); /* a shield that it left up must not hide why it ends */
    if (status != BINE_OK && !PyErr_Occurred())
        raise_native(self, status);
    if (!PyErr_Occurred())
        result = bine_value_to_python(value);
    bine_value_free(value);
    return result;
}

/* Without a stack it does not begin. */
static void raise_not_begun(bine_micro *self)
{
    const bine__python *py = self->core.rt->python;

    if (self->core.pending & BINE__EXIT)
        PyErr_SetString(py->exit, "the host shut its scripts down before this one began");
    else if (self->core.pending & BINE__CANCEL)
        PyErr_SetString(py->cancelled, "the micro-thread was cancelled before it began");
    else
        PyErr_SetString(PyExc_MemoryError, "no address space or no mapping left for a micro-thread's stack");
}

/* With what its spawner handed down. */
static PyObject *run(bine_micro *self)
{
    const bine__extra *extra = self->extra;

    if (extra == NULL)
        return call(self);
    if (extra->decimal != NULL && set_decimal_context(extra->decimal) != 0)
        return NULL;
    bine__tracing_begin(&extra->tracers);
    return bine__is_native(self) ? call_native(self) : call(self);
}

void bine__python_run(bine__micro *core)
{
    bine_micro *self = bine__of_core(core);

    if (core->left)
        self->result = Py_NewRef(Py_None);
    else if (core->slot == NULL)
        raise_not_begun(self);
    else
        self->result = run(self);
    if (self->result == NULL)
        self->error = bine__take_exception();
}

static void link_failed(bine_micro *self)
{
    bine__python *py = self->core.rt->python;

    self->core.older = py->failed == NULL ? NULL : &py->failed->core;
    self->core.newer = NULL;
    if (py->failed != NULL)
        py->failed->core.newer = &self->core;
    py->failed = self;
}

void bine__micro_take_error(bine_micro *self)
{
    bine__python *py = self->core.rt->python;
    bine__micro *older = self->core.older;
    bine__micro *newer = self->core.newer;

    if (self->error == NULL || self->error_taken || !self->core.done)
        return;
    self->error_taken = true;
    if (newer != NULL)
        newer->older = older;
    else if (py->failed == self)
        py->failed = older == NULL ? NULL : bine__of_core(older);
    if (older != NULL)
        older->newer = newer;
}

int bine__throw_interrupt(bine_micro *micro)
{
    PyObject *interrupt = PyObject_CallNoArgs(PyExc_KeyboardInterrupt);

    if (interrupt == NULL) {
        PyErr_Clear();
        return -1;
    }
    Py_XSETREF(micro->thrown, interrupt);
    bine__micro_interrupt(&micro->core, BINE__THROW);
    return 0;
}

/* Ctrl-C met whichever micro-thread was running; it is meant for the main script. */
static bool pass_on_interrupt(bine_micro *self)
{
    bine__micro *main_core = self->core.rt->main;
    bine_micro *main_micro = main_core == NULL ? NULL : bine__of_core(main_core);

    if (main_micro == NULL || !PyErr_GivenExceptionMatches(self->error, PyExc_KeyboardInterrupt))
        return false;
    if (self->joiners.first != NULL || (self->core.is_child && !self->core.scope->passes_on))
        return false; /* it takes its way through the joiners, or the with block of its scope */
    return bine__throw_interrupt(main_micro) == 0;
}

void bine__block_enter(bine__block *block, bine_micro *micro)
{
    block->micro = micro;
    block->outer = micro->blocks;
    micro->blocks = block;
}

void bine__block_leave(bine__block *block)
{
    bine__block **at = &block->micro->blocks;

    while (*at != block)
        at = &(*at)->outer;
    *at = block->outer;
    block->micro = NULL;
}

PyObject *bine__block_exit(bine__block *block, const char *elsewhere)
{
    if (block->micro == NULL)
        Py_RETURN_FALSE;
    if (block->micro->core.rt != bine__here)
        return bine__raise_status(NULL, BINE_ETHREAD, elsewhere);
    block->abandon(block);
    Py_RETURN_FALSE;
}

bine__extra *bine__extra_of(bine_micro *self)
{
    if (self->extra == NULL)
        self->extra = calloc(1, sizeof *self->extra);
    return self->extra;
}

static void clear_extra(bine__extra *extra)
{
    bine__native native = extra->native;

    extra->native = (bine__native){0};
    Py_CLEAR(extra->kwnames);
    Py_CLEAR(extra->decimal);
    Py_CLEAR(extra->tracers.trace_arg);
    Py_CLEAR(extra->tracers.profile_arg);
    bine__release(native.user, native.release);
}

/* What it needed to run. */
static void clear_call(bine_micro *self)
{
    Py_CLEAR(self->function);
    Py_CLEAR(self->args);
    Py_CLEAR(self->thrown);
    if (self->extra != NULL)
        clear_extra(self->extra);
}

/* Whoever holds it from now on wants its result or its name, nothing else. */
void bine__python_ended(bine__micro *core)
{
    bine_micro *self = bine__of_core(core);
    bool failed = false;

    self->farewell = self->error != NULL && bine__is_farewell(core->rt->python, self->error);
    if (self->farewell || (self->error != NULL && pass_on_interrupt(self))) {
        self->error_taken = true; /* it did as it was told: nothing to report */
    } else if (self->error != NULL) {
        link_failed(self);
        failed = true;
    }
    if (bine__is_native(self) && !self->named)
        Py_XDECREF(bine__micro_name(self)); /* made while it is known that it ran C */
    if (self->name == NULL && self->function != NULL && (Py_REFCNT(self) > 1 || self->error != NULL))
        self->name = base_name(self->function);
    PyErr_Clear(); /* of a name that there was no memory for */
    abandon_blocks(self);
    bine__wake_all(&self->joiners);
    clear_call(self);
    if (self->extra != NULL)
        bine__endings_settle(self);
    if (core->scope == NULL || !bine__scope_leave(core, failed))
        Py_DECREF(self);
}

void bine__python_drop_failed(bine__micro *core)
{
    bine *rt = core->rt;

    bine__gil_take(rt); /* the host may let go of a scope outside of a tick */
    Py_DECREF(bine__of_core(core));
    bine__gil_give(rt);
}

static bine_micro *new_micro(bine *rt)
{
    bine_micro *self = PyObject_GC_New(bine_micro, rt->python->micro_type);

    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->core.done = true; /* until it is spawned */
    self->core.rt = rt;
    return self;
}

/* NULL with an exception when memory is out. */
static bine__extra *need_extra(bine_micro *self)
{
    bine__extra *extra = bine__extra_of(self);

    if (extra == NULL)
        PyErr_NoMemory();
    return extra;
}

static int hand_decimal_down(bine_micro *self)
{
    PyObject *copy;

    if (copy_decimal_context(&copy) != 0)
        return -1;
    if (copy == NULL)
        return 0;
    if (need_extra(self) == NULL) {
        Py_DECREF(copy);
        return -1;
    }
    self->extra->decimal = copy;
    return 0;
}

static int hand_tracers_down(bine *rt, bine_micro *self)
{
    return need_extra(self) == NULL ? -1 : bine__tracing_inherit(rt, &self->extra->tracers);
}

/* Takes over what the spawner hands down. 0, or -1 with an exception. */
static int inherit(bine *rt, bine_micro *self)
{
    const bine__micro *spawner = rt->current;

    if (bine__copy_context(rt->tstate, &self->core.context) != 0)
        return -1;
    if (self->core.context != NULL && hand_decimal_down(self) != 0)
        return -1;
    if (bine__is_traced(rt->tstate) && hand_tracers_down(rt, self) != 0)
        return -1;
    self->site = bine__running_code(rt->tstate, &self->site_offset);
    if (spawner != &rt->host && spawner != &rt->ending)
        self->data = bine__of_core((bine__micro *)(uintptr_t)spawner)->data;
    return 0;
}

/* One who is to end and has not waited since learns of that here, and not that no more are taken in. */
static int end_instead(int status)
{
    const bine_micro *spawner = bine_micro_current();

    if (status != BINE_ECLOSED || spawner == NULL || spawner->exits ||
        (spawner->core.pending & BINE__EXIT) == 0)
        return status;
    return BINE_ECANCELED;
}

/* Makes it ready, as a child of `scope`; or as a member of what its spawner belongs to. */
static bool launch(bine *rt, bine_micro *self, bine_scope *scope)
{
    bool child = scope != NULL;
    int status;

    if (inherit(rt, self) != 0) /* first: it may run any code */
        return false;
    if (scope == NULL && rt->current->scope != NULL)
        scope = bine__scope_inherited(rt->current);
    status = scope == NULL ? BINE_OK : bine__scope_check_member(scope, child, "spawn");
    if (status == BINE_OK)
        status = bine__micro_spawn(rt, &self->core);
    if (status != BINE_OK) {
        bine__raise_status(rt, end_instead(status), bine_message());
        return false;
    }
    if (scope != NULL)
        bine__scope_enter(scope, &self->core, child);
    Py_INCREF(self); /* the runtime's own, until it has ended */
    PyObject_GC_Track(self);
    return true;
}

static bine_micro *give_up(bine_micro *self)
{
    PyObject_GC_Track(self); /* as the deallocator expects */
    Py_DECREF(self);
    return NULL;
}

bine_micro *bine__spawn(bine *rt, PyObject *function, PyObject *args, PyObject *name)
{
    bine_micro *self = new_micro(rt);

    if (self == NULL) {
        Py_XDECREF(name);
        return NULL;
    }
    self->function = Py_NewRef(function);
    self->args = Py_XNewRef(args);
    self->name = name;
    self->named = name != NULL;
    return launch(rt, self, NULL) ? self : give_up(self);
}

bine_micro *bine__spawn_native(bine *rt, bine_scope *scope, bine_micro_fn function, void *user,
                               bine_free release)
{
    bine_micro *self = new_micro(rt);

    if (self == NULL || need_extra(self) == NULL) {
        bine__release(user, release);
        return self == NULL ? NULL : give_up(self);
    }
    self->extra->native = (bine__native){function, user, release};
    return launch(rt, self, scope) ? self : give_up(self);
}

bine_micro *bine__spawn_call(bine *rt, bine_scope *scope, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    bine_micro *self;

    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "spawn() needs a function to call");
        return NULL;
    }
    if (!PyCallable_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "spawn() needs a function, not %.100s", Py_TYPE(args[0])->tp_name);
        return NULL;
    }
    self = new_micro(rt);
    if (self == NULL)
        return NULL;
    self->function = Py_NewRef(args[0]);
    if (kwnames != NULL) {
        if (need_extra(self) == NULL)
            return give_up(self);
        self->extra->kwnames = Py_NewRef(kwnames);
    }
    if (nargs + named > 1) {
        self->args = bine__tuple_of(args + 1, nargs - 1 + named);
        if (self->args == NULL)
            return give_up(self);
    }
    return launch(rt, self, scope) ? self : give_up(self);
}

/* bine.spawn(): the one primitive. */
PyObject *bine__py_spawn(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    (void)module;
    if (bine__here == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "spawn() is for the thread that runs the host's loop");
        return NULL;
    }
    return (PyObject *)bine__spawn_call(bine__here, NULL, args, nargs, kwnames);
}

/* ---- the object ---- */

static int micro_traverse(bine_micro *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->function);
    Py_VISIT(self->args);
    Py_VISIT(self->result);
    Py_VISIT(self->error);
    Py_VISIT(self->thrown);
    Py_VISIT(self->core.context);
    if (self->extra != NULL) {
        Py_VISIT(self->extra->kwnames);
        Py_VISIT(self->extra->decimal);
        Py_VISIT(self->extra->tracers.trace_arg);
        Py_VISIT(self->extra->tracers.profile_arg);
    }
    return 0;
}

static int micro_clear(bine_micro *self)
{
    clear_call(self);
    Py_CLEAR(self->result);
    Py_CLEAR(self->error);
    Py_CLEAR(self->core.context);
    return 0;
}

/* The last handle has gone: an error that nobody took is the host's now. The collector calls this
 * before it breaks cycles, while the error is still whole. */
static void micro_finalize(PyObject *object)
{
    bine_micro *self = (bine_micro *)object;
    PyObject *in_flight;

    if (self->error == NULL || self->error_taken)
        return;
    in_flight = PyErr_Occurred() != NULL ? bine__take_exception() : NULL;
    bine__micro_take_error(self);
    self->told = true;
    bine__report_later(self->core.rt, self, Py_NewRef(self->error));
    if (in_flight != NULL)
        bine__raise(in_flight);
}

static void micro_dealloc(bine_micro *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self); /* first: what follows may run the collector */
    micro_finalize((PyObject *)self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    micro_clear(self);
    Py_CLEAR(self->name);
    Py_CLEAR(self->site);
    free(self->extra);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *bine__micro_name(bine_micro *self)
{
    PyObject *base;

    if (self->named)
        return Py_NewRef(self->name);
    if (self->name == NULL && self->function == NULL && !bine__is_native(self))
        return PyUnicode_FromString("?");
    if (self->name != NULL) {
        base = Py_NewRef(self->name);
    } else if (bine__is_native(self)) {
        base = PyUnicode_FromString("c");
    } else {
        PyObject *function = Py_NewRef(self->function); /* asking it may run any code */

        base = base_name(function);
        Py_DECREF(function);
    }
    if (base == NULL || self->named) {
        Py_XDECREF(base);
        return base == NULL ? NULL : Py_NewRef(self->name);
    }
    Py_XSETREF(self->name,
               PyUnicode_FromFormat("%U-%llu", base, (unsigned long long)(self->core.id & 0xffffffffffu)));
    self->named = self->name != NULL;
    Py_DECREF(base);
    return Py_XNewRef(self->name);
}

PyObject *bine__micro_site(const bine_micro *self, int *line)
{
    *line = 0;
    if (self->site == NULL)
        return NULL;
    *line = PyCode_Addr2Line(self->site, self->site_offset);
    return Py_NewRef(self->site->co_filename);
}

static const char *state_text(const bine_micro *self)
{
    switch (bine__micro_state(&self->core)) {
    case BINE_MICRO_READY:
        return "ready";
    case BINE_MICRO_RUNNING:
        return "running";
    case BINE_MICRO_WAITING:
        return "waiting";
    default:
        return self->error == NULL ? "done" : self->farewell ? "cancelled" : "failed";
    }
}

static PyObject *micro_repr(bine_micro *self)
{
    PyObject *name = bine__micro_name(self);
    PyObject *text;

    if (name == NULL)
        return NULL;
    text = PyUnicode_FromFormat("<bine.MicroThread %R %s>", name, state_text(self));
    Py_DECREF(name);
    return text;
}

/* ---- waiting for it ---- */

/* What it returned (new), or its exception, raised. */
static PyObject *outcome(bine_micro *self)
{
    if (self->error == NULL)
        return Py_NewRef(self->result != NULL ? self->result : Py_None);
    bine__micro_take_error(self);
    self->told = true;
    bine__raise(Py_NewRef(self->error));
    return NULL;
}

typedef struct joining {
    bine__describe describe; /* first */
    bine_micro *target;
} joining;

static PyObject *describe_join(const void *what)
{
    const joining *j = what;
    PyObject *name = bine__micro_name(j->target);
    PyObject *text = name == NULL ? NULL : PyUnicode_FromFormat("the end of '%U'", name);

    Py_XDECREF(name);
    return text;
}

int bine__micro_await_end(bine_micro *self, int64_t timeout_ns)
{
    joining what = {describe_join, self};
    bine *rt = bine__here;
    int64_t deadline;
    int status = BINE_OK;

    if (self->core.done)
        return BINE_OK;
    if (rt == NULL || rt->current == &rt->host) {
        bine__raise_status(rt != NULL ? rt : self->core.rt, BINE_EMICRO, NULL);
        return BINE_EMICRO;
    }
    if (rt->current == &self->core) {
        PyErr_SetString(PyExc_RuntimeError, "a micro-thread cannot join itself");
        return BINE_EINVAL;
    }
    deadline = bine__deadline(rt, timeout_ns);
    Py_INCREF(self);
    while (status == BINE_OK && !self->core.done)
        status = bine__await(rt, &self->joiners, deadline, &what);
    if (status == BINE_ETIMEDOUT && self->core.done)
        status = BINE_OK;
    Py_DECREF(self);
    if (status != BINE_OK)
        bine__raise_status(rt, status, NULL);
    return status;
}

static PyObject *join(bine_micro *self, int64_t timeout_ns)
{
    return bine__micro_await_end(self, timeout_ns) == BINE_OK ? outcome(self) : NULL;
}

static PyObject *micro_join(bine_micro *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int64_t ns;

    if (bine__timeout_argument(args, nargs, kwnames, "join", &ns) != 0)
        return NULL;
    return join(self, ns);
}

static PyObject *finish_join(PyObject *self)
{
    return join((bine_micro *)self, -1);
}

static PyObject *micro_await(PyObject *self)
{
    return bine__await_object(((bine_micro *)self)->core.rt->python, self, finish_join);
}

static PyObject *micro_cancel(bine_micro *self, PyObject *unused)
{
    (void)unused;
    if (bine_micro_cancel(self) != BINE_OK) {
        PyErr_SetString(PyExc_RuntimeError, "cancel() is for the thread that runs the host's loop");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *bine__frames(PyFrameObject *frame, const PyFrameObject *end)
{
    PyObject *frames = PyList_New(0);

    while (frame != NULL && frame != end && frames != NULL) {
        PyFrameObject *back = PyFrame_GetBack(frame);

        if (PyList_Append(frames, (PyObject *)frame) != 0)
            Py_CLEAR(frames);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    /* Where a frame had no object yet, and there was no memory for one, that looks like the end. */
    if (frames != NULL && (PyErr_Occurred() != NULL || PyList_Reverse(frames) != 0))
        Py_CLEAR(frames);
    return frames;
}

PyObject *bine__micro_stack(bine_micro *self)
{
    bine *rt = self->core.rt;

    if (self->core.done)
        return PyList_New(0);
    if (rt->current == &self->core)
        return bine__frames(PyThreadState_GetFrame(rt->tstate), NULL);
    return bine__frames(bine__suspended_frame(rt->tstate, &self->core), NULL);
}

static PyObject *micro_stack(bine_micro *self, PyObject *unused)
{
    (void)unused;
    if (bine__here == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "stack() is for the thread that runs the host's loop");
        return NULL;
    }
    return bine__micro_stack(self);
}

static PyObject *get_done(bine_micro *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->core.done);
}

static PyObject *get_result(bine_micro *self, void *unused)
{
    (void)unused;
    if (self->core.done)
        return outcome(self);
    PyErr_SetString(PyExc_RuntimeError, "the micro-thread has not ended; join() waits for it");
    return NULL;
}

static PyObject *get_name(bine_micro *self, void *unused)
{
    (void)unused;
    return bine__micro_name(self);
}

static int set_name(bine_micro *self, PyObject *name, void *unused)
{
    (void)unused;
    if (name == NULL || !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "name must be a str");
        return -1;
    }
    Py_XSETREF(self->name, Py_NewRef(name));
    self->named = true;
    return 0;
}

static PyMethodDef micro_methods[] = {
    {"join", (PyCFunction)(void (*)(void))micro_join, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("join($self, /, timeout=None)\n--\n\n"
               "Wait until it has ended and return what its function returned, or raise what it\n"
               "raised. After `timeout` seconds raise bine.Timeout; the micro-thread goes on.")},
    {"cancel", (PyCFunction)micro_cancel, METH_NOARGS,
     PyDoc_STR("cancel($self, /)\n--\n\n"
               "Raise bine.Cancelled where it waits, and again at each later wait, until it ends.\n"
               "One that has not started is dropped. No effect on one that is done.")},
    {"stack", (PyCFunction)micro_stack, METH_NOARGS,
     PyDoc_STR("stack($self, /)\n--\n\n"
               "The frames it is suspended in, the outermost first; [] before it starts and when it\n"
               "is done.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef micro_getset[] = {
    {"done", (getter)get_done, NULL, PyDoc_STR("Whether it has ended, in whatever way."), NULL},
    {"result", (getter)get_result, NULL,
     PyDoc_STR("What its function returned; raises what that raised, and RuntimeError while it lives."),
     NULL},
    {"name", (getter)get_name, (setter)set_name, PyDoc_STR("Stands in reports of errors. Can be set."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef micro_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(bine_micro, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot micro_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR(
         "A function that takes turns with the others on the host's loop; made by bine.spawn().\n\n"
         "It can be awaited, which is join().")},
    {Py_tp_traverse, micro_traverse},
    {Py_tp_clear, micro_clear},
    {Py_tp_finalize, micro_finalize},
    {Py_tp_dealloc, micro_dealloc},
    {Py_tp_repr, micro_repr},
    {Py_tp_methods, micro_methods},
    {Py_tp_getset, micro_getset},
    {Py_tp_members, micro_members},
    {Py_am_await, micro_await},
    {0, NULL},
};

static PyType_Spec micro_spec = {
    .name = "bine.MicroThread",
    .basicsize = sizeof(bine_micro),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = micro_slots,
};

/* ---- await ---- */

typedef struct awaiting {
    PyObject_HEAD
    PyObject *target;
    PyObject *(*finish)(PyObject *target);
} awaiting;

static int await_traverse(awaiting *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->target);
    return 0;
}

static int await_clear(awaiting *self)
{
    Py_CLEAR(self->target);
    return 0;
}

static void await_dealloc(awaiting *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    await_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Ends at once, with the result: the waiting happens inside. */
static PyObject *await_next(awaiting *self)
{
    PyObject *target = Py_XNewRef(self->target); /* the collector may clear it meanwhile */
    PyObject *value = target == NULL ? NULL : self->finish(target);
    PyObject *stop;

    Py_XDECREF(target);
    if (value == NULL)
        return NULL;
    stop = PyObject_CallOneArg(PyExc_StopIteration, value); /* by hand: a tuple must stay one value */
    Py_DECREF(value);
    if (stop != NULL)
        PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    return NULL;
}

static PyType_Slot await_slots[] = {
    {Py_tp_traverse, await_traverse}, {Py_tp_clear, await_clear},   {Py_tp_dealloc, await_dealloc},
    {Py_tp_iter, PyObject_SelfIter},  {Py_tp_iternext, await_next}, {0, NULL},
};

static PyType_Spec await_spec = {
    .name = "bine._Await",
    .basicsize = sizeof(awaiting),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = await_slots,
};

/* Whether it is a callback of an event loop that runs. -1 with an exception. */
static int in_event_loop(void)
{
    PyObject *module = bine__imported("_asyncio"); /* borrowed */
    PyObject *loop = module == NULL ? NULL : PyObject_CallMethod(module, "_get_running_loop", NULL);
    int is = loop != NULL && loop != Py_None;

    Py_XDECREF(loop);
    return PyErr_Occurred() != NULL ? -1 : is;
}

PyObject *bine__await_object(bine__python *py, PyObject *target, PyObject *(*finish)(PyObject *))
{
    int in_loop = in_event_loop();
    awaiting *self;

    if (in_loop < 0)
        return NULL;
    if (in_loop)
        return bine__library_call("eventloop", "await_in_loop", &target, 1, NULL);
    self = PyObject_GC_New(awaiting, py->await_type);
    if (self == NULL)
        return NULL;
    self->target = Py_NewRef(target);
    self->finish = finish;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

int bine__add_micro_type(bine__python *py)
{
    py->micro_type = bine__add_type(py, &micro_spec);
    py->await_type = (PyTypeObject *)PyType_FromSpec(&await_spec);
    return py->micro_type == NULL || py->await_type == NULL ? -1 : 0;
}
