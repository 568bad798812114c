/* Shapes by distance: a pixel is covered as far as it lies within the edge. See canvas.h. */
#include "canvas.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

/* A column of a letter is a byte, the lowest bit on top. From ' ' to 'z'; blanks are letters
 * that nobody has needed yet. */
static const uint8_t letters[][5] = {
    ['%' - ' '] = {0x23, 0x13, 0x08, 0x64, 0x62}, [',' - ' '] = {0x00, 0x50, 0x30, 0x00, 0x00},
    ['-' - ' '] = {0x08, 0x08, 0x08, 0x08, 0x08}, ['.' - ' '] = {0x00, 0x60, 0x60, 0x00, 0x00},
    ['/' - ' '] = {0x20, 0x10, 0x08, 0x04, 0x02}, [':' - ' '] = {0x00, 0x36, 0x36, 0x00, 0x00},
    ['0' - ' '] = {0x3e, 0x51, 0x49, 0x45, 0x3e}, ['1' - ' '] = {0x00, 0x42, 0x7f, 0x40, 0x00},
    ['2' - ' '] = {0x42, 0x61, 0x51, 0x49, 0x46}, ['3' - ' '] = {0x21, 0x41, 0x45, 0x4b, 0x31},
    ['4' - ' '] = {0x18, 0x14, 0x12, 0x7f, 0x10}, ['5' - ' '] = {0x27, 0x45, 0x45, 0x45, 0x39},
    ['6' - ' '] = {0x3c, 0x4a, 0x49, 0x49, 0x30}, ['7' - ' '] = {0x01, 0x71, 0x09, 0x05, 0x03},
    ['8' - ' '] = {0x36, 0x49, 0x49, 0x49, 0x36}, ['9' - ' '] = {0x06, 0x49, 0x49, 0x29, 0x1e},
    ['A' - ' '] = {0x7e, 0x11, 0x11, 0x11, 0x7e}, ['B' - ' '] = {0x7f, 0x49, 0x49, 0x49, 0x36},
    ['C' - ' '] = {0x3e, 0x41, 0x41, 0x41, 0x22}, ['D' - ' '] = {0x7f, 0x41, 0x41, 0x22, 0x1c},
    ['E' - ' '] = {0x7f, 0x49, 0x49, 0x49, 0x41}, ['F' - ' '] = {0x7f, 0x09, 0x09, 0x09, 0x01},
    ['G' - ' '] = {0x3e, 0x41, 0x49, 0x49, 0x7a}, ['H' - ' '] = {0x7f, 0x08, 0x08, 0x08, 0x7f},
    ['I' - ' '] = {0x00, 0x41, 0x7f, 0x41, 0x00}, ['J' - ' '] = {0x20, 0x40, 0x41, 0x3f, 0x01},
    ['K' - ' '] = {0x7f, 0x08, 0x14, 0x22, 0x41}, ['L' - ' '] = {0x7f, 0x40, 0x40, 0x40, 0x40},
    ['M' - ' '] = {0x7f, 0x02, 0x0c, 0x02, 0x7f}, ['N' - ' '] = {0x7f, 0x04, 0x08, 0x10, 0x7f},
    ['O' - ' '] = {0x3e, 0x41, 0x41, 0x41, 0x3e}, ['P' - ' '] = {0x7f, 0x09, 0x09, 0x09, 0x06},
    ['Q' - ' '] = {0x3e, 0x41, 0x51, 0x21, 0x5e}, ['R' - ' '] = {0x7f, 0x09, 0x19, 0x29, 0x46},
    ['S' - ' '] = {0x46, 0x49, 0x49, 0x49, 0x31}, ['T' - ' '] = {0x01, 0x01, 0x7f, 0x01, 0x01},
    ['U' - ' '] = {0x3f, 0x40, 0x40, 0x40, 0x3f}, ['V' - ' '] = {0x1f, 0x20, 0x40, 0x20, 0x1f},
    ['W' - ' '] = {0x3f, 0x40, 0x38, 0x40, 0x3f}, ['X' - ' '] = {0x63, 0x14, 0x08, 0x14, 0x63},
    ['Y' - ' '] = {0x07, 0x08, 0x70, 0x08, 0x07}, ['Z' - ' '] = {0x61, 0x51, 0x49, 0x45, 0x43},
    ['a' - ' '] = {0x20, 0x54, 0x54, 0x54, 0x78}, ['b' - ' '] = {0x7f, 0x48, 0x44, 0x44, 0x38},
    ['c' - ' '] = {0x38, 0x44, 0x44, 0x44, 0x20}, ['d' - ' '] = {0x38, 0x44, 0x44, 0x48, 0x7f},
    ['e' - ' '] = {0x38, 0x54, 0x54, 0x54, 0x18}, ['f' - ' '] = {0x08, 0x7e, 0x09, 0x01, 0x02},
    ['g' - ' '] = {0x18, 0xa4, 0xa4, 0xa4, 0x7c}, ['h' - ' '] = {0x7f, 0x08, 0x04, 0x04, 0x78},
    ['i' - ' '] = {0x00, 0x44, 0x7d, 0x40, 0x00}, ['j' - ' '] = {0x40, 0x80, 0x84, 0x7d, 0x00},
    ['k' - ' '] = {0x7f, 0x10, 0x28, 0x44, 0x00}, ['l' - ' '] = {0x00, 0x41, 0x7f, 0x40, 0x00},
    ['m' - ' '] = {0x7c, 0x04, 0x18, 0x04, 0x78}, ['n' - ' '] = {0x7c, 0x08, 0x04, 0x04, 0x78},
    ['o' - ' '] = {0x38, 0x44, 0x44, 0x44, 0x38}, ['p' - ' '] = {0xfc, 0x24, 0x24, 0x24, 0x18},
    ['q' - ' '] = {0x18, 0x24, 0x24, 0x24, 0xfc}, ['r' - ' '] = {0x7c, 0x08, 0x04, 0x04, 0x08},
    ['s' - ' '] = {0x48, 0x54, 0x54, 0x54, 0x20}, ['t' - ' '] = {0x04, 0x3f, 0x44, 0x40, 0x20},
    ['u' - ' '] = {0x3c, 0x40, 0x40, 0x20, 0x7c}, ['v' - ' '] = {0x1c, 0x20, 0x40, 0x20, 0x1c},
    ['w' - ' '] = {0x3c, 0x40, 0x30, 0x40, 0x3c}, ['x' - ' '] = {0x44, 0x28, 0x10, 0x28, 0x44},
    ['y' - ' '] = {0x9c, 0xa0, 0xa0, 0xa0, 0x7c}, ['z' - ' '] = {0x44, 0x64, 0x54, 0x4c, 0x44},
};

