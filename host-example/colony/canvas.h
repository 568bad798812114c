/* A canvas: RGB pixels, soft-edged shapes, letters.
 *
 * It touches only its own pixels. Coordinates are pixels from the top left, and what falls
 * outside is cut off. Colours are 0xRRGGBB, `alpha` is 0.0 (nothing) to 1.0 (covers). */
#ifndef COLONY_CANVAS_H
#define COLONY_CANVAS_H

#include <stdint.h>

enum {
    CANVAS_LETTER_WIDTH = 6, /* of scale 1, with the gap to the next one */
    CANVAS_LETTER_HEIGHT = 8
};

typedef struct canvas {
    int width, height;
    uint8_t *pixels; /* three bytes each, row by row */
} canvas;

/* Black. NULL: out of memory. */
canvas *canvas_new(int width, int height);
void canvas_free(canvas *c);

void canvas_blend(canvas *c, int x, int y, uint32_t colour, double alpha);
void canvas_scale(canvas *c, int x, int y, double red, double green, double blue); /* the light */
void canvas_box(canvas *c, int x, int y, int width, int height, uint32_t colour, double alpha);

/* `soft`: the edge fades over so many pixels; 1.0 just takes the jags off. */
void canvas_disc(canvas *c, double x, double y, double radius, double soft, uint32_t colour, double alpha);
void canvas_line(canvas *c, double x1, double y1, double x2, double y2, double width, uint32_t colour,
                 double alpha);

/* ASCII; (x, y) is the top left. Returns where the next letter would begin. */
int canvas_text(canvas *c, int x, int y, int scale, uint32_t colour, const char *text);

#endif
