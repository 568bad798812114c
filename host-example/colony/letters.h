/* Pictures of ASCII's letters: a row of a letter is a byte, the highest bit on the left. */
#ifndef COLONY_LETTERS_H
#define COLONY_LETTERS_H

#include <stdint.h>

enum { LETTERS_WIDTH = 8, LETTERS_HEIGHT = 13, LETTERS_FIRST = ' ', LETTERS_LAST = '~' };

extern const uint8_t letters[LETTERS_LAST - LETTERS_FIRST + 1][LETTERS_HEIGHT];

#endif
