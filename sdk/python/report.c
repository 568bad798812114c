/* How a script's error gets to the host: as data, at a turn of its own, on the host's stack. */
#include "python/report.h"

#include "python/microthread.h"
#include "python/python.h"

#include <stdlib.h>
#include <string.h>

/* A bine_error with what it owns. */
typedef struct owned_error {
    bine_error public; /* first */
    bine_frame *frames;
    size_t capacity;
} owned_error;

static char *copy_text(const char *text)
{
    return strdup(text == NULL ? "" : text);
}

/* str(object), whatever happens; new C text or NULL when memory is out. */
static char *text_of(PyObject *object)
{
    PyObject *text = object == NULL ? NULL : PyObject_Str(object);
    PyObject *bytes = text == NULL ? NULL : PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    char *copy = bytes != NULL ? copy_text(PyBytes_AS_STRING(bytes)) : copy_text("<its str() failed>");

    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    return copy;
}

/* "ValueError", "mymodule.Trouble". */
static char *type_name(PyObject *exception)
{
    PyObject *type = (PyObject *)Py_TYPE(exception);
    PyObject *name = PyObject_GetAttrString(type, "__qualname__");
    PyObject *module = PyObject_GetAttrString(type, "__module__");
    PyObject *full = NULL;
    char *copy;

    if (name != NULL && module != NULL && PyUnicode_Check(module) &&
        PyUnicode_CompareWithASCIIString(module, "builtins") != 0 &&
        PyUnicode_CompareWithASCIIString(module, "__main__") != 0)
        full = PyUnicode_FromFormat("%U.%S", module, name);
    PyErr_Clear();
    copy = full != NULL   ? text_of(full)
           : name != NULL ? text_of(name)
                          : copy_text(Py_TYPE(exception)->tp_name);
    Py_XDECREF(full);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return copy;
}

static int add_frame(owned_error *error, PyTracebackObject *tb)
{
    PyCodeObject *code = PyFrame_GetCode(tb->tb_frame);
    PyObject *line = PyObject_GetAttrString((PyObject *)tb, "tb_lineno"); /* computed when asked for */
    bine_frame *frames = error->frames;
    bine_frame *frame;

    if (error->public.frame_count == error->capacity) {
        error->capacity = error->capacity == 0 ? 16 : error->capacity * 2;
        frames = realloc(frames, error->capacity * sizeof *frames);
    }
    if (frames == NULL) {
        Py_XDECREF(line);
        Py_DECREF(code);
        return -1;
    }
    error->frames = frames;
    frame = &frames[error->public.frame_count++];
    frame->file = text_of(code->co_filename);
    frame->function = text_of(code->co_qualname);
    frame->line = line == NULL || line == Py_None ? 0 : (int)PyLong_AsLong(line);
    PyErr_Clear();
    Py_XDECREF(line);
    Py_DECREF(code);
    return frame->file != NULL && frame->function != NULL ? 0 : -1;
}

static int add_frames(owned_error *error, PyObject *exception)
{
    PyObject *tb = PyException_GetTraceback(exception);
    int status = 0;

    for (PyObject *at = tb; at != NULL && status == 0; at = (PyObject *)((PyTracebackObject *)at)->tb_next)
        status = add_frame(error, (PyTracebackObject *)at);
    Py_XDECREF(tb);
    error->public.frames = error->frames;
    return status;
}

/* linecache's entry for `source`: its size, no date, its lines, its name. New. */
static PyObject *cache_entry(PyObject *name, PyObject *source)
{
    PyObject *text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(source), PyBytes_GET_SIZE(source), "replace");
    PyObject *lines = text == NULL ? NULL : PyUnicode_Splitlines(text, 1);
    PyObject *entry = lines == NULL ? NULL
                                    : Py_BuildValue("(nOOO)", PyBytes_GET_SIZE(source), Py_None, lines, name);

    Py_XDECREF(lines);
    Py_XDECREF(text);
    return entry;
}

/* Not before an error is to be shown: linecache takes some milliseconds to import. */
void bine__publish_sources(bine__python *py)
{
    PyObject *module = PyDict_GET_SIZE(py->sources) == 0 ? NULL : PyImport_ImportModule("linecache");
    PyObject *cache = module == NULL ? NULL : PyObject_GetAttrString(module, "cache");
    PyObject *name;
    PyObject *source;
    Py_ssize_t at = 0;

    while (cache != NULL && PyDict_Next(py->sources, &at, &name, &source)) {
        PyObject *entry = cache_entry(name, source);

        if (entry != NULL)
            PyObject_SetItem(cache, name, entry);
        PyErr_Clear();
        Py_XDECREF(entry);
    }
    if (cache != NULL)
        PyDict_Clear(py->sources);
    PyErr_Clear();
    Py_XDECREF(cache);
    Py_XDECREF(module);
}

