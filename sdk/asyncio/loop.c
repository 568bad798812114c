#include "asyncio/loop.h"

#include "core/pyframe.h"
#include "python/microthread.h"

#include <stdlib.h>
#include <structmember.h>

/* So many callbacks in a row, and the other micro-threads have their turn. */
#define CALLS_PER_TURN 64

static PyTypeObject *loop_type;

bool bine__is_loop(PyObject *object)
{
    return loop_type != NULL && PyObject_TypeCheck(object, loop_type);
}

int bine__loop_check(const bine__loop *loop)
{
    if (!loop->closed && loop->rt != NULL)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
    return -1;
}

int bine__context_argument(const char *method, PyObject *const *named, PyObject *kwnames, PyObject **context)
{
    static const char *const names[] = {"context"};

    *context = NULL;
    if (kwnames == NULL)
        return 0;
    return bine__arguments(method, names, 1, named, 0, kwnames, context);
}

/* ---- who runs it ---- */

static PyObject *describe(const void *what)
{
    const bine__loop *loop = (const bine__loop *)(const void *)((const char *)what -
                                                                offsetof(bine__loop, describe));
    size_t timers = 0;

    for (const bine__due *due = loop->dues; due != NULL; due = due->next)
        timers++;
    return PyUnicode_FromFormat("asyncio's event loop, which has %zu descriptors and %zu timers",
                                loop->watched, timers);
}

static bool has_work(const bine__loop *loop)
{
    return loop->count > 0 || loop->arrived != NULL;
}

static bool is_idle(const bine__loop *loop)
{
    return !has_work(loop) && loop->held == 0 && loop->watched == 0 && loop->dues == NULL;
}

static void spawn_runner(bine *rt, bine__loop *loop)
{
    PyObject *serve = PyObject_GetAttrString((PyObject *)loop, "_serve");
    PyObject *name = serve == NULL ? NULL : PyUnicode_FromString("asyncio");
    bine_micro *micro = name == NULL ? NULL : bine__spawn(rt, serve, NULL, name);

    Py_XDECREF(serve);
    if (micro == NULL)
        bine__python_log_exception(rt, "the shared event loop has no micro-thread");
    Py_XDECREF(micro);
}

/* On the host's stack, so that a runner inherits nothing from whoever was the first to need it. */
static void on_call(bine *rt, bine__job *job)
{
    bine__loop *loop = (bine__loop *)(void *)((char *)job - offsetof(bine__loop, call));

    loop->calling = false;
    if (loop->runner != NULL)
        bine__wake_all(&loop->parked);
    else if (loop->shared && loop->rt != NULL && !rt->closing && !is_idle(loop))
        spawn_runner(rt, loop);
    Py_DECREF(loop);
}

void bine__loop_wake(bine__loop *loop)
{
    if (loop->runner != NULL)
        bine__wake_all(&loop->parked);
    else if (loop->shared && !loop->calling) {
        loop->calling = true;
        Py_INCREF(loop);
        bine__ready(loop->rt, &loop->call);
    }
}

/* From another thread, GIL held. 0, or -1 with an exception. */
static int wake_from_afar(bine__loop *loop)
{
    if (loop->calling)
        return 0;
    loop->calling = true;
    Py_INCREF(loop);
    if (bine__inbox_push(loop->rt->inbox, &loop->call))
        return 0;
    loop->calling = false;
    Py_DECREF(loop);
    PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
    return -1;
}

void bine__loop_arrived(bine__loop *loop, bine__arrival *arrival)
{
    arrival->next = NULL;
    arrival->listed = true;
    *loop->arrived_end = arrival;
    loop->arrived_end = &arrival->next;
    loop->arrivals++;
    if (loop->runner != NULL)
        bine__wake_all(&loop->parked);
}

static bine__arrival *next_arrival(bine__loop *loop)
{
    bine__arrival *arrival = loop->arrived;

    loop->arrived = arrival->next;
    if (loop->arrived == NULL)
        loop->arrived_end = &loop->arrived;
    loop->arrivals--;
    arrival->listed = false;
    return arrival;
}

/* ---- what is ready ---- */

static int grow(bine__loop *loop)
{
    size_t capacity = loop->capacity == 0 ? 64 : loop->capacity * 2;
    PyObject **ring = malloc(capacity * sizeof(PyObject *));

    if (ring == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < loop->count; i++)
        ring[i] = loop->ready[(loop->head + i) & (loop->capacity - 1)];
    free(loop->ready);
    loop->ready = ring;
    loop->capacity = capacity;
    loop->head = 0;
    return 0;
}

