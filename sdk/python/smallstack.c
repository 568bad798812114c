/* What a small stack has no room for: CPython's parser and marshal, which do not look how much
 * stack there is. So in a runtime of the small class the functions by which all source and all
 * compiled code goes (imports too) borrow a stack of the default class for the call. */
#include "python/python.h"

#include "core/coroutine.h"

typedef struct borrowed_call {
    PyObject *function;
    PyObject *args;
    PyObject *kwargs;
    PyObject *result;
} borrowed_call;

static void run(void *arg)
{
    borrowed_call *call = arg;

    call->result = PyObject_Call(call->function, call->args, call->kwargs);
}

static PyObject *borrow(int which, PyObject *args, PyObject *kwargs)
{
    borrowed_call call = {bine__python_now->borrowers[which], args, kwargs, NULL};

    if (bine__here == NULL)
        run(&call); /* on a thread with a stack of its own */
    else if (bine__on_large_stack(bine__here, run, &call) != 0)
        PyErr_SetString(PyExc_MemoryError, "no larger stack to be had");
    return call.result;
}

/* A function of ours for each: a builtin function knows no more than which one it is. */
#define BORROWER(which)                                                                   \
    static PyObject *borrower_##which(PyObject *unused, PyObject *args, PyObject *kwargs) \
    {                                                                                     \
        (void)unused;                                                                     \
        return borrow(which, args, kwargs);                                               \
    }

BORROWER(0)
BORROWER(1)
BORROWER(2)
BORROWER(3)
BORROWER(4)
BORROWER(5)
BORROWER(6)
BORROWER(7)

#define DEFINE(which, name, signature, text)                                                      \
    {                                                                                             \
        name, (PyCFunction)(void (*)(void))borrower_##which, METH_VARARGS | METH_KEYWORDS,        \
            PyDoc_STR(name signature "\n--\n\n" text " It borrows a stack of the default class.") \
    }

static PyMethodDef definitions[BINE__BORROWERS] = {
    DEFINE(0, "compile",
           "($module, /, source, filename, mode, flags=0, dont_inherit=False, optimize=-1, **rest)",
           "Compile source into a code object."),
    DEFINE(1, "eval", "($module, source, globals=None, locals=None, /)",
           "Evaluate source in the context of globals and locals."),
    DEFINE(2, "exec", "($module, source, globals=None, locals=None, /, **rest)",
           "Execute source in the context of globals and locals."),
    DEFINE(3, "loads", "($module, bytes, /, **rest)", "Read a value from bytes."),
    DEFINE(4, "load", "($module, file, /, **rest)", "Read a value from a file."),
    DEFINE(5, "dumps", "($module, value, version=4, /, **rest)", "Write a value to bytes."),
    DEFINE(6, "dump", "($module, value, file, version=4, /, **rest)", "Write a value to a file."),
    DEFINE(7, "symtable", "($module, source, filename, startstr, /)", "The symbol tables of source."),
};

static const char *const modules[BINE__BORROWERS] = {"builtins", "builtins", "builtins", "marshal",
                                                     "marshal",  "marshal",  "marshal",  "_symtable"};

static int replace(bine__python *py, int which)
{
    PyObject *module = PyImport_ImportModule(modules[which]);
    PyObject *name = PyUnicode_FromString(modules[which]);
    PyObject *ours = name == NULL ? NULL : PyCFunction_NewEx(&definitions[which], NULL, name);
    int status = -1;

    if (module != NULL && ours != NULL)
        py->borrowers[which] = PyObject_GetAttrString(module, definitions[which].ml_name);
    if (py->borrowers[which] != NULL)
        status = PyObject_SetAttrString(module, definitions[which].ml_name, ours);
    Py_XDECREF(ours);
    Py_XDECREF(name);
    Py_XDECREF(module);
    return status;
}

int bine__replace_borrowers(bine *rt)
{
    for (int which = 0; which < BINE__BORROWERS; which++)
        if (replace(rt->python, which) != 0)
            return -1;
    return 0;
}