/* As Python prints it, by its own module; NULL when even that fails. */
static char *formatted(PyObject *exception)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *lines = NULL;
    PyObject *empty = NULL;
    PyObject *text = NULL;
    char *copy = NULL;

    if (module != NULL)
        lines = PyObject_CallMethod(module, "format_exception", "O", exception);
    if (lines != NULL)
        empty = PyUnicode_FromString("");
    if (empty != NULL)
        text = PyUnicode_Join(empty, lines);
    if (text != NULL)
        copy = text_of(text);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    Py_XDECREF(module);
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

bine_error *bine__error_new(PyObject *exception, const char *micro_name, const char *spawn_file,
                            int spawn_line)
{
    owned_error *error = calloc(1, sizeof *error);
    bine_error *e;

    if (error == NULL)
        return NULL;
    e = &error->public;
    e->code = BINE_ESCRIPT;
    e->spawn_line = spawn_line;
    e->type = type_name(exception);
    e->message = text_of(exception);
    e->micro_name = copy_text(micro_name);
    e->spawn_file = copy_text(spawn_file);
    if (e->type == NULL || e->message == NULL || e->micro_name == NULL || e->spawn_file == NULL ||
        add_frames(error, exception) != 0)
        goto failed;
    if (bine__python_now->sources != NULL)
        bine__publish_sources(bine__python_now);
    e->text = formatted(exception);
    if (e->text == NULL)
        e->text = plain(e);
    if (e->text == NULL)
        goto failed;
    return e;

failed:
    bine__error_free(e);
    return NULL;
}

void bine__error_free(bine_error *e)
{
    owned_error *error = (owned_error *)(void *)e;

    if (e == NULL)
        return;
    for (size_t i = 0; i < e->frame_count; i++) {
        free((char *)(uintptr_t)error->frames[i].file);
        free((char *)(uintptr_t)error->frames[i].function);
    }
    free(error->frames);
    free((char *)(uintptr_t)e->type);
    free((char *)(uintptr_t)e->message);
    free((char *)(uintptr_t)e->micro_name);
    free((char *)(uintptr_t)e->spawn_file);
    free((char *)(uintptr_t)e->text);
    free(error);
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

static void tell(bine *rt, const report *r)
{
    bine_error *error = bine__error_new(r->exception, utf8(r->name), utf8(r->file), r->line);

    if (error == NULL)
        bine__log(rt, BINE_LOG_ERROR, "a script has failed, and there is no memory to say how");
    else if (rt->config.on_unhandled != NULL)
        rt->config.on_unhandled(rt, error, rt->config.user);
    else
        bine__log(rt, BINE_LOG_ERROR, "micro-thread '%s': %s", error->micro_name, error->text);
    bine__error_free(error);
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
    bine__error_free(error);
    Py_XDECREF(exception);
}

static void log_frame(bine *rt, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    const char *file = utf8(code->co_filename);
    const char *function = utf8(code->co_qualname);

    bine__log(rt, BINE_LOG_WARNING, "  File \"%s\", line %d, in %s", file != NULL ? file : "?",
              PyFrame_GetLineNumber(frame), function != NULL ? function : "?");
    Py_DECREF(code);
}

void bine__python_report_survivors(bine *rt)
{
    for (bine__micro *core = rt->oldest; core != NULL; core = core->newer) {
        bine_micro *micro = bine__of_core(core);
        PyObject *frames = bine__micro_stack(micro);
        PyObject *name = bine__micro_name(micro);

        bine__log(rt, BINE_LOG_WARNING,
                  "micro-thread '%s' has not ended within the grace:", utf8(name) != NULL ? utf8(name) : "?");
        for (Py_ssize_t i = 0; frames != NULL && i < PyList_GET_SIZE(frames); i++)
            log_frame(rt, (PyFrameObject *)PyList_GET_ITEM(frames, i));
        PyErr_Clear();
        Py_XDECREF(name);
        Py_XDECREF(frames);
    }
}
