/* Colony: a game with a frame loop of its own, whose agents are scripts.
 *
 * This file ties the parts together: each frame it steps the world, gives the scripts their
 * turn with bine_tick(), saves now and then, and waits for the next frame. */
#include "game.h"
#include "meter.h"
#include "options.h"
#include "pace.h"
#include "picture.h"
#include "scripts.h"
#include "store.h"
#include "view.h"
#include "world.h"

#include <bine/bine.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SECOND_NS = 1000000000,
    BUDGET_NS = 4000000, /* what scripts may take of a frame's 16.7 ms */
    EXIT_WRONG_OPTION = 2
};

/* Figures of a stretch of frames: of the last second, or of the whole run. */
typedef struct figures {
    meter frame;   /* the work of a frame, without the waiting */
    meter scripts; /* bine_tick()'s part of it */
    int64_t began_ns;
    int64_t ended_ns; /* of the last frame */
    uint64_t jobs;    /* of bine_stats, when it began */
} figures;

typedef struct colony {
    options options;
    char *folder; /* of the script */
    char *module; /* its name */
    store *store;
    world *world;
    game *game;
    scripts *scripts;
    bine *rt;
    view *view;      /* NULL: no window */
    int64_t game_ns; /* the scripts' clock */
    uint64_t frames; /* made in this run */
    figures recent;
    figures whole;
    bool live; /* the line on the terminal is rewritten */
} colony;

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The second Ctrl-C kills, should a script never give its turn back. */
static int catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        perror("colony: sigaction");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* --- what the runtime asks of its host --------------------------------------------------- */

static int64_t game_clock(void *user)
{
    const colony *c = user;

    return c->game_ns;
}

/* So that an error does not end up in the middle of the live line. */
static void clear_line(const colony *c)
{
    if (c->live) {
        fputs("\r\033[K", stdout);
        fflush(stdout);
    }
}

static void on_unhandled(bine *rt, const bine_error *error, void *user)
{
    colony *c = user;

    (void)rt;
    clear_line(c);
    scripts_error(c->scripts, error);
}

static void on_log(bine *rt, bine_log_level level, const char *line, void *user)
{
    const colony *c = user;

    (void)rt;
    if (level == BINE_LOG_INFO)
        return;
    clear_line(c);
    fprintf(stderr, "colony: %s\n", line);
}

static int bine_failed(const char *doing, int status)
{
    fprintf(stderr, "colony: %s: %s (%s)\n", doing, bine_message(), bine_err_name(status));
    return EXIT_FAILURE;
}

static int out_of_memory(void)
{
    fputs("colony: out of memory\n", stderr);
    return EXIT_FAILURE;
}

/* --- opening ----------------------------------------------------------------------------- */

/* "agents/colony.py" is the module "colony" of the folder "agents". */
static int find_script(colony *c)
{
    const char *path = c->options.script;
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t length = strlen(name);

    if (length <= 3 || strcmp(name + length - 3, ".py") != 0) {
        fprintf(stderr, "colony: --script: '%s' is not a .py file\n", path);
        return EXIT_WRONG_OPTION;
    }
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "colony: --script: '%s': %s\n", path, strerror(errno));
        return EXIT_WRONG_OPTION;
    }
    c->module = strndup(name, length - 3);
    c->folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    return c->module != NULL && c->folder != NULL ? EXIT_SUCCESS : out_of_memory();
}

static int make_world(colony *c)
{
    size_t agents = c->options.agents;

    c->world = world_new(agents, world_foods_for(agents));
    if (c->world == NULL)
        return out_of_memory();
    world_populate(c->world, c->options.seed);
    return EXIT_SUCCESS;
}

static int resume_world(colony *c)
{
    int status = store_open(c->options.save, &c->store);

    if (status == STORE_OK)
        status = store_load(c->store, &c->world);
    if (status == STORE_EMPTY)
        return make_world(c);
    if (status != STORE_OK)
        return EXIT_FAILURE;
    if (!c->options.quiet)
        printf("resumed %s: frame %llu, %zu agents\n", c->options.save, (unsigned long long)c->world->frame,
               c->world->agent_count);
    return EXIT_SUCCESS;
}

