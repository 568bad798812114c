/* The rules of the world. See world.h; nothing but arithmetic happens here. Only + - * / and
 * sqrt touch its numbers: they round the same everywhere, which sin or hypot do not. */
#include "world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STRIDE 1.0 /* per frame */
#define REACH 16.0 /* from a bush */
#define CELL 100.0 /* a cell of the grid is so wide and high */
#define CLEARING (WORLD_HOME_RADIUS + 50.0)
#define EDGE 24.0

enum {
    PICK_FRAMES = 20,
    DEPOSIT_FRAMES = 30,
    DAWN = WORLD_FRAMES_PER_DAY / 24 * 6,
    NOON = WORLD_FRAMES_PER_DAY / 24 * 12,
    DUSK = WORLD_FRAMES_PER_DAY / 24 * 20,
    GROVES = 14
};

static const struct {
    const char *name;
    uint64_t frame; /* of the day */
} events[WORLD_EVENTS] = {
    [WORLD_DAWN] = {"dawn", DAWN},
    [WORLD_NOON] = {"noon", NOON},
    [WORLD_DUSK] = {"dusk", DUSK},
    [WORLD_MIDNIGHT] = {"midnight", 0},
};

static const char *const activities[WORLD_ACTIVITIES] = {
    [WORLD_IDLE] = "idle",
    [WORLD_WALK] = "walk",
    [WORLD_GATHER] = "gather",
    [WORLD_DEPOSIT] = "deposit",
};

