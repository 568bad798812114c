/* Who is inside of what, and who waits outside. */
#include "stdlib/gate.h"

#include "python/line.h"
#include "python/python.h"
#include "stdlib/standin.h"

#include <stdlib.h>

/* A micro-thread's call that is under way; on its stack. */
typedef struct visit {
    const bine__door *door;
    const bine__micro *micro;
    struct visit *next;
    struct visit **link; /* what points to it */
} visit;

/* A door that somebody waits at. */
typedef struct gate {
    bine__door door; /* those who wait have a hold on the object */
    bine__line line;
    size_t users;  /* from their coming until they have entered */
    bool promised; /* one of them has been served and has not entered yet */
    struct gate *next;
} gate;

static visit *visits;    /* of micro-threads */
static gate *gates;      /* mostly none */
static unsigned threads; /* other threads that are inside, or wait at CPython's lock */

/* ---- who is inside ---- */

/* How many visits there are, by a few bits of the object's address: mostly that says that nobody is inside.
 */
#define ROOMS 256

static unsigned visitors[ROOMS];

static unsigned *room_of(const bine__door *door)
{
    return &visitors[((uintptr_t)door->object >> 4) % ROOMS];
}

static bool is_same(const bine__door *one, const bine__door *other)
{
    return one->object == other->object && one->side == other->side;
}

static void begin_visit(visit *v, const bine__door *door, const bine__micro *micro)
{
    *v = (visit){.door = door, .micro = micro, .next = visits, .link = &visits};
    if (visits != NULL)
        visits->link = &v->next;
    visits = v;
    (*room_of(door))++;
}

static void end_visit(const visit *v)
{
    *v->link = v->next;
    if (v->next != NULL)
        v->next->link = v->link;
    (*room_of(v->door))--;
}

/* `micro` is inside; NULL: anybody. */
static bool is_inside(const bine__door *door, const bine__micro *micro)
{
    if (*room_of(door) == 0)
        return false;
    for (const visit *v = visits; v != NULL; v = v->next)
        if (is_same(v->door, door) && (micro == NULL || v->micro == micro))
            return true;
    return false;
}

static bool is_taken(const bine__door *door)
{
    return door->taken != NULL ? door->taken(door->object, threads > 0) : is_inside(door, NULL);
}

/* Those of the others lie on stacks that are there no more. */
void bine__gates_forked(const bine__micro *current)
{
    visit *next;

    for (visit *v = visits; v != NULL; v = next) {
        next = v->next;
        if (v->micro != current)
            end_visit(v);
    }
    for (gate *g = gates; g != NULL; g = g->next)
        g->promised = false;
    threads = 0;
}

/* ---- waiting ---- */

static gate *find_gate(const bine__door *door)
{
    gate *g = gates;

    while (g != NULL && !is_same(&g->door, door))
        g = g->next;
    return g;
}

static gate *make_gate(const bine__door *door)
{
    gate *g = find_gate(door);

    if (g != NULL)
        return g;
    g = calloc(1, sizeof *g);
    if (g == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    g->door = *door;
    g->next = gates;
    gates = g;
    return g;
}

static void leave_gate(gate *g)
{
    gate **at = &gates;

    if (--g->users > 0)
        return;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    free(g);
}

/* 0: the object is free, and nobody else has a turn before the call. -1 with an exception. */
static int wait_at(gate *g)
{
    bine__want want = {.thing = g->door.object, .line = &g->line, .timeout_ns = -1};
    int status = BINE_OK;

    while (status == BINE_OK) {
        status = bine__line_wait(&want, NULL);
        if (status == BINE_OK)
            g->promised = false;
        if (status == BINE_OK && !is_taken(&g->door))
            return 0;
    }
    return -1;
}

static int wait_for_turn(const bine__door *door)
{
    gate *g = make_gate(door);
    int status = 0;

    if (g == NULL)
        return -1;
    g->users++;
    if (is_taken(door) || (!door->anyhow && (g->promised || g->line.first != NULL)))
        status = wait_at(g);
    leave_gate(g);
    return status;
}

/* Somebody has left. */
static void serve_next(const bine__door *door)
{
    gate *g = find_gate(door);

    if (g == NULL || g->promised || g->line.first == NULL)
        return;
    g->promised = true;
    bine__line_serve(&g->line, NULL);
}

/* ---- calls ---- */

static PyObject *enter_as_thread(const bine__door *door, bine__door_call call, const void *what)
{
    PyObject *result;

    threads++;
    result = call(what);
    threads--;
    if (gates != NULL)
        serve_next(door);
    return result;
}

PyObject *bine__enter(const bine__door *door, bine__door_call call, const void *what)
{
    bine *rt = bine__here;
    PyObject *result;
    visit v;

    if (rt == NULL && door->taken != NULL)
        return enter_as_thread(door, call, what);
    if (!bine__stands_in(rt))
        return call(what);
    if ((gates != NULL || is_taken(door)) && !is_inside(door, rt->current) && wait_for_turn(door) != 0)
        return NULL;
    begin_visit(&v, door, rt->current);
    result = call(what);
    end_visit(&v);
    if (gates != NULL)
        serve_next(door);
    return result;
}
