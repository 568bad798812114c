/* Host functions: C functions that scripts call. Taking the arguments, calling, answering; the
 * object itself. What a signature means is made out once, in signature.c. */
#include "python/function.h"

#include "core/pyframe.h"
#include "data/value.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <structmember.h>

typedef enum answer { NOTHING, VALUE, DEFERRED } answer;

struct bine_call {
    bine__function *self;
    PyObject *const *args;
    answer answer;
    bool starved; /* there was no memory for the answer */
    bine_value *value;
    bine_deferred *deferred;
};

/* ---- reading arguments ---- */

static const char *kind_name(unsigned kind)
{
    static const char *const names[] = {"None", "bool", "int",        "float",      "str",   "bytes",
                                        "list", "dict", "PipeWriter", "PipeReader", "object"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (kind == 1u << i)
            return names[i];
    return "object";
}

/* "int | None" */
static PyObject *kinds_text(unsigned kinds)
{
    PyObject *text = NULL;

    for (unsigned kind = KIND_BOOL; kind <= KIND_OBJECT; kind *= 2) {
        if ((kinds & kind) == 0)
            continue;
        if (text == NULL)
            text = PyUnicode_FromString(kind_name(kind));
        else
            Py_SETREF(text, PyUnicode_FromFormat("%U | %s", text, kind_name(kind)));
        if (text == NULL)
            return NULL;
    }
    if ((kinds & KIND_NONE) == 0)
        return text;
    if (text == NULL)
        return PyUnicode_FromString("None");
    Py_SETREF(text, PyUnicode_FromFormat("%U | None", text));
    return text;
}

static unsigned kind_of(PyObject *object)
{
    if (object == Py_None)
        return KIND_NONE;
    if (PyBool_Check(object))
        return KIND_BOOL | KIND_INT | KIND_FLOAT;
    if (PyLong_Check(object))
        return KIND_INT | KIND_FLOAT;
    if (PyFloat_Check(object))
        return KIND_FLOAT;
    if (PyUnicode_Check(object))
        return KIND_STR;
    if (PyBytes_Check(object))
        return KIND_BYTES;
    if (PyList_Check(object))
        return KIND_LIST;
    if (PyDict_Check(object))
        return KIND_DICT;
    if (Py_IS_TYPE(object, bine__python_now->pipe_writer_type))
        return KIND_WRITER;
    return Py_IS_TYPE(object, bine__python_now->pipe_reader_type) ? KIND_READER : KIND_OBJECT;
}

static int refuse_kind(const bine__function *self, Py_ssize_t index, PyObject *object)
{
    PyObject *wanted = kinds_text(self->kinds[index]);

    if (wanted != NULL)
        PyErr_Format(PyExc_TypeError, "%U() argument '%U' must be %U, not %.100s", self->name,
                     bine__param_name(self, index), wanted,
                     object == Py_None ? "None" : Py_TYPE(object)->tp_name);
    Py_XDECREF(wanted);
    return -1;
}

static void refuse_range(const bine__function *self, Py_ssize_t index, const char *what)
{
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_OverflowError, "%U() argument '%U' does not fit in %s", self->name,
                     bine__param_name(self, index), what);
}

/* What C cannot hold is refused here, so that reading an argument as declared cannot fail. */
static int check_range(const bine__function *self, Py_ssize_t index, PyObject *object)
{
    bool as_int = (self->kinds[index] & KIND_INT) != 0;
    int overflow = 0;

    if (PyUnicode_Check(object))
        return PyUnicode_AsUTF8(object) == NULL ? -1 : 0; /* lone surrogates */
    if (!PyLong_Check(object))
        return 0;
    if (as_int)
        (void)PyLong_AsLongLongAndOverflow(object, &overflow);
    else if (PyLong_AsDouble(object) == -1.0 && PyErr_Occurred())
        overflow = 1;
    if (overflow == 0)
        return 0;
    PyErr_Clear();
    refuse_range(self, index, as_int ? "64 bits" : "a float");
    return -1;
}

