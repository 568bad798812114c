/* The hot part of a stream transport: what is received goes straight to the protocol, what is written
 * straight to the socket. Whatever is out of the ordinary (an error, an end, a buffer that is not empty) goes
 * to the methods of asyncio's own transport, which this is a part of. */
#include "asyncio/loop.h"

#include "service/descriptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>
#include <sys/socket.h>

typedef struct stream {
    PyObject_HEAD
    PyObject *transport;
    PyObject *dict; /* the transport's, where it keeps its state */
    bine__loop *loop;
    int fd;
    bool is_tcp;     /* and nothing between that and us */
    bool into;       /* the protocol has a buffer of its own */
    PyObject *feeds; /* asyncio.StreamReader, when the protocol is asyncio's own for these; else NULL */
} stream;

static struct names {
    PyObject *conn_lost, *protocol, *eof, *empty_waiter, *buffer; /* in the transport's dict */
    PyObject *reader_ref;                                         /* in the dict of a StreamReaderProtocol */
    PyObject *waiter, *limit, *transport;                         /* in that of a StreamReader */
    PyObject *cancelled, *set_result;
    PyObject *data_received, *get_buffer, *buffer_updated;
    PyObject *fatal_error, *on_eof, *write_slowly;
} names;
static PyObject *zero; /* there is but one */

static int intern_names(void)
{
    const struct {
        PyObject **place;
        const char *text;
    } all[] = {
        {&names.conn_lost, "_conn_lost"},
        {&names.protocol, "_protocol"},
        {&names.eof, "_eof"},
        {&names.empty_waiter, "_empty_waiter"},
        {&names.buffer, "_buffer"},
        {&names.data_received, "data_received"},
        {&names.get_buffer, "get_buffer"},
        {&names.buffer_updated, "buffer_updated"},
        {&names.reader_ref, "_stream_reader_wr"},
        {&names.waiter, "_waiter"},
        {&names.limit, "_limit"},
        {&names.transport, "_transport"},
        {&names.cancelled, "cancelled"},
        {&names.set_result, "set_result"},
        {&names.fatal_error, "_fatal_error"},
        {&names.on_eof, "_read_ready__on_eof"},
        {&names.write_slowly, "_write_slowly"},
    };

    zero = PyLong_FromLong(0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i].place == NULL)
            *all[i].place = PyUnicode_InternFromString(all[i].text);
        if (*all[i].place == NULL)
            return -1;
    }
    return 0;
}

static PyObject *get(const stream *s, PyObject *name)
{
    return s->dict == NULL ? NULL : PyDict_GetItemWithError(s->dict, name);
}

/* ---- failing ---- */

/* The exception that is set becomes the transport's end. NULL: it goes on to the loop. */
static PyObject *fail(const stream *s, const char *message)
{
    PyObject *exception = bine__take_exception();
    PyObject *text;
    PyObject *none;

    if (PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) ||
        PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt) ||
        bine__is_farewell(bine__python_now, exception)) {
        bine__raise(exception);
        return NULL;
    }
    /* asyncio's method logs what is being handled. */
    text = PyUnicode_FromString(message);
    none = text == NULL || s->transport == NULL
               ? NULL
               : PyObject_CallMethodObjArgs(s->transport, names.fatal_error, exception, text, NULL);
    Py_XDECREF(text);
    Py_DECREF(exception);
    return none;
}

/* ---- reading ---- */

static PyObject *received_nothing(const stream *s, ssize_t count)
{
    if (count == 0)
        return PyObject_CallMethodNoArgs(s->transport, names.on_eof);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        if (errno != EINTR)
            bine__endpoint_emptied(s->loop, s->fd, false);
        Py_RETURN_NONE;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    return fail(s, "Fatal read error on socket transport");
}

static ssize_t receive(const stream *s, char *bytes, size_t size)
{
    ssize_t count = recv(s->fd, bytes, size, 0);

    if (count > 0 && (size_t)count < size && s->is_tcp)
        bine__endpoint_emptied(s->loop, s->fd, true);
    return count;
}

