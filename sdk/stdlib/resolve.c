/* Names of hosts: what asks name servers does so on a thread of a lane of its own. What a text says by
 * itself, as "127.0.0.1" does, is answered at once. config.lookup_timeout_ns limits a lookup, its time in
 * line included: when it is over, the lookup fails as when no server answers, and the thread is left behind.
 */
#include "stdlib/offload.h"

#include "python/python.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

/* ---- what needs no lookup ---- */

/* Of a str or bytes (borrowed), or NULL: it is neither, or no text of C's; no exception is set. */
static const char *text_of(PyObject *object)
{
    const char *text = NULL;
    Py_ssize_t size = 0;

    if (object != NULL && PyUnicode_Check(object))
        text = PyUnicode_AsUTF8AndSize(object, &size);
    else if (object != NULL && PyBytes_Check(object))
        PyBytes_AsStringAndSize(object, (char **)(void *)&text, &size);
    PyErr_Clear();
    return text != NULL && strlen(text) == (size_t)size ? text : NULL;
}

/* Whether it is an address: then nobody has to be asked. Its scope, as in "fe80::1%eth0", is the kernel's. */
static bool is_address(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t size = strcspn(text, "%");

    if (size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1 ||
           (text[size] == '\0' && inet_pton(AF_INET, address, &parsed) == 1);
}

static bool is_number(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* What is no host at all is for CPython's own to say. */
static bool host_is_known(PyObject *host)
{
    const char *text = text_of(host);

    if (host == NULL || host == Py_None)
        return true;
    if (text != NULL)
        return is_address(text);
    return !PyUnicode_Check(host) && !PyBytes_Check(host) && !PyByteArray_Check(host);
}

static bool port_is_known(PyObject *port)
{
    const char *text = text_of(port);

    return text == NULL || is_number(text);
}

/* CPython looks at it after the name. */
static bool is_port(PyObject *port)
{
    return port == NULL || port == Py_None || PyLong_Check(port) || text_of(port) != NULL;
}

/* An argument that is an int; 0 when it is none. */
static long int_of(PyObject *object)
{
    long value = object == NULL || !PyLong_Check(object) ? 0 : PyLong_AsLong(object);

    PyErr_Clear();
    return value;
}

/* ---- lookups ---- */

/* As when no server answers: `type` is one of module _socket's. */
static PyObject *raise_unanswered(const bine__call *call, const char *type, int code, const char *text)
{
    PyObject *class = PyObject_GetAttrString(call->self, type);
    PyObject *args = class == NULL ? NULL : Py_BuildValue("is", code, text);

    if (args != NULL)
        PyErr_SetObject(class, args);
    Py_XDECREF(args);
    Py_XDECREF(class);
    return NULL;
}

/* BINE_OK: *result is the answer, or NULL with an exception. */
static int ask(const bine__call *call, PyObject **result)
{
    bine *rt = bine__here;

    return bine__offload_call_until(call, BINE__NAMES, bine__real_deadline(rt, rt->config.lookup_timeout_ns),
                                    "the name of a host", result);
}

static PyObject *look_up(const bine__call *call)
{
    PyObject *result;
    int status = ask(call, &result);

    if (status == BINE_ETIMEDOUT)
        return raise_unanswered(call, "gaierror", EAI_AGAIN, gai_strerror(EAI_AGAIN));
    return status == BINE_OK ? result : bine__raise_status(bine__here, status, NULL);
}

static PyObject *getaddrinfo_waiting(const bine__call *call)
{
    PyObject *host = bine__call_argument(call, 0, "host");
    PyObject *port = bine__call_argument(call, 1, "port");
    bool numeric = (int_of(bine__call_argument(call, 5, "flags")) & AI_NUMERICHOST) != 0;

    if (((numeric || host_is_known(host)) && port_is_known(port)) || !is_port(port))
        return bine__call_original(call);
    return look_up(call);
}

/* gethostbyname(), gethostbyname_ex() */
static PyObject *gethostbyname_waiting(const bine__call *call)
{
    if (call->nargs != 1 || host_is_known(call->args[0]))
        return bine__call_original(call);
    return look_up(call);
}

static PyObject *gethostbyaddr_waiting(const bine__call *call)
{
    PyObject *result;
    int status;

    if (call->nargs != 1 || text_of(call->args[0]) == NULL)
        return bine__call_original(call);
    status = ask(call, &result);
    if (status == BINE_ETIMEDOUT)
        return raise_unanswered(call, "herror", TRY_AGAIN, hstrerror(TRY_AGAIN));
    return status == BINE_OK ? result : bine__raise_status(bine__here, status, NULL);
}

static PyObject *getnameinfo_waiting(const bine__call *call)
{
    const long numeric = NI_NUMERICHOST | NI_NUMERICSERV;

    if (call->nargs == 2 && (int_of(call->args[1]) & numeric) == numeric)
        return bine__call_original(call);
    return look_up(call);
}

#define THREAD "a thread, in the lane of names"

BINE__STANDIN(standin_getaddrinfo, "_socket", "getaddrinfo", "socket.getaddrinfo", THREAD,
              getaddrinfo_waiting);
BINE__STANDIN(standin_gethostbyname, "_socket", "gethostbyname", "socket.gethostbyname", THREAD,
              gethostbyname_waiting);
BINE__STANDIN(standin_gethostbyname_ex, "_socket", "gethostbyname_ex", "socket.gethostbyname_ex", THREAD,
              gethostbyname_waiting);
BINE__STANDIN(standin_gethostbyaddr, "_socket", "gethostbyaddr", "socket.gethostbyaddr", THREAD,
              gethostbyaddr_waiting);
BINE__STANDIN(standin_getnameinfo, "_socket", "getnameinfo", "socket.getnameinfo", THREAD,
              getnameinfo_waiting);

bine__standin *const bine__resolve_standins[] = {&standin_getaddrinfo,      &standin_gethostbyname,
                                                 &standin_gethostbyname_ex, &standin_gethostbyaddr,
                                                 &standin_getnameinfo,      NULL};
