/* io.BufferedReader, BufferedWriter and BufferedRandom that several micro-threads use. Each has a lock that
 * goes by OS threads: a micro-thread that comes while another is suspended inside would be told that it calls
 * itself. So it waits first until nobody is inside. A signal handler's print() still meets CPython's error.
 *
 * What waits for a pipe or a socket waits with an empty hand.
 *
 * And io.TextIOWrapper, which has no lock: what comes while it waits for its buffer finds it half changed.
 * Who reads and who writes are no matter of each other's. */
#include "stdlib/buffered.h"

#include "stdlib/gate.h"
#include "stdlib/iolayout.h"
#include "stdlib/standin.h"
#include "stdlib/typeslot.h"

#include <string.h>
#include <sys/stat.h>

/* ---- Buffered ---- */

/* An OS thread may have the lock before it says so. */
static bool is_taken(PyObject *object, bool with_threads)
{
    const bine__buffered *b = (bine__buffered *)object;

    if (b->owner != 0 || !with_threads || b->lock == NULL)
        return b->owner != 0;
    if (!PyThread_acquire_lock(b->lock, NOWAIT_LOCK))
        return true;
    PyThread_release_lock(b->lock);
    return false;
}

static PyObject *call_method(const void *what)
{
    return bine__call_original(what);
}

static PyObject *enter_method(const bine__call *call)
{
    bine__door door = {.object = call->self, .taken = is_taken};

    return bine__knows_buffered ? bine__enter(&door, call_method, call) : bine__call_original(call);
}

/* ---- reading from streams: what is asked for is in the buffer before CPython's own method takes it from
 * there, so that a wait that is cut short loses nothing (CPython's drops what it has taken so far). ---- */

/* What a call asks for. */
typedef struct wish {
    Py_ssize_t size; /* bytes at most, 0: as many as there are */
    bool line;       /* to the end of a line is enough */
} wish;

/* A pipe or a socket, which may be read once more at its end. */
static bool reads_stream(const bine__buffered *b)
{
    const char *kind = b->raw == NULL ? "" : Py_TYPE(b->raw)->tp_name;
    struct stat is;

    if (strcmp(kind, "SocketIO") == 0)
        return true;
    return strcmp(kind, "_io.FileIO") == 0 && bine__knows_fileio &&
           fstat(((bine__fileio *)b->raw)->fd, &is) == 0 && (S_ISFIFO(is.st_mode) || S_ISSOCK(is.st_mode));
}

static int64_t buffered_bytes(const bine__buffered *b)
{
    return b->read_end < 0 ? 0 : b->read_end - b->pos;
}

/* Whether that is there, or there is no room for more. */
static bool has_enough(const bine__buffered *b, wish want)
{
    int64_t have = buffered_bytes(b);

    if (have == b->buffer_size || (want.size > 0 && have >= want.size))
        return true;
    return want.line && have > 0 && memchr(b->buffer + b->pos, '\n', (size_t)have) != NULL;
}

static void move_to_front(bine__buffered *b)
{
    int64_t have = buffered_bytes(b);

    if (have > 0)
        memmove(b->buffer, b->buffer + b->pos, (size_t)have);
    b->pos = 0;
    b->read_end = b->raw_pos = have;
}

/* One read behind what is there: how many bytes; 0: there are no more for now, -1: an exception is set. */
static Py_ssize_t fill_once(bine__buffered *b)
{
    Py_ssize_t room = b->buffer_size - (Py_ssize_t)b->read_end;
    PyObject *view = PyMemoryView_FromMemory(b->buffer + b->read_end, room, PyBUF_WRITE);
    PyObject *result = view == NULL ? NULL : PyObject_CallMethod(b->raw, "readinto", "O", view);
    Py_ssize_t count = result == NULL ? -1 : result == Py_None ? 0 : PyLong_AsSsize_t(result);

    Py_XDECREF(result);
    Py_XDECREF(view);
    return count > room ? 0 : count;
}

/* As CPython's own does it when it begins a method; false: an OS thread is inside. */
static bool lock_buffer(bine__buffered *b)
{
    if (!PyThread_acquire_lock(b->lock, NOWAIT_LOCK))
        return false;
    b->owner = PyThread_get_thread_ident();
    return true;
}

