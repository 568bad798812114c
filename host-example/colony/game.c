/* Orders, answers and cancellations. See game.h.
 *
 * An agent does one thing at a time, so it owes at most one answer for what it does. Waiting
 * for an event is no doing: any number of an agent's micro-threads may wait while it walks. */
#include "game.h"

#include <math.h>
#include <stdlib.h>

typedef struct game_agent {
    game *game;
    size_t index;
    bine_resolver *doing;     /* the answer owed, NULL when it does nothing for a script */
    const bine_micro *caller; /* whom it is owed to; to compare, never to follow */
    const char *what;         /* and by which call; static */
} game_agent;

/* A script that waits for an event. In a ring through the list's head, oldest first. */
typedef struct waiter {
    struct waiter *next;
    struct waiter *previous;
    bine_resolver *resolver;
} waiter;

struct game {
    world *world;
    game_agent *agents;
    waiter events[WORLD_EVENTS]; /* heads */
};

/* --- waiters ----------------------------------------------------------------------------- */

static void waiters_init(waiter *head)
{
    head->next = head;
    head->previous = head;
}

static void waiter_join(waiter *head, waiter *one)
{
    one->next = head;
    one->previous = head->previous;
    head->previous->next = one;
    head->previous = one;
}

/* Takes `one` out and frees it; its resolver is the caller's from now on. */
static bine_resolver *waiter_leave(waiter *one)
{
    bine_resolver *r = one->resolver;

    one->next->previous = one->previous;
    one->previous->next = one->next;
    free(one);
    return r;
}

/* --- what the world tells ---------------------------------------------------------------- */

/* That bine_resolve() can fail is no concern of the world: the script was cancelled meanwhile,
 * or it gets a MemoryError. */
static void activity_ended(void *user, size_t index, world_activity activity, bool ok, int amount)
{
    game *g = user;
    game_agent *a = &g->agents[index];
    bine_resolver *r = a->doing;

    if (r == NULL)
        return; /* ordered before the world was saved; that script is no more */
    a->doing = NULL;
    if (activity == WORLD_WALK)
        bine_resolve(r, bine_value_bool(ok));
    else
        bine_resolve(r, bine_value_i64(amount));
}

/* Resolving runs no script, so nobody joins the list meanwhile. */
static void event_came(void *user, world_event event)
{
    game *g = user;
    waiter *head = &g->events[event];

    while (head->next != head)
        bine_resolve(waiter_leave(head->next), bine_value_i64((int64_t)world_day(g->world)));
}

/* --- what scripts do --------------------------------------------------------------------- */

/* Whose script is it? A status of Bine; when it is not BINE_OK the call has been answered. */
static int caller(bine_call *call, game_agent **out)
{
    const bine_micro *micro = bine_call_micro(call);

    *out = micro != NULL ? bine_micro_data(micro) : NULL;
    if (*out == NULL)
        return bine_fail(call, "RuntimeError", "only the script of an agent can do this");
    return BINE_OK;
}

/* Stops where it is; nobody waits any more. */
static void give_up(game_agent *a)
{
    bine_resolver *r = a->doing;

    a->doing = NULL;
    world_stop(a->game->world, a->index);
    bine_resolver_drop(r);
}

/* The script that waited was cancelled, or its time was over. */
static void cancelled(bine_resolver *r, void *user)
{
    game_agent *a = user;

    if (a->doing == r)
        give_up(a);
}

/* Finds the agent and owes it an answer; then the caller gives the order to the world.
 *
 * A micro-thread is in one call at a time. So when the one that calls now is still owed an
 * answer, it has left that call by a timeout, and is faster than the canceller. */
static int begin(bine_call *call, const char *what, game_agent **out)
{
    game_agent *a;
    int status = caller(call, &a);

    *out = a;
    if (status != BINE_OK)
        return status;
    if (a->doing != NULL && a->caller == bine_call_micro(call))
        give_up(a);
    if (a->doing != NULL)
        return bine_fail(call, "RuntimeError",
                         "agent %zu cannot %s(): it is in the middle of %s(), which another "
                         "micro-thread of it has called",
                         a->index, what, a->what);
    status = bine_defer_with(call, cancelled, a, &a->doing);
    a->caller = bine_call_micro(call);
    a->what = what;
    return status;
}

