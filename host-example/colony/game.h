/* The game as scripts see it: the functions of module `game`.
 *
 * It stands between a world and a runtime: a call of a script becomes an order to the world,
 * and the end of the activity, many frames later, becomes the answer. It touches the world by
 * its functions only and nothing of the files. Owner thread only. */
#ifndef COLONY_GAME_H
#define COLONY_GAME_H

#include "world.h"

#include <bine/bine.h>

typedef struct game game;

/* Listens to `w`, which is borrowed and must outlive the game. NULL: out of memory. */
game *game_new(world *w);

/* Drops what is still owed to scripts; call it when the runtime is closed, since until then
 * a cancelled script may still come here. NULL is fine. */
void game_free(game *g);

/* Makes module `game` in `rt`. A status of Bine. */
int game_define(game *g, bine *rt);

/* What to give to bine_micro_set_data(), so that a script's calls are this agent's; the
 * micro-threads that it spawns inherit it. Borrowed from the game. */
void *game_agent_data(game *g, size_t agent);

#endif