/* Takes the handle, even on failure. Any thread. */
static int push(bine__loop *loop, PyObject *handle)
{
    bool idle = loop->count == 0;

    if (loop->count == loop->capacity && grow(loop) != 0) {
        Py_DECREF(handle);
        return -1;
    }
    loop->ready[(loop->head + loop->count) & (loop->capacity - 1)] = handle;
    loop->count++;
    if (bine__here != loop->rt)
        return wake_from_afar(loop);
    if (idle)
        bine__loop_wake(loop);
    return 0;
}

static PyObject *pop(bine__loop *loop)
{
    PyObject *handle = loop->ready[loop->head];

    loop->head = (loop->head + 1) & (loop->capacity - 1);
    loop->count--;
    return handle;
}

/* ---- running a handle ---- */

/* Its runner is told to end: then that is what the exception is, and no failure of the callback's. */
static bool ends_run(const bine__loop *loop, PyObject *exception)
{
    if (PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) ||
        PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt))
        return true;
    return loop->runner != NULL && loop->runner->pending != 0 &&
           bine__is_farewell(bine__python_now, exception);
}

static int callback_failed(bine__loop *loop, PyObject *handle)
{
    PyObject *exception = bine__take_exception();
    PyObject *none;

    if (ends_run(loop, exception)) {
        bine__raise(exception);
        return -1;
    }
    none = PyObject_CallMethod((PyObject *)loop, "_callback_failed", "OO", handle, exception);
    Py_DECREF(exception);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* By asyncio's own method: debug mode looks at how long it takes. */
static int run_slowly(bine__loop *loop, PyObject *handle)
{
    PyObject *none = PyObject_CallMethod((PyObject *)loop, "_run_in_debug", "O", handle);

    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Of asyncio's kind, and nobody has tampered with it. */
static bool is_plain(PyObject *handle)
{
    const PyObject *args;

    if (!Py_IS_TYPE(handle, bine__handles.handle) && !Py_IS_TYPE(handle, bine__handles.timer))
        return false;
    if (bine__handle_is_cancelled(handle))
        return true;
    args = *bine__slot_at(handle, bine__handles.args);
    return args != NULL && PyTuple_CheckExact(args) &&
           *bine__slot_at(handle, bine__handles.callback) != NULL &&
           *bine__slot_at(handle, bine__handles.context) != NULL;
}

int bine__loop_run_handle(bine__loop *loop, PyObject *handle)
{
    PyObject *callback;
    PyObject *args;
    PyObject *context;
    PyObject *result = NULL;

    if (loop->debug || !is_plain(handle))
        return run_slowly(loop, handle);
    if (bine__handle_is_cancelled(handle))
        return 0;
    callback = Py_NewRef(*bine__slot_at(handle, bine__handles.callback)); /* it may cancel itself */
    args = Py_NewRef(*bine__slot_at(handle, bine__handles.args));
    context = Py_NewRef(*bine__slot_at(handle, bine__handles.context));
    if (PyContext_Enter(context) == 0) {
        result = PyObject_Vectorcall(callback, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args),
                                     NULL);
        if (PyContext_Exit(context) != 0)
            Py_CLEAR(result);
    }
    Py_DECREF(context);
    Py_DECREF(args);
    Py_DECREF(callback);
    Py_XDECREF(result);
    return result != NULL ? 0 : callback_failed(loop, handle);
}

/* ---- running ---- */

static PyObject *raise_wait(bine *rt, int status)
{
    return bine__raise_status(rt, status, NULL);
}

/* The others have their turn. -1 with an exception: this one is to end. */
static int give_turn(bine *rt)
{
    int status = BINE__MAY_WAIT(rt) ? BINE_OK : bine__may_wait(rt);

    if (status == BINE_OK) {
        bine__yield(rt);
        if (rt->current->pending == 0)
            return 0;
        status = bine__may_wait(rt);
    }
    if (status == BINE_OK)
        return 0;
    raise_wait(rt, status);
    return -1;
}

/* So many, and then what they have come to: with a thousand connections, one that is read from would be out
 * of the processor's caches by the time that it is answered. */
#define ARRIVALS_PER_ROUND 16

/* What is there now; what comes up meanwhile is for the next round. */
static int run_round(bine__loop *loop)
{
    size_t handles = loop->count;
    size_t arrivals = loop->arrivals < ARRIVALS_PER_ROUND ? loop->arrivals : ARRIVALS_PER_ROUND;
    int status = 0;

    for (size_t i = 1; handles > 0 && status == 0; handles--, i++) {
        PyObject *handle = pop(loop);

        status = bine__loop_run_handle(loop, handle);
        Py_DECREF(handle);
        if (status == 0 && i % CALLS_PER_TURN == 0)
            status = give_turn(loop->rt);
    }
    for (size_t i = 1; arrivals > 0 && status == 0; arrivals--, i++) {
        bine__arrival *arrival = next_arrival(loop);

        status = arrival->run(loop, arrival);
        if (status == 0 && i % CALLS_PER_TURN == 0)
            status = give_turn(loop->rt);
    }
    return status;
}

static int rest(bine__loop *loop)
{
    int status;

    if (has_work(loop))
        return give_turn(loop->rt);
    if (loop->shared && is_idle(loop)) {
        loop->stopping = true;
        return 0;
    }
    status = bine__await(loop->rt, &loop->parked, BINE__NEVER, &loop->describe);
    if (status == BINE_OK)
        return 0;
    raise_wait(loop->rt, status);
    return -1;
}

/* asyncio's loop looks at its descriptors at least once in each run, however short. A host that polls by
 * itself has done so. */
static void look(const bine__loop *loop)
{
    bine__reactor *reactor = loop->rt->reactor;

    if (loop->watched > 0 && reactor->kind->poll != NULL)
        reactor->kind->poll(reactor, 0);
}

/* _run_once(): until it is stopped. */
static PyObject *loop_run(bine__loop *loop, PyObject *none)
{
    bine *rt = bine__here;
    int status = 0;

    (void)none;
    if (bine__loop_check(loop) != 0)
        return NULL;
    if (rt == NULL || rt != loop->rt || rt->current == &rt->host)
        return bine__raise_status(NULL, BINE_EMICRO, "a bine.EventLoop runs in a micro-thread");
    if (loop->runner != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "This event loop is already running");
        return NULL;
    }
    loop->runner = rt->current;
    look(loop);
    while (status == 0) {
        status = run_round(loop);
        if (status != 0 || loop->stopping)
            break;
        status = rest(loop);
        if (loop->stopping && !has_work(loop))
            break;
    }
    loop->runner = NULL;
    if (loop->shared && !is_idle(loop)) /* somebody has stopped it, or left it by an exception */
        bine__loop_wake(loop);
    return status != 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- calls ---- */

static PyObject *call_by_name(bine__loop *loop, const char *method, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    PyObject *function = PyObject_GetAttrString((PyObject *)loop, method);
    PyObject *result = function == NULL ? NULL : PyObject_Vectorcall(function, args, (size_t)nargs, kwnames);

    Py_XDECREF(function);
    return result;
}

static PyObject *call(bine__loop *loop, const char *method, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    PyObject *context;
    PyObject *handle;

    if (nargs < 1) {
        PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: 'callback'", method);
        return NULL;
    }
    if (bine__loop_check(loop) != 0 || bine__context_argument(method, args + nargs, kwnames, &context) != 0)
        return NULL;
    handle = bine__handle_new(bine__handles.handle, loop, args[0], args + 1, nargs - 1, context);
    if (handle == NULL)
        return NULL;
    if (push(loop, Py_NewRef(handle)) == 0)
        return handle;
    Py_DECREF(handle);
    return NULL;
}

static PyObject *call_soon(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (loop->debug)
        return call_by_name(loop, "_call_soon_debug", args, nargs, kwnames);
    return call(loop, "call_soon", args, nargs, kwnames);
}

static PyObject *call_soon_threadsafe(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs,
                                      PyObject *kwnames)
{
    if (loop->debug)
        return call_by_name(loop, "_call_soon_threadsafe_debug", args, nargs, kwnames);
    return call(loop, "call_soon_threadsafe", args, nargs, kwnames);
}

/* create_future() */
static PyObject *create_future(bine__loop *loop, PyObject *none)
{
    static PyObject *names; /* ("loop",) */
    PyObject *self = (PyObject *)loop;

    (void)none;
    if (names == NULL)
        names = Py_BuildValue("(s)", "loop");
    return names == NULL ? NULL : PyObject_Vectorcall(bine__handles.future, &self, 0, names);
}

/* _push(handle): one of asyncio's own is ready. */
static PyObject *loop_push(bine__loop *loop, PyObject *handle)
{
    if (!PyObject_TypeCheck(handle, bine__handles.handle)) {
        PyErr_Format(PyExc_TypeError, "an asyncio.Handle is needed, not %.100s", Py_TYPE(handle)->tp_name);
        return NULL;
    }
    if (bine__loop_check(loop) != 0 || push(loop, Py_NewRef(handle)) != 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _hold(n): so many more, or less, for whom a runner that has nothing to do stays. */
static PyObject *loop_hold(bine__loop *loop, PyObject *count)
{
    Py_ssize_t n = PyLong_AsSsize_t(count);

    if (n == -1 && PyErr_Occurred())
        return NULL;
    loop->held += n;
    if (loop->rt != NULL && bine__here == loop->rt)
        bine__loop_wake(loop);
    Py_RETURN_NONE;
}

static void drop_ready(bine__loop *loop)
{
    while (loop->count > 0)
        Py_DECREF(pop(loop));
}

/* Nothing of the reactor's knows it any more. */
static void end(bine__loop *loop)
{
    if (loop->here != NULL) {
        *loop->here = loop->next;
        if (loop->next != NULL)
            loop->next->here = loop->here;
        loop->here = NULL;
    }
    while (loop->arrived != NULL)
        (void)next_arrival(loop);
    bine__dues_drop(loop);
    bine__endpoints_drop(loop);
    drop_ready(loop);
}

static void end_and_release(void *object)
{
    end(object);
    Py_DECREF((PyObject *)object);
}

/* On the runtime's thread, at once or soon. */
static void end_on_owner(bine__loop *loop)
{
    if (loop->here == NULL)
        return;
    if (loop->rt == NULL || bine__here == loop->rt) {
        end(loop);
        return;
    }
    Py_INCREF(loop);
    bine__release_later(loop->rt, loop, end_and_release);
}

/* _end(): close()'s part in C. */
static PyObject *loop_end(bine__loop *loop, PyObject *none)
{
    (void)none;
    if (loop->runner != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
        return NULL;
    }
    end_on_owner(loop);
    Py_RETURN_NONE;
}

void bine__loops_close(bine__python *py)
{
    while (py->loops != NULL) {
        bine__loop *loop = py->loops;

        Py_INCREF(loop);
        end(loop);
        loop->rt = NULL;
        Py_DECREF(loop);
    }
}

/* ---- the object ---- */

static PyObject *loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    bine__python *py = bine__python_now;
    bine__loop *loop;

    (void)args;
    (void)kwargs;
    if (bine__here == NULL || py->rt == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a bine.EventLoop is made on the thread that runs the host's loop");
        return NULL;
    }
    loop = bine__handles_open() != 0 ? NULL : (bine__loop *)(void *)type->tp_alloc(type, 0);
    if (loop == NULL)
        return NULL;
    loop->rt = bine__here;
    loop->describe = describe;
    loop->arrived_end = &loop->arrived;
    loop->call.run = on_call;
    loop->next = py->loops;
    loop->here = &py->loops;
    if (loop->next != NULL)
        loop->next->here = &loop->next;
    py->loops = loop;
    return (PyObject *)loop;
}

static int loop_traverse(bine__loop *loop, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(loop));
    for (size_t i = 0; i < loop->count; i++)
        Py_VISIT(loop->ready[(loop->head + i) & (loop->capacity - 1)]);
    for (bine__due *due = loop->dues; due != NULL; due = due->next)
        Py_VISIT(bine__timer_of(due));
    for (size_t i = 0; i < loop->endpoints_size; i++) {
        if (loop->endpoints[i] == NULL)
            continue;
        Py_VISIT(loop->endpoints[i]->reader);
        Py_VISIT(loop->endpoints[i]->writer);
    }
    return 0;
}

static int loop_clear(bine__loop *loop)
{
    end(loop);
    return 0;
}

/* One that is dropped on another thread lives until the runtime's has ended it. */
static void loop_finalize(PyObject *self)
{
    end_on_owner((bine__loop *)(void *)self);
}

/* Dropped on another thread by a subclass that does not finalize: what the reactor knows of it stays, and
 * does nothing. */
static void abandon(bine__loop *loop)
{
    for (size_t i = 0; i < loop->endpoints_size; i++)
        if (loop->endpoints[i] != NULL)
            loop->endpoints[i]->loop = NULL;
    for (bine__due *due = loop->dues; due != NULL; due = due->next)
        due->loop = NULL;
    *loop->here = loop->next;
    if (loop->next != NULL)
        loop->next->here = loop->here;
}

static void loop_dealloc(bine__loop *loop)
{
    PyTypeObject *type = Py_TYPE(loop);

    if (Py_IS_TYPE(loop, loop_type) && PyObject_CallFinalizerFromDealloc((PyObject *)loop) != 0)
        return;
    PyObject_GC_UnTrack(loop);
    if (loop->here != NULL && loop->rt != NULL && bine__here != loop->rt)
        abandon(loop);
    else
        end(loop);
    free(loop->ready);
    free(loop->buffer);
    type->tp_free(loop);
    Py_DECREF(type);
}

static bool *flag_at(bine__loop *loop, void *offset)
{
    return (bool *)(void *)((char *)loop + (uintptr_t)offset);
}

static PyObject *get_flag(bine__loop *loop, void *offset)
{
    return PyBool_FromLong(*flag_at(loop, offset));
}

static int set_flag(bine__loop *loop, PyObject *value, void *offset)
{
    int is = value == NULL ? 0 : PyObject_IsTrue(value);

    if (is < 0)
        return -1;
    *flag_at(loop, offset) = is;
    return 0;
}

#define METHOD(name, function, flags)                              \
    {                                                              \
        name, (PyCFunction)(void (*)(void))(function), flags, NULL \
    }

static PyMethodDef loop_methods[] = {
    METHOD("_run_once", loop_run, METH_NOARGS),
    METHOD("create_future", create_future, METH_NOARGS),
    METHOD("_push", loop_push, METH_O),
    METHOD("_hold", loop_hold, METH_O),
    METHOD("_end", loop_end, METH_NOARGS),
    METHOD("call_soon", call_soon, METH_FASTCALL | METH_KEYWORDS),
    METHOD("call_soon_threadsafe", call_soon_threadsafe, METH_FASTCALL | METH_KEYWORDS),
    METHOD("time", bine__loop_time, METH_NOARGS),
    METHOD("call_later", bine__loop_call_later, METH_FASTCALL | METH_KEYWORDS),
    METHOD("call_at", bine__loop_call_at, METH_FASTCALL | METH_KEYWORDS),
    METHOD("_timer_handle_cancelled", bine__loop_timer_cancelled, METH_O),
    METHOD("_add_reader", bine__loop_add_reader, METH_FASTCALL),
    METHOD("_add_writer", bine__loop_add_writer, METH_FASTCALL),
    METHOD("_remove_reader", bine__loop_remove_reader, METH_O),
    METHOD("_remove_writer", bine__loop_remove_writer, METH_O),
    METHOD("_handles_of", bine__loop_handles_of, METH_O),
    {NULL, NULL, 0, NULL},
};

#define FLAG(name, field)                                                                   \
    {                                                                                       \
        name, (getter)get_flag, (setter)set_flag, NULL, (void *)offsetof(bine__loop, field) \
    }

static PyGetSetDef loop_getset[] = {
    FLAG("_debug", debug),   FLAG("_stopping", stopping),    FLAG("_closed", closed),
    FLAG("_shared", shared), {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot loop_slots[] = {
    {Py_tp_new, loop_new},           {Py_tp_traverse, loop_traverse},
    {Py_tp_clear, loop_clear},       {Py_tp_dealloc, loop_dealloc},
    {Py_tp_methods, loop_methods},   {Py_tp_getset, loop_getset},
    {Py_tp_finalize, loop_finalize}, {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "bine._Loop",
    .basicsize = sizeof(bine__loop),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = loop_slots,
};

PyObject *bine__loop_types(PyObject *unused, PyObject *none)
{
    PyObject *stream = PyType_FromSpec(&bine__stream_spec);

    (void)unused;
    (void)none;
    if (stream != NULL && loop_type == NULL)
        loop_type = (PyTypeObject *)PyType_FromSpec(&loop_spec);
    if (stream != NULL && loop_type != NULL)
        return Py_BuildValue("(ON)", loop_type, stream);
    Py_XDECREF(stream);
    return NULL;
}