static void unlock_buffer(bine__buffered *b)
{
    b->owner = 0;
    PyThread_release_lock(b->lock);
}

/* -1 with an exception. */
static int fill(bine__buffered *b, wish want)
{
    Py_ssize_t count = 1;

    if (b->owner != 0 || !lock_buffer(b))
        return 0;
    while (count > 0 && !has_enough(b, want)) {
        if (b->read_end < 0 || b->read_end == b->buffer_size)
            move_to_front(b);
        count = fill_once(b);
        if (count <= 0)
            break;
        b->read_end += count;
        b->raw_pos = b->read_end;
        b->abs_pos += b->abs_pos < 0 ? 0 : count;
    }
    unlock_buffer(b);
    return count < 0 ? -1 : 0;
}

/* More than the buffer holds goes past it. */
static bool is_to_be_filled(const bine__buffered *b, wish want)
{
    return bine__knows_buffers && bine__stands_in(bine__here) && b->ok == 1 && b->readable == 1 &&
           b->writable == 0 && (want.line || (want.size > 0 && want.size <= b->buffer_size)) &&
           !has_enough(b, want) && reads_stream(b);
}

/* How many bytes a call asks for; 0: it does not say. */
static Py_ssize_t size_asked_for(const bine__call *call)
{
    PyObject *what = call->nargs == 1 ? call->args[0] : NULL;
    Py_ssize_t count = what != NULL && PyLong_CheckExact(what) ? PyLong_AsSsize_t(what) : 0;
    Py_buffer into;

    if (what != NULL && PyObject_CheckBuffer(what) && PyObject_GetBuffer(what, &into, PyBUF_SIMPLE) == 0) {
        count = into.len;
        PyBuffer_Release(&into);
    }
    PyErr_Clear();
    return count > 0 ? count : 0;
}

static PyObject *fill_and_call(const bine__call *call, bool line)
{
    wish want = {.size = size_asked_for(call), .line = line};
    bine__buffered *b = (bine__buffered *)call->self;

    if (is_to_be_filled(b, want) && fill(b, want) != 0)
        return NULL;
    return bine__call_original(call);
}

/* read(size), readinto(buffer) */
static PyObject *fill_and_read(const void *what)
{
    return fill_and_call(what, false);
}

/* readline(limit) */
static PyObject *fill_and_read_line(const void *what)
{
    return fill_and_call(what, true);
}

static PyObject *enter_read(const bine__call *call)
{
    bine__door door = {.object = call->self, .taken = is_taken};

    return bine__knows_buffered ? bine__enter(&door, fill_and_read, call) : bine__call_original(call);
}

static PyObject *enter_readline(const bine__call *call)
{
    bine__door door = {.object = call->self, .taken = is_taken};

    return bine__knows_buffered ? bine__enter(&door, fill_and_read_line, call) : bine__call_original(call);
}

#define METHOD_BY(id, type, method, enter) \
    BINE__STANDIN_EVERYWHERE(id, "_io", type "." method, "io." type "." method, "a line of its users", enter)
#define METHOD(id, type, method) METHOD_BY(id, type, method, enter_method)

METHOD(reader_close, "BufferedReader", "close");
METHOD(reader_detach, "BufferedReader", "detach");
METHOD(reader_peek, "BufferedReader", "peek");
METHOD_BY(reader_read, "BufferedReader", "read", enter_read);
METHOD(reader_read1, "BufferedReader", "read1");
METHOD_BY(reader_readinto, "BufferedReader", "readinto", enter_read);
METHOD(reader_readinto1, "BufferedReader", "readinto1");
METHOD_BY(reader_readline, "BufferedReader", "readline", enter_readline);
METHOD(reader_seek, "BufferedReader", "seek");
METHOD(reader_truncate, "BufferedReader", "truncate");
METHOD(writer_close, "BufferedWriter", "close");
METHOD(writer_detach, "BufferedWriter", "detach");
METHOD(writer_flush, "BufferedWriter", "flush");
METHOD(writer_seek, "BufferedWriter", "seek");
METHOD(writer_truncate, "BufferedWriter", "truncate");
METHOD(writer_write, "BufferedWriter", "write");
METHOD(random_close, "BufferedRandom", "close");
METHOD(random_detach, "BufferedRandom", "detach");
METHOD(random_flush, "BufferedRandom", "flush");
METHOD(random_peek, "BufferedRandom", "peek");
METHOD(random_read, "BufferedRandom", "read");
METHOD(random_read1, "BufferedRandom", "read1");
METHOD(random_readinto, "BufferedRandom", "readinto");
METHOD(random_readinto1, "BufferedRandom", "readinto1");
METHOD(random_readline, "BufferedRandom", "readline");
METHOD(random_seek, "BufferedRandom", "seek");
METHOD(random_truncate, "BufferedRandom", "truncate");
METHOD(random_write, "BufferedRandom", "write");