static int open_world(colony *c)
{
    int status = c->options.save != NULL ? resume_world(c) : make_world(c);

    if (status != EXIT_SUCCESS)
        return status;
    c->game_ns = pace_frames_ns(c->world->frame);
    c->game = game_new(c->world);
    c->scripts = scripts_new(c->world->agent_count);
    return c->game != NULL && c->scripts != NULL ? EXIT_SUCCESS : out_of_memory();
}

static int open_runtime(colony *c)
{
    const char *paths[] = {c->folder};
    bine_config config;
    int status;

    bine_config_init(&config);
    config.on_unhandled = on_unhandled;
    config.on_log = on_log;
    config.clock = game_clock;
    config.user = c;
    config.module_paths = paths;
    config.module_path_count = 1;

    status = bine_open(&config, &c->rt);
    if (status != BINE_OK)
        return bine_failed("starting the runtime", status);
    status = game_define(c->game, c->rt);
    if (status != BINE_OK)
        return bine_failed("making module game", status);
    status = scripts_start(c->scripts, c->rt, c->game, c->module);
    if (status != BINE_OK)
        return bine_failed("starting the scripts", status);
    return EXIT_SUCCESS;
}

static int open_view(colony *c)
{
    view_config config = {c->world, c->game,          c->rt,           c->options.pace,
                          c->live,  c->options.quiet, c->options.watch};

    if (!c->options.window)
        return EXIT_SUCCESS;
    c->view = view_open(&config);
    return c->view != NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- figures ----------------------------------------------------------------------------- */

static bine_stats stats(const colony *c)
{
    bine_stats s;

    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    bine_get_stats(c->rt, &s);
    return s;
}

static void figures_begin(figures *f, const colony *c)
{
    meter_clear(&f->frame);
    meter_clear(&f->scripts);
    f->began_ns = now_ns();
    f->ended_ns = f->began_ns;
    f->jobs = stats(c).jobs;
}

static void figures_add(figures *f, int64_t frame_ns, int64_t scripts_ns)
{
    meter_add(&f->frame, frame_ns);
    meter_add(&f->scripts, scripts_ns);
    f->ended_ns = now_ns();
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void print_figures(const colony *c, const figures *f)
{
    bine_stats s = stats(c);
    double seconds = (double)(f->ended_ns - f->began_ns) / SECOND_NS;
    double switches = seconds > 0.0 ? (double)(s.jobs - f->jobs) / seconds : 0.0;
    int minutes = (int)(world_hour(c->world) * 60.0);

    printf("frame %llu, day %llu %02d:%02d | frame p50 %.2f p99 %.2f p99.9 %.2f worst %.2f ms, "
           "scripts p50 %.2f ms | %zu alive, %.0f switches/s | stored %lld",
           (unsigned long long)c->world->frame, (unsigned long long)world_day(c->world), minutes / 60,
           minutes % 60, ms(meter_percentile_ns(&f->frame, 0.5)), ms(meter_percentile_ns(&f->frame, 0.99)),
           ms(meter_percentile_ns(&f->frame, 0.999)), ms(f->frame.worst_ns),
           ms(meter_percentile_ns(&f->scripts, 0.5)), s.alive, switches, (long long)c->world->stored);
}

/* On a terminal the line is rewritten once a second; a log gets one for each game second. */
static void report(colony *c)
{
    bool due = c->live ? now_ns() - c->recent.began_ns >= SECOND_NS
                       : c->world->frame % WORLD_FRAMES_PER_SECOND == 0;

    if (c->options.quiet || !due)
        return;
    /* A narrow terminal must cut the line, not wrap it: it is written over the next time. */
    fputs(c->live ? "\r\033[?7l" : "", stdout);
    print_figures(c, &c->recent);
    fputs(c->live ? "\033[K\033[?7h" : "\n", stdout);
    fflush(stdout);
    figures_begin(&c->recent, c);
}

static void summarize(const colony *c)
{
    if (c->options.quiet)
        return;
    clear_line(c);
    printf("in all: ");
    print_figures(c, &c->whole);
    if (scripts_errors(c->scripts) > 0)
        printf(" | %llu errors", (unsigned long long)scripts_errors(c->scripts));
    printf(" | picture %s\n", c->options.picture);
}

/* --- the frame loop ---------------------------------------------------------------------- */

static int save_if_due(colony *c)
{
    if (c->store == NULL || c->world->frame % c->options.save_every != 0)
        return EXIT_SUCCESS;
    return store_save(c->store, c->world) == STORE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* All the work of a frame. What ended in the step wakes its script in the tick right after. */
static int run_frame(colony *c)
{
    int64_t began = now_ns();
    int64_t stepped;
    int64_t ticked;
    int64_t ended;
    int status;

    world_step(c->world);
    c->game_ns = pace_frames_ns(c->world->frame);
    stepped = now_ns();
    status = bine_tick(c->rt, BUDGET_NS, NULL);
    ticked = now_ns();
    if (status != BINE_OK)
        return bine_failed("bine_tick", status);

    if (c->world->frame % WORLD_FRAMES_PER_SECOND == 0)
        scripts_sweep(c->scripts);
    status = save_if_due(c);
    ended = now_ns();
    figures_add(&c->recent, ended - began, ticked - stepped);
    figures_add(&c->whole, ended - began, ticked - stepped);
    c->frames++;
    if (c->frames == c->options.warm_up)
        figures_begin(&c->whole, c);
    return status;
}

/* Waits until a point in time, so that being late does not add up; a signal ends it. */
static void wait_until(int64_t when_ns)
{
    struct timespec when = {.tv_sec = (time_t)(when_ns / SECOND_NS), .tv_nsec = (long)(when_ns % SECOND_NS)};
    int status = EINTR;

    while (status == EINTR && !stop)
        status = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static bool goes_on(const colony *c)
{
    return !stop && c->frames < c->options.frames && scripts_alive(c->scripts) > 0;
}

static int run_frames(colony *c)
{
    int status = EXIT_SUCCESS;
    pace p;

    pace_begin(&p, now_ns());
    while (status == EXIT_SUCCESS && goes_on(c)) {
        status = run_frame(c);
        report(c);
        if (!c->options.pace)
            continue;
        wait_until(pace_next_ns(&p));
        pace_due(&p, now_ns());
    }
    return status;
}

/* --- the same with a window: frames as they are due, and a picture of what is between ------ */

/* Without a pace, one for each picture. */
static int run_due_frames(colony *c, pace *p)
{
    int status = EXIT_SUCCESS;
    bool due = c->options.pace ? pace_due(p, now_ns()) : true;

    while (due && status == EXIT_SUCCESS && goes_on(c)) {
        view_step(c->view);
        status = run_frame(c);
        report(c);
        due = c->options.pace && pace_due(p, now_ns());
    }
    return status;
}

static int show(colony *c, const pace *p)
{
    double between = c->options.pace ? pace_between(p, now_ns()) : 1.0;

    return view_show(c->view, between) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Where the screen does not set the pace, a picture a frame is enough; where it does, it need not be believed
 * when it is more than four. */
static int64_t picture_ns(const colony *c)
{
    return view_is_paced(c->view) ? pace_frames_ns(1) / 4 : pace_frames_ns(1);
}

static int run_window(colony *c)
{
    int64_t before = now_ns();
    int status = EXIT_SUCCESS;
    pace p;

    pace_begin(&p, before);
    while (status == EXIT_SUCCESS && goes_on(c) && view_listen(c->view)) {
        int64_t now = now_ns();

        if (view_is_paused(c->view))
            pace_hold(&p, before, now);
        else
            status = run_due_frames(c, &p);
        before = now;
        if (status == EXIT_SUCCESS)
            status = show(c, &p);
        if (c->options.pace)
            wait_until(now + picture_ns(c));
    }
    return status;
}

/* Those that ended since the last sweep; and their errors, which come in ticks to come. */
static void sweep_the_rest(colony *c)
{
    bine_tick_info info;
    int status = BINE_OK;

    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    info.ready = 1;
    scripts_sweep(c->scripts);
    while (status == BINE_OK && info.ready > 0 && scripts_alive(c->scripts) == 0)
        status = bine_tick(c->rt, BUDGET_NS, &info);
}

/* A world where every script has failed is not worth a picture, least of all when they failed
 * at the start, by an error in their file. */
static int all_failed(const colony *c)
{
    fprintf(stderr, "colony: no script is left: %zu agents, %llu errors\n", c->world->agent_count,
            (unsigned long long)scripts_errors(c->scripts));
    return EXIT_FAILURE;
}

static int run(colony *c)
{
    int status;

    figures_begin(&c->recent, c);
    figures_begin(&c->whole, c);
    status = c->view != NULL ? run_window(c) : run_frames(c);
    sweep_the_rest(c);
    if (c->store != NULL && store_save(c->store, c->world) != STORE_OK)
        status = EXIT_FAILURE;
    if (status != EXIT_SUCCESS)
        return status;
    if (scripts_alive(c->scripts) == 0 && scripts_errors(c->scripts) > 0)
        return all_failed(c);
    if (picture_write(c->world, c->options.picture) != 0)
        return EXIT_FAILURE;
    summarize(c);
    return EXIT_SUCCESS;
}

/* --- closing ----------------------------------------------------------------------------- */

/* The world stands still from here on, but the scripts' clock goes on: whoever cleans up with
 * a sleep shall get to its end, and grace be over some day. */
static int close_runtime(colony *c)
{
    const int64_t grace_ns = SECOND_NS;
    uint64_t frames = 0;
    int status;

    if (c->rt == NULL)
        return EXIT_SUCCESS;
    scripts_release(c->scripts);
    bine_shutdown(c->rt, grace_ns);
    status = bine_close(c->rt);
    while (status == BINE_EBUSY && frames < 2 * WORLD_FRAMES_PER_SECOND) {
        frames++;
        c->game_ns = pace_frames_ns(c->world->frame + frames);
        bine_tick(c->rt, BUDGET_NS, NULL);
        status = bine_close(c->rt);
    }
    return status == BINE_OK ? EXIT_SUCCESS : bine_failed("closing the runtime", status);
}

/* While a script lives on, its calls may still come: then the game is not freed. */
static int close_all(colony *c)
{
    int status;

    view_close(c->view);
    status = close_runtime(c);
    if (status == EXIT_SUCCESS) {
        game_free(c->game);
        scripts_free(c->scripts);
        world_free(c->world);
    }
    store_close(c->store);
    free(c->module);
    free(c->folder);
    return status;
}

static int colony_main(colony *c)
{
    int status = find_script(c);
    int closed;

    c->live = !c->options.quiet && isatty(STDOUT_FILENO) != 0;
    if (status == EXIT_SUCCESS)
        status = catch_signals();
    if (status == EXIT_SUCCESS)
        status = open_world(c);
    if (status == EXIT_SUCCESS)
        status = open_runtime(c);
    if (status == EXIT_SUCCESS)
        status = open_view(c);
    if (status == EXIT_SUCCESS)
        status = run(c);
    closed = close_all(c);
    return status != EXIT_SUCCESS ? status : closed;
}

int main(int argc, char **argv)
{
    static colony c; /* its meters would take a good part of a small stack */

    switch (options_read(argc, argv, &c.options)) {
    case OPTIONS_DONE:
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        return EXIT_WRONG_OPTION;
    case OPTIONS_RUN:
        break;
    }
    return colony_main(&c);
}