static char *buffer_of(bine__loop *loop)
{
    if (loop->buffer == NULL)
        loop->buffer = malloc(BINE__RECEIVE_SIZE);
    return loop->buffer;
}

/* ---- asyncio's streams: what StreamReader.feed_data() does, without a frame of Python's ---- */

/* The reader's dict (new), if it is asyncio's own and alive; NULL: no, without an exception. */
static PyObject *dict_of_reader(const stream *s, PyObject *protocol)
{
    PyObject *dict = PyObject_GenericGetDict(protocol, NULL);
    PyObject *ref = dict == NULL ? NULL : PyDict_GetItemWithError(dict, names.reader_ref);
    PyObject *reader = ref == NULL || ref == Py_None ? NULL : PyObject_CallNoArgs(ref);
    PyObject *found = NULL;

    if (reader != NULL && (PyObject *)Py_TYPE(reader) == s->feeds)
        found = PyObject_GenericGetDict(reader, NULL);
    Py_XDECREF(reader);
    Py_XDECREF(dict);
    PyErr_Clear();
    return found;
}

/* Whether so much more leaves the reader below the size at which it pauses its transport. */
static bool has_room(PyObject *reader, Py_ssize_t size)
{
    PyObject *limit = PyDict_GetItemWithError(reader, names.limit);
    Py_ssize_t most = limit != NULL && PyLong_CheckExact(limit) ? PyLong_AsSsize_t(limit) : 0;

    PyErr_Clear();
    return size / 2 < most;
}

static bool append(PyObject *reader, const char *bytes, Py_ssize_t count)
{
    PyObject *buffer = PyDict_GetItemWithError(reader, names.buffer);
    Py_ssize_t size;

    if (buffer == NULL || !PyByteArray_CheckExact(buffer) ||
        PyDict_GetItemWithError(reader, names.eof) != Py_False)
        return false;
    size = PyByteArray_GET_SIZE(buffer);
    if (!has_room(reader, size + count) || PyByteArray_Resize(buffer, size + count) != 0) {
        PyErr_Clear();
        return false;
    }
    memcpy(PyByteArray_AS_STRING(buffer) + size, bytes, (size_t)count);
    return true;
}

/* StreamReader._wakeup_waiter() */
static PyObject *wake_waiter(PyObject *reader)
{
    PyObject *waiter = Py_XNewRef(PyDict_GetItemWithError(reader, names.waiter));
    PyObject *is = NULL;
    PyObject *none = NULL;

    if (waiter == NULL || waiter == Py_None) {
        Py_XDECREF(waiter);
        Py_RETURN_NONE;
    }
    if (PyDict_SetItem(reader, names.waiter, Py_None) == 0)
        is = PyObject_CallMethodNoArgs(waiter, names.cancelled);
    if (is == Py_False)
        none = PyObject_CallMethodOneArg(waiter, names.set_result, Py_None);
    else if (is != NULL)
        none = Py_NewRef(Py_None);
    Py_XDECREF(is);
    Py_DECREF(waiter);
    return none;
}

/* False: it is for Python. Else *result is that of data_received(). */
static bool feed(const stream *s, PyObject *protocol, const char *bytes, Py_ssize_t count, PyObject **result)
{
    PyObject *reader = s->feeds == NULL ? NULL : dict_of_reader(s, protocol);
    bool fed = reader != NULL && append(reader, bytes, count);

    if (fed)
        *result = wake_waiter(reader);
    Py_XDECREF(reader);
    return fed;
}

static PyObject *hand_over(const stream *s, PyObject *protocol, const char *bytes, Py_ssize_t count)
{
    PyObject *data;
    PyObject *none;

    if (feed(s, protocol, bytes, count, &none))
        return none;
    data = PyBytes_FromStringAndSize(bytes, count);
    none = data == NULL ? NULL : PyObject_CallMethodOneArg(protocol, names.data_received, data);
    Py_XDECREF(data);
    return none;
}

