/* io.BufferedReader, BufferedWriter and BufferedRandom that several micro-threads use. Each has a lock that
 * goes by OS threads: a micro-thread that comes while another is suspended inside would be told that it calls
 * itself. So it waits first until nobody is inside. A signal handler's print() still meets CPython's error.
 *
 * And io.TextIOWrapper, which has no lock: what comes while it waits for its buffer finds it half changed.
 * Who reads and who writes are no matter of each other's. */
#include "stdlib/buffered.h"

#include "stdlib/gate.h"
#include "stdlib/iolayout.h"
#include "stdlib/standin.h"
#include "stdlib/typeslot.h"

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

#define METHOD(id, type, method)                                                                       \
    BINE__STANDIN_EVERYWHERE(id, "_io", type "." method, "io." type "." method, "a line of its users", \
                             enter_method)

METHOD(reader_close, "BufferedReader", "close");
METHOD(reader_detach, "BufferedReader", "detach");
METHOD(reader_peek, "BufferedReader", "peek");
METHOD(reader_read, "BufferedReader", "read");
METHOD(reader_read1, "BufferedReader", "read1");
METHOD(reader_readinto, "BufferedReader", "readinto");
METHOD(reader_readinto1, "BufferedReader", "readinto1");
METHOD(reader_readline, "BufferedReader", "readline");
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
