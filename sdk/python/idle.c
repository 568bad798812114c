/* Why nothing runs: what each micro-thread waits for, and whether anything is left to end that. */
#include "data/deferred.h"
#include "python/line.h"
#include "python/microthread.h"
#include "python/python.h"

#include <bine/value.h>
#include <signal.h>

/* ---- in words ---- */

/* Appends `line` (taken, may be NULL). 0, or -1 with an exception. */
static int append(PyObject *lines, PyObject *line)
{
    int status = line == NULL ? -1 : PyList_Append(lines, line);

    Py_XDECREF(line);
    return status;
}

static PyObject *frame_line(PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *line = PyUnicode_FromFormat("  File \"%U\", line %d, in %U", code->co_filename,
                                          PyFrame_GetLineNumber(frame), code->co_qualname);

    Py_DECREF(code);
    return line;
}

PyObject *bine__awaited(const bine__micro *core)
{
    const bine__wait *wait = core->wait;
    PyObject *what;

    if (wait == NULL)
        return NULL;
    if (wait->what == NULL)
        return PyUnicode_FromString("its time");
    what = (*(bine__describe *)wait->what)(wait->what);
    if (what != NULL || PyErr_ExceptionMatches(PyExc_MemoryError))
        return what;
    PyErr_Clear(); /* it has a repr of a script's, which may be anything */
    return PyUnicode_FromString("<its repr() failed>");
}

static PyObject *headline(bine_micro *micro, const char *said)
{
    PyObject *name = bine__micro_name(micro);
    PyObject *what = name == NULL ? NULL : bine__awaited(&micro->core);
    PyObject *line = NULL;

    if (what != NULL)
        line = PyUnicode_FromFormat("micro-thread '%U' %swaits for %U:", name, said, what);
    else if (!PyErr_Occurred())
        line = PyUnicode_FromFormat("micro-thread '%U' %sis to run:", name, said);
    Py_XDECREF(what);
    Py_XDECREF(name);
    return line;
}

/* One micro-thread: who it is, what it waits for, its stack (a new list of lines). */
static PyObject *describe_micro(bine_micro *micro, const char *said)
{
    PyObject *lines = PyList_New(0);
    PyObject *frames = lines == NULL || append(lines, headline(micro, said)) != 0 ? NULL
                                                                                  : bine__micro_stack(micro);
    bool lost = frames == NULL;

    for (Py_ssize_t i = 0; !lost && i < PyList_GET_SIZE(frames); i++)
        lost = append(lines, frame_line((PyFrameObject *)PyList_GET_ITEM(frames, i))) != 0;
    Py_XDECREF(frames);
    if (lost)
        Py_CLEAR(lines);
    return lines;
}

/* Names of files may be any bytes, and names of micro-threads any characters (new). */
static PyObject *utf8_of(PyObject *text)
{
    return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

void bine__python_report_survivors(bine *rt, const char *what)
{
    char said[64];

    snprintf(said, sizeof said, "%s; it ", what);
    for (bine__micro *core = rt->oldest; core != NULL; core = core->newer) {
        PyObject *lines = describe_micro(bine__of_core(core), said);

        for (Py_ssize_t i = 0; lines != NULL && i < PyList_GET_SIZE(lines); i++) {
            PyObject *line = utf8_of(PyList_GET_ITEM(lines, i));

            bine__log(rt, BINE_LOG_WARNING, "%s", line != NULL ? PyBytes_AS_STRING(line) : "?");
            PyErr_Clear();
            Py_XDECREF(line);
        }
        PyErr_Clear();
        Py_XDECREF(lines);
    }
}

/* Of all, as one text (new). */
static PyObject *describe_all(bine *rt)
{
    PyObject *all = PyList_New(0);
    PyObject *newline = PyUnicode_FromString("\n");
    PyObject *text = NULL;
    bool lost = all == NULL || newline == NULL;

    for (bine__micro *core = rt->oldest; core != NULL && !lost; core = core->newer) {
        PyObject *lines = describe_micro(bine__of_core(core), "");

        lost = lines == NULL || PyList_SetSlice(all, PyList_GET_SIZE(all), PyList_GET_SIZE(all), lines) != 0;
        Py_XDECREF(lines);
    }
    if (!lost)
        text = PyUnicode_Join(newline, all);
    Py_XDECREF(newline);
    Py_XDECREF(all);
    return text;
}

/* ---- who may end a wait ---- */

/* The threads that have to do with the interpreter, this one among them. */
static size_t count_threads(void)
{
    size_t count = 0;

    for (PyThreadState *t = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); t != NULL;
         t = PyThreadState_Next(t))
        count++;
    return count;
}