int bine__check_argument(const bine__function *self, Py_ssize_t index, PyObject *object)
{
    if (self->kinds[index] & KIND_OBJECT)
        return 0;
    if ((kind_of(object) & self->kinds[index]) == 0)
        return refuse_kind(self, index, object);
    return check_range(self, index, object);
}

static int refuse_count(const bine__function *self, Py_ssize_t given)
{
    PyErr_Format(PyExc_TypeError, "%U() takes at most %zd positional argument%s (%zd given)", self->name,
                 self->positional, self->positional == 1 ? "" : "s", given);
    return -1;
}

static Py_ssize_t find_param(const bine__function *self, PyObject *name)
{
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (bine__param_name(self, i) == name)
            return i;
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (PyUnicode_Compare(bine__param_name(self, i), name) == 0)
            return i;
    return -1;
}

static int take_named(const bine__function *self, PyObject *name, PyObject *object, PyObject **values)
{
    Py_ssize_t index = find_param(self, name);

    if (index < 0)
        PyErr_Format(PyExc_TypeError, "%U() got an unexpected keyword argument '%U'", self->name, name);
    else if (index < self->positional_only)
        PyErr_Format(PyExc_TypeError, "%U() got the positional-only argument '%U' passed as keyword",
                     self->name, name);
    else if (values[index] != NULL)
        PyErr_Format(PyExc_TypeError, "%U() got multiple values for argument '%U'", self->name, name);
    else
        values[index] = object;
    return PyErr_Occurred() ? -1 : 0;
}

/* Sorts what was given into `values`, by parameter; all borrowed. */
static int take_arguments(const bine__function *self, PyObject *const *args, Py_ssize_t given,
                          PyObject *kwnames, PyObject **values)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (given > self->positional)
        return refuse_count(self, given);
    memset(values, 0, (size_t)self->count * sizeof *values);
    for (Py_ssize_t i = 0; i < given; i++)
        values[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++)
        if (take_named(self, PyTuple_GET_ITEM(kwnames, i), args[given + i], values) != 0)
            return -1;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        if (values[i] == NULL)
            values[i] = self->fallback[i];
        else if (bine__check_argument(self, i, values[i]) != 0)
            return -1;
        if (values[i] != NULL)
            continue;
        PyErr_Format(PyExc_TypeError, "%U() missing required argument: '%U'", self->name,
                     bine__param_name(self, i));
        return -1;
    }
    return 0;
}

/* ---- calling ---- */

static void drop_answer(bine_call *call)
{
    if (call->answer == VALUE)
        bine_value_free(call->value);
    if (call->answer == DEFERRED) {
        bine_deferred_cancel(call->deferred);
        bine_deferred_release(call->deferred);
    }
    call->answer = NOTHING;
}

/* The host's function has come back: 0, or an exception. */
static int judge(bine_call *call, int status)
{
    bine__function *self = call->self;

    if (status == BINE_OK && call->answer == NOTHING && call->starved)
        status = BINE_ENOMEM;
    if (status == BINE_OK && !PyErr_Occurred())
        return 0;
    drop_answer(call);
    if (PyErr_Occurred())
        return -1;
    if (status > 0)
        PyErr_Format(PyExc_SystemError, "%U(): the host returned %d, which is no status", self->name, status);
    else
        bine__raise_status(self->rt, status,
                           status == BINE_EBUSY && bine__can_wait(self->rt) != BINE_EBUSY
                               ? "the host answered the call twice"
                               : NULL);
    return -1;
}

/* A function of its own: the values need no stack while the script waits for the answer. */
__attribute__((noinline)) static int begin(bine__function *self, bine_call *call, PyObject *const *args,
                                           Py_ssize_t given, PyObject *kwnames)
{
    PyObject *values[self->count + 1];

    if (bine__here != self->rt) {
        PyErr_Format(PyExc_RuntimeError, "%U() is for the thread that runs the host's loop", self->name);
        return -1;
    }
    if (take_arguments(self, args, given, kwnames, values) != 0)
        return -1;
    call->args = values;
    if (judge(call, self->function(call, self->user)) != 0)
        return -1;
    call->args = NULL;
    return 0;
}