static PyObject *read_data(stream *s, PyObject *protocol)
{
    char *buffer = buffer_of(s->loop);
    PyObject *none;
    ssize_t count;

    if (buffer == NULL)
        return PyErr_NoMemory();
    count = receive(s, buffer, BINE__RECEIVE_SIZE);
    if (count <= 0)
        return received_nothing(s, count);
    none = hand_over(s, protocol, buffer, count);
    return none != NULL ? none : fail(s, "Fatal error: protocol.data_received() call failed.");
}

/* Into what the protocol gives. */
static PyObject *read_into(stream *s, PyObject *protocol, PyObject *object)
{
    Py_buffer view;
    ssize_t count;
    PyObject *size;
    PyObject *none;

    if (PyObject_GetBuffer(object, &view, PyBUF_WRITABLE) != 0)
        return fail(s, "Fatal read error on socket transport");
    if (view.len == 0) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
        return fail(s, "Fatal error: protocol.get_buffer() call failed.");
    }
    count = receive(s, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (count <= 0)
        return received_nothing(s, count);
    size = PyLong_FromSsize_t(count);
    none = size == NULL ? NULL : PyObject_CallMethodOneArg(protocol, names.buffer_updated, size);
    Py_XDECREF(size);
    return none != NULL ? none : fail(s, "Fatal error: protocol.buffer_updated() call failed.");
}

static PyObject *read_for_buffered(stream *s, PyObject *protocol)
{
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *object = hint == NULL ? NULL : PyObject_CallMethodOneArg(protocol, names.get_buffer, hint);
    PyObject *none;

    Py_XDECREF(hint);
    if (object == NULL)
        return fail(s, "Fatal error: protocol.get_buffer() call failed.");
    none = read_into(s, protocol, object);
    Py_DECREF(object);
    return none;
}

/* read(): the socket is readable. */
static PyObject *stream_read(stream *s, PyObject *unused)
{
    PyObject *protocol = Py_XNewRef(get(s, names.protocol));
    PyObject *none;

    (void)unused;
    if (protocol == NULL || get(s, names.conn_lost) != zero)
        none = Py_NewRef(Py_None);
    else
        none = s->into ? read_for_buffered(s, protocol) : read_data(s, protocol);
    Py_XDECREF(protocol);
    return none;
}

/* protocol(into, reader): whether the protocol has a buffer of its own; asyncio.StreamReader when it is
 * asyncio's own for these, else None. */
static PyObject *stream_protocol(stream *s, PyObject *args)
{
    PyObject *reader;
    int into;

    if (!PyArg_ParseTuple(args, "pO:protocol", &into, &reader))
        return NULL;
    s->into = into;
    Py_XSETREF(s->feeds, reader == Py_None ? NULL : Py_NewRef(reader));
    Py_RETURN_NONE;
}

/* ---- writing ---- */

/* Whether there is nothing before it, and nothing in its way. */
static bool goes_straight(const stream *s)
{
    PyObject *buffer = get(s, names.buffer);

    return get(s, names.conn_lost) == zero && get(s, names.eof) == Py_False &&
           get(s, names.empty_waiter) == Py_None && buffer != NULL && PyObject_Size(buffer) == 0;
}

/* Sends what is there at once. How many bytes that took; 0 also when it has to wait; -1 with errno. A broken
 * connection is an error and no SIGPIPE, which ends hosts. */
static ssize_t send_now(const stream *s, PyObject *data)
{
    Py_buffer view;
    ssize_t count = 0;

    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) != 0) {
        PyErr_Clear(); /* asyncio's own method says what is wrong */
        return 0;
    }
    if (view.len > 0)
        count = send(s->fd, view.buf, (size_t)view.len, MSG_NOSIGNAL);
    PyBuffer_Release(&view);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : count;
}

static bool is_all(PyObject *data, ssize_t sent)
{
    Py_ssize_t size;

    if (PyBytes_CheckExact(data))
        size = PyBytes_GET_SIZE(data);
    else if (PyByteArray_CheckExact(data))
        size = PyByteArray_GET_SIZE(data);
    else
        size = PyMemoryView_GET_BUFFER(data)->len;
    return sent > 0 && sent == size;
}

