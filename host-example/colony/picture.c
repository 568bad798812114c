/* Paints from the ground up: grass, bushes, the home, the light of the hour over all that,
 * then the agents, which shall be seen at night too, and the legend. See picture.h. */
#include "picture.h"

#include "canvas.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

enum {
    MAP_WIDTH = (int)WORLD_WIDTH,
    MAP_HEIGHT = (int)WORLD_HEIGHT,
    LEGEND_HEIGHT = 64,
    GRASS = 0x7d9b52,
    DRY_GRASS = 0xa9ab62,
    SAND = 0xcdb380,
    LEAF = 0x3d6b34,
    LEAF_LIT = 0x5c8c45,
    BARE = 0x7d8459,
    BARE_LIT = 0x949a68,
    BERRY = 0xc8283c,
    SHADOW = 0x1c2415,
    ROOF = 0x8b5a34,
    ROOF_LIT = 0xb27c4c,
    FIRE = 0xff9a2e,
    PANEL = 0x20262c,
    INK = 0xe8e4d8,
    INK_DIM = 0x98a0a8
};

/* What an agent is seen to do, with its colour and its word in the legend. */
typedef enum look { LOOK_WALK, LOOK_GATHER, LOOK_CARRY, LOOK_REST, LOOKS } look;

static const struct {
    uint32_t colour;
    const char *word;
} looks[LOOKS] = {
    [LOOK_WALK] = {0xf7f3e3, "walking"},
    [LOOK_GATHER] = {0xffd23f, "gathering"},
    [LOOK_CARRY] = {0xff7f3f, "carrying"},
    [LOOK_REST] = {0x9fc8f0, "resting"},
};

static look look_of(const world_agent *a)
{
    if (a->activity == WORLD_GATHER)
        return LOOK_GATHER;
    if (a->carried > 0)
        return LOOK_CARRY;
    return a->activity == WORLD_WALK ? LOOK_WALK : LOOK_REST;
}

/* --- the ground: noise, the same each time ----------------------------------------------- */

static double speckle(int x, int y)
{
    uint32_t h = (uint32_t)x * 0x9e3779b1u ^ (uint32_t)y * 0x85ebca77u;

    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12)) * 0x297a2d39u;
    return (double)(h >> 8) / (double)(1u << 24);
}

static double smooth(double t)
{
    return t * t * (3.0 - 2.0 * t);
}

/* Hills of the width `size`, 0.0 to 1.0. */
static double noise(double x, double y, double size)
{
    double gx = floor(x / size);
    double gy = floor(y / size);
    double tx = smooth(x / size - gx);
    double ty = smooth(y / size - gy);
    int ix = (int)gx;
    int iy = (int)gy;
    double top = speckle(ix, iy) * (1.0 - tx) + speckle(ix + 1, iy) * tx;
    double bottom = speckle(ix, iy + 1) * (1.0 - tx) + speckle(ix + 1, iy + 1) * tx;

    return top * (1.0 - ty) + bottom * ty;
}

static void paint_ground(canvas *c)
{
    for (int y = 0; y < MAP_HEIGHT; y++) {
        for (int x = 0; x < MAP_WIDTH; x++) {
            double hills = 0.6 * noise(x, y, 190.0) + 0.3 * noise(x, y, 60.0);
            double shade = 0.88 + 0.18 * hills + 0.07 * speckle(x, y);

            canvas_blend(c, x, y, GRASS, 1.0);
            canvas_blend(c, x, y, DRY_GRASS, smooth(hills));
            canvas_scale(c, x, y, shade, shade, shade);
        }
    }
}

/* --- what stands on it ------------------------------------------------------------------- */

static void paint_bush(canvas *c, const world_food *f)
{
    double r = 5.0 + 5.5 * sqrt(f->most / 40.0);
    uint32_t leaf = f->amount > 0 ? LEAF : BARE;
    uint32_t lit = f->amount > 0 ? LEAF_LIT : BARE_LIT;

    canvas_disc(c, f->x + 2.0, f->y + 3.0, r, 3.0, SHADOW, 0.4);
    canvas_disc(c, f->x, f->y, r, 1.0, leaf, 1.0);
    canvas_disc(c, f->x - r * 0.25, f->y - r * 0.25, r * 0.6, r * 0.7, lit, 0.9);
    for (int i = 0; i < (f->amount + 2) / 3; i++) { /* as the seeds of a sunflower lie */
        double along = r * 0.82 * sqrt((i + 0.5) / (40.0 / 3.0));
        double angle = 2.39996 * i;

        canvas_disc(c, f->x + along * cos(angle), f->y + along * sin(angle), 1.5, 1.0, BERRY, 1.0);
    }
}

