/* Values to Python objects and back. */
#include "python/python.h"

#include "data/value.h"

#include <stdlib.h>

/* What a value of kind BINE_OBJECT holds. */
typedef struct held_object {
    bine__job job; /* first: gives the object back on the owner thread */
    bine *rt;
    bine__inbox *inbox;
    PyObject *object;
} held_object;

/* ---- to Python ---- */

static PyObject *list_to_python(bine_value *value)
{
    size_t count = bine_value_count(value);
    PyObject *list = PyList_New((Py_ssize_t)count);

    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = bine_value_to_python((bine_value *)bine_value_at(value, i));

        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static int set_item(PyObject *dict, const char *key, PyObject *item)
{
    PyObject *name = PyUnicode_FromString(key);
    int status = name == NULL ? -1 : PyDict_SetItem(dict, name, item);

    Py_XDECREF(name);
    return status;
}

static PyObject *dict_to_python(bine_value *value)
{
    size_t count = bine_value_count(value);
    PyObject *dict = PyDict_New();

    for (size_t i = 0; dict != NULL && i < count; i++) {
        PyObject *item = bine_value_to_python((bine_value *)bine_value_at(value, i));

        if (item == NULL || set_item(dict, bine_value_key(value, i), item) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(item);
    }
    return dict;
}

static void destroy_capsule(PyObject *capsule)
{
    bine_value_free(PyCapsule_GetContext(capsule));
}

/* The ends of pipes are what scripts know as such; the rest is a capsule that shares the value, whose
 * destructor so waits for both. */
static PyObject *pointer_to_python(bine_value *value)
{
    void *address = bine__value_held(value);
    bine_writer *w = bine_value_as_writer(value);
    bine_reader *r = bine_value_as_reader(value);
    PyObject *capsule;

    if (w != NULL)
        return bine_writer_to_python(w);
    if (r != NULL)
        return bine_reader_to_python(r);
    if (address == NULL)
        return Py_NewRef(Py_None);
    capsule = PyCapsule_New(address, bine__value_pointer_type(value), destroy_capsule);
    if (capsule == NULL)
        return NULL;
    if (PyCapsule_SetContext(capsule, bine__value_share(value)) != 0) {
        bine_value_free(value);
        Py_CLEAR(capsule);
    }
    return capsule;
}

static PyObject *to_python(bine_value *value)
{
    size_t size;
    const char *data;

    switch (bine_value_kind(value)) {
    case BINE_BOOL:
        return PyBool_FromLong(bine_value_as_bool(value));
    case BINE_I64:
        return PyLong_FromLongLong(bine_value_as_i64(value));
    case BINE_F64:
        return PyFloat_FromDouble(bine_value_as_f64(value));
    case BINE_STR:
        data = bine_value_as_str(value, &size);
        return PyUnicode_DecodeUTF8(data, (Py_ssize_t)size, NULL);
    case BINE_BYTES:
        data = bine_value_as_bytes(value, &size);
        return PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    case BINE_LIST:
        return list_to_python(value);
    case BINE_DICT:
        return dict_to_python(value);
    case BINE_POINTER:
        return pointer_to_python(value);
    case BINE_OBJECT:
        return Py_NewRef(((held_object *)bine__value_held(value))->object);
    default:
        return Py_NewRef(Py_None);
    }
}

PyObject *bine__value_object(bine_value *value)
{
    return bine_value_kind(value) == BINE_OBJECT ? ((held_object *)bine__value_held(value))->object : NULL;
}

PyObject *bine_value_to_python(bine_value *value)
{
    PyObject *object;

    if (Py_EnterRecursiveCall(" while handing a host's value to Python"))
        return NULL;
    object = to_python(value);
    Py_LeaveRecursiveCall();
    return object;
}

/* ---- from Python ---- */

static bine_value *list_from_python(PyObject *sequence)
{
    bine_value *list = bine_value_list();

    for (Py_ssize_t i = 0; list != NULL && i < PySequence_Fast_GET_SIZE(sequence); i++) {
        bine_value *item = bine_value_from_python(PySequence_Fast_GET_ITEM(sequence, i));

        if (item == NULL || bine_value_append(list, item) != BINE_OK) {
            bine_value_free(list);
            return NULL;
        }
    }
    return list;
}

static const char *key_of(PyObject *key)
{
    Py_ssize_t size;
    const char *text;

    if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "a dict for the host has str keys, not %.100s", Py_TYPE(key)->tp_name);
        return NULL;
    }
    text = PyUnicode_AsUTF8AndSize(key, &size);
    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_Format(PyExc_ValueError, "a dict for the host has keys without NUL, not %R", key);
        return NULL;
    }
    return text;
}