static int walk_to(bine_call *call, void *user)
{
    game *g = user;
    double x = bine_arg_f64(call, 0);
    double y = bine_arg_f64(call, 1);
    game_agent *a;
    int status;

    if (!isfinite(x) || !isfinite(y))
        return bine_fail(call, "ValueError", "walk_to(%g, %g) leads nowhere", x, y);
    status = begin(call, "walk_to", &a);
    if (status == BINE_OK)
        world_walk(g->world, a->index, x, y);
    return status;
}

static int gather(bine_call *call, void *user)
{
    game *g = user;
    game_agent *a;
    int status = begin(call, "gather", &a);

    if (status == BINE_OK)
        world_gather(g->world, a->index);
    return status;
}

static int deposit(bine_call *call, void *user)
{
    game *g = user;
    game_agent *a;
    int status = caller(call, &a);

    if (status != BINE_OK)
        return status;
    if (!world_at_home(g->world, a->index))
        return bine_fail(call, "RuntimeError", "agent %zu cannot deposit(): it is not at home", a->index);
    status = begin(call, "deposit", &a);
    if (status == BINE_OK)
        world_deposit(g->world, a->index);
    return status;
}

/* --- events ------------------------------------------------------------------------------ */

static int event_argument(bine_call *call, world_event *out)
{
    const char *name = bine_arg_str(call, 0, NULL);

    if (name != NULL && world_event_named(name, out))
        return BINE_OK;
    return bine_fail(call, "ValueError", "no event '%s': there are dawn, noon, dusk and midnight",
                     name != NULL ? name : "");
}

static void stop_waiting(bine_resolver *r, void *user)
{
    waiter *one = user;

    waiter_leave(one);
    bine_resolver_drop(r);
}

static int wait_for(bine_call *call, void *user)
{
    game *g = user;
    world_event event;
    waiter *one;
    int status = event_argument(call, &event);

    if (status != BINE_OK)
        return status;
    one = calloc(1, sizeof *one);
    if (one == NULL)
        return BINE_ENOMEM;
    status = bine_defer_with(call, stop_waiting, one, &one->resolver);
    if (status != BINE_OK) {
        free(one);
        return status;
    }
    waiter_join(&g->events[event], one);
    return BINE_OK;
}

static int until(bine_call *call, void *user)
{
    game *g = user;
    world_event event;
    int status = event_argument(call, &event);

    if (status != BINE_OK)
        return status;
    return bine_return(call,
                       bine_value_f64((double)world_frames_until(g->world, event) / WORLD_FRAMES_PER_SECOND));
}

/* --- questions, answered at once --------------------------------------------------------- */

static int return_place(bine_call *call, double x, double y)
{
    bine_value *place = bine_value_list();

    /* Out of memory, also in the middle, is seen in the end: a list takes NULL and says so. */
    if (bine_value_append(place, bine_value_f64(x)) != BINE_OK ||
        bine_value_append(place, bine_value_f64(y)) != BINE_OK) {
        bine_value_free(place);
        return BINE_ENOMEM;
    }
    return bine_return(call, place);
}

static int position(bine_call *call, void *user)
{
    game *g = user;
    game_agent *a;
    int status = caller(call, &a);

    if (status != BINE_OK)
        return status;
    return return_place(call, g->world->agents[a->index].x, g->world->agents[a->index].y);
}

static int nearest_food(bine_call *call, void *user)
{
    game *g = user;
    const world_agent *where;
    game_agent *a;
    size_t food;
    int status = caller(call, &a);

    if (status != BINE_OK)
        return status;
    where = &g->world->agents[a->index];
    if (!world_nearest_food(g->world, where->x, where->y, &food))
        return BINE_OK; /* None */
    return return_place(call, g->world->foods[food].x, g->world->foods[food].y);
}

