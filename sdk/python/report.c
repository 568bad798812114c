/* How a script's error gets to the host: as data, at a turn of its own, on the host's stack. */
#include "python/report.h"

#include "data/value.h"
#include "python/frames.h"
#include "python/microthread.h"
#include "python/python.h"

#include <stdlib.h>
#include <string.h>

/* A bine_error with what it owns. */
typedef struct owned_error {
    bine_error public; /* first */
    bine__framelist list;
    bine_error *cause;
    bine_error **group;
} owned_error;

/* Causes and members go as deep as this at the most. */
#define DEPTH_MAX 64

/* "ValueError", "mymodule.Trouble". */
static char *type_name(PyObject *exception)
{
    PyObject *type = (PyObject *)Py_TYPE(exception);
    PyObject *name = PyObject_GetAttrString(type, "__qualname__");
    PyObject *module = PyObject_GetAttrString(type, "__module__");
    PyObject *full = NULL;
    PyObject *bytes = NULL;
    char *copy;

    if (name != NULL && module != NULL && PyUnicode_Check(module) &&
        PyUnicode_CompareWithASCIIString(module, "builtins") != 0 &&
        PyUnicode_CompareWithASCIIString(module, "__main__") != 0)
        full = PyUnicode_FromFormat("%U.%S", module, name);
    PyErr_Clear();
    if (full != NULL || name != NULL)
        bytes = PyUnicode_AsEncodedString(full != NULL ? full : name, "utf-8", "backslashreplace");
    PyErr_Clear();
    copy = bine__copy_text(bytes != NULL ? PyBytes_AS_STRING(bytes) : Py_TYPE(exception)->tp_name);
    Py_XDECREF(bytes);
    Py_XDECREF(full);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return copy;
}

static int add_frame(owned_error *error, PyTracebackObject *tb, PyObject *lines)
{
    PyCodeObject *code = PyFrame_GetCode(tb->tb_frame);
    PyObject *line = PyObject_GetAttrString((PyObject *)tb, "tb_lineno"); /* computed when asked for */
    int number = line == NULL || line == Py_None ? 0 : (int)PyLong_AsLong(line);
    int status;

    PyErr_Clear();
    status = bine__framelist_add(&error->list, code, number, lines);
    Py_XDECREF(line);
    Py_DECREF(code);
    return status;
}

/* New, or NULL. On 3.11 __traceback__ may be None. */
static PyObject *traceback_of(PyObject *exception)
{
    PyObject *tb = PyException_GetTraceback(exception);

    if (tb == Py_None)
        Py_CLEAR(tb);
    return tb;
}

static int add_frames(owned_error *error, PyObject *exception)
{
    PyObject *tb = traceback_of(exception);
    PyObject *lines = tb == NULL ? NULL : bine__line_reader();
    int status = 0;

    while (tb != NULL && status == 0) { /* held: looking for its line may run any code */
        status = add_frame(error, (PyTracebackObject *)tb, lines);
        Py_SETREF(tb, Py_XNewRef((PyObject *)((PyTracebackObject *)tb)->tb_next));
    }
    Py_XDECREF(lines);
    Py_XDECREF(tb);
    error->public.frames = error->list.frames;
    error->public.frame_count = error->list.count;
    return status;
}

/* As Python prints it, by its own module; with what hangs on it, or alone. NULL when even that fails. */
static char *formatted(PyObject *exception, bool chain)
{
    PyObject *kwargs = Py_BuildValue("{sO}", "chain", chain ? Py_True : Py_False);
    PyObject *args = PyTuple_Pack(1, exception);
    PyObject *format = NULL;
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *lines = NULL;
    PyObject *empty = NULL;
    PyObject *text = NULL;
    char *copy = NULL;

    if (module != NULL)
        format = PyObject_GetAttrString(module, "format_exception");
    if (format != NULL && args != NULL && kwargs != NULL)
        lines = PyObject_Call(format, args, kwargs);
    if (lines != NULL)
        empty = PyUnicode_FromString("");
    if (empty != NULL)
        text = PyUnicode_Join(empty, lines);
    if (text != NULL)
        copy = bine__text_of(text);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    Py_XDECREF(module);
    Py_XDECREF(format);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return copy;
}

static char *plain(const bine_error *error)
{
    size_t size = strlen(error->type) + strlen(error->message) + 4;
    char *text = malloc(size);

    if (text != NULL)
        snprintf(text, size, "%s: %s\n", error->type, error->message);
    return text;
}

