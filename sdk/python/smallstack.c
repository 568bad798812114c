/* What a small stack has no room for: CPython's parser, which does not look how much stack there
 * is. So in a runtime of the small class compile(), eval() and exec(), by which all source goes
 * (imports too), borrow a stack of the default class for the call. */
#include "python/python.h"

enum { COMPILE, EVAL, EXEC };

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
    borrowed_call call = {bine__python_now->compilers[which], args, kwargs, NULL};

    if (bine__here == NULL)
        run(&call); /* on a thread with a stack of its own */
    else if (bine__on_large_stack(bine__here, run, &call) != 0)
        PyErr_SetString(PyExc_MemoryError, "no larger stack to be had");
    return call.result;
}

static PyObject *py_compile(PyObject *unused, PyObject *args, PyObject *kwargs)
{
    (void)unused;
    return borrow(COMPILE, args, kwargs);
}

static PyObject *py_eval(PyObject *unused, PyObject *args, PyObject *kwargs)
{
    (void)unused;
    return borrow(EVAL, args, kwargs);
}

static PyObject *py_exec(PyObject *unused, PyObject *args, PyObject *kwargs)
{
    (void)unused;
    return borrow(EXEC, args, kwargs);
}

#define METHOD(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef definitions[] = {
    {"compile", METHOD(py_compile),
     PyDoc_STR("compile($module, /, source, filename, mode, flags=0, dont_inherit=False, optimize=-1, "
               "**rest)\n--\n\n"
               "Compile source into a code object, on a stack of the default class.")},
    {"eval", METHOD(py_eval),
     PyDoc_STR("eval($module, source, globals=None, locals=None, /)\n--\n\n"
               "Evaluate the source in the context of globals and locals, on a stack of the default class.")},
    {"exec", METHOD(py_exec),
     PyDoc_STR("exec($module, source, globals=None, locals=None, /, **rest)\n--\n\n"
               "Execute the source in the context of globals and locals, on a stack of the default class.")},
};

int bine__replace_compilers(bine *rt)
{
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    PyObject *module = PyUnicode_FromString("builtins");

    for (int i = COMPILE; i <= EXEC && module != NULL; i++) {
        PyObject *original = PyDict_GetItemString(builtins, definitions[i].ml_name);
        PyObject *ours = PyCFunction_NewEx(&definitions[i], NULL, module);

        rt->python->compilers[i] = Py_XNewRef(original);
        if (original == NULL || ours == NULL ||
            PyDict_SetItemString(builtins, definitions[i].ml_name, ours) != 0)
            Py_CLEAR(module);
        Py_XDECREF(ours);
    }
    if (module == NULL)
        return -1;
    Py_DECREF(module);
    return 0;
}