static unsigned kind_of_value(const bine_value *value)
{
    static const unsigned kinds[] = {
        [BINE_NIL] = KIND_NONE, [BINE_BOOL] = KIND_BOOL,   [BINE_I64] = KIND_INT,   [BINE_F64] = KIND_FLOAT,
        [BINE_STR] = KIND_STR,  [BINE_BYTES] = KIND_BYTES, [BINE_LIST] = KIND_LIST, [BINE_DICT] = KIND_DICT,
    };
    bine_kind kind = bine_value_kind(value);

    if (bine_value_as_writer(value) != NULL)
        return KIND_WRITER;
    if (bine_value_as_reader(value) != NULL)
        return KIND_READER;
    return kind < sizeof kinds / sizeof kinds[0] ? kinds[kind] : KIND_OBJECT;
}

static PyObject *refuse_result(const bine__function *self, unsigned kind)
{
    PyObject *wanted = kinds_text(self->result_kinds);

    if (wanted != NULL)
        PyErr_Format(PyExc_TypeError, "%U(): the host answered with %s, but is declared -> %U", self->name,
                     kind_name(kind), wanted);
    Py_XDECREF(wanted);
    return NULL;
}

static PyObject *result_from(const bine__function *self, bine_value *value)
{
    unsigned kind = kind_of_value(value);
    bool fits = (self->result_kinds & (kind | KIND_OBJECT)) != 0;

    if (!fits && kind == KIND_INT && (self->result_kinds & KIND_FLOAT))
        return PyFloat_FromDouble(bine_value_as_f64(value));
    /* An object of Python's own is whatever it is. */
    if (!fits && bine_value_kind(value) != BINE_OBJECT)
        return refuse_result(self, kind);
    return bine_value_to_python(value);
}

static PyObject *await_answer(const bine__function *self, bine_deferred *d)
{
    int status = bine__deferred_await(d, -1);
    PyObject *result;

    if (status != BINE_OK) {
        bine__deferred_stop(d); /* nobody else waits for it */
        bine__raise_status(self->rt, status, NULL);
        result = NULL;
    } else if (bine_deferred_state(d) < 0) {
        result = bine__deferred_outcome(self->rt, d);
    } else {
        result = result_from(self, d->settled.value);
    }
    bine_deferred_release(d);
    return result;
}

static PyObject *function_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    bine__function *self = (bine__function *)callable;
    bine_call call = {.self = self};
    PyObject *result;

    if (begin(self, &call, args, PyVectorcall_NARGS(nargsf), kwnames) != 0)
        return NULL;
    if (call.answer == DEFERRED && self->returns_deferred)
        return bine__deferred_object(self->rt->python, call.deferred);
    if (call.answer == DEFERRED)
        return await_answer(self, call.deferred);
    if (call.answer == NOTHING)
        return result_from(self, NULL);
    result = result_from(self, call.value);
    bine_value_free(call.value);
    return result;
}

/* ---- what the host does with a call ---- */

static PyObject *argument(bine_call *call, size_t index, unsigned kind)
{
    bine__function *self = call->self;

    if (call->args == NULL || index >= (size_t)self->count) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_SystemError, "%U(): the host reads argument %zu of %zd", self->name, index,
                         self->count);
        return NULL;
    }
    if (kind == KIND_OBJECT || (kind_of(call->args[index]) & kind) != 0)
        return call->args[index];
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "%U(): the host reads argument '%U' as %s, but it is %.100s",
                     self->name, bine__param_name(self, (Py_ssize_t)index), kind_name(kind),
                     Py_TYPE(call->args[index])->tp_name);
    return NULL;
}

PyObject *bine_arg_object(bine_call *call, size_t index)
{
    return argument(call, index, KIND_OBJECT);
}

