/* Paints from the ground up, in layers: the ground, what stands on it, the light of the hour over both, then
 * what moves, which shall be seen at night too. The lower layers are kept, and painted anew where something
 * has changed: that makes sixty pictures a second. See scene.h. */
#include "scene.h"

#include "palette.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEGEND_HEIGHT = 32, /* of scale 1 */
    NOTHING_SHOWN = -1
};

#define WHOLE 256u /* of light */

#define CLICK_REACH 14.0 /* how far from an agent a click may be off */

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

/* How much of the light of day there is, and of the fire; 0 to WHOLE. */
typedef struct light {
    uint32_t red, green, blue;
    uint32_t fire;
} light;

typedef struct place {
    double x, y;
} place;

struct scene {
    int scale;       /* of text */
    canvas_rect map; /* the part above the legend */
    canvas *ground;  /* painted once */
    canvas *stands;  /* with what stands on it */
    canvas *lit;     /* with the light of the hour */
    canvas *top;     /* with what moves: what is shown */
    uint8_t *fire;   /* how much of the fire's light each pixel of the map gets */
    light light;     /* of `lit` */
    int *berries;    /* shown on each bush, and */
    int heap;        /* at home; NOTHING_SHOWN at first */
    place *from;     /* where each agent was a step ago */
};

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

static void paint_ground(canvas *c, canvas_rect map)
{
    for (int y = 0; y < map.height; y++) {
        for (int x = 0; x < map.width; x++) {
            double wx = x / c->zoom;
            double wy = y / c->zoom;
            double hills = 0.6 * noise(wx, wy, 190.0) + 0.3 * noise(wx, wy, 60.0);
            double shade = 0.88 + 0.18 * hills + 0.07 * speckle(x, y);

            canvas_blend(c, x, y, GRASS, 1.0);
            canvas_blend(c, x, y, DRY_GRASS, smooth(hills));
            canvas_scale(c, x, y, shade, shade, shade);
        }
    }
}

/* --- what stands on it ------------------------------------------------------------------- */

/* As many are shown; NOTHING_SHOWN of a bare bush, which has other leaves. */
static int berries_of(const world_food *f)
{
    return f->amount > 0 ? (f->amount + 2) / 3 : NOTHING_SHOWN;
}

