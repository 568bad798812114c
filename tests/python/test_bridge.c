/* bine/python.h: values and Python objects, the GIL, exceptions of micro-threads. */
#include "fixture.h"

#include <bine/python.h>
#include <math.h>

static PyObject *eval(const char *expression)
{
    PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__"));
    PyObject *object = PyRun_String(expression, Py_eval_input, names, names);

    if (object == NULL) {
        PyErr_Print();
        FAIL("%s", expression);
    }
    return object;
}

static bool is_equal(PyObject *a, const char *expression)
{
    PyObject *b = eval(expression);
    bool same = PyObject_RichCompareBool(a, b, Py_EQ) == 1 && Py_TYPE(a) == Py_TYPE(b);

    Py_DECREF(b);
    return same;
}

/* There and back again. */
static void check_round(const char *expression)
{
    PyObject *object = eval(expression);
    bine_value *value = bine_value_from_python(object);
    PyObject *back;

    CHECK(value != NULL);
    back = bine_value_to_python(value);
    CHECK(back != NULL);
    if (!is_equal(back, expression))
        FAIL("%s came back changed", expression);
    bine_value_free(value);
    Py_DECREF(back);
    Py_DECREF(object);
}

TEST(data_goes_to_c_and_back_unchanged)
{
    bine *rt = open_runtime();

    bine_python_enter(rt);
    check_round("None");
    check_round("True");
    check_round("False");
    check_round("0");
    check_round("-2**63");
    check_round("2**63 - 1");
    check_round("1.5");
    check_round("float('inf')");
    check_round("''");
    check_round("'caf\xc3\xa9 \\0 \xf0\x9f\x8c\xb1'");
    check_round("b''");
    check_round("bytes(range(256))");
    check_round("[]");
    check_round("[1, [2, [3, []]], {}]");
    check_round("{}");
    check_round("{'': {'a': [None, True, b'x']}, 'caf\xc3\xa9': 1.0}");
    check_round("{str(i): i for i in range(10000)}");
    check_round("list(range(10000))");
    bine_python_leave(rt);
    close_runtime(rt);
}

static void check_refused(const char *expression, PyObject *type)
{
    PyObject *object = eval(expression);

    CHECK(bine_value_from_python(object) == NULL);
    if (!PyErr_ExceptionMatches(type)) {
        PyErr_Print();
        FAIL("%s raises another exception", expression);
    }
    PyErr_Clear();
    Py_DECREF(object);
}

TEST(what_c_cannot_hold_is_refused_with_an_exception)
{
    bine *rt = open_runtime();

    bine_python_enter(rt);
    check_refused("2**63", PyExc_OverflowError);
    check_refused("-2**63 - 1", PyExc_OverflowError);
    check_refused("[[1], object()]", PyExc_TypeError);
    check_refused("{1: 2}", PyExc_TypeError);
    check_refused("{'a\\0b': 2}", PyExc_ValueError);
    check_refused("'\\udc80'", PyExc_UnicodeEncodeError);
    check_refused("{'\\udc80': 1}", PyExc_UnicodeEncodeError);
    check_refused("{1, 2}", PyExc_TypeError);
    check_refused("1j", PyExc_TypeError);
    check_refused("(lambda l: (l.append(l), l)[1])([])", PyExc_RecursionError);
    bine_python_leave(rt);
    close_runtime(rt);
}

TEST(a_tuple_arrives_as_a_list)
{
    bine *rt = open_runtime();
    PyObject *object;
    bine_value *value;

    bine_python_enter(rt);
    object = eval("(1, 2)");
    value = bine_value_from_python(object);
    CHECK_EQ(bine_value_kind(value), BINE_LIST);
    CHECK_EQ(bine_value_count(value), 2);
    bine_value_free(value);
    Py_DECREF(object);
    bine_python_leave(rt);
    close_runtime(rt);
}

TEST(a_value_too_deep_for_python_raises_and_is_freed)
{
    bine *rt = open_runtime();
    bine_value *root = bine_value_list();

    for (int i = 0; i < 100000; i++) {
        bine_value *list = bine_value_list();

        CHECK_OK(bine_value_append(list, root));
        root = list;
    }
    bine_python_enter(rt);
    CHECK(bine_value_to_python(root) == NULL);
    CHECK(PyErr_ExceptionMatches(PyExc_RecursionError));
    PyErr_Clear();
    bine_python_leave(rt);
    bine_value_free(root);
    close_runtime(rt);
}

