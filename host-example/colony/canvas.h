/* A canvas: RGB pixels, soft-edged shapes, letters.
 *
 * It touches only its own pixels. Of shapes, places and sizes are in units of which `zoom` says how many
 * pixels one is; of pixels, boxes and text they are pixels. All count from the top left, and what falls
 * outside of `clip` is cut off. Colours are 0xRRGGBB, `alpha` is 0.0 (nothing) to 1.0 (covers). */
#ifndef COLONY_CANVAS_H
#define COLONY_CANVAS_H

#include "letters.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CANVAS_LETTER_WIDTH = LETTERS_WIDTH, /* of scale 1, with the gap to the next one */
    CANVAS_LETTER_HEIGHT = LETTERS_HEIGHT
};

typedef struct canvas_rect {
    int x, y, width, height; /* pixels */
} canvas_rect;

typedef struct canvas {
    int width, height;
    double zoom;      /* 1.0 at first */
    canvas_rect clip; /* all at first; see canvas_clip() */
    uint8_t *pixels;  /* three bytes each, row by row */
} canvas;

/* Black. NULL: out of memory. */
canvas *canvas_new(int width, int height);
void canvas_free(canvas *c);

canvas_rect canvas_all(const canvas *c);
canvas_rect canvas_common(canvas_rect a, canvas_rect b); /* of no width or height: nothing */
void canvas_clip(canvas *c, canvas_rect part);
uint8_t *canvas_pixel(const canvas *c, int x, int y);              /* which must be on it */
void canvas_copy(canvas *c, const canvas *from, canvas_rect part); /* from one of the same size */

void canvas_blend(canvas *c, int x, int y, uint32_t colour, double alpha);
void canvas_scale(canvas *c, int x, int y, double red, double green, double blue); /* the light */
void canvas_box(canvas *c, int x, int y, int width, int height, uint32_t colour, double alpha);

/* `soft`: the edge fades over so much; 1.0 just takes the jags off. A ring's `width` is in
 * pixels. */
void canvas_disc(canvas *c, double x, double y, double radius, double soft, uint32_t colour, double alpha);
void canvas_ring(canvas *c, double x, double y, double radius, double width, uint32_t colour, double alpha);
void canvas_line(canvas *c, double x1, double y1, double x2, double y2, double width, uint32_t colour,
                 double alpha);

/* UTF-8, of which ASCII has letters; (x, y) is the top left. Returns where the next letter would begin. */
int canvas_text(canvas *c, int x, int y, int scale, uint32_t colour, const char *text);

#endif
