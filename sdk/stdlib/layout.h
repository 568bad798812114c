/* Where CPython's objects have what there is no quick way to ask them for. CPython's headers do not tell;
 * the places are the same from 3.11 to 3.13, and are looked at before they are relied upon: what does not
 * turn out as it should is done by public calls. Owner thread with the GIL held. */
#ifndef BINE_STDLIB_LAYOUT_H
#define BINE_STDLIB_LAYOUT_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* Whether a layout is what it is taken for. */
typedef enum bine__trust { BINE__NOT_LOOKED, BINE__AS_KNOWN, BINE__FOREIGN } bine__trust;

/* A _socket.socket, and what derives from it. */
typedef struct bine__socket_object {
    PyObject ob_base;
    int fd; /* -1: closed */
    int family;
    int type;
    int proto;
    void *errorhandler;
    int64_t timeout_ns; /* negative: None */
} bine__socket_object;

/* A select.poll. */
typedef struct bine__poll_object {
    PyObject ob_base;
    PyObject *events; /* fd -> events, a dict */
} bine__poll_object;

extern bine__trust bine__socket_trust, bine__poll_trust;

/* `type` is _socket.socket; select.poll's. */
bool bine__look_at_sockets(PyTypeObject *type);
bool bine__look_at_polls(PyObject *poll);

static inline bool bine__knows_sockets(PyTypeObject *type)
{
    return bine__socket_trust == BINE__AS_KNOWN ||
           (bine__socket_trust == BINE__NOT_LOOKED && bine__look_at_sockets(type));
}

static inline bool bine__knows_polls(PyObject *poll)
{
    return bine__poll_trust == BINE__AS_KNOWN ||
           (bine__poll_trust == BINE__NOT_LOOKED && bine__look_at_polls(poll));
}

#endif