static void paint_hut(canvas *c, double x, double y)
{
    const double r = 13.0;

    canvas_disc(c, x + 3.0, y + 4.0, r, 4.0, SHADOW, 0.45);
    canvas_disc(c, x, y, r, 1.0, ROOF, 1.0);
    canvas_disc(c, x - 3.0, y - 3.0, r * 0.6, r * 0.8, ROOF_LIT, 0.9);
    for (int i = 0; i < 12; i++) {
        double angle = i * 0.5236;

        canvas_line(c, x, y, x + r * cos(angle), y + r * sin(angle), 0.8, SHADOW, 0.3);
    }
    canvas_disc(c, x, y, 2.0, 1.0, SHADOW, 0.8);
}

static void paint_home(canvas *c)
{
    canvas_disc(c, WORLD_HOME_X, WORLD_HOME_Y, WORLD_HOME_RADIUS, 40.0, SAND, 0.9);
    for (int i = 0; i < 9; i++) {
        double angle = i * 0.6981 + 0.2;

        paint_hut(c, WORLD_HOME_X + (WORLD_HOME_RADIUS + 14.0) * cos(angle),
                  WORLD_HOME_Y + (WORLD_HOME_RADIUS + 14.0) * sin(angle));
    }
}

/* The store: a heap that grows with the root of what is in it. */
static void paint_heap(canvas *c, int64_t stored)
{
    double r = fmin(26.0, 3.0 + 0.22 * sqrt((double)stored));
    int berries = stored > 0 ? (int)(r * r / 2.2) : 0;

    for (int i = berries - 1; i >= 0; i--) {
        double along = r * sqrt((i + 0.5) / berries);
        double x = WORLD_HOME_X + along * cos(2.39996 * i);
        double y = WORLD_HOME_Y + along * sin(2.39996 * i);

        canvas_disc(c, x + 0.7, y + 0.9, 2.2, 1.0, SHADOW, 0.6);
        canvas_disc(c, x, y, 2.0, 1.0, BERRY, 1.0);
        canvas_disc(c, x - 0.6, y - 0.6, 0.6, 1.0, INK, 0.6);
    }
}

/* --- light ------------------------------------------------------------------------------- */

typedef struct light {
    double red, green, blue;
} light;

/* The sky by the hour; in between it goes over from one to the next. */
static light sky(double hour)
{
    static const struct {
        double hour;
        light is;
    } turns[] = {
        {0.0, {0.36, 0.42, 0.68}},  {4.5, {0.36, 0.42, 0.68}},  {6.0, {0.90, 0.74, 0.72}},
        {8.0, {1.00, 1.00, 0.98}},  {17.0, {1.00, 1.00, 0.96}}, {19.5, {1.00, 0.72, 0.52}},
        {21.5, {0.40, 0.44, 0.68}}, {24.0, {0.36, 0.42, 0.68}},
    };
    size_t i = 0;
    double t;
    light a, b;

    while (hour >= turns[i + 1].hour && turns[i + 1].hour < 24.0)
        i++;
    t = (hour - turns[i].hour) / (turns[i + 1].hour - turns[i].hour);
    a = turns[i].is;
    b = turns[i + 1].is;
    return (light){a.red + t * (b.red - a.red), a.green + t * (b.green - a.green),
                   a.blue + t * (b.blue - a.blue)};
}

/* The fire shows in the dark only. */
static void shed_light(canvas *c, light day)
{
    double dark = fmin(1.0, fmax(0.0, 1.6 * (1.0 - day.green)));

    for (int y = 0; y < MAP_HEIGHT; y++) {
        for (int x = 0; x < MAP_WIDTH; x++) {
            double d = hypot(x - WORLD_HOME_X, y - WORLD_HOME_Y) / 75.0;
            double fire = dark * 0.95 / (1.0 + d * d * d);

            canvas_scale(c, x, y, day.red + fire, day.green + 0.72 * fire, day.blue + 0.3 * fire);
        }
    }
    canvas_disc(c, WORLD_HOME_X, WORLD_HOME_Y, 24.0, 40.0, FIRE, 0.30 * dark);
}

/* --- agents ------------------------------------------------------------------------------ */

