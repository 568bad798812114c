/* A scene, a panel and a window. See view.h. */
#include "view.h"

#include "panel.h"
#include "scene.h"
#include "window.h"

#include <stdio.h>
#include <stdlib.h>

#define ZOOM 0.75 /* 1200 times 675 pixels, and the legend */

struct view {
    view_config config;
    window *window;
    scene *scene;
    size_t chosen; /* or SCENE_NOBODY */
    bool paused;
    double between; /* of the last picture */
    uint64_t pictures;
};

/* --- what the person does ---------------------------------------------------------------- */

static int look(const view *v, size_t agent, panel **out)
{
    int status = panel_look(v->config.rt, game_agent_data(v->config.game, agent), out);

    if (status != BINE_OK)
        fprintf(stderr, "colony: looking at agent %zu: %s\n", agent, bine_strerror(status));
    return status;
}

static void say(const view *v, const char *line)
{
    if (v->config.quiet)
        return;
    printf("%s%s\n", v->config.live ? "\r\033[K" : "", line);
    fflush(stdout);
}

static void tell_click(const view *v)
{
    char line[64];
    panel *p;

    if (v->chosen == SCENE_NOBODY) {
        say(v, "clicked nobody");
        return;
    }
    snprintf(line, sizeof line, "clicked agent %zu", v->chosen);
    say(v, line);
    if (v->config.quiet || look(v, v->chosen, &p) != BINE_OK)
        return;
    panel_print(p, stdout);
    fflush(stdout);
    panel_free(p);
}

static void choose(view *v, double x, double y)
{
    v->chosen = scene_at(v->scene, v->config.world, v->between, x, y);
    tell_click(v);
}

static void close_panel(view *v)
{
    if (v->chosen == SCENE_NOBODY)
        return;
    v->chosen = SCENE_NOBODY;
    say(v, "closed the panel");
}

static void pause_or_go_on(view *v)
{
    v->paused = !v->paused;
    say(v, v->paused ? "paused" : "goes on");
}

bool view_listen(view *v)
{
    window_input input = window_next(v->window);

    for (; input.act != WINDOW_NOTHING; input = window_next(v->window)) {
        if (input.act == WINDOW_CLOSE)
            return false;
        if (input.act == WINDOW_CLICK)
            choose(v, input.x, input.y);
        else if (input.act == WINDOW_ESCAPE)
            close_panel(v);
        else
            pause_or_go_on(v);
    }
    return true;
}

bool view_is_paused(const view *v)
{
    return v->paused;
}

bool view_is_paced(const view *v)
{
    return window_is_paced(v->window);
}

/* --- what is shown ----------------------------------------------------------------------- */

void view_step(view *v)
{
    scene_remember(v->scene, v->config.world);
}

/* How it stands there now; the panel is alive while the world goes on. */
static void paint_panel(const view *v, canvas *c)
{
    const world_agent *a = &v->config.world->agents[v->chosen];
    char title[64];
    char subtitle[48];
    double x, y;
    panel *p;

    if (look(v, v->chosen, &p) != BINE_OK)
        return;
    snprintf(title, sizeof title, "Agent %zu", v->chosen);
    snprintf(subtitle, sizeof subtitle, "%s, %d of %d berries", world_activity_name(a->activity), a->carried,
             WORLD_CAPACITY);
    scene_place(v->scene, v->config.world, v->chosen, v->between, &x, &y);
    panel_paint(p, c, (int)(WORLD_WIDTH * ZOOM), (int)(WORLD_HEIGHT * ZOOM), x, title, subtitle);
    panel_free(p);
}

/* For tests and for the curious: smooth is what moves alike from picture to picture. */
static void tell_watched(const view *v)
{
    double x, y;

    scene_place(v->scene, v->config.world, v->config.watch, v->between, &x, &y);
    printf("picture %llu at frame %.4f: agent %zu at %.3f,%.3f\n", (unsigned long long)v->pictures,
           (double)v->config.world->frame - 1.0 + v->between, v->config.watch, x, y);
    fflush(stdout);
}

int view_show(view *v, double between)
{
    canvas *c;
    int status;

    v->between = between;
    c = scene_paint(v->scene, v->config.world, between, v->chosen);
    if (v->chosen != SCENE_NOBODY)
        paint_panel(v, c);
    status = window_show(v->window, c);
    v->pictures++;
    if (v->config.watch < v->config.world->agent_count)
        tell_watched(v);
    return status;
}

/* --- life -------------------------------------------------------------------------------- */

/* The window is ready when it has shown the world. */
static int open_window(view *v)
{
    const canvas *c = scene_paint(v->scene, v->config.world, 1.0, SCENE_NOBODY);
    char line[64];

    v->window = window_open("Colony", c->width, c->height, v->config.paced);
    if (v->window == NULL || window_show(v->window, c) != 0)
        return -1;
    snprintf(line, sizeof line, "window ready %dx%d", c->width, c->height);
    say(v, line);
    return 0;
}

view *view_open(const view_config *config)
{
    view *v = calloc(1, sizeof *v);

    if (v != NULL) {
        v->config = *config;
        v->chosen = SCENE_NOBODY;
        v->between = 1.0;
        v->scene = scene_new(config->world, ZOOM, 1);
    }
    if (v == NULL || v->scene == NULL)
        fputs("colony: --window: out of memory\n", stderr);
    else if (open_window(v) == 0)
        return v;
    view_close(v);
    return NULL;
}

void view_close(view *v)
{
    if (v == NULL)
        return;
    window_close(v->window);
    scene_free(v->scene);
    free(v);
}
