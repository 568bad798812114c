/* The colony's world: settlers, bushes with berries, a home, day and night.
 *
 * The simulation only: it touches nothing but itself and knows neither scripts nor files nor
 * pictures. It advances by one fixed step per frame and draws its chances from its own
 * generator, so the same seed and the same orders make the same world, bit for bit.
 *
 * An agent does one thing at a time: it is told to walk, gather or deposit, does so over many
 * frames, and the listener hears of the end. The fields are open for those who save or draw
 * the world; to change it, use the functions. */
#ifndef COLONY_WORLD_H
#define COLONY_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_WIDTH 1600.0
#define WORLD_HEIGHT 900.0
#define WORLD_HOME_X 800.0
#define WORLD_HOME_Y 450.0
#define WORLD_HOME_RADIUS 70.0

enum {
    WORLD_FRAMES_PER_SECOND = 60,
    WORLD_FRAMES_PER_DAY = 60 * WORLD_FRAMES_PER_SECOND, /* an hour is two and a half seconds */
    WORLD_CAPACITY = 6,                                  /* berries that an agent can carry */
    WORLD_AGENTS_MOST = 100000,
    WORLD_FOODS_MOST = 400,
    WORLD_GRID_WIDTH = 16,
    WORLD_GRID_HEIGHT = 9,
    WORLD_GRID_CELLS = WORLD_GRID_WIDTH * WORLD_GRID_HEIGHT
};

typedef enum world_activity {
    WORLD_IDLE,
    WORLD_WALK,
    WORLD_GATHER,
    WORLD_DEPOSIT,
    WORLD_ACTIVITIES /* how many there are */
} world_activity;

typedef enum world_event {
    WORLD_DAWN,
    WORLD_NOON,
    WORLD_DUSK,
    WORLD_MIDNIGHT,
    WORLD_EVENTS /* how many there are */
} world_event;

typedef struct world_agent {
    double x, y;
    double goal_x, goal_y; /* of the last walk */
    world_activity activity;
    bool beyond; /* the goal asked for lies outside of the world */
    int carried;
    int timer;  /* frames until the next berry is picked, or the basket is empty */
    int food;   /* the bush it gathers from, -1 for none */
    int gained; /* berries picked since the gathering began */
} world_agent;

typedef struct world_food {
    double x, y;
    int amount, most;
    int grow_frames; /* one more berry each so many frames */
    int timer;       /* frames until then */
} world_food;

/* Who hears of ends and events. Called from world_step(). `ended` may give the agent its next
 * order. `ok`: a walk has reached what was asked for, a gathering has found something.
 * `amount`: berries gathered or deposited. */
typedef struct world_listener {
    void (*ended)(void *user, size_t agent, world_activity activity, bool ok, int amount);
    void (*event)(void *user, world_event event);
    void *user;
} world_listener;

typedef struct world {
    uint64_t seed;
    uint64_t frame; /* steps made; frame 0 is the first dawn */
    uint64_t rng[4];
    int64_t stored; /* berries at home */
    size_t agent_count;
    world_agent *agents;
    size_t food_count;
    world_food *foods;
    world_listener listener;

    /* The bushes of cell c are grid_food[grid_first[c]] up to grid_food[grid_first[c + 1]]. */
    uint32_t grid_first[WORLD_GRID_CELLS + 1];
    uint32_t *grid_food;
} world;

/* An empty world: every agent at the origin, every bush too. Follow with world_populate(), or
 * fill in all state and call world_index(). NULL: out of memory. */
world *world_new(size_t agents, size_t foods);
void world_free(world *w);

/* How many bushes suit so many agents. */
size_t world_foods_for(size_t agents);

/* Puts the agents home and plants the bushes, as `seed` has it. */
void world_populate(world *w, uint64_t seed);

/* Sorts the bushes into the grid; to be called after they have been placed. */
void world_index(world *w);

/* Copies `listener`; NULL: nobody listens. */
void world_listen(world *w, const world_listener *listener);

/* One sixtieth of a second. */
void world_step(world *w);

/* Orders. What the agent was doing ends without a word to the listener. `x`, `y` are finite.
 * world_stop() leaves it standing where it is. */
void world_walk(world *w, size_t agent, double x, double y);
void world_gather(world *w, size_t agent);
void world_deposit(world *w, size_t agent);
void world_stop(world *w, size_t agent);

/* What an agent can know. */
bool world_nearest_food(const world *w, double x, double y, size_t *out);
bool world_at_home(const world *w, size_t agent);
uint64_t world_day(const world *w); /* 1 is the first */
double world_hour(const world *w);  /* 0.0 up to 24.0 */
bool world_is_day(const world *w);
uint64_t world_frames_until(const world *w, world_event event); /* at least 1 */
double world_random(world *w);                                  /* 0.0 up to 1.0 */

/* "dawn", "walk": static. The reverse says false for an unknown name. */
const char *world_event_name(world_event event);
const char *world_activity_name(world_activity activity);
bool world_event_named(const char *name, world_event *out);
bool world_activity_named(const char *name, world_activity *out);

/* Sums up all state: two worlds with the same hash will go the same way. */
uint64_t world_hash(const world *w);

#endif