TEST(text_that_is_no_utf8_raises_on_arrival)
{
    bine *rt = open_runtime();
    bine_value *value = bine_value_str("\xff");

    bine_python_enter(rt);
    CHECK(bine_value_to_python(value) == NULL);
    CHECK(PyErr_ExceptionMatches(PyExc_UnicodeDecodeError));
    PyErr_Clear();
    bine_python_leave(rt);
    bine_value_free(value);
    close_runtime(rt);
}

TEST(null_becomes_none)
{
    bine *rt = open_runtime();
    PyObject *none;

    bine_python_enter(rt);
    none = bine_value_to_python(NULL);
    CHECK(none == Py_None);
    Py_DECREF(none);
    bine_python_leave(rt);
    close_runtime(rt);
}

/* ---- values that hold an object ---- */

static bine_value *object_value;

static void drop_value(void *user)
{
    bine_value_free(user);
}

TEST(a_held_object_comes_back_as_itself_and_is_let_go_of_on_any_thread)
{
    bine *rt = open_runtime();
    Py_ssize_t holds;
    PyObject *object;
    PyObject *back;

    bine_python_enter(rt);
    object = eval("object()");
    holds = Py_REFCNT(object);
    for (int i = 0; i < 3; i++) {
        object_value = bine_value_from_object(rt, object);
        CHECK_EQ(bine_value_kind(object_value), BINE_OBJECT);
        CHECK_EQ(Py_REFCNT(object), holds + 1);
        back = bine_value_to_python(object_value);
        CHECK(back == object);
        Py_DECREF(back);
        if (i == 0) {
            bine_value_free(object_value);
            CHECK_EQ(Py_REFCNT(object), holds);
            continue;
        }
        bine_python_leave(rt);
        if (i == 1)
            bine_value_free(object_value); /* the owner, outside of a tick */
        else
            in_thread(drop_value, object_value);
        settle(rt);
        bine_python_enter(rt);
        CHECK_EQ(Py_REFCNT(object), holds);
    }
    CHECK(bine_value_from_object(NULL, object) == NULL);
    CHECK(bine_value_from_object(rt, NULL) == NULL);
    Py_DECREF(object);
    bine_python_leave(rt);
    close_runtime(rt);
}

TEST(a_held_object_may_be_dropped_after_the_close)
{
    bine *rt = open_runtime();
    bine_value *first;
    PyObject *object;

    bine_python_enter(rt);
    object = eval("object()");
    first = bine_value_from_object(rt, object);
    object_value = bine_value_from_object(rt, object);
    Py_DECREF(object);
    bine_python_leave(rt);
    CHECK_OK(bine_close(rt));
    bine_value_free(first);
    in_thread(drop_value, object_value);
}

static int hand_out(bine_call *call, void *user)
{
    PyObject *object = bine_arg_object(call, 0);

    (void)user;
    return bine_return(call, bine_value_from_object(bine_call_runtime(call), object));
}

TEST(a_host_function_passes_objects_through)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "same(x: object) -> object", hand_out, NULL, NULL));
    run_script(rt, "import host\n"
                   "o = object()\n"
                   "assert host.same(o) is o\n"
                   "assert host.same(host) is host\n");
    close_runtime(rt);
}

/* ---- exceptions ---- */

TEST(reading_the_exception_counts_as_handling_it)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    PyObject *exception;

    CHECK_OK(bine_run_string(rt, "raise KeyError('k')", "x", &micro));
    bine_python_enter(rt);
    CHECK(bine_micro_exception(micro) == NULL);
    CHECK(bine_micro_exception(NULL) == NULL);
    bine_python_leave(rt);
    settle(rt);
    bine_python_enter(rt);
    exception = bine_micro_exception(micro);
    CHECK(exception != NULL && PyErr_GivenExceptionMatches(exception, PyExc_KeyError));
    CHECK(PyErr_Occurred() == NULL);
    Py_DECREF(exception);
    bine_python_leave(rt);
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(error_count(), 0);
    close_runtime(rt);
}

static void hold_the_gil_and_nest(bine *rt, void *user)
{
    (void)user;
    bine_python_enter(rt); /* inside a tick */
    CHECK(PyGILState_Check());
    bine_python_leave(rt);
    CHECK(PyGILState_Check());
}

TEST(enter_and_leave_nest_inside_a_tick)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_post(rt, hold_the_gil_and_nest, NULL, NULL));
    settle(rt);
    CHECK(!PyGILState_Check());
    bine_python_leave(rt); /* one too many does no harm */
    bine_python_enter(rt);
    CHECK(PyGILState_Check());
    bine_python_leave(rt);
    close_runtime(rt);
}