/* --- chance: xoshiro256**, seeded by splitmix64, both by Blackman and Vigna ------------- */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z;

    *state += 0x9e3779b97f4a7c15u;
    z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static uint64_t draw(uint64_t s[4])
{
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double world_random(world *w)
{
    return (double)(draw(w->rng) >> 11) * 0x1p-53;
}

static double between(world *w, double low, double high)
{
    return low + (high - low) * world_random(w);
}

static int whole_between(world *w, int low, int high)
{
    return low + (int)(world_random(w) * (high - low + 1));
}

/* --- birth ------------------------------------------------------------------------------- */

world *world_new(size_t agents, size_t foods)
{
    world *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->agent_count = agents;
    w->food_count = foods;
    w->agents = calloc(agents + 1, sizeof *w->agents); /* + 1: an empty one is not NULL */
    w->foods = calloc(foods + 1, sizeof *w->foods);
    w->grid_food = calloc(foods + 1, sizeof *w->grid_food);
    if (w->agents == NULL || w->foods == NULL || w->grid_food == NULL) {
        world_free(w);
        return NULL;
    }
    return w;
}

void world_free(world *w)
{
    if (w == NULL)
        return;
    free(w->grid_food);
    free(w->foods);
    free(w->agents);
    free(w);
}

size_t world_foods_for(size_t agents)
{
    size_t foods = agents / 5;

    if (foods < 40)
        return 40;
    return foods < WORLD_FOODS_MOST ? foods : WORLD_FOODS_MOST;
}

static double distance(double x1, double y1, double x2, double y2)
{
    double dx = x2 - x1;
    double dy = y2 - y1;

    return sqrt(dx * dx + dy * dy);
}

static bool plantable(double x, double y)
{
    return x >= EDGE && x <= WORLD_WIDTH - EDGE && y >= EDGE && y <= WORLD_HEIGHT - EDGE &&
           distance(x, y, WORLD_HOME_X, WORLD_HOME_Y) >= CLEARING;
}

/* A place within `spread` of (x, y) where a bush can stand; likelier the nearer it is. */
static void find_ground(world *w, double x, double y, double spread, double *out_x, double *out_y)
{
    do {
        *out_x = x + spread * (world_random(w) - world_random(w));
        *out_y = y + spread * (world_random(w) - world_random(w));
    } while (!plantable(*out_x, *out_y));
}

/* Three bushes of four stand in groves, the fourth by itself. */
static void plant(world *w)
{
    double groves[GROVES][2];

    for (size_t i = 0; i < GROVES; i++)
        find_ground(w, WORLD_HOME_X, WORLD_HOME_Y, WORLD_WIDTH / 2, &groves[i][0], &groves[i][1]);

    for (size_t i = 0; i < w->food_count; i++) {
        world_food *f = &w->foods[i];
        const double *grove = groves[i % GROVES];

        if (i % 4 == 0)
            find_ground(w, WORLD_HOME_X, WORLD_HOME_Y, WORLD_WIDTH / 2, &f->x, &f->y);
        else
            find_ground(w, grove[0], grove[1], 120.0, &f->x, &f->y);
        f->most = whole_between(w, 10, 40);
        f->amount = whole_between(w, f->most / 2, f->most);
        f->grow_frames = whole_between(w, 40, 100);
        f->timer = whole_between(w, 1, f->grow_frames);
    }
}

static void settle(world *w, world_agent *a)
{
    memset(a, 0, sizeof *a);
    a->activity = WORLD_IDLE;
    a->food = -1;
    do {
        a->x = between(w, WORLD_HOME_X - WORLD_HOME_RADIUS, WORLD_HOME_X + WORLD_HOME_RADIUS);
        a->y = between(w, WORLD_HOME_Y - WORLD_HOME_RADIUS, WORLD_HOME_Y + WORLD_HOME_RADIUS);
    } while (distance(a->x, a->y, WORLD_HOME_X, WORLD_HOME_Y) > WORLD_HOME_RADIUS);
    a->goal_x = a->x;
    a->goal_y = a->y;
}

void world_populate(world *w, uint64_t seed)
{
    uint64_t state = seed;

    w->seed = seed;
    w->frame = 0;
    w->stored = 0;
    for (size_t i = 0; i < 4; i++)
        w->rng[i] = splitmix(&state);
    for (size_t i = 0; i < w->agent_count; i++)
        settle(w, &w->agents[i]);
    plant(w);
    world_index(w);
}

/* --- the grid of bushes ------------------------------------------------------------------ */

static int cell_along(double v, int cells)
{
    int c = (int)(v / CELL);

    if (c < 0)
        return 0;
    return c < cells ? c : cells - 1;
}

static size_t cell_of(double x, double y)
{
    int column = cell_along(x, WORLD_GRID_WIDTH);
    int row = cell_along(y, WORLD_GRID_HEIGHT);

    return (size_t)(row * WORLD_GRID_WIDTH + column);
}

/* A counting sort: how many in each cell, where each cell begins, then each bush to its place. */
void world_index(world *w)
{
    uint32_t next[WORLD_GRID_CELLS];

    memset(w->grid_first, 0, sizeof w->grid_first);
    for (size_t i = 0; i < w->food_count; i++)
        w->grid_first[cell_of(w->foods[i].x, w->foods[i].y) + 1]++;
    for (size_t c = 0; c < WORLD_GRID_CELLS; c++)
        w->grid_first[c + 1] += w->grid_first[c];

    memcpy(next, w->grid_first, sizeof next);
    for (size_t i = 0; i < w->food_count; i++) {
        size_t c = cell_of(w->foods[i].x, w->foods[i].y);

        w->grid_food[next[c]] = (uint32_t)i;
        next[c]++;
    }
}

/* A search for the nearest bush that bears something, ring by ring of cells. */
typedef struct search {
    const world *w;
    double x, y;
    int column, row;
    double best; /* distance */
    size_t found;
} search;

static void search_cell(search *s, int column, int row)
{
    const world *w = s->w;
    size_t c;

    if (column < 0 || column >= WORLD_GRID_WIDTH || row < 0 || row >= WORLD_GRID_HEIGHT)
        return;
    c = (size_t)(row * WORLD_GRID_WIDTH + column);
    for (uint32_t k = w->grid_first[c]; k < w->grid_first[c + 1]; k++) {
        const world_food *f = &w->foods[w->grid_food[k]];
        double d = distance(s->x, s->y, f->x, f->y);

        if (f->amount > 0 && d < s->best) {
            s->best = d;
            s->found = w->grid_food[k];
        }
    }
}

static void search_ring(search *s, int ring)
{
    for (int column = s->column - ring; column <= s->column + ring; column++) {
        search_cell(s, column, s->row - ring);
        if (ring > 0)
            search_cell(s, column, s->row + ring);
    }
    for (int row = s->row - ring + 1; row < s->row + ring; row++) {
        search_cell(s, s->column - ring, row);
        search_cell(s, s->column + ring, row);
    }
}

/* How far off the nearest thing can be that the rings up to `ring` have not met. */
static double searched(const search *s, int ring)
{
    double left = s->x - (s->column - ring) * CELL;
    double right = (s->column + ring + 1) * CELL - s->x;
    double top = s->y - (s->row - ring) * CELL;
    double bottom = (s->row + ring + 1) * CELL - s->y;

    return fmin(fmin(left, right), fmin(top, bottom));
}

bool world_nearest_food(const world *w, double x, double y, size_t *out)
{
    search s = {
        .w = w,
        .x = x,
        .y = y,
        .column = cell_along(x, WORLD_GRID_WIDTH),
        .row = cell_along(y, WORLD_GRID_HEIGHT),
        .best = INFINITY,
    };

    for (int ring = 0; ring < WORLD_GRID_WIDTH; ring++) {
        search_ring(&s, ring);
        if (s.best <= searched(&s, ring))
            break;
    }
    *out = s.found;
    return s.best < INFINITY;
}

/* --- orders ------------------------------------------------------------------------------ */

static world_agent *begin(world *w, size_t agent, world_activity activity, int timer)
{
    world_agent *a = &w->agents[agent];

    a->activity = activity;
    a->timer = timer;
    a->gained = 0;
    a->food = -1;
    a->beyond = false;
    return a;
}

/* Never -0.0, which would not come back from a file as it went in. */
static double clamp(double v, double high)
{
    if (!(v > 0.0))
        return 0.0;
    return v < high ? v : high;
}

void world_walk(world *w, size_t agent, double x, double y)
{
    world_agent *a = begin(w, agent, WORLD_WALK, 0);

    a->goal_x = clamp(x, WORLD_WIDTH);
    a->goal_y = clamp(y, WORLD_HEIGHT);
    a->beyond = x < 0.0 || x > WORLD_WIDTH || y < 0.0 || y > WORLD_HEIGHT;
}

void world_gather(world *w, size_t agent)
{
    world_agent *a = begin(w, agent, WORLD_GATHER, PICK_FRAMES);
    size_t nearest;
    const world_food *f;

    if (!world_nearest_food(w, a->x, a->y, &nearest))
        return;
    f = &w->foods[nearest];
    if (distance(a->x, a->y, f->x, f->y) <= REACH)
        a->food = (int)nearest;
}

void world_deposit(world *w, size_t agent)
{
    begin(w, agent, WORLD_DEPOSIT, DEPOSIT_FRAMES);
}

void world_stop(world *w, size_t agent)
{
    begin(w, agent, WORLD_IDLE, 0);
}

void world_listen(world *w, const world_listener *listener)
{
    memset(&w->listener, 0, sizeof w->listener);
    if (listener != NULL)
        w->listener = *listener;
}

/* --- a step ------------------------------------------------------------------------------ */

static void finish(world *w, size_t agent, bool ok, int amount)
{
    world_activity ended = w->agents[agent].activity;

    world_stop(w, agent); /* first: the listener may give the next order */
    if (w->listener.ended != NULL)
        w->listener.ended(w->listener.user, agent, ended, ok, amount);
}

static void step_walk(world *w, size_t agent)
{
    world_agent *a = &w->agents[agent];
    double left = distance(a->x, a->y, a->goal_x, a->goal_y);

    if (left > STRIDE) {
        a->x += (a->goal_x - a->x) * (STRIDE / left);
        a->y += (a->goal_y - a->y) * (STRIDE / left);
        return;
    }
    a->x = a->goal_x;
    a->y = a->goal_y;
    finish(w, agent, !a->beyond, 0);
}

/* Picks a berry now and then, until the basket is full or the bush is bare. */
static void step_gather(world *w, size_t agent)
{
    world_agent *a = &w->agents[agent];
    world_food *f = a->food < 0 ? NULL : &w->foods[a->food];

    if (f == NULL || f->amount == 0 || a->carried >= WORLD_CAPACITY) {
        finish(w, agent, a->gained > 0, a->gained);
        return;
    }
    a->timer--;
    if (a->timer > 0)
        return;
    a->timer = PICK_FRAMES;
    f->amount--;
    a->carried++;
    a->gained++;
}

static void step_deposit(world *w, size_t agent)
{
    world_agent *a = &w->agents[agent];
    int amount = a->carried;

    if (!world_at_home(w, agent)) {
        finish(w, agent, false, 0);
        return;
    }
    a->timer--;
    if (a->timer > 0)
        return;
    w->stored += amount;
    a->carried = 0;
    finish(w, agent, true, amount);
}

static void step_agent(world *w, size_t agent)
{
    switch (w->agents[agent].activity) {
    case WORLD_WALK:
        step_walk(w, agent);
        break;
    case WORLD_GATHER:
        step_gather(w, agent);
        break;
    case WORLD_DEPOSIT:
        step_deposit(w, agent);
        break;
    case WORLD_IDLE:
    case WORLD_ACTIVITIES:
        break;
    }
}

static void grow(world_food *f)
{
    f->timer--;
    if (f->timer > 0)
        return;
    f->timer = f->grow_frames;
    if (f->amount < f->most)
        f->amount++;
}

static uint64_t frame_of_day(const world *w)
{
    return (w->frame + DAWN) % WORLD_FRAMES_PER_DAY;
}

static void announce(world *w)
{
    if (w->listener.event == NULL)
        return;
    for (int e = 0; e < WORLD_EVENTS; e++)
        if (events[e].frame == frame_of_day(w))
            w->listener.event(w->listener.user, (world_event)e);
}

void world_step(world *w)
{
    w->frame++;
    for (size_t i = 0; i < w->food_count; i++)
        grow(&w->foods[i]);
    for (size_t i = 0; i < w->agent_count; i++)
        step_agent(w, i);
    announce(w);
}

/* --- what an agent can know -------------------------------------------------------------- */

bool world_at_home(const world *w, size_t agent)
{
    const world_agent *a = &w->agents[agent];

    return distance(a->x, a->y, WORLD_HOME_X, WORLD_HOME_Y) <= WORLD_HOME_RADIUS;
}

uint64_t world_day(const world *w)
{
    return (w->frame + DAWN) / WORLD_FRAMES_PER_DAY + 1;
}

double world_hour(const world *w)
{
    return (double)frame_of_day(w) * 24.0 / WORLD_FRAMES_PER_DAY;
}

bool world_is_day(const world *w)
{
    return frame_of_day(w) >= DAWN && frame_of_day(w) < DUSK;
}

uint64_t world_frames_until(const world *w, world_event event)
{
    uint64_t now = frame_of_day(w);
    uint64_t then = events[event].frame;

    return then > now ? then - now : then + WORLD_FRAMES_PER_DAY - now;
}

const char *world_event_name(world_event event)
{
    return events[event].name;
}

const char *world_activity_name(world_activity activity)
{
    return activities[activity];
}

bool world_event_named(const char *name, world_event *out)
{
    for (int e = 0; e < WORLD_EVENTS; e++) {
        if (strcmp(events[e].name, name) == 0) {
            *out = (world_event)e;
            return true;
        }
    }
    return false;
}

bool world_activity_named(const char *name, world_activity *out)
{
    for (int a = 0; a < WORLD_ACTIVITIES; a++) {
        if (strcmp(activities[a], name) == 0) {
            *out = (world_activity)a;
            return true;
        }
    }
    return false;
}

/* --- the hash: FNV-1a, fed word by word, so that padding has no say ---------------------- */

static void mix(uint64_t *hash, uint64_t word)
{
    for (int i = 0; i < 8; i++) {
        *hash ^= word & 0xff;
        *hash *= 0x100000001b3u;
        word >>= 8;
    }
}

static void mix_real(uint64_t *hash, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    mix(hash, bits);
}

static void mix_agent(uint64_t *hash, const world_agent *a)
{
    const int whole[] = {(int)a->activity, a->beyond, a->carried, a->timer, a->food, a->gained};

    mix_real(hash, a->x);
    mix_real(hash, a->y);
    mix_real(hash, a->goal_x);
    mix_real(hash, a->goal_y);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        mix(hash, (uint64_t)whole[i]);
}

static void mix_food(uint64_t *hash, const world_food *f)
{
    const int whole[] = {f->amount, f->most, f->grow_frames, f->timer};

    mix_real(hash, f->x);
    mix_real(hash, f->y);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        mix(hash, (uint64_t)whole[i]);
}

uint64_t world_hash(const world *w)
{
    uint64_t hash = 0xcbf29ce484222325u;

    mix(&hash, w->seed);
    mix(&hash, w->frame);
    mix(&hash, (uint64_t)w->stored);
    for (size_t i = 0; i < 4; i++)
        mix(&hash, w->rng[i]);
    for (size_t i = 0; i < w->agent_count; i++)
        mix_agent(&hash, &w->agents[i]);
    for (size_t i = 0; i < w->food_count; i++)
        mix_food(&hash, &w->foods[i]);
    return hash;
}
