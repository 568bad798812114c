/* Shapes by distance: a pixel is covered as far as it lies within the edge. See canvas.h. */
#include "canvas.h"

#include "letters.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

canvas *canvas_new(int width, int height)
{
    canvas *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->width = width;
    c->height = height;
    c->zoom = 1.0;
    canvas_clip(c, (canvas_rect){0, 0, width, height});
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

canvas_rect canvas_all(const canvas *c)
{
    return (canvas_rect){0, 0, c->width, c->height};
}

static int at_most(int a, int b)
{
    return a < b ? a : b;
}

static int at_least(int a, int b)
{
    return a > b ? a : b;
}

canvas_rect canvas_common(canvas_rect a, canvas_rect b)
{
    int left = at_least(a.x, b.x);
    int top = at_least(a.y, b.y);
    int right = at_most(a.x + a.width, b.x + b.width);
    int bottom = at_most(a.y + a.height, b.y + b.height);

    return (canvas_rect){left, top, at_least(right - left, 0), at_least(bottom - top, 0)};
}

void canvas_clip(canvas *c, canvas_rect part)
{
    c->clip = canvas_common(part, canvas_all(c));
}

uint8_t *canvas_pixel(const canvas *c, int x, int y)
{
    return &c->pixels[3 * ((size_t)y * (size_t)c->width + (size_t)x)];
}

void canvas_copy(canvas *c, const canvas *from, canvas_rect part)
{
    canvas_rect r = canvas_common(part, c->clip);

    for (int y = r.y; y < r.y + r.height; y++)
        memcpy(canvas_pixel(c, r.x, y), canvas_pixel(from, r.x, y), 3 * (size_t)r.width);
}

static bool clipped(const canvas *c, int x, int y)
{
    const canvas_rect *r = &c->clip;

    return x < r->x || x >= r->x + r->width || y < r->y || y >= r->y + r->height;
}

static uint8_t level(double v)
{
    if (v <= 0.0)
        return 0;
    return v < 255.0 ? (uint8_t)(v + 0.5) : 255;
}

static void blend(uint8_t *p, uint32_t colour, double alpha)
{
    for (int i = 0; i < 3; i++) {
        double wanted = (double)((colour >> (16 - 8 * i)) & 0xff);

        p[i] = level(p[i] + (wanted - p[i]) * alpha);
    }
}

void canvas_blend(canvas *c, int x, int y, uint32_t colour, double alpha)
{
    if (!clipped(c, x, y))
        blend(canvas_pixel(c, x, y), colour, alpha);
}

void canvas_scale(canvas *c, int x, int y, double red, double green, double blue)
{
    uint8_t *p;

    if (clipped(c, x, y))
        return;
    p = canvas_pixel(c, x, y);
    p[0] = level(p[0] * red);
    p[1] = level(p[1] * green);
    p[2] = level(p[2] * blue);
}

void canvas_box(canvas *c, int x, int y, int width, int height, uint32_t colour, double alpha)
{
    canvas_rect r = canvas_common((canvas_rect){x, y, width, height}, c->clip);

    for (int py = r.y; py < r.y + r.height; py++)
        for (int px = r.x; px < r.x + r.width; px++)
            blend(canvas_pixel(c, px, py), colour, alpha);
}

/* The pixels that a shape between these corners may touch. */
static canvas_rect reached(const canvas *c, double left, double top, double right, double bottom)
{
    int x = (int)floor(left);
    int y = (int)floor(top);

    return canvas_common((canvas_rect){x, y, (int)ceil(right) - x + 1, (int)ceil(bottom) - y + 1}, c->clip);
}

/* 1 inside, 0 outside, in between along an edge that is `soft` wide. */
static double cover(double radius, double distance, double soft)
{
    double share = (radius - distance) / soft + 0.5;

    if (share <= 0.0)
        return 0.0;
    return share < 1.0 ? share : 1.0;
}

/* Paints where cover() of some shape says so. */
static void cover_pixel(canvas *c, int x, int y, uint32_t colour, double alpha)
{
    if (alpha > 0.0)
        blend(canvas_pixel(c, x, y), colour, alpha);
}

/* An edge is one pixel wide at least. */
static double edge(const canvas *c, double soft)
{
    return fmax(1.0, soft * c->zoom);
}

void canvas_disc(canvas *c, double x, double y, double radius, double soft, uint32_t colour, double alpha)
{
    double cx = x * c->zoom;
    double cy = y * c->zoom;
    double r = radius * c->zoom;
    double e = edge(c, soft);
    canvas_rect part = reached(c, cx - r - e, cy - r - e, cx + r + e, cy + r + e);

    for (int py = part.y; py < part.y + part.height; py++) {
        for (int px = part.x; px < part.x + part.width; px++) {
            double dx = px + 0.5 - cx;
            double dy = py + 0.5 - cy;

            cover_pixel(c, px, py, colour, alpha * cover(r, sqrt(dx * dx + dy * dy), e));
        }
    }
}

void canvas_ring(canvas *c, double x, double y, double radius, double width, uint32_t colour, double alpha)
{
    double cx = x * c->zoom;
    double cy = y * c->zoom;
    double r = radius * c->zoom;
    double reach = r + width;
    canvas_rect part = reached(c, cx - reach, cy - reach, cx + reach, cy + reach);

    for (int py = part.y; py < part.y + part.height; py++) {
        for (int px = part.x; px < part.x + part.width; px++) {
            double d = fabs(hypot(px + 0.5 - cx, py + 0.5 - cy) - r);

            cover_pixel(c, px, py, colour, alpha * cover(width / 2, d, 1.0));
        }
    }
}

/* From (px, py) to the nearest point of the line. */
static double line_distance(double px, double py, double x1, double y1, double dx, double dy)
{
    double along = ((px - x1) * dx + (py - y1) * dy) / fmax(dx * dx + dy * dy, 1e-9);
    double t = along < 0.0 ? 0.0 : along < 1.0 ? along : 1.0;
    double ex = px - x1 - t * dx;
    double ey = py - y1 - t * dy;

    return sqrt(ex * ex + ey * ey);
}

void canvas_line(canvas *c, double x1, double y1, double x2, double y2, double width, uint32_t colour,
                 double alpha)
{
    double ax = x1 * c->zoom, ay = y1 * c->zoom;
    double bx = x2 * c->zoom, by = y2 * c->zoom;
    double w = width * c->zoom;
    canvas_rect part = reached(c, fmin(ax, bx) - w, fmin(ay, by) - w, fmax(ax, bx) + w, fmax(ay, by) + w);

    for (int py = part.y; py < part.y + part.height; py++) {
        for (int px = part.x; px < part.x + part.width; px++) {
            double d = line_distance(px + 0.5, py + 0.5, ax, ay, bx - ax, by - ay);

            cover_pixel(c, px, py, colour, alpha * cover(w / 2, d, 1.0));
        }
    }
}

static void letter(canvas *c, int x, int y, int scale, uint32_t colour, char which)
{
    bool known = which >= LETTERS_FIRST && which <= LETTERS_LAST;
    const uint8_t *rows = letters[(known ? which : '?') - LETTERS_FIRST];

    for (int row = 0; row < LETTERS_HEIGHT; row++)
        for (int column = 0; column < LETTERS_WIDTH; column++)
            if ((rows[row] << column) & 0x80)
                canvas_box(c, x + column * scale, y + row * scale, scale, scale, colour, 1.0);
}

int canvas_text(canvas *c, int x, int y, int scale, uint32_t colour, const char *text)
{
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text & 0xc0) == 0x80)
            continue; /* the rest of a letter of UTF-8 */
        letter(c, x, y, scale, colour, *text);
        x += CANVAS_LETTER_WIDTH * scale;
    }
    return x;
}