static PyObject *write_rest(const stream *s, PyObject *data, ssize_t sent)
{
    PyObject *view = sent == 0 ? Py_NewRef(data) : PyMemoryView_FromObject(data);
    PyObject *bytes = NULL;
    PyObject *none;

    if (view != NULL && sent > 0)
        bytes = PyObject_CallMethod(view, "cast", "s", "B");
    if (bytes != NULL)
        Py_SETREF(view, PySequence_GetSlice(bytes, sent, PY_SSIZE_T_MAX));
    else if (sent > 0)
        Py_CLEAR(view);
    Py_XDECREF(bytes);
    none = view == NULL ? NULL : PyObject_CallMethodOneArg(s->transport, names.write_slowly, view);
    Py_XDECREF(view);
    return none;
}

/* write(data) */
static PyObject *stream_write(stream *s, PyObject *data)
{
    bool plain = PyBytes_CheckExact(data) || PyByteArray_CheckExact(data) || PyMemoryView_Check(data);
    ssize_t sent;

    if (s->transport == NULL)
        Py_RETURN_NONE;
    if (!plain || !goes_straight(s)) {
        PyErr_Clear();
        return PyObject_CallMethodOneArg(s->transport, names.write_slowly, data);
    }
    sent = send_now(s, data);
    if (sent >= 0)
        return is_all(data, sent) ? Py_NewRef(Py_None) : write_rest(s, data, sent);
    PyErr_SetFromErrno(PyExc_OSError);
    return fail(s, "Fatal write error on socket transport");
}

/* ---- the object ---- */

/* _Stream(loop, transport, fd) */
static PyObject *stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *loop;
    PyObject *transport;
    stream *s;
    int fd;

    (void)kwargs;
    if (intern_names() != 0 || !PyArg_ParseTuple(args, "OOi:_Stream", &loop, &transport, &fd))
        return NULL;
    if (!bine__is_loop(loop)) {
        PyErr_Format(PyExc_TypeError, "a stream needs a bine.EventLoop, not %.100s", Py_TYPE(loop)->tp_name);
        return NULL;
    }
    s = (stream *)(void *)type->tp_alloc(type, 0);
    if (s == NULL)
        return NULL;
    s->loop = (bine__loop *)(void *)Py_NewRef(loop);
    s->transport = Py_NewRef(transport);
    s->dict = PyObject_GenericGetDict(transport, NULL);
    s->fd = fd;
    s->is_tcp = bine__is_plain_tcp(fd);
    bine__endpoint_begin(s->loop, fd);
    if (s->dict == NULL)
        Py_CLEAR(s);
    return (PyObject *)s;
}

static int stream_traverse(stream *s, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(s));
    Py_VISIT(s->transport);
    Py_VISIT(s->dict);
    Py_VISIT(s->feeds);
    Py_VISIT(s->loop);
    return 0;
}

static int stream_clear(stream *s)
{
    Py_CLEAR(s->dict);
    Py_CLEAR(s->feeds);
    Py_CLEAR(s->transport);
    return 0; /* the loop has the buffer, and stays */
}

static void stream_dealloc(stream *s)
{
    PyTypeObject *type = Py_TYPE(s);

    PyObject_GC_UnTrack(s);
    stream_clear(s);
    Py_CLEAR(s->loop);
    type->tp_free(s);
    Py_DECREF(type);
}

static PyMethodDef stream_methods[] = {
    {"read", (PyCFunction)(void (*)(void))stream_read, METH_NOARGS, NULL},
    {"protocol", (PyCFunction)stream_protocol, METH_VARARGS, NULL},
    {"write", (PyCFunction)(void (*)(void))stream_write, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_new, stream_new},         {Py_tp_traverse, stream_traverse}, {Py_tp_clear, stream_clear},
    {Py_tp_dealloc, stream_dealloc}, {Py_tp_methods, stream_methods},   {0, NULL},
};

PyType_Spec bine__stream_spec = {
    .name = "bine._Stream",
    .basicsize = sizeof(stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = stream_slots,
};
