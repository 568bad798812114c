/* TLS: what CPython's _SSLSocket does on a socket that blocks. Its own methods are called with the socket set
 * not to block, just for the call; what OpenSSL then wants is waited for by readiness, and the call is made
 * again. Connections over BIOs (ssl.SSLObject) never block and are left alone.
 *
 * OpenSSL takes the bytes of a write by records, and once it has begun to send one it must be given the same
 * bytes again before all else, or it would send that record's end with another's length. So a write goes
 * record by record, and the one that was under way when a write was given up is kept, and sent before what
 * comes next. */
#include "stdlib/ssl.h"

#include "python/python.h"
#include "stdlib/fair.h"
#include "stdlib/socket.h"
#include "stdlib/use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* What a connection is used for. OpenSSL is not to be entered anew while it calls back into Python (SNI, PSK)
 * and that waits; what it had no room to write it must be given again before anything else. */
enum { INSIDE = 1, WRITING };

typedef struct attempt {
    const bine__call *call;
    PyObject *socket;
    bine__look look; /* when the call began */
    bine__limit limit;
    unsigned wants; /* as the last try has it */
    bool writes;
    bine__use writing;
} attempt;

/* As much as one record takes. */
#define RECORD 16384

/* A record that is begun. */
typedef struct unfinished {
    struct unfinished *next;
    PyObject *connection; /* held */
    bool is_late;         /* given up when its time was over: the caller may try the same again */
    bool is_foreign;      /* of a socket that does not block: all of the call is to be given again */
    size_t before, total; /* bytes of the call that were sent before it; all of them */
    size_t size;
    char bytes[]; /* so many */
} unfinished;

static unfinished *kept;

static bine__standin standin_write;

static bine__purpose purpose_of(const attempt *a, int end)
{
    return (bine__purpose){.thing = a->call->self, .end = end};
}

/* ---- a try that does not wait ---- */

