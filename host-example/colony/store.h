/* The colony's memory: saves the world to a SQLite file and brings it back.
 *
 * It touches the file, the world it is given and stderr, where every error of SQLite is told
 * with its own text. A save is one transaction: killed at any moment, the file holds the last
 * frame saved in full. Scripts are not saved; they start anew in the world as it was. */
#ifndef COLONY_STORE_H
#define COLONY_STORE_H

#include "world.h"

enum {
    STORE_OK = 0,
    STORE_EMPTY = 1, /* no world has been saved yet */
    STORE_ERROR = -1 /* told on stderr */
};

typedef struct store store;

/* Opens `path`, made if there is none. A file of another program or of another version is an
 * error and stays as it is. Release *out with store_close(); on an error it is NULL. */
int store_open(const char *path, store **out);

/* NULL is fine. */
void store_close(store *s);

/* The world last saved, complete and indexed, to be freed with world_free(). *out is NULL
 * unless STORE_OK is returned. */
int store_load(store *s, world **out);

/* On an error the file still holds what it held before. */
int store_save(store *s, const world *w);

#endif
