/* The scripts of the agents: starts one for each, notices those that end, reports errors.
 *
 * It touches the runtime and stderr. Of errors that are alike it prints one, and of all
 * together the first few; the others are counted. */
#ifndef COLONY_SCRIPTS_H
#define COLONY_SCRIPTS_H

#include "game.h"

typedef struct scripts scripts;

/* For so many agents. NULL: out of memory. Made before the runtime, whose on_unhandled goes
 * to scripts_error(). */
scripts *scripts_new(size_t agents);
void scripts_free(scripts *s);

/* Starts `live` of `module` for each agent, with its index. A status of Bine. */
int scripts_start(scripts *s, bine *rt, game *g, const char *module);

/* Tells who has ended since the last time, and lets go of them, which sets their errors free:
 * ticks to come bring them to scripts_error(). Once a second is often enough. */
void scripts_sweep(scripts *s);

/* Lets go of all, before the runtime is shut down: how they end then is no news. */
void scripts_release(scripts *s);

/* Prints the error, or counts it. */
void scripts_error(scripts *s, const bine_error *error);

/* Of the agents' own scripts, as of the last sweep. */
size_t scripts_alive(const scripts *s);

/* Of all scripts, those that agents have spawned included. */
uint64_t scripts_errors(const scripts *s);

#endif
