/* The exceptions of module bine, and how statuses of C become exceptions of Python. */
#include "python/python.h"

#include "data/scope.h"
#include "python/microthread.h"

/* `attributes` (taken, may be NULL) are the class's. */
static int add_exception(PyObject *module, PyObject **out, const char *name, const char *doc, PyObject *base,
                         PyObject *attributes)
{
    const char *short_name = strchr(name, '.') + 1;

    *out = PyErr_NewExceptionWithDoc(name, doc, base, attributes);
    Py_XDECREF(attributes);
    if (*out == NULL)
        return -1;
    return PyModule_AddObjectRef(module, short_name, *out);
}

int bine__add_exceptions(bine__python *py)
{
    PyObject *m = py->module;

    if (add_exception(m, &py->cancelled, "bine.Cancelled",
                      "Raised where a cancelled micro-thread waits, and again at each later wait.",
                      PyExc_BaseException, NULL) != 0)
        return -1;
    if (add_exception(
            m, &py->exit, "bine.Exit",
            "Raised where a micro-thread waits while the host shuts the scripts down, and again at\n"
            "each later wait.",
            PyExc_BaseException, NULL) != 0)
        return -1;
    if (add_exception(m, &py->timeout_error, "bine.Timeout", "The time given for a wait is over.",
                      PyExc_TimeoutError, NULL) != 0)
        return -1;
    if (add_exception(
            m, &py->not_in_micro, "bine.NotInMicroThread",
            "A call that would have to wait was made outside of a micro-thread, where nothing could\n"
            "resume it.",
            PyExc_RuntimeError, NULL) != 0)
        return -1;
    if (add_exception(m, &py->pipe_closed, "bine.PipeClosed",
                      "Nothing can be put into a closed pipe, nor got from one when it is empty too.",
                      PyExc_Exception, NULL) != 0)
        return -1;
    if (add_exception(m, &py->broken_pipe, "bine.BrokenPipe",
                      "The other end of a pipe is gone: no reader is left to put() for; or the writer was\n"
                      "cancelled before it had put all.",
                      PyExc_BrokenPipeError, NULL) != 0)
        return -1;
    return add_exception(
        m, &py->host_error, "bine.HostError",
        "The host rejected what a script waited for. `code` is the host's number, `name` that\n"
        "of a BINE_E status or ''.",
        PyExc_Exception, Py_BuildValue("{s:i,s:s}", "code", 0, "name", ""));
}

PyObject *bine__get_item(PyObject *dict, const char *key)
{
    PyObject *name = PyUnicode_FromString(key);
    PyObject *item = name == NULL ? NULL : PyDict_GetItemWithError(dict, name);

    Py_XDECREF(name);
    return item;
}

PyObject *bine__imported(const char *name)
{
    return bine__get_item(PyImport_GetModuleDict(), name);
}

PyObject *bine__raise_from(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module);
    PyObject *class = from == NULL ? NULL : PyObject_GetAttrString(from, name);

    if (class != NULL)
        PyErr_SetNone(class);
    Py_XDECREF(class);
    Py_XDECREF(from);
    return NULL;
}

