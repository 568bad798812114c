/* What the stand-ins for sockets share. On a micro-thread that may wait. */
#ifndef BINE_STDLIB_SOCKET_H
#define BINE_STDLIB_SOCKET_H

#include "stdlib/layout.h"
#include "stdlib/limit.h"
#include "stdlib/standin.h"
#include "stdlib/use.h"

/* What a socket says of itself now. */
typedef struct bine__look {
    int fd;             /* -1: closed */
    int64_t timeout_ns; /* negative: None; 0: it does not block */
} bine__look;

/* _socket.socket, of which the method called is one. Borrowed. */
static inline PyTypeObject *bine__socket_type(const bine__standin *standin)
{
    return PyDescr_TYPE(standin->object);
}

/* The same, whatever is called. NULL: module _socket is not there, or the config does not want stand-ins. */
PyTypeObject *bine__socket_class(void);

/* By public calls. 0, or -1 with an exception. */
int bine__socket_ask(PyTypeObject *type, PyObject *socket, bine__look *out);

static inline int bine__socket_look(PyTypeObject *type, PyObject *socket, bine__look *out)
{
    const bine__socket_object *o = (const bine__socket_object *)socket;

    if (!bine__knows_sockets(type))
        return bine__socket_ask(type, socket, out);
    out->fd = o->fd;
    out->timeout_ns = o->timeout_ns;
    return 0;
}

/* Whether a call with these flags may wait. Somebody may have set O_NONBLOCK behind its back: then it does
 * not. */
bool bine__socket_waits(const bine__look *look, int flags);

/* CPython's own, with these arguments and without waiting: what would have to wait raises BlockingIOError, or
 * is an errno of connect_ex(). `look` is what the socket says now. */
PyObject *bine__socket_try(const bine__call *call, const bine__look *look, PyObject *const *args,
                           Py_ssize_t nargs);

/* Waits for a socket's descriptor within the limit, after a call on it has said that it would have to wait.
 * BINE_OK: it is ready, or was before. */
int bine__socket_wait(bine__limit *limit, int fd, unsigned events);

/* When module _socket has been imported; at close. */
void bine__sockets_open(PyObject *module);
void bine__sockets_close(void);

/* Whether its bytes follow each other: a call may move a part of them. */
bool bine__socket_is_stream(int fd);

/* What a stream is used for by one who sends: the bytes of one call follow each other, whoever else sends. */
bine__purpose bine__socket_sending(PyObject *socket);

/* Goes on with a send() on a socket that blocks: of `size` bytes, `*done` are sent, and some more when it
 * comes back. 0, or -1 with an exception. What cuts it short is raised by the next call that waits. `use`,
 * which may have begun, stays for the caller to end. */
int bine__socket_send_rest(PyTypeObject *type, PyObject *socket, char *bytes, size_t size, size_t *done,
                           int flags, bine__use *use);

/* An address without a host's name: that is looked up by socket.getaddrinfo(), which suspends. The same, or
 * another (new); NULL with an exception. */
PyObject *bine__socket_address(PyObject *socket, PyObject *address);

#endif
