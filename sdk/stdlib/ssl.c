/* TLS: what CPython's _SSLSocket does on a socket that blocks. Its own methods are called with the socket set
 * not to block, just for the call; what OpenSSL then wants is waited for by readiness, and the call is made
 * again. Connections over BIOs (ssl.SSLObject) never block and are left alone. */
#include "stdlib/socket.h"

#include "python/python.h"
#include "stdlib/fair.h"
#include "stdlib/use.h"

#include <errno.h>
#include <fcntl.h>
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

static PyObject *try_once(attempt *a)
{
    PyObject *result;
    bine__use inside;

    bine__use_begin(bine__here, &inside, purpose_of(a, INSIDE));
    begin(a);
    result = bine__call_original(a->call);
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
    return a->wants == BINE_READABLE ? "The read operation timed out" : "The write operation timed out";
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
    unsigned events = wants();

    if (events == 0)
        return false;
    PyErr_Clear();
    a->wants = events;
    if (a->writes && a->writing.user == NULL)
        bine__use_begin(bine__here, &a->writing, purpose_of(a, WRITING));
    *status = bine__limit_wait(bine__here, &a->limit, a->look.fd, events);
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

static PyObject *go_on(attempt *a)
{
    PyObject *result = NULL;
    int status;

    do {
        status = wait_for_turn(a);
        if (status == BINE_OK)
            result = try_once(a);
    } while (status == BINE_OK && result == NULL && goes_on(a, &status));
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

static PyObject *run(const bine__call *call, bool writes)
{
    attempt a = {.call = call, .socket = socket_of(call->self), .wants = BINE_READABLE, .writes = writes};
    PyObject *result;

    if (a.socket == NULL)
        return bine__call_original(call);
    bine__socket_look(bine__socket_class(), a.socket, &a.look);
    a.limit.ns = a.look.timeout_ns;
    if (a.look.timeout_ns == 0 || a.look.fd < 0)
        result = bine__call_original(call);
    else
        result = go_on(&a);
    Py_DECREF(a.socket);
    return result;
}

static PyObject *tls_read(const bine__call *call)
{
    return run(call, false);
}

static PyObject *tls_write(const bine__call *call)
{
    return run(call, true);
}

#define METHOD(id, name, public, call) \
    BINE__STANDIN_WRITES(id, "_ssl", "_SSLSocket." name, "ssl.SSLSocket." public, "readiness", call)

METHOD(standin_handshake, "do_handshake", "do_handshake", tls_read);
METHOD(standin_read, "read", "read", tls_read);
METHOD(standin_shutdown, "shutdown", "unwrap", tls_read);
METHOD(standin_write, "write", "write", tls_write);

bine__standin *const bine__ssl_standins[] = {&standin_handshake, &standin_read, &standin_shutdown,
                                             &standin_write, NULL};