bool bine__other_threads_exist(void)
{
    return count_threads() > 1;
}

bool bine__other_threads_act(void)
{
    return count_threads() > 1 + bine__line_listeners();
}

/* Whether a script has set a handler, other than Python's own and ours for Ctrl-C, which would end all. */
static bool handles_signals(void)
{
    PyObject *signal = bine__imported("_signal"); /* borrowed */
    PyObject *own = signal == NULL ? NULL : PyObject_GetAttrString(signal, "default_int_handler");
    bool found = false;

    for (int number = 1; own != NULL && !found && number < NSIG; number++) {
        PyObject *handler = PyObject_CallMethod(signal, "getsignal", "i", number);

        found = handler != NULL && handler != own && PyCallable_Check(handler) &&
                !bine__is_own_handler(handler);
        PyErr_Clear();
        Py_XDECREF(handler);
    }
    PyErr_Clear();
    Py_XDECREF(own);
    return found;
}

static bool all_are_parked(const bine *rt)
{
    for (const bine__micro *core = rt->oldest; core != NULL; core = core->newer)
        if (core->wait == NULL)
            return false;
    return true;
}

static bine_idle judge(bine *rt)
{
    if (rt->ready.head != NULL || atomic_load(&rt->inbox->full))
        return BINE_IDLE_BUSY;
    if (rt->alive == 0)
        return BINE_IDLE_DONE;
    if (atomic_load(&rt->interrupted))
        return BINE_IDLE_BUSY; /* a signal's handler is to run */
    if (rt->timers.count > 0 || rt->on_real.count > 0 || rt->next_frame.first != NULL)
        return BINE_IDLE_TIME;
    if (bine__descriptors_awaited(rt) || bine__pool_awaited(rt) || rt->watched > 0)
        return BINE_IDLE_OUTSIDE;
    if (bine__other_threads_act() || bine__deferreds_expected(rt))
        return BINE_IDLE_OUTSIDE;
    if (!all_are_parked(rt))
        return BINE_IDLE_BUSY;
    return handles_signals() ? BINE_IDLE_OUTSIDE : BINE_IDLE_DEADLOCK;
}

/* A new text, or NULL. */
static bine_value *report_of(bine *rt)
{
    PyObject *text = describe_all(rt);
    PyObject *utf8 = text == NULL ? NULL : utf8_of(text);
    bine_value *value = NULL;

    if (utf8 != NULL)
        value = bine_value_str_sized(PyBytes_AS_STRING(utf8), (size_t)PyBytes_GET_SIZE(utf8));
    PyErr_Clear();
    Py_XDECREF(utf8);
    Py_XDECREF(text);
    return value;
}

int bine_why_idle(bine *rt, bine_idle *why, bine_value **report)
{
    int status = bine__check_owner(rt, "bine_why_idle");

    if (report != NULL)
        *report = NULL;
    if (status != BINE_OK)
        return status;
    if (why == NULL)
        return bine__fail(BINE_EINVAL, "bine_why_idle: why is NULL");
    bine__gil_take(rt);
    *why = judge(rt);
    if (report != NULL)
        *report = report_of(rt);
    bine__gil_give(rt);
    if (report != NULL && *report == NULL)
        return bine__fail(BINE_ENOMEM, "bine_why_idle: out of memory");
    return BINE_OK;
}
