/* What a host sees of its micro-threads: which ones live, and where each of them stands. */
#include "python/frames.h"
#include "python/microthread.h"
#include "python/python.h"

#include <stdlib.h>

bine_micro *bine_micro_next(bine *rt, const bine_micro *after)
{
    bine__micro *next = NULL;

    if (bine__check_owner(rt, "bine_micro_next") != BINE_OK)
        return NULL;
    if (after == NULL)
        next = rt->oldest;
    else if (after->core.rt == rt && !after->core.done)
        next = after->core.newer;
    return next == NULL ? NULL : bine__of_core(next);
}

/* A bine_stack with what it owns. */
typedef struct owned_stack {
    bine_stack public; /* first */
    bine__framelist list;
} owned_stack;

/* What it waits for, as C text; NULL when memory is out. */
static char *wait_text(const bine_micro *micro)
{
    PyObject *what = micro->core.done ? NULL : bine__awaited(&micro->core);
    char *text = NULL;

    if (PyErr_Occurred() == NULL)
        text = what == NULL ? bine__copy_text("") : bine__text_of(what);
    PyErr_Clear();
    Py_XDECREF(what);
    return text;
}

static char *site_text(const bine_micro *micro, int *line)
{
    PyObject *file = bine__micro_site(micro, line);
    char *text = file == NULL ? bine__copy_text("") : bine__text_of(file);

    Py_XDECREF(file);
    return text;
}

static int add_frame(bine__framelist *list, PyFrameObject *frame, PyObject *lines)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    int line = PyFrame_GetLineNumber(frame);
    int status = bine__framelist_add(list, code, line > 0 ? line : 0, lines);

    Py_DECREF(code);
    return status;
}

static int add_frames(owned_stack *stack, bine_micro *micro)
{
    PyObject *frames = bine__micro_stack(micro);
    PyObject *lines = frames == NULL || PyList_GET_SIZE(frames) == 0 ? NULL : bine__line_reader();
    int status = frames != NULL ? 0 : -1;

    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(frames); i++)
        status = add_frame(&stack->list, (PyFrameObject *)PyList_GET_ITEM(frames, i), lines);
    PyErr_Clear();
    Py_XDECREF(lines);
    Py_XDECREF(frames);
    stack->public.frames = stack->list.frames;
    stack->public.frame_count = stack->list.count;
    return status;
}

/* New, or NULL when memory is out. */
static bine_stack *look_at(bine_micro *micro)
{
    owned_stack *stack = calloc(1, sizeof *stack);

    if (stack == NULL)
        return NULL;
    bine__publish_sources(micro->core.rt->python);
    stack->public.waits_for = wait_text(micro);
    stack->public.spawn_file = site_text(micro, &stack->public.spawn_line);
    if (stack->public.waits_for != NULL && stack->public.spawn_file != NULL && add_frames(stack, micro) == 0)
        return &stack->public;
    bine_stack_free(&stack->public);
    return NULL;
}

int bine_micro_stack(bine_micro *micro, bine_stack **out)
{
    PyObject *in_flight;
    int status;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_stack: out is NULL");
    *out = NULL;
    if (micro == NULL)
        return bine__fail(BINE_EINVAL, "bine_micro_stack: the micro-thread is NULL");
    status = bine__check_owner(micro->core.rt, "bine_micro_stack");
    if (status != BINE_OK)
        return status;
    bine__gil_take(micro->core.rt);
    in_flight = PyErr_Occurred() != NULL ? bine__take_exception() : NULL;
    *out = look_at(micro);
    if (in_flight != NULL)
        bine__raise(in_flight);
    bine__gil_give(micro->core.rt);
    return *out != NULL ? BINE_OK : bine__fail(BINE_ENOMEM, "bine_micro_stack: out of memory");
}

void bine_stack_free(bine_stack *stack)
{
    owned_stack *owned = (owned_stack *)(void *)stack;

    if (stack == NULL)
        return;
    bine__framelist_clear(&owned->list);
    free((char *)(uintptr_t)stack->waits_for);
    free((char *)(uintptr_t)stack->spawn_file);
    free(owned);
}