static int home(bine_call *call, void *user)
{
    (void)user;
    return return_place(call, WORLD_HOME_X, WORLD_HOME_Y);
}

static int carried(bine_call *call, void *user)
{
    game *g = user;
    game_agent *a;
    int status = caller(call, &a);

    if (status != BINE_OK)
        return status;
    return bine_return(call, bine_value_i64(g->world->agents[a->index].carried));
}

static int capacity(bine_call *call, void *user)
{
    (void)user;
    return bine_return(call, bine_value_i64(WORLD_CAPACITY));
}

static int stored(bine_call *call, void *user)
{
    game *g = user;

    return bine_return(call, bine_value_i64(g->world->stored));
}

static int is_day(bine_call *call, void *user)
{
    game *g = user;

    return bine_return(call, bine_value_bool(world_is_day(g->world)));
}

static int hour(bine_call *call, void *user)
{
    game *g = user;

    return bine_return(call, bine_value_f64(world_hour(g->world)));
}

static int chance(bine_call *call, void *user)
{
    game *g = user;

    return bine_return(call, bine_value_f64(world_random(g->world)));
}

/* --- the module, and its life ------------------------------------------------------------ */

static const struct {
    const char *signature;
    bine_fn function;
    const char *doc;
} functions[] = {
    {"walk_to(x: float, y: float) -> bool", walk_to,
     "Walks there. False: it lies beyond the edge of the world, where the walk has ended."},
    {"gather() -> int", gather,
     "Picks berries from the bush nearby until the basket is full or the bush is bare; "
     "how many. 0: no bush with berries is near, or the basket was full."},
    {"deposit() -> int", deposit, "At home: empties the basket into the store; how many berries."},
    {"wait_for(event: str) -> int", wait_for,
     "Waits for the next dawn, noon, dusk or midnight; the day, from 1."},
    {"until(event: str) -> float", until, "Seconds until the next dawn, noon, dusk or midnight."},
    {"position() -> list", position, "Where the agent is: [x, y]."},
    {"nearest_food() -> list | None", nearest_food,
     "Where the nearest bush with berries is: [x, y]. None: all are bare."},
    {"home() -> list", home, "Where home is: [x, y]."},
    {"carried() -> int", carried, "How many berries are in the basket."},
    {"capacity() -> int", capacity, "How many berries the basket holds."},
    {"stored() -> int", stored, "How many berries all have brought home."},
    {"is_day() -> bool", is_day, "Whether it is between dawn and dusk."},
    {"hour() -> float", hour, "The time of day, 0.0 up to 24.0."},
    {"random() -> float", chance, "0.0 up to 1.0, by the world's own chance."},
};

int game_define(game *g, bine *rt)
{
    int status = BINE_OK;

    for (size_t i = 0; status == BINE_OK && i < sizeof functions / sizeof *functions; i++)
        status = bine_def(rt, "game", functions[i].signature, functions[i].function, g, functions[i].doc);
    return status;
}

game *game_new(world *w)
{
    world_listener listener = {.ended = activity_ended, .event = event_came};
    game *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    g->world = w;
    for (int e = 0; e < WORLD_EVENTS; e++)
        waiters_init(&g->events[e]);
    g->agents = calloc(w->agent_count, sizeof *g->agents);
    if (g->agents == NULL) {
        free(g);
        return NULL;
    }
    for (size_t i = 0; i < w->agent_count; i++) {
        g->agents[i].game = g;
        g->agents[i].index = i;
    }
    listener.user = g;
    world_listen(w, &listener);
    return g;
}

void game_free(game *g)
{
    if (g == NULL)
        return;
    world_listen(g->world, NULL);
    for (size_t i = 0; i < g->world->agent_count; i++)
        bine_resolver_drop(g->agents[i].doing);
    for (int e = 0; e < WORLD_EVENTS; e++)
        while (g->events[e].next != &g->events[e])
            bine_resolver_drop(waiter_leave(g->events[e].next));
    free(g->agents);
    free(g);
}

void *game_agent_data(game *g, size_t agent)
{
    return &g->agents[agent];
}