int64_t bine_arg_i64(bine_call *call, size_t index)
{
    PyObject *object = argument(call, index, KIND_INT);
    int overflow = 0;
    int64_t value = object == NULL ? 0 : PyLong_AsLongLongAndOverflow(object, &overflow);

    if (overflow == 0)
        return value;
    refuse_range(call->self, (Py_ssize_t)index, "64 bits");
    return 0;
}

double bine_arg_f64(bine_call *call, size_t index)
{
    PyObject *object = argument(call, index, KIND_FLOAT);
    double value;

    if (object == NULL || PyErr_Occurred())
        return object == NULL || !PyFloat_Check(object) ? 0.0 : PyFloat_AS_DOUBLE(object);
    value = PyFloat_AsDouble(object);
    if (value != -1.0 || !PyErr_Occurred())
        return value;
    PyErr_Clear();
    refuse_range(call->self, (Py_ssize_t)index, "a float");
    return 0.0;
}

bool bine_arg_bool(bine_call *call, size_t index)
{
    return argument(call, index, KIND_BOOL) == Py_True;
}

const char *bine_arg_str(bine_call *call, size_t index, size_t *size)
{
    PyObject *object = argument(call, index, KIND_STR);
    Py_ssize_t length = 0;
    const char *text = object == NULL ? NULL : PyUnicode_AsUTF8AndSize(object, &length);

    if (size != NULL)
        *size = (size_t)length;
    return text;
}

const void *bine_arg_bytes(bine_call *call, size_t index, size_t *size)
{
    PyObject *object = argument(call, index, KIND_BYTES);

    if (size != NULL)
        *size = object == NULL ? 0 : (size_t)PyBytes_GET_SIZE(object);
    return object == NULL ? NULL : PyBytes_AS_STRING(object);
}

void *bine_arg_pointer(bine_call *call, size_t index, const char *type)
{
    PyObject *object = argument(call, index, KIND_OBJECT);

    if (object == NULL || PyCapsule_IsValid(object, type))
        return object == NULL ? NULL : PyCapsule_GetPointer(object, type);
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "%U() argument '%U' must be a pointer of type %s", call->self->name,
                     bine__param_name(call->self, (Py_ssize_t)index), type != NULL ? type : "''");
    return NULL;
}

bool bine_arg_is_none(bine_call *call, size_t index)
{
    return argument(call, index, KIND_OBJECT) == Py_None;
}

bine_value *bine_arg_value(bine_call *call, size_t index)
{
    PyObject *object = argument(call, index, KIND_OBJECT);

    return object == NULL ? NULL : bine_value_from_python(object);
}

bine *bine_call_runtime(bine_call *call)
{
    return call->self->rt;
}

bine_micro *bine_call_micro(bine_call *call)
{
    (void)call;
    return bine_micro_current();
}

int bine_return(bine_call *call, bine_value *value)
{
    if (call->answer != NOTHING) {
        bine_value_free(value);
        return bine__fail(BINE_EBUSY, "bine_return: the call has its answer already");
    }
    call->starved = value == NULL;
    if (value == NULL)
        return bine__fail(BINE_ENOMEM, "bine_return: out of memory for the value");
    call->answer = VALUE;
    call->value = value;
    return BINE_OK;
}

/* Whether the call can be answered with a deferred. */
static int check_defer(bine_call *call, const char *name)
{
    int status = call->self->returns_deferred ? BINE_OK : bine__may_wait(call->self->rt);

    if (status != BINE_OK)
        return bine__explain_wait(name, status);
    if (call->answer != NOTHING)
        return bine__fail(BINE_EBUSY, "%s: the call has its answer already", name);
    return BINE_OK;
}

int bine_defer_with(bine_call *call, bine_on_cancel on_cancel, void *user, bine_resolver **r)
{
    int status = check_defer(call, "bine_defer");

    *r = NULL;
    if (status != BINE_OK)
        return status;
    status = bine_deferred_new(call->self->rt, on_cancel, user, &call->deferred, r);
    if (status == BINE_OK)
        call->answer = DEFERRED;
    return status;
}