static void paint_bush(canvas *c, const world_food *f)
{
    double r = 5.0 + 5.5 * sqrt(f->most / 40.0);
    uint32_t leaf = f->amount > 0 ? LEAF : BARE;
    uint32_t lit = f->amount > 0 ? LEAF_LIT : BARE_LIT;

    canvas_disc(c, f->x + 2.0, f->y + 3.0, r, 3.0, SHADOW, 0.4);
    canvas_disc(c, f->x, f->y, r, 1.0, leaf, 1.0);
    canvas_disc(c, f->x - r * 0.25, f->y - r * 0.25, r * 0.6, r * 0.7, lit, 0.9);
    for (int i = 0; i < berries_of(f); i++) { /* as the seeds of a sunflower lie */
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
static double heap_radius(int64_t stored)
{
    return fmin(26.0, 3.0 + 0.22 * sqrt((double)stored));
}

static int heap_berries(int64_t stored)
{
    double r = heap_radius(stored);

    return stored > 0 ? (int)(r * r / 2.2) : 0;
}

static void paint_heap(canvas *c, int64_t stored)
{
    double r = heap_radius(stored);
    int berries = heap_berries(stored);

    for (int i = berries - 1; i >= 0; i--) {
        double along = r * sqrt((i + 0.5) / berries);
        double x = WORLD_HOME_X + along * cos(2.39996 * i);
        double y = WORLD_HOME_Y + along * sin(2.39996 * i);

        canvas_disc(c, x + 0.7, y + 0.9, 2.2, 1.0, SHADOW, 0.6);
        canvas_disc(c, x, y, 2.0, 1.0, BERRY, 1.0);
        canvas_disc(c, x - 0.6, y - 0.6, 0.6, 1.0, INK, 0.6);
    }
}

/* The pixels within `reach` of a place. */
static canvas_rect around(const scene *s, double x, double y, double reach)
{
    double zoom = s->ground->zoom;
    int left = (int)floor((x - reach) * zoom);
    int top = (int)floor((y - reach) * zoom);
    int size = (int)ceil(2.0 * reach * zoom) + 2;

    return canvas_common((canvas_rect){left, top, size, size}, s->map);
}

static bool is_empty(canvas_rect r)
{
    return r.width == 0 || r.height == 0;
}

static canvas_rect around_bush(const scene *s, const world_food *f)
{
    return around(s, f->x, f->y, 18.0);
}

/* Anew, within `part`. */
static void paint_standing(scene *s, const world *w, canvas_rect part)
{
    canvas_clip(s->stands, part);
    canvas_copy(s->stands, s->ground, part);
    for (size_t i = 0; i < w->food_count; i++)
        if (!is_empty(canvas_common(part, around_bush(s, &w->foods[i]))))
            paint_bush(s->stands, &w->foods[i]);
    paint_home(s->stands);
    paint_heap(s->stands, w->stored);
}

/* --- light ------------------------------------------------------------------------------- */

typedef struct sky_light {
    double red, green, blue;
} sky_light;

/* The sky by the hour; in between it goes over from one to the next. */
static sky_light sky(double hour)
{
    static const struct {
        double hour;
        sky_light is;
    } turns[] = {
        {0.0, {0.36, 0.42, 0.68}},  {4.5, {0.36, 0.42, 0.68}},  {6.0, {0.90, 0.74, 0.72}},
        {8.0, {1.00, 1.00, 0.98}},  {17.0, {1.00, 1.00, 0.96}}, {19.5, {1.00, 0.72, 0.52}},
        {21.5, {0.40, 0.44, 0.68}}, {24.0, {0.36, 0.42, 0.68}},
    };
    size_t i = 0;
    double t;
    sky_light a, b;

    while (hour >= turns[i + 1].hour && turns[i + 1].hour < 24.0)
        i++;
    t = (hour - turns[i].hour) / (turns[i + 1].hour - turns[i].hour);
    a = turns[i].is;
    b = turns[i + 1].is;
    return (sky_light){a.red + t * (b.red - a.red), a.green + t * (b.green - a.green),
                       a.blue + t * (b.blue - a.blue)};
}

/* The fire shows in the dark only. */
static light light_of(double hour)
{
    sky_light is = sky(hour);
    double dark = fmin(1.0, fmax(0.0, 1.6 * (1.0 - is.green)));

    return (light){(uint32_t)lround(WHOLE * is.red), (uint32_t)lround(WHOLE * is.green),
                   (uint32_t)lround(WHOLE * is.blue), (uint32_t)lround(WHOLE * dark)};
}

/* How its light falls off; the same for all time. */
static void measure_fire(scene *s)
{
    const double reach = 75.0 * s->ground->zoom;

    for (int y = 0; y < s->map.height; y++) {
        for (int x = 0; x < s->map.width; x++) {
            double d = hypot(x - WORLD_HOME_X * s->ground->zoom, y - WORLD_HOME_Y * s->ground->zoom) / reach;

            s->fire[y * s->map.width + x] = (uint8_t)(0.95 * 255.0 / (1.0 + d * d * d));
        }
    }
}

static uint8_t shine(uint8_t colour, uint32_t light_there)
{
    uint32_t v = colour * light_there / WHOLE;

    return (uint8_t)(v < 255 ? v : 255);
}

/* As world and light have it now, within `part`. */
static void shed_light(scene *s, canvas_rect part)
{
    const light l = s->light;

    for (int y = part.y; y < part.y + part.height; y++) {
        const uint8_t *from = canvas_pixel(s->stands, part.x, y);
        const uint8_t *fire = &s->fire[(size_t)y * (size_t)s->map.width + (size_t)part.x];
        uint8_t *to = canvas_pixel(s->lit, part.x, y);

        for (int x = 0; x < part.width; x++) {
            uint32_t f = fire[x] * l.fire / WHOLE;

            to[3 * x] = shine(from[3 * x], l.red + f);
            to[3 * x + 1] = shine(from[3 * x + 1], l.green + f * 184 / WHOLE);
            to[3 * x + 2] = shine(from[3 * x + 2], l.blue + f * 77 / WHOLE);
        }
    }
    canvas_clip(s->lit, part);
    canvas_disc(s->lit, WORLD_HOME_X, WORLD_HOME_Y, 24.0, 40.0, FIRE, 0.30 / WHOLE * (double)l.fire);
}

/* --- what has changed -------------------------------------------------------------------- */

static void change(scene *s, const world *w, canvas_rect part)
{
    paint_standing(s, w, part);
    shed_light(s, part);
}

static void keep_bushes(scene *s, const world *w)
{
    for (size_t i = 0; i < w->food_count; i++) {
        int berries = berries_of(&w->foods[i]);

        if (s->berries[i] == berries)
            continue;
        s->berries[i] = berries;
        change(s, w, around_bush(s, &w->foods[i]));
    }
}

static void keep_heap(scene *s, const world *w)
{
    int berries = heap_berries(w->stored);

    if (s->heap == berries)
        return;
    s->heap = berries;
    change(s, w, around(s, WORLD_HOME_X, WORLD_HOME_Y, 32.0));
}

static void keep_light(scene *s, const world *w)
{
    light now = light_of(world_hour(w));

    if (memcmp(&now, &s->light, sizeof now) == 0)
        return;
    s->light = now;
    shed_light(s, s->map);
}

static void keep_all(scene *s, const world *w)
{
    if (s->heap == NOTHING_SHOWN) { /* the first picture */
        s->heap = heap_berries(w->stored);
        for (size_t i = 0; i < w->food_count; i++)
            s->berries[i] = berries_of(&w->foods[i]);
        paint_standing(s, w, s->map);
    }
    keep_bushes(s, w);
    keep_heap(s, w);
    keep_light(s, w);
}

/* --- agents ------------------------------------------------------------------------------ */

static place place_of(const scene *s, const world *w, size_t agent, double between)
{
    const world_agent *a = &w->agents[agent];
    const place *from = &s->from[agent];

    return (place){from->x + (a->x - from->x) * between, from->y + (a->y - from->y) * between};
}

/* A tail shows where it comes from; a berry, that it brings one. */
static void paint_agent(canvas *c, const world_agent *a, place at)
{
    uint32_t colour = looks[look_of(a)].colour;
    double dx = a->goal_x - at.x;
    double dy = a->goal_y - at.y;
    double far = fmax(hypot(dx, dy), 1e-9);

    if (a->activity == WORLD_WALK)
        canvas_line(c, at.x - 9.0 * dx / far, at.y - 9.0 * dy / far, at.x, at.y, 1.6, colour, 0.5);
    canvas_disc(c, at.x, at.y, 3.7, 1.2, SHADOW, 0.75);
    canvas_disc(c, at.x, at.y, 2.6, 1.0, colour, 1.0);
    if (a->carried > 0)
        canvas_disc(c, at.x + 1.8, at.y - 1.8, 1.7, 1.0, BERRY, 1.0);
}

/* Those who rest first, so that those who are busy are seen. */
static void paint_agents(const scene *s, const world *w, double between)
{
    for (int busy = 0; busy < 2; busy++)
        for (size_t i = 0; i < w->agent_count; i++)
            if ((look_of(&w->agents[i]) != LOOK_REST) == busy)
                paint_agent(s->top, &w->agents[i], place_of(s, w, i, between));
}

/* Above all others, with a ring, and the way it is going. */
static void paint_chosen(const scene *s, const world *w, size_t agent, double between)
{
    const world_agent *a = &w->agents[agent];
    place at = place_of(s, w, agent, between);

    if (a->activity == WORLD_WALK) {
        canvas_line(s->top, at.x, at.y, a->goal_x, a->goal_y, 1.2, INK, 0.45);
        canvas_ring(s->top, a->goal_x, a->goal_y, 4.0, 1.2, INK, 0.6);
    }
    canvas_disc(s->top, at.x, at.y, 11.0, 1.0, INK, 0.15);
    paint_agent(s->top, a, at);
    canvas_ring(s->top, at.x, at.y, 11.0, 2.0, SUN, 1.0);
}

/* --- the legend: its lengths are pixels, of scale 1 -------------------------------------- */

static int legend_dot(const scene *s, int x, int y, uint32_t colour)
{
    double middle = y + s->scale * CANVAS_LETTER_HEIGHT / 2.0;

    canvas_disc(s->top, x + 5.0 * s->scale, middle, 4.5 * s->scale, 1.0, SHADOW, 1.0);
    canvas_disc(s->top, x + 5.0 * s->scale, middle, 3.5 * s->scale, 1.0, colour, 1.0);
    return x + 14 * s->scale;
}

static int legend_time(const scene *s, int x, int y, const world *w)
{
    char text[64];
    int minutes = (int)(world_hour(w) * 60.0);
    double middle = y + s->scale * CANVAS_LETTER_HEIGHT / 2.0;

    canvas_disc(s->top, x + 6.0 * s->scale, middle, 6.0 * s->scale, 1.0, world_is_day(w) ? SUN : MOON, 1.0);
    if (!world_is_day(w))
        canvas_disc(s->top, x + 9.0 * s->scale, middle - 2.0 * s->scale, 5.0 * s->scale, 1.0, PANEL, 1.0);
    snprintf(text, sizeof text, "Day %llu  %02d:%02d", (unsigned long long)world_day(w), minutes / 60,
             minutes % 60);
    return canvas_text(s->top, x + 18 * s->scale, y, s->scale, INK, text);
}

static int legend_look(const scene *s, int x, int y, look which, size_t count)
{
    char number[32];

    snprintf(number, sizeof number, " %zu", count);
    x = legend_dot(s, x, y, looks[which].colour);
    x = canvas_text(s->top, x, y, s->scale, INK_DIM, looks[which].word);
    return canvas_text(s->top, x, y, s->scale, INK, number);
}

static void legend_stored(const scene *s, int y, int64_t berries)
{
    char stored[48];
    int x;

    snprintf(stored, sizeof stored, "stored %lld", (long long)berries);
    x = s->map.width - s->scale * (14 + 14 + (int)strlen(stored) * CANVAS_LETTER_WIDTH);
    x = legend_dot(s, x, y, BERRY);
    canvas_text(s->top, x, y, s->scale, INK, stored);
}

static void paint_legend(const scene *s, const world *w)
{
    const int y = s->map.height + s->scale * (LEGEND_HEIGHT - CANVAS_LETTER_HEIGHT) / 2;
    const double zoom = s->top->zoom;
    size_t counts[LOOKS] = {0};
    int x;

    for (size_t i = 0; i < w->agent_count; i++)
        counts[look_of(&w->agents[i])]++;

    s->top->zoom = 1.0;
    canvas_box(s->top, 0, s->map.height, s->map.width, s->top->height - s->map.height, PANEL, 1.0);
    x = legend_time(s, 14 * s->scale, y, w) + 26 * s->scale;
    for (int i = 0; i < LOOKS; i++)
        x = legend_look(s, x, y, (look)i, counts[i]) + 18 * s->scale;
    legend_stored(s, y, w->stored);
    s->top->zoom = zoom;
}

/* --- all of it --------------------------------------------------------------------------- */

void scene_remember(scene *s, const world *w)
{
    for (size_t i = 0; i < w->agent_count; i++)
        s->from[i] = (place){w->agents[i].x, w->agents[i].y};
}

canvas *scene_paint(scene *s, const world *w, double between, size_t chosen)
{
    keep_all(s, w);
    canvas_clip(s->top, s->map);
    canvas_copy(s->top, s->lit, s->map);
    paint_agents(s, w, between);
    if (chosen != SCENE_NOBODY)
        paint_chosen(s, w, chosen, between);
    canvas_clip(s->top, canvas_all(s->top));
    paint_legend(s, w);
    return s->top;
}

void scene_place(const scene *s, const world *w, size_t agent, double between, double *x, double *y)
{
    place at = place_of(s, w, agent, between);

    *x = at.x * s->top->zoom;
    *y = at.y * s->top->zoom;
}

size_t scene_at(const scene *s, const world *w, double between, double x, double y)
{
    double best = CLICK_REACH;
    size_t found = SCENE_NOBODY;

    for (size_t i = 0; i < w->agent_count; i++) {
        place at = place_of(s, w, i, between);
        double d = hypot(at.x - x / s->top->zoom, at.y - y / s->top->zoom);

        if (d < best) {
            best = d;
            found = i;
        }
    }
    return found;
}

static bool make_layers(scene *s, double zoom)
{
    canvas **layers[] = {&s->ground, &s->stands, &s->lit, &s->top};
    int height = s->map.height + s->scale * LEGEND_HEIGHT;

    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        *layers[i] = canvas_new(s->map.width, height);
        if (*layers[i] == NULL)
            return false;
        (*layers[i])->zoom = zoom;
    }
    return true;
}

scene *scene_new(const world *w, double zoom, int scale)
{
    scene *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->scale = scale;
    s->map = (canvas_rect){0, 0, (int)(WORLD_WIDTH * zoom), (int)(WORLD_HEIGHT * zoom)};
    s->heap = NOTHING_SHOWN;
    s->fire = calloc((size_t)s->map.width * (size_t)s->map.height, 1);
    s->berries = calloc(w->food_count + 1, sizeof *s->berries);
    s->from = calloc(w->agent_count + 1, sizeof *s->from);
    if (s->fire == NULL || s->berries == NULL || s->from == NULL || !make_layers(s, zoom)) {
        scene_free(s);
        return NULL;
    }
    measure_fire(s);
    paint_ground(s->ground, s->map);
    scene_remember(s, w);
    return s;
}

void scene_free(scene *s)
{
    if (s == NULL)
        return;
    canvas_free(s->ground);
    canvas_free(s->stands);
    canvas_free(s->lit);
    canvas_free(s->top);
    free(s->fire);
    free(s->berries);
    free(s->from);
    free(s);
}