PyObject *bine__take_exception(void)
{
    if (PyErr_Occurred() == NULL)
        PyErr_NoMemory(); /* CPython has lost it, as it does when memory is out */
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

void bine__raise(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

PySendResult bine__throw_into(PyObject *iterator, PyObject **value)
{
    PyObject *exception = bine__take_exception();

    *value = PyObject_CallMethod(iterator, "throw", "O", exception);
    Py_DECREF(exception);
    if (*value != NULL)
        return PYGEN_NEXT;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return PYGEN_ERROR;
    exception = bine__take_exception();
    *value = PyObject_GetAttrString(exception, "value");
    Py_DECREF(exception);
    return *value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

bool bine__is_farewell(const bine__python *py, PyObject *exception)
{
    return PyErr_GivenExceptionMatches(exception, py->cancelled) ||
           PyErr_GivenExceptionMatches(exception, py->exit);
}

/* New, or NULL with an exception. */
static PyObject *text_object(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

void bine__raise_text(PyObject *class, const char *text)
{
    PyObject *object = text_object(text);

    if (object != NULL)
        PyErr_SetObject(class, object);
    Py_XDECREF(object);
}

void bine__raise_host_error(int status, const char *message)
{
    const bine__python *py = bine__python_now;
    const char *name = bine_err_name(status);
    PyObject *object = text_object(message);
    PyObject *error = object == NULL ? NULL : PyObject_CallOneArg(py->host_error, object);
    PyObject *code;
    PyObject *text;

    Py_XDECREF(object);
    if (strcmp(name, "BINE_E?") == 0)
        name = "";
    if (error == NULL)
        return;
    code = PyLong_FromLong(status);
    text = PyUnicode_FromString(name);
    if (code != NULL && text != NULL && PyObject_SetAttrString(error, "code", code) == 0 &&
        PyObject_SetAttrString(error, "name", text) == 0)
        PyErr_SetObject(py->host_error, error);
    Py_XDECREF(text);
    Py_XDECREF(code);
    Py_DECREF(error);
}

/* The class that a status of the SDK's own is raised as; NULL: it is a host error. */
static PyObject *class_of(int status)
{
    switch (status) {
    case BINE_EINVAL:
        return PyExc_ValueError;
    case BINE_ETYPE:
        return PyExc_TypeError;
    case BINE_EBUSY:
    case BINE_ETHREAD:
        return PyExc_RuntimeError;
    case BINE_EMICRO:
        return bine__python_now->not_in_micro;
    case BINE_ETIMEDOUT:
        return bine__python_now->timeout_error;
    case BINE_ENOMEM:
        return PyExc_MemoryError;
    case BINE_EEND:
        return bine__python_now->pipe_closed;
    case BINE_EPIPE:
        return bine__python_now->broken_pipe;
    default:
        return NULL;
    }
}

static const char *text_of(bine *rt, int status)
{
    switch (status) {
    case BINE_EBUSY:
        return rt == NULL ? bine_strerror(status) : bine__why_no_wait(rt);
    case BINE_EMICRO:
        return "this has to wait, which only a micro-thread can: see bine.spawn()";
    case BINE_ETIMEDOUT:
        return "timed out";
    default:
        return bine_strerror(status);
    }
}

PyObject *bine__raise_status(bine *rt, int status, const char *message)
{
    const char *text = message != NULL && *message != '\0' ? message : text_of(rt, status);
    PyObject *class;

    if (status == BINE_ECANCELED)
        bine__raise_pending(rt);
    if (PyErr_Occurred())
        return NULL;
    class = class_of(status);
    if (class != NULL)
        bine__raise_text(class, text);
    else
        bine__raise_host_error(status, text);
    return NULL;
}

/* Whatever bytes a host has given as the reason: it must be a Cancelled. */
static void raise_cancelled(const bine__python *py, const char *reason)
{
    PyObject *text;

    if (reason == NULL)
        reason = "the micro-thread was cancelled";
    text = text_object(reason);
    PyErr_Clear();
    PyErr_SetObject(py->cancelled, text);
    Py_XDECREF(text);
}

PyObject *bine__raise_pending(bine *rt)
{
    bine_micro *micro = bine_micro_current();
    unsigned pending = micro == NULL || PyErr_Occurred() ? 0 : micro->core.pending;

    if (pending & BINE__EXIT) {
        micro->exits = true;
        PyErr_SetString(rt->python->exit, "the host shuts its scripts down");
    } else if (pending & BINE__CANCEL) {
        raise_cancelled(rt->python, bine__scope_reason(&micro->core));
    } else if (micro != NULL && micro->thrown != NULL) {
        PyObject *thrown = micro->thrown;

        micro->thrown = NULL;
        if (!bine__has_timeouts_due(micro))
            micro->core.pending &= (uint8_t)~BINE__THROW;
        bine__raise(thrown);
    } else if (pending & BINE__THROW) {
        bine__raise_timeout(micro);
    }
    return NULL;
}

static int raise_thrown(void *id)
{
    bine_micro *micro = bine_micro_current();

    if (micro == NULL || micro->core.id != (uint64_t)(uintptr_t)id || micro->thrown == NULL)
        return 0;
    bine__raise_pending(micro->core.rt);
    return PyErr_Occurred() ? -1 : 0;
}

void bine__raise_thrown_soon(void)
{
    bine_micro *micro = bine_micro_current();

    if (micro != NULL && micro->thrown != NULL)
        (void)Py_AddPendingCall(raise_thrown, (void *)(uintptr_t)micro->core.id);
}

int bine__python_interrupted(bine *rt)
{
    bine_micro *micro = bine_micro_current();

    (void)rt;
    if (micro->core.pending & BINE__SIGNAL) {
        micro->core.pending &= (uint8_t)~BINE__SIGNAL;
        if (PyErr_CheckSignals() != 0) {
            Py_XSETREF(micro->thrown, bine__take_exception());
            micro->core.pending |= (uint8_t)BINE__THROW;
        }
    }
    return micro->core.pending == 0 ? 0 : -1;
}

int bine__fail_with_exception(int status, const char *call, const char *subject)
{
    PyObject *exception = bine__take_exception();
    PyObject *text = PyObject_Str(exception);
    const char *what = text == NULL ? NULL : PyUnicode_AsUTF8(text);

    if (PyErr_GivenExceptionMatches(exception, PyExc_MemoryError))
        status = BINE_ENOMEM;
    bine__fail(status, "%s: %s: %s", call, subject, what != NULL ? what : "?");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(exception);
    return status;
}