canvas *canvas_new(int width, int height)
{
    canvas *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->width = width;
    c->height = height;
    c->pixels = calloc((size_t)width * (size_t)height, 3);
    if (c->pixels == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

void canvas_free(canvas *c)
{
    if (c == NULL)
        return;
    free(c->pixels);
    free(c);
}

static uint8_t *pixel(canvas *c, int x, int y)
{
    if (x < 0 || x >= c->width || y < 0 || y >= c->height)
        return NULL;
    return &c->pixels[3 * ((size_t)y * (size_t)c->width + (size_t)x)];
}

static uint8_t level(double v)
{
    if (v <= 0.0)
        return 0;
    return v < 255.0 ? (uint8_t)(v + 0.5) : 255;
}

void canvas_blend(canvas *c, int x, int y, uint32_t colour, double alpha)
{
    uint8_t *p = pixel(c, x, y);

    if (p == NULL)
        return;
    for (int i = 0; i < 3; i++) {
        double wanted = (double)((colour >> (16 - 8 * i)) & 0xff);

        p[i] = level(p[i] + (wanted - p[i]) * alpha);
    }
}

void canvas_scale(canvas *c, int x, int y, double red, double green, double blue)
{
    uint8_t *p = pixel(c, x, y);

    if (p == NULL)
        return;
    p[0] = level(p[0] * red);
    p[1] = level(p[1] * green);
    p[2] = level(p[2] * blue);
}

void canvas_box(canvas *c, int x, int y, int width, int height, uint32_t colour, double alpha)
{
    for (int py = y; py < y + height; py++)
        for (int px = x; px < x + width; px++)
            canvas_blend(c, px, py, colour, alpha);
}

/* 1 inside, 0 outside, in between along an edge that is `soft` wide. */
static double cover(double radius, double distance, double soft)
{
    return fmin(1.0, fmax(0.0, (radius - distance) / soft + 0.5));
}

void canvas_disc(canvas *c, double x, double y, double radius, double soft, uint32_t colour, double alpha)
{
    int reach = (int)ceil(radius + soft);
    int cx = (int)floor(x);
    int cy = (int)floor(y);

    for (int py = cy - reach; py <= cy + reach; py++) {
        for (int px = cx - reach; px <= cx + reach; px++) {
            double d = hypot(px + 0.5 - x, py + 0.5 - y);

            canvas_blend(c, px, py, colour, alpha * cover(radius, d, soft));
        }
    }
}

/* From (px, py) to the nearest point of the line. */
static double line_distance(double px, double py, double x1, double y1, double dx, double dy)
{
    double along = ((px - x1) * dx + (py - y1) * dy) / fmax(dx * dx + dy * dy, 1e-9);
    double t = fmin(1.0, fmax(0.0, along));

    return hypot(px - x1 - t * dx, py - y1 - t * dy);
}

void canvas_line(canvas *c, double x1, double y1, double x2, double y2, double width, uint32_t colour,
                 double alpha)
{
    int left = (int)floor(fmin(x1, x2) - width);
    int right = (int)ceil(fmax(x1, x2) + width);
    int top = (int)floor(fmin(y1, y2) - width);
    int bottom = (int)ceil(fmax(y1, y2) + width);

    for (int py = top; py <= bottom; py++) {
        for (int px = left; px <= right; px++) {
            double d = line_distance(px + 0.5, py + 0.5, x1, y1, x2 - x1, y2 - y1);

            canvas_blend(c, px, py, colour, alpha * cover(width / 2, d, 1.0));
        }
    }
}

static void letter(canvas *c, int x, int y, int scale, uint32_t colour, char which)
{
    size_t index = (size_t)((unsigned char)which - ' ');

    if (which < ' ' || index >= sizeof letters / sizeof *letters)
        return;
    for (int column = 0; column < 5; column++)
        for (int row = 0; row < 8; row++)
            if ((letters[index][column] >> row) & 1)
                canvas_box(c, x + column * scale, y + row * scale, scale, scale, colour, 1.0);
}

int canvas_text(canvas *c, int x, int y, int scale, uint32_t colour, const char *text)
{
    for (; *text != '\0'; text++) {
        letter(c, x, y, scale, colour, *text);
        x += CANVAS_LETTER_WIDTH * scale;
    }
    return x;
}