/* Says nothing yet but these two (taken; NULL: memory is out). New, or NULL. */
static owned_error *new_error(int code, char *type, char *message)
{
    owned_error *error = calloc(1, sizeof *error);

    if (error == NULL) {
        free(type);
        free(message);
        return NULL;
    }
    error->public.code = code;
    error->public.type = type;
    error->public.message = message;
    error->public.micro_name = bine__copy_text("");
    error->public.spawn_file = bine__copy_text("");
    if (type != NULL && message != NULL && error->public.micro_name != NULL &&
        error->public.spawn_file != NULL)
        return error;
    bine_error_free(&error->public);
    return NULL;
}

/* `error` (taken), complete with its text (taken; NULL: a plain one); NULL when memory is out. */
static bine_error *with_text(owned_error *error, char *text)
{
    error->public.text = text != NULL ? text : plain(&error->public);
    if (error->public.text != NULL)
        return &error->public;
    bine_error_free(&error->public);
    return NULL;
}

/* On the way through what hangs on an exception. As in traceback, a cause that has been met before is not
 * told again: causes may go round in a circle, and circles through groups branch. */
typedef struct walk {
    PyObject *met; /* a set of ids; NULL when memory is out: no causes then */
    int depth;
} walk;

static bine_error *describe(PyObject *exception, walk *way);

static bool first_meeting(const walk *way, PyObject *exception)
{
    PyObject *id = way->met == NULL ? NULL : PyLong_FromVoidPtr(exception);
    bool first = id != NULL && PySet_Contains(way->met, id) == 0 && PySet_Add(way->met, id) == 0;

    PyErr_Clear();
    Py_XDECREF(id);
    return first;
}

/* What it was raised from, or while handling what: a new reference or NULL. */
static PyObject *cause_of(PyObject *exception, bool *is_context)
{
    PyObject *cause = PyException_GetCause(exception);

    *is_context = false;
    if (cause != NULL || ((PyBaseExceptionObject *)exception)->suppress_context)
        return cause;
    *is_context = true;
    return PyException_GetContext(exception);
}

static int add_cause(owned_error *error, PyObject *exception, walk *way)
{
    PyObject *cause = cause_of(exception, &error->public.cause_is_context);

    if (cause == NULL || way->depth > DEPTH_MAX || !first_meeting(way, cause)) {
        error->public.cause_is_context = false;
        Py_XDECREF(cause);
        return 0;
    }
    error->cause = describe(cause, way);
    error->public.cause = error->cause;
    Py_DECREF(cause);
    return error->cause != NULL ? 0 : -1;
}

static int add_members(owned_error *error, PyObject *members, walk *way)
{
    error->group = calloc((size_t)PyTuple_GET_SIZE(members) + 1, sizeof *error->group);
    if (error->group == NULL)
        return -1;
    error->public.group = (const bine_error *const *)error->group;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members); i++) {
        PyObject *member = PyTuple_GET_ITEM(members, i);

        if (!PyExceptionInstance_Check(member))
            continue;                     /* a subclass has an attribute of that name */
        (void)first_meeting(way, member); /* told here in any case */
        error->group[error->public.group_count] = describe(member, way);
        if (error->group[error->public.group_count] == NULL)
            return -1;
        error->public.group_count++;
    }
    return 0;
}

static int add_group(owned_error *error, PyObject *exception, walk *way)
{
    PyObject *members;
    int status = 0;

    if (way->depth > DEPTH_MAX || !PyErr_GivenExceptionMatches(exception, PyExc_BaseExceptionGroup))
        return 0;
    members = PyObject_GetAttrString(exception, "exceptions");
    if (members != NULL && PyTuple_Check(members))
        status = add_members(error, members, way);
    PyErr_Clear();
    Py_XDECREF(members);
    return status;
}

/* An exception and what hangs on it; who raised it is left out. */
static bine_error *describe_parts(PyObject *exception, walk *way)
{
    char *type = type_name(exception);
    owned_error *error = new_error(BINE_ESCRIPT, type, bine__text_of(exception));
    char *text = NULL;

    if (error == NULL)
        return NULL;
    if (add_frames(error, exception) == 0 && add_cause(error, exception, way) == 0 &&
        add_group(error, exception, way) == 0)
        text = formatted(exception, way->depth == 1);
    return with_text(error, text);
}

static bine_error *describe(PyObject *exception, walk *way)
{
    bine_error *e;

    way->depth++;
    e = describe_parts(exception, way);
    way->depth--;
    return e;
}

static bine_error *describe_all(PyObject *exception)
{
    walk way = {.met = PySet_New(NULL)};
    bine_error *e;

    (void)first_meeting(&way, exception);
    e = describe(exception, &way);
    PyErr_Clear();
    Py_XDECREF(way.met);
    return e;
}