/* A tail shows where it comes from; a berry, that it brings one. */
static void paint_agent(canvas *c, const world_agent *a)
{
    uint32_t colour = looks[look_of(a)].colour;
    double dx = a->goal_x - a->x;
    double dy = a->goal_y - a->y;
    double far = fmax(hypot(dx, dy), 1e-9);

    if (a->activity == WORLD_WALK)
        canvas_line(c, a->x - 9.0 * dx / far, a->y - 9.0 * dy / far, a->x, a->y, 1.6, colour, 0.5);
    canvas_disc(c, a->x, a->y, 3.7, 1.2, SHADOW, 0.75);
    canvas_disc(c, a->x, a->y, 2.6, 1.0, colour, 1.0);
    if (a->carried > 0)
        canvas_disc(c, a->x + 1.8, a->y - 1.8, 1.7, 1.0, BERRY, 1.0);
}

/* Those who rest first, so that those who are busy are seen. */
static void paint_agents(canvas *c, const world *w)
{
    for (size_t i = 0; i < w->agent_count; i++)
        if (look_of(&w->agents[i]) == LOOK_REST)
            paint_agent(c, &w->agents[i]);
    for (size_t i = 0; i < w->agent_count; i++)
        if (look_of(&w->agents[i]) != LOOK_REST)
            paint_agent(c, &w->agents[i]);
}

/* --- the legend -------------------------------------------------------------------------- */

static int legend_time(canvas *c, int x, int y, const world *w)
{
    char text[64];
    int minutes = (int)(world_hour(w) * 60.0);
    uint32_t lamp = world_is_day(w) ? 0xffd23f : 0x7f9fd0;

    canvas_disc(c, x + 10.0, y + 8.0, 9.0, 1.0, lamp, 1.0);
    if (!world_is_day(w))
        canvas_disc(c, x + 14.0, y + 5.0, 8.0, 1.0, PANEL, 1.0);
    snprintf(text, sizeof text, "Day %llu  %02d:%02d", (unsigned long long)world_day(w), minutes / 60,
             minutes % 60);
    return canvas_text(c, x + 30, y, 2, INK, text);
}

static int legend_look(canvas *c, int x, int y, look which, size_t count)
{
    char number[32];

    canvas_disc(c, x, y + 7.0, 7.0, 1.0, SHADOW, 1.0);
    canvas_disc(c, x, y + 7.0, 5.5, 1.0, looks[which].colour, 1.0);
    snprintf(number, sizeof number, " %zu", count);
    x = canvas_text(c, x + 16, y, 2, INK_DIM, looks[which].word);
    return canvas_text(c, x, y, 2, INK, number);
}

static void paint_legend(canvas *c, const world *w)
{
    const int y = MAP_HEIGHT + (LEGEND_HEIGHT - 2 * CANVAS_LETTER_HEIGHT) / 2;
    size_t counts[LOOKS] = {0};
    char stored[48];
    int x;

    for (size_t i = 0; i < w->agent_count; i++)
        counts[look_of(&w->agents[i])]++;

    canvas_box(c, 0, MAP_HEIGHT, MAP_WIDTH, LEGEND_HEIGHT, PANEL, 1.0);
    x = legend_time(c, 28, y, w) + 56;
    for (int i = 0; i < LOOKS; i++)
        x = legend_look(c, x, y, (look)i, counts[i]) + 40;

    snprintf(stored, sizeof stored, "stored %lld", (long long)w->stored);
    x = MAP_WIDTH - 28 - (int)strlen(stored) * 2 * CANVAS_LETTER_WIDTH;
    canvas_disc(c, x - 16.0, y + 7.0, 5.5, 1.0, BERRY, 1.0);
    canvas_text(c, x, y, 2, INK, stored);
}

/* --- all of it --------------------------------------------------------------------------- */

static void paint(canvas *c, const world *w)
{
    paint_ground(c);
    for (size_t i = 0; i < w->food_count; i++)
        paint_bush(c, &w->foods[i]);
    paint_home(c);
    paint_heap(c, w->stored);
    shed_light(c, sky(world_hour(w)));
    paint_agents(c, w);
    paint_legend(c, w);
}

static int write_png(const canvas *c, const char *path)
{
    png_image image;

    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.format = PNG_FORMAT_RGB;
    image.width = (png_uint_32)c->width;
    image.height = (png_uint_32)c->height;
    if (png_image_write_to_file(&image, path, 0, c->pixels, 0, NULL) == 0) {
        fprintf(stderr, "colony: %s: %s\n", path, image.message);
        return -1;
    }
    return 0;
}

int picture_write(const world *w, const char *path)
{
    canvas *c = canvas_new(MAP_WIDTH, MAP_HEIGHT + LEGEND_HEIGHT);
    int status;

    if (c == NULL) {
        fprintf(stderr, "colony: %s: out of memory\n", path);
        return -1;
    }
    paint(c, w);
    status = write_png(c, path);
    canvas_free(c);
    return status;
}
