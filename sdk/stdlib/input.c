/* input() at a terminal. CPython reads the line in C, in the library of line editing when there is one; here
 * it is read through sys.stdin, as CPython does where there is no terminal: the kernel's line editing is
 * left. */
#include "stdlib/standin.h"

#include <unistd.h>

/* -1: it has none; no exception is set. */
static int descriptor_of(PyObject *file)
{
    int fd = file == NULL || file == Py_None ? -1 : PyObject_AsFileDescriptor(file);

    PyErr_Clear();
    return fd;
}

static bool is_at_terminal(PyObject *in, PyObject *out)
{
    return descriptor_of(in) == STDIN_FILENO && isatty(STDIN_FILENO) && descriptor_of(out) == STDOUT_FILENO &&
           isatty(STDOUT_FILENO);
}

static int flush(PyObject *file)
{
    PyObject *none = PyObject_CallMethod(file, "flush", NULL);

    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static PyObject *read_line(PyObject *in, PyObject *out, PyObject *errors, PyObject *prompt)
{
    PyObject *line;

    if (PySys_Audit("builtins.input", "O", prompt == NULL ? Py_None : prompt) != 0)
        return NULL;
    if (flush(errors) != 0)
        PyErr_Clear();
    if (prompt != NULL && PyFile_WriteObject(prompt, out, Py_PRINT_RAW) != 0)
        return NULL;
    if (flush(out) != 0)
        PyErr_Clear();
    line = PyFile_GetLine(in, -1);
    if (line != NULL && PySys_Audit("builtins.input/result", "O", line) != 0)
        Py_CLEAR(line);
    return line;
}

static PyObject *input(const bine__call *call)
{
    PyObject *in = Py_XNewRef(PySys_GetObject("stdin"));
    PyObject *out = Py_XNewRef(PySys_GetObject("stdout"));
    PyObject *errors = Py_XNewRef(PySys_GetObject("stderr"));
    PyObject *line;

    if (call->nargs <= 1 && errors != NULL && errors != Py_None && is_at_terminal(in, out))
        line = read_line(in, out, errors, call->nargs == 1 ? call->args[0] : NULL);
    else
        line = bine__call_original(call);
    Py_XDECREF(in);
    Py_XDECREF(out);
    Py_XDECREF(errors);
    return line;
}

BINE__STANDIN(standin_input, "builtins", "input", "builtins.input",
              "sys.stdin, which is read when it is ready", input);

bine__standin *const bine__input_standins[] = {&standin_input, NULL};