static int set_text(const char **field, const char *text)
{
    char *copy = bine__copy_text(text);

    if (copy == NULL)
        return -1;
    free((char *)(uintptr_t)*field);
    *field = copy;
    return 0;
}

bine_error *bine__error_new(PyObject *exception, const char *micro_name, const char *spawn_file,
                            int spawn_line)
{
    bine_error *e;

    if (bine__python_now->sources != NULL)
        bine__publish_sources(bine__python_now);
    e = describe_all(exception);
    if (e == NULL)
        return NULL;
    e->spawn_line = spawn_line;
    if (set_text(&e->micro_name, micro_name) == 0 && set_text(&e->spawn_file, spawn_file) == 0)
        return e;
    bine_error_free(e);
    return NULL;
}

/* Of a rejection by the host, who says no more than this. */
static bine_error *plain_error(int code, const char *type, const char *message)
{
    owned_error *error = new_error(code, bine__copy_text(type), bine__copy_text(message));

    return error == NULL ? NULL : with_text(error, NULL);
}

/* One without what hangs on it; the causes of a chain one after the other, not in ever deeper calls. */
static void free_one(owned_error *error)
{
    bine__framelist_clear(&error->list);
    for (size_t i = 0; i < error->public.group_count; i++)
        bine_error_free(error->group[i]);
    free(error->group);
    free((char *)(uintptr_t)error->public.type);
    free((char *)(uintptr_t)error->public.message);
    free((char *)(uintptr_t)error->public.micro_name);
    free((char *)(uintptr_t)error->public.spawn_file);
    free((char *)(uintptr_t)error->public.text);
    free(error);
}

void bine_error_free(bine_error *e)
{
    while (e != NULL) {
        owned_error *error = (owned_error *)(void *)e;

        e = error->cause;
        free_one(error);
    }
}

void bine_error_print(const bine_error *error, FILE *stream)
{
    if (error == NULL)
        return;
    if (*error->micro_name != '\0')
        fprintf(stream, "Exception in micro-thread '%s'", error->micro_name);
    else
        fputs("Exception", stream);
    if (*error->spawn_file != '\0')
        fprintf(stream, " (spawned at %s:%d)", error->spawn_file, error->spawn_line);
    fprintf(stream, ":\n%s", error->text);
    fflush(stream);
}

/* ---- telling the host ---- */

typedef struct report {
    bine__job job; /* first */
    PyObject *exception;
    PyObject *name;
    PyObject *file;
    int line;
} report;

static const char *utf8(PyObject *text)
{
    const char *s = text == NULL ? NULL : PyUnicode_AsUTF8(text);

    if (s == NULL)
        PyErr_Clear();
    return s;
}

/* Gives it to the host; `error` is taken, NULL: there was no memory for it. */
static void give_to_host(bine *rt, bine_error *error)
{
    if (error == NULL)
        bine__log(rt, BINE_LOG_ERROR, "a script has failed, and there is no memory to say how");
    else if (rt->config.on_unhandled != NULL)
        rt->config.on_unhandled(rt, error, rt->config.user);
    else if (*error->micro_name != '\0')
        bine__log(rt, BINE_LOG_ERROR, "micro-thread '%s': %s", error->micro_name, error->text);
    else
        bine__log(rt, BINE_LOG_ERROR, "a rejection that nobody took: %s", error->text);
    bine_error_free(error);
}

static void tell(bine *rt, const report *r)
{
    give_to_host(rt, bine__error_new(r->exception, utf8(r->name), utf8(r->file), r->line));
}

static void run_report(bine *rt, bine__job *job)
{
    report *r = (report *)(void *)job;

    tell(rt, r);
    Py_XDECREF(r->exception);
    Py_XDECREF(r->name);
    Py_XDECREF(r->file);
    free(r);
}

void bine__report_later(bine *rt, bine_micro *micro, PyObject *exception)
{
    report *r = malloc(sizeof *r);

    if (r == NULL) {
        bine__log(rt, BINE_LOG_ERROR, "a script has failed, and there is no memory to say how");
        Py_DECREF(exception);
        return;
    }
    r->job.run = run_report;
    r->exception = exception;
    r->name = bine__micro_name(micro);
    r->file = bine__micro_site(micro, &r->line);
    PyErr_Clear();
    if (rt == bine__here)
        bine__ready(rt, &r->job);
    else if (!bine__inbox_push(rt->inbox, &r->job)) /* the last handle went on another thread */
        run_report(rt, &r->job);
}

/* ---- results ---- */