static void set_flag(const attempt *a, bool on)
{
    int flags = fcntl(a->look.fd, F_GETFL);

    if (flags >= 0)
        fcntl(a->look.fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/* The socket says that it does not block. */
static void begin(const attempt *a)
{
    ((bine__socket_object *)a->socket)->timeout_ns = 0;
    if (a->look.timeout_ns < 0)
        set_flag(a, true);
}

/* What a callback may have done to it meanwhile stays. */
static void end(const attempt *a)
{
    bine__socket_object *socket = (bine__socket_object *)a->socket;

    if (socket->fd != a->look.fd || socket->timeout_ns != 0)
        return;
    socket->timeout_ns = a->look.timeout_ns;
    if (a->look.timeout_ns < 0)
        set_flag(a, false);
}

/* As it was called; or, with `data`, a write of that. */
static PyObject *try_once(attempt *a, PyObject *data)
{
    const bine__call write = {.standin = &standin_write, .self = a->call->self};
    PyObject *result;
    bine__use inside;

    bine__use_begin(bine__here, &inside, purpose_of(a, INSIDE));
    begin(a);
    result = data == NULL ? bine__call_original(a->call) : bine__call_original_with(&write, &data, 1);
    end(a);
    bine__use_end(&inside);
    return result;
}

/* ---- until OpenSSL wants nothing ---- */

/* Whether the exception that is set is the one of that name in _ssl. */
static bool is_raised(const char *name)
{
    PyObject *exception = bine__take_exception();
    PyObject *module = bine__imported("_ssl");
    PyObject *class = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    bool is = class != NULL && PyErr_GivenExceptionMatches(exception, class);

    Py_XDECREF(class);
    PyErr_Clear();
    bine__raise(exception);
    return is;
}

static unsigned wants(void)
{
    if (is_raised("SSLWantReadError"))
        return BINE_READABLE;
    return is_raised("SSLWantWriteError") ? BINE_WRITABLE : 0;
}

static const char *late_text(const attempt *a)
{
    if (strcmp(a->call->standin->path, "_SSLSocket.do_handshake") == 0)
        return "The handshake operation timed out";
    return a->wants == BINE_READABLE && !a->writes ? "The read operation timed out"
                                                   : "The write operation timed out";
}

/* A closed one's number may be another's by now, and OpenSSL has kept it: BINE_EIO. */
static int still_there(const attempt *a)
{
    bine__look look;

    if (bine__socket_look(bine__socket_class(), a->socket, &look) == 0 && look.fd == a->look.fd)
        return BINE_OK;
    PyErr_Clear();
    errno = EBADF;
    return BINE_EIO;
}

/* Waits for what is wanted, if that is why the try has failed. `*status` is BINE_OK, or why it is over. */
static bool goes_on(attempt *a, int *status)
{
    unsigned events = a->look.timeout_ns == 0 ? 0 : wants();

    if (events == 0)
        return false;
    PyErr_Clear();
    a->wants = events;
    if (a->writes && a->writing.user == NULL)
        bine__use_begin(bine__here, &a->writing, purpose_of(a, WRITING));
    *status = bine__socket_wait(&a->limit, a->look.fd, events);
    return *status == BINE_OK;
}

static int wait_for_turn(attempt *a)
{
    int status = BINE_OK;

    if (a->writes && a->writing.user == NULL)
        status = bine__use_wait(bine__here, purpose_of(a, WRITING), &a->limit);
    if (status == BINE_OK)
        status = bine__use_wait(bine__here, purpose_of(a, INSIDE), &a->limit);
    return status == BINE_OK ? still_there(a) : status;
}

/* BINE_OK: *result is new, or NULL with an exception. Else it was given up. */
static int try_until(attempt *a, PyObject *data, PyObject **result)
{
    int status;

    *result = NULL;
    do {
        status = wait_for_turn(a);
        if (status == BINE_OK)
            *result = try_once(a, data);
    } while (status == BINE_OK && *result == NULL && goes_on(a, &status));
    return status;
}

/* ---- records that are begun ---- */

static unfinished **place_of(PyObject *connection)
{
    unfinished **at = &kept;

    while (*at != NULL && (*at)->connection != connection)
        at = &(*at)->next;
    return at;
}

static void forget(unfinished **at)
{
    unfinished *u = *at;

    *at = u->next;
    Py_DECREF(u->connection);
    free(u);
}

static void forget_of(PyObject *connection)
{
    unfinished **at = place_of(connection);

    if (*at != NULL)
        forget(at);
}

/* Nobody else has the connection. */
static void forget_abandoned(void)
{
    unfinished **at = &kept;

    while (*at != NULL) {
        if (Py_REFCNT((*at)->connection) == 1)
            forget(at);
        else
            at = &(*at)->next;
    }
}

void bine__ssl_close(void)
{
    while (kept != NULL)
        forget(&kept);
}

/* In place of what was kept. Without memory the connection fails by OpenSSL's own error at the next write. */
static void keep(const attempt *a, const unfinished *as, const char *bytes)
{
    unfinished *u = malloc(sizeof *u + as->size);

    forget_of(a->call->self);
    forget_abandoned();
    if (u == NULL)
        return;
    *u = *as;
    u->connection = Py_NewRef(a->call->self);
    memcpy(u->bytes, bytes, as->size);
    u->next = kept;
    kept = u;
}

/* The same call again, which goes on where it was: its bytes were not taken back when its time was over. */
static bool is_same(const unfinished *u, const Py_buffer *data)
{
    return u->is_late && (size_t)data->len == u->total &&
           memcmp((const char *)data->buf + u->before, u->bytes, u->size) == 0;
}

/* Sends the end of what is kept. *ok, or as try_until(). */
static int finish_kept(attempt *a, bool *ok)
{
    const unfinished *u = *place_of(a->call->self);
    PyObject *bytes = PyBytes_FromStringAndSize(u->bytes, (Py_ssize_t)u->size);
    PyObject *result = NULL;
    int status = bytes == NULL ? BINE_OK : try_until(a, bytes, &result);

    *ok = result != NULL;
    if (*ok || (status == BINE_OK && bytes != NULL && wants() == 0))
        forget_of(a->call->self); /* it is sent, or the connection is of no use any more */
    Py_XDECREF(result);
    Py_XDECREF(bytes);
    return status;
}

/* ---- writing ---- */

/* A piece of the data, or all of it (new). */
static PyObject *piece_of(const attempt *a, const Py_buffer *data, size_t from, size_t size)
{
    if (from == 0 && size == (size_t)data->len)
        return Py_NewRef(a->call->args[0]);
    return PyMemoryView_FromMemory((char *)data->buf + from, (Py_ssize_t)size, PyBUF_READ);
}

/* One record. `*done` goes on; what is given up midway is kept. */
static int write_record(attempt *a, const Py_buffer *data, size_t *done, bool *ok)
{
    size_t left = (size_t)data->len - *done;
    size_t size = left < RECORD ? left : RECORD;
    PyObject *piece = piece_of(a, data, *done, size);
    PyObject *result = NULL;
    int status;

    a->wants = BINE_READABLE;
    status = piece == NULL ? BINE_OK : try_until(a, piece, &result);
    *ok = result != NULL;
    if (status != BINE_OK && status != BINE_EIO && a->wants == BINE_WRITABLE)
        keep(a,
             &(unfinished){.is_late = status == BINE_ETIMEDOUT,
                           .before = *done,
                           .total = (size_t)data->len,
                           .size = size},
             (const char *)data->buf + *done);
    *done += *ok ? size : 0;
    Py_XDECREF(result);
    Py_XDECREF(piece);
    return status;
}

/* As try_until(): it is all written. */
static int write_all(attempt *a, const Py_buffer *data, PyObject **result)
{
    const unfinished *u = *place_of(a->call->self);
    bool same = u != NULL && is_same(u, data);
    size_t done = same ? u->before : 0;
    int status = BINE_OK;
    bool ok = true;

    if (same)
        forget_of(a->call->self);
    else if (u != NULL)
        status = finish_kept(a, &ok);
    while (status == BINE_OK && ok && done < (size_t)data->len) {
        status = write_record(a, data, &done, &ok);
        if (done < (size_t)data->len)
            bine__fair(bine__here);
    }
    *result = status == BINE_OK && ok ? PyLong_FromSize_t(done) : NULL;
    return status;
}

/* It was given up by a socket that did not block: OpenSSL wants all of it again. */
static bool is_foreign(const attempt *a)
{
    const unfinished *u = *place_of(a->call->self);

    return u != NULL && u->is_foreign;
}

/* On a socket that does not block. */
static PyObject *write_at_once(attempt *a)
{
    PyObject *result;
    bool ok = true;

    if (kept != NULL && !is_foreign(a) && *place_of(a->call->self) != NULL)
        (void)finish_kept(a, &ok);
    if (!ok)
        return NULL;
    result = bine__call_original(a->call);
    if (result != NULL)
        forget_of(a->call->self);
    else if (wants() == BINE_WRITABLE)
        keep(a, &(unfinished){.is_foreign = true}, "");
    return result;
}

/* In turn: the bytes of one call follow each other. */
static int write_in_turn(attempt *a, PyObject **result)
{
    Py_buffer data;
    int status = wait_for_turn(a);

    *result = NULL;
    if (status != BINE_OK)
        return status;
    if (PyObject_GetBuffer(a->call->args[0], &data, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        *result = bine__call_original(a->call); /* which says what is wrong */
        return BINE_OK;
    }
    if (data.len == 0 || is_foreign(a)) {
        status = try_until(a, NULL, result);
        if (*result != NULL)
            forget_of(a->call->self);
    } else {
        if (data.len > RECORD || kept != NULL)
            bine__use_begin(bine__here, &a->writing, purpose_of(a, WRITING));
        status = write_all(a, &data, result);
    }
    PyBuffer_Release(&data);
    return status;
}

/* ---- all of it ---- */

/* What ends the connection is sent behind what is kept. */
static int end_connection(attempt *a, PyObject **result)
{
    bool ok = true;
    int status;

    *result = NULL;
    if (kept == NULL)
        return try_until(a, NULL, result);
    a->writes = true;
    status = wait_for_turn(a);
    if (status == BINE_OK && *place_of(a->call->self) != NULL && !is_foreign(a))
        status = finish_kept(a, &ok);
    a->writes = false;
    return status == BINE_OK && ok ? try_until(a, NULL, result) : status;
}

static PyObject *conclude(attempt *a, int status, PyObject *result)
{
    bine__use_end(&a->writing);
    if (status != BINE_OK)
        bine__limit_raise(bine__here, status, late_text(a));
    bine__fair(bine__here);
    return result;
}

/* The socket below (new); NULL without an exception: there is none that Bine knows its way in. */
static PyObject *socket_of(PyObject *connection)
{
    PyTypeObject *class = bine__socket_class();
    PyObject *owner = PyObject_GetAttrString(connection, "owner");

    PyErr_Clear();
    if (owner != NULL && class != NULL && PyObject_TypeCheck(owner, class) && bine__knows_sockets(class))
        return owner;
    Py_XDECREF(owner);
    return NULL;
}

/* How a method goes about it: as try_until(). */
typedef int (*way)(attempt *a, PyObject **result);

static PyObject *run(const bine__call *call, way go, bool writes)
{
    attempt a = {.call = call, .socket = socket_of(call->self), .wants = BINE_READABLE, .writes = writes};
    PyObject *result;
    int status;

    if (a.socket == NULL)
        return bine__call_original(call);
    bine__socket_look(bine__socket_class(), a.socket, &a.look);
    a.limit.ns = a.look.timeout_ns;
    if (a.look.timeout_ns == 0 || a.look.fd < 0) {
        result = writes && a.look.fd >= 0 ? write_at_once(&a) : bine__call_original(call);
    } else {
        status = go(&a, &result);
        result = conclude(&a, status, result);
    }
    Py_DECREF(a.socket);
    return result;
}

static int as_it_is(attempt *a, PyObject **result)
{
    return try_until(a, NULL, result);
}

/* do_handshake, read */
static PyObject *tls_read(const bine__call *call)
{
    return run(call, as_it_is, false);
}

static PyObject *tls_shutdown(const bine__call *call)
{
    return run(call, end_connection, false);
}

static PyObject *tls_write(const bine__call *call)
{
    if (call->nargs != 1 || !PyObject_CheckBuffer(call->args[0]))
        return bine__call_original(call); /* which says what is wrong */
    return run(call, write_in_turn, true);
}

#define METHOD(id, name, public, call) \
    BINE__STANDIN_WRITES(id, "_ssl", "_SSLSocket." name, "ssl.SSLSocket." public, "readiness", call)

METHOD(standin_handshake, "do_handshake", "do_handshake", tls_read);
METHOD(standin_read, "read", "read", tls_read);
METHOD(standin_shutdown, "shutdown", "unwrap", tls_shutdown);
METHOD(standin_write, "write", "write", tls_write);

bine__standin *const bine__ssl_standins[] = {&standin_handshake, &standin_read, &standin_shutdown,
                                             &standin_write, NULL};