static bine_value *dict_from_python(PyObject *mapping)
{
    bine_value *dict = bine_value_dict();
    PyObject *key;
    PyObject *item;
    Py_ssize_t at = 0;

    while (dict != NULL && PyDict_Next(mapping, &at, &key, &item)) {
        const char *name = key_of(key);
        bine_value *value = name == NULL ? NULL : bine_value_from_python(item);

        if (value == NULL || bine_value_set(dict, name, value) != BINE_OK) {
            bine_value_free(dict);
            return NULL;
        }
    }
    return dict;
}

static bine_value *int_from_python(PyObject *object)
{
    int overflow;
    long long i = PyLong_AsLongLongAndOverflow(object, &overflow);

    if (overflow != 0) {
        PyErr_SetString(PyExc_OverflowError, "an int for the host has 64 bits, and this one does not fit");
        return NULL;
    }
    return bine_value_i64(i);
}

static bine_value *text_from_python(PyObject *object)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);

    return text == NULL ? NULL : bine_value_str_sized(text, (size_t)size);
}

static bine_value *from_python(PyObject *object)
{
    if (object == Py_None)
        return bine_value_nil();
    if (PyBool_Check(object))
        return bine_value_bool(object == Py_True);
    if (PyLong_Check(object))
        return int_from_python(object);
    if (PyFloat_Check(object))
        return bine_value_f64(PyFloat_AS_DOUBLE(object));
    if (PyUnicode_Check(object))
        return text_from_python(object);
    if (PyBytes_Check(object))
        return bine_value_bytes(PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
    if (PyList_Check(object) || PyTuple_Check(object))
        return list_from_python(object);
    if (PyDict_Check(object))
        return dict_from_python(object);
    if (Py_IS_TYPE(object, bine__python_now->pipe_writer_type))
        return bine_value_writer(bine_writer_from_python(object));
    if (Py_IS_TYPE(object, bine__python_now->pipe_reader_type))
        return bine_value_reader(bine_reader_from_python(object));
    if (PyCapsule_CheckExact(object) && PyCapsule_GetDestructor(object) == destroy_capsule)
        return bine__value_share(PyCapsule_GetContext(object));
    PyErr_Format(
        PyExc_TypeError,
        "a value for the host is None, bool, int, float, str, bytes, list, dict, an end of a pipe or one of "
        "its own pointers, not %.100s",
        Py_TYPE(object)->tp_name);
    return NULL;
}

bine_value *bine_value_from_python(PyObject *object)
{
    bine_value *value;

    if (Py_EnterRecursiveCall(" while handing a value to the host"))
        return NULL;
    value = from_python(object);
    Py_LeaveRecursiveCall();
    if (value == NULL && !PyErr_Occurred())
        PyErr_NoMemory();
    return value;
}

/* ---- values that hold an object ---- */

static void give_back(bine *rt, bine__job *job)
{
    held_object *held = (held_object *)(void *)job;

    if (rt->python != NULL) /* else the interpreter has gone, and the object with it */
        Py_DECREF(held->object);
    bine__inbox_release(held->inbox);
    free(held);
}

/* Any thread: the value may be dropped anywhere. */
static void drop_object(void *address)
{
    held_object *held = address;

    if (bine__here == held->rt && held->rt->python != NULL) {
        bine__gil_take(held->rt);
        give_back(held->rt, &held->job);
        bine__gil_give(bine__here);
        return;
    }
    if (bine__inbox_push(held->inbox, &held->job))
        return;
    bine__inbox_release(held->inbox);
    free(held);
}

bine_value *bine__value_holding(bine *rt, PyObject *object)
{
    held_object *held = malloc(sizeof *held);

    if (held == NULL)
        return NULL;
    held->job.run = give_back;
    held->rt = rt;
    held->inbox = rt->inbox;
    bine__inbox_retain(rt->inbox);
    held->object = Py_NewRef(object);
    return bine__value_holder(BINE_OBJECT, held, NULL, drop_object);
}

bine_value *bine_value_from_object(bine *rt, PyObject *object)
{
    return rt == NULL || rt != bine__here || object == NULL ? NULL : bine__value_holding(rt, object);
}

/* ---- objects in pipes ---- */

void bine__python_drop_object(bine *rt, void *object)
{
    if (rt != bine__here || rt->python == NULL)
        return;
    bine__gil_take(rt);
    Py_DECREF((PyObject *)object);
    bine__gil_give(rt);
}

static bine_value *data_or_holder(bine *rt, PyObject *object)
{
    bine_value *value = bine_value_from_python(object);
    bool starved = value == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);

    PyErr_Clear();
    return value != NULL || starved ? value : bine__value_holding(rt, object);
}

bine_value *bine__python_value_of(bine *rt, void *object)
{
    bine_value *value;

    if (rt->python == NULL)
        return NULL;
    bine__gil_take(rt);
    value = data_or_holder(rt, object);
    bine__gil_give(rt);
    return value;
}