bine__result bine__result_of(bine *rt, PyObject *holder, PyObject *exception)
{
    bine__result r = {.state = BINE_ESCRIPT};
    char *type = type_name(exception);
    char *text = bine__text_of(exception);
    char *message = NULL;

    r.value = bine__value_holding(rt, holder);
    if (type != NULL && text != NULL && asprintf(&message, *text != '\0' ? "%s: %s" : "%s", type, text) >= 0)
        r.message = bine_value_str(message);
    free(message);
    free(text);
    free(type);
    if (r.value != NULL)
        return r;
    bine__result_free(&r);
    return (bine__result){.state = BINE_ENOMEM};
}

bool bine__python_take_failure(bine *rt, bine__result *out)
{
    PyObject *exception;

    if (PyErr_Occurred() == NULL)
        return false;
    exception = bine__take_exception();
    *out = bine__result_of(rt, exception, exception);
    Py_DECREF(exception);
    return true;
}

/* The exception that a rejection of a script's holds (borrowed), and whose it is; or NULL. */
static PyObject *held_exception(const bine__result *r, bine_micro **micro)
{
    PyObject *object = r->state == BINE_ESCRIPT && r->value != NULL ? bine__value_object(r->value) : NULL;

    *micro = NULL;
    if (object == NULL || PyExceptionInstance_Check(object))
        return object;
    *micro = (bine_micro *)object;
    return (*micro)->error;
}

void bine__python_saw(const bine__result *r)
{
    bine_micro *micro;

    if (held_exception(r, &micro) != NULL && micro != NULL)
        micro->told = true;
}

PyObject *bine__result_exception(const bine__result *r)
{
    bine_micro *micro;

    return Py_XNewRef(held_exception(r, &micro));
}

bine_error *bine__error_of_micro(bine_micro *micro)
{
    int line;
    PyObject *name = bine__micro_name(micro);
    PyObject *file = bine__micro_site(micro, &line);
    bine_error *error;

    PyErr_Clear();
    error = bine__error_new(micro->error, utf8(name), utf8(file), line);
    Py_XDECREF(file);
    Py_XDECREF(name);
    return error;
}

static const char *host_type(int code)
{
    switch (code) {
    case BINE_ETIMEDOUT:
        return "bine.Timeout";
    case BINE_ENOMEM:
        return "MemoryError";
    default:
        return "bine.HostError";
    }
}

static bine_error *error_of(const bine__result *r)
{
    bine_micro *micro;
    PyObject *exception = held_exception(r, &micro);
    const char *message = bine__result_message(r);

    if (micro != NULL)
        return bine__error_of_micro(micro);
    if (exception != NULL)
        return bine__error_new(exception, "", "", 0);
    return plain_error(r->state, host_type(r->state), *message != '\0' ? message : bine_strerror(r->state));
}

bine_error *bine__python_error_of(bine *rt, const bine__result *r)
{
    bine_error *error;

    bine__gil_take(rt);
    error = error_of(r);
    bine__gil_give(rt);
    return error;
}

void bine__python_report_rejection(bine *rt, bine_deferred *d)
{
    bine_micro *micro;

    (void)held_exception(&d->settled, &micro);
    if (micro != NULL && micro->told)
        return; /* by another deferred for the same end, or a handle */
    if (micro != NULL)
        micro->told = true;
    give_to_host(rt, error_of(&d->settled));
}

const bine_error *bine_deferred_error(bine_deferred *d)
{
    if (d != NULL && d->error != NULL)
        return d->error; /* also when the runtime has gone */
    if (d == NULL || d->settled.state >= 0 || bine__here != d->rt)
        return NULL;
    bine__python_saw(bine__deferred_take(d));
    if (d->error == NULL)
        d->error = bine__python_error_of(d->rt, &d->settled);
    return d->error;
}

/* ---- at the end ---- */

void bine__python_report_failed(bine *rt)
{
    while (rt->python->failed != NULL) {
        bine_micro *micro = rt->python->failed;

        bine__micro_take_error(micro);
        bine__report_later(rt, micro, Py_NewRef(micro->error));
    }
}

void bine__python_log_exception(bine *rt, const char *where)
{
    PyObject *exception = bine__take_exception();
    bine_error *error = exception == NULL ? NULL : bine__error_new(exception, "", "", 0);

    bine__log(rt, BINE_LOG_ERROR, "%s: %s", where, error != NULL ? error->text : "out of memory");
    bine_error_free(error);
    Py_XDECREF(exception);
}

void bine__python_end_callback(bine *rt, const char *what)
{
    if (PyErr_Occurred() != NULL)
        bine__python_log_exception(rt, what);
}