/* ---- text ---- */

enum { READS, WRITES };

static PyObject *enter_to_read(const bine__call *call)
{
    bine__door door = {.object = call->self, .side = READS};

    return bine__enter(&door, call_method, call);
}

/* print() writes a line in pieces, of which mostly the last alone has to wait: so that it comes out whole,
 * nobody is let in between. */
static PyObject *enter_to_write(const bine__call *call)
{
    bine__door door = {.object = call->self, .side = WRITES, .anyhow = true};

    return bine__enter(&door, call_method, call);
}

#define TEXT(id, method, enter)                                                                          \
    BINE__STANDIN(id, "_io", "TextIOWrapper." method, "io.TextIOWrapper." method, "a line of its users", \
                  enter)

TEXT(text_read, "read", enter_to_read);
TEXT(text_readline, "readline", enter_to_read);
TEXT(text_write, "write", enter_to_write);
TEXT(text_flush, "flush", enter_to_write);

bine__standin *const bine__buffered_standins[] = {
    &text_read,        &text_readline,    &text_write,
    &text_flush,       &reader_close,     &reader_detach,
    &reader_peek,      &reader_read,      &reader_read1,
    &reader_readinto,  &reader_readinto1, &reader_readline,
    &reader_seek,      &reader_truncate,  &writer_close,
    &writer_detach,    &writer_flush,     &writer_seek,
    &writer_truncate,  &writer_write,     &random_close,
    &random_detach,    &random_flush,     &random_peek,
    &random_read,      &random_read1,     &random_readinto,
    &random_readinto1, &random_readline,  &random_seek,
    &random_truncate,  &random_write,     NULL,
};

/* ---- iteration ---- */

static PyObject *next_line(PyObject *self);
static PyObject *next_text_line(PyObject *self);

#define NEXT(type, ours)                                                                         \
    {                                                                                            \
        (type), "__next__", offsetof(PyTypeObject, tp_iternext), BINE__SLOT_FUNCTION(ours), NULL \
    }

static bine__typeslot slots[] = {
    NEXT("BufferedReader", next_line),
    NEXT("BufferedRandom", next_line),
    NEXT("TextIOWrapper", next_text_line),
};

/* Both types of Buffered have the same function there. */
static PyObject *call_next(const void *what)
{
    PyObject *const *self = what;
    bine__buffered *b = (bine__buffered *)*self;
    const wish line = {.line = true};

    if (is_to_be_filled(b, line) && fill(b, line) != 0)
        return NULL;
    return ((iternextfunc)slots[0].original)(*self);
}

static PyObject *call_next_text(const void *what)
{
    PyObject *const *self = what;

    return ((iternextfunc)slots[2].original)(*self);
}

static PyObject *next_line(PyObject *self)
{
    bine__door door = {.object = self, .taken = is_taken};

    return bine__knows_buffered ? bine__enter(&door, call_next, &self) : call_next(&self);
}

static PyObject *next_text_line(PyObject *self)
{
    bine__door door = {.object = self, .side = READS};

    return bine__enter(&door, call_next_text, &self);
}

void bine__buffered_open(PyObject *io)
{
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        bine__typeslot_fill(&slots[i], io);
}

void bine__buffered_close(PyObject *io)
{
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        bine__typeslot_restore(&slots[i], io);
}
