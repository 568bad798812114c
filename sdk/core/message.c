/* Status codes in words, and the thread's last message. Any thread. */
#include "core/runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODES(X)                                                             \
    X(BINE_OK, "done")                                                       \
    X(BINE_EINVAL, "an argument is out of its domain")                       \
    X(BINE_ENOMEM, "out of memory or of address space")                      \
    X(BINE_EBUSY, "not now: nested call, or something still lives")          \
    X(BINE_ETHREAD, "called from a thread other than the owner")             \
    X(BINE_EMICRO, "would have to wait, but not inside a micro-thread")      \
    X(BINE_ECLOSED, "the runtime is shutting down or closed")                \
    X(BINE_ESTARTED, "this process has already started its one interpreter") \
    X(BINE_EPYTHON, "the interpreter did not start")                         \
    X(BINE_ESCRIPT, "a Python exception")                                    \
    X(BINE_ECANCELED, "cancelled")                                           \
    X(BINE_ETIMEDOUT, "the time given is over")                              \
    X(BINE_ESETTLED, "the deferred already has its result")                  \
    X(BINE_EBROKEN, "the resolver was dropped: no result will come")         \
    X(BINE_ETYPE, "a value is of another kind than asked for")               \
    X(BINE_EEXIST, "the name is taken")                                      \
    X(BINE_EIO, "the operating system said no")                              \
    X(BINE_EAGAIN, "a pipe has no room, or nothing in it, right now")        \
    X(BINE_EEND, "the pipe was closed: nothing more comes")                  \
    X(BINE_EPIPE, "the pipe has no reader left")

const char *bine_err_name(int status)
{
    switch (status) {
#define NAME(code, text) \
    case code:           \
        return #code;
        CODES(NAME)
#undef NAME
    default:
        return "BINE_E?";
    }
}

const char *bine_strerror(int status)
{
    switch (status) {
#define TEXT(code, text) \
    case code:           \
        return text;
        CODES(TEXT)
#undef TEXT
    default:
        return "unknown status";
    }
}

static _Thread_local char last_message[512];

const char *bine_message(void)
{
    return last_message;
}

int bine__fail(int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(last_message, sizeof last_message, format, args);
    va_end(args);
    return status;
}

int bine__refuse(int status, void *user, bine_free release, const char *call, const char *why)
{
    bine__release(user, release); /* first: it may leave a message of its own */
    return bine__fail(status, "%s: %s", call, why);
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *bine_version(void)
{
    return TEXT(BINE_VERSION_MAJOR) "." TEXT(BINE_VERSION_MINOR) "." TEXT(
        BINE_VERSION_PATCH) " (CPython " PY_VERSION ")";
}

/* One call of on_log per line. */
static void log_lines(bine *rt, bine_log_level level, char *text)
{
    char *rest;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        rt->config.on_log(rt, level, line, rt->config.user);
}

void bine__log(bine *rt, bine_log_level level, const char *format, ...)
{
    char shortened[256]; /* for when memory is out, which is worth a line */
    char *text = NULL;
    va_list args;

    if (rt->config.on_log == NULL)
        return;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (text == NULL) {
        va_start(args, format);
        vsnprintf(shortened, sizeof shortened, format, args);
        va_end(args);
    }
    log_lines(rt, level, text != NULL ? text : shortened);
    free(text);
}
