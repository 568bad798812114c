/* Sockets that are made: what is known of a descriptor's number was about another file. With that told, and
 * closing (closing.h), who waits for a socket may take it for the one he waited for before. */
#include "stdlib/socket.h"

#include "python/python.h"
#include "service/descriptor.h"
#include "stdlib/typeslot.h"

#include <stddef.h>

static int init(PyObject *self, PyObject *args, PyObject *kwargs);

static bine__typeslot init_slot = {"socket", "__init__", offsetof(PyTypeObject, tp_init),
                                   BINE__SLOT_FUNCTION(init), NULL};
static bool told;

/* On all threads. */
static int init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    int status = ((initproc)init_slot.original)(self, args, kwargs);

    if (status == 0 && told && bine__python_now->rt != NULL) {
        int fd = ((bine__socket_object *)self)->fd;

        bine__descriptors_changed(bine__python_now->rt, fd, fd);
    }
    return status;
}

void bine__sockets_open(PyObject *module)
{
    PyObject *type = PyObject_GetAttrString(module, init_slot.type);

    if (type != NULL && PyType_Check(type) && bine__knows_sockets((PyTypeObject *)type)) {
        bine__typeslot_fill(&init_slot, module);
        told = init_slot.original != NULL;
    }
    PyErr_Clear();
    Py_XDECREF(type);
}

void bine__sockets_close(void)
{
    PyObject *module = told ? PyImport_ImportModule("_socket") : NULL;

    told = false;
    if (module != NULL)
        bine__typeslot_restore(&init_slot, module);
    PyErr_Clear();
    Py_XDECREF(module);
}

int bine__socket_wait(bine__limit *limit, int fd, unsigned events)
{
    int64_t left = bine__limit_left(bine__here, limit);
    int status;

    if (left == 0)
        return BINE_ETIMEDOUT;
    status = told ? bine__wait_socket(fd, events, left) : bine_wait_fd(fd, events, left);
    return status > 0 ? BINE_OK : status;
}