int bine_follow(bine_call *call, bine_deferred *d)
{
    int status = d == NULL ? bine__fail(BINE_EINVAL, "bine_follow: the deferred is NULL")
                           : check_defer(call, "bine_follow");

    if (status != BINE_OK) {
        bine_deferred_release(d);
        return status;
    }
    call->deferred = d;
    call->answer = DEFERRED;
    return BINE_OK;
}

int bine_defer(bine_call *call, bine_on_cancel on_cancel, bine_resolver **r)
{
    return bine_defer_with(call, on_cancel, call->self->user, r);
}

int bine_fail(bine_call *call, const char *type, const char *format, ...)
{
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    PyObject *exception = builtins == NULL ? NULL : bine__get_item(builtins, type);
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (exception == NULL && PyErr_ExceptionMatches(PyExc_MemoryError))
        return BINE_ESCRIPT;
    if (exception == NULL || !PyExceptionClass_Check(exception)) {
        PyErr_Format(PyExc_SystemError, "%U(): the host raises '%s', which is no builtin exception: %s",
                     call->self->name, type, message);
        return BINE_ESCRIPT;
    }
    bine__raise_text(exception, message);
    return BINE_ESCRIPT;
}

/* ---- the object ---- */

static int function_traverse(bine__function *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->code);
    Py_VISIT(self->defaults);
    Py_VISIT(self->kwdefaults);
    Py_VISIT(self->annotations);
    for (Py_ssize_t i = 0; i < BINE__PARAMS_MAX; i++)
        Py_VISIT(self->fallback[i]);
    return 0;
}

static void function_dealloc(bine__function *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->name);
    Py_CLEAR(self->module);
    Py_CLEAR(self->doc);
    Py_CLEAR(self->signature);
    Py_CLEAR(self->code);
    Py_CLEAR(self->defaults);
    Py_CLEAR(self->kwdefaults);
    Py_CLEAR(self->annotations);
    for (Py_ssize_t i = 0; i < BINE__PARAMS_MAX; i++)
        Py_CLEAR(self->fallback[i]);
    Py_CLEAR(self->params);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *function_repr(bine__function *self)
{
    return PyUnicode_FromFormat("<host function %U.%U>", self->module, self->signature);
}

/* Being a method descriptor is what makes help() take it for a routine; it does not bind. */
static PyObject *function_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)object;
    (void)type;
    return Py_NewRef(self);
}

static PyMemberDef function_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(bine__function, vectorcall), READONLY, NULL},
    {"__name__", T_OBJECT, offsetof(bine__function, name), READONLY, NULL},
    {"__qualname__", T_OBJECT, offsetof(bine__function, name), READONLY, NULL},
    {"__module__", T_OBJECT, offsetof(bine__function, module), READONLY, NULL},
    {"__doc__", T_OBJECT, offsetof(bine__function, doc), READONLY, NULL},
    {"__code__", T_OBJECT, offsetof(bine__function, code), READONLY, NULL},
    {"__defaults__", T_OBJECT, offsetof(bine__function, defaults), READONLY, NULL},
    {"__kwdefaults__", T_OBJECT, offsetof(bine__function, kwdefaults), READONLY, NULL},
    {"__annotations__", T_OBJECT, offsetof(bine__function, annotations), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot function_slots[] = {
    {Py_tp_traverse, function_traverse},
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_repr, function_repr},
    {Py_tp_descr_get, function_get},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, function_members},
    {0, NULL},
};

static PyType_Spec function_spec = {
    .name = "bine.HostFunction",
    .basicsize = sizeof(bine__function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = function_slots,
};

int bine__add_function_type(bine__python *py)
{
    py->function_type = (PyTypeObject *)PyType_FromSpec(&function_spec);
    return py->function_type == NULL ? -1 : 0;
}

bine__function *bine__function_new(bine *rt)
{
    bine__function *self = PyObject_GC_New(bine__function, rt->python->function_type);

    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->vectorcall = function_call;
    self->rt = rt;
    return self;
}
