/* A picture of the world, seen from above, as a PNG file.
 *
 * It reads the world, writes the file, and tells what went wrong on stderr. */
#ifndef COLONY_PICTURE_H
#define COLONY_PICTURE_H

#include "world.h"

/* 0, or -1 after telling why not. */
int picture_write(const world *w, const char *path);

#endif
