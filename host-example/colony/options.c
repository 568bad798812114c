/* See options.h. COLONY_SCRIPT, the default of --script, is given by the build. */
#include "options.h"

#include "world.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef COLONY_SCRIPT
#define COLONY_SCRIPT "colony.py"
#endif

enum {
    AGENTS,
    FRAMES,
    WARM_UP,
    SCRIPT,
    SEED,
    SAVE,
    SAVE_EVERY,
    PICTURE,
    WINDOW,
    WATCH,
    NO_PACE,
    QUIET,
    HELP
};

static const struct option known[] = {
    {"agents", required_argument, NULL, AGENTS},
    {"frames", required_argument, NULL, FRAMES},
    {"warm-up", required_argument, NULL, WARM_UP},
    {"script", required_argument, NULL, SCRIPT},
    {"seed", required_argument, NULL, SEED},
    {"save", required_argument, NULL, SAVE},
    {"save-every", required_argument, NULL, SAVE_EVERY},
    {"picture", required_argument, NULL, PICTURE},
    {"window", no_argument, NULL, WINDOW},
    {"watch", required_argument, NULL, WATCH},
    {"no-pace", no_argument, NULL, NO_PACE},
    {"quiet", no_argument, NULL, QUIET},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: colony [options]\n"
    "A world with a script for each agent, at 60 frames a second. Ctrl-C ends it.\n"
    "\n"
    "  --agents N         how many agents a new world has; 1 to 100000 (default 1000)\n"
    "  --frames N         end after so many frames (default: go on until Ctrl-C)\n"
    "  --warm-up N        frames that the figures in the end leave out (default 0)\n"
    "  --script FILE      what the agents do: a module with live(agent)\n"
    "                     (default " COLONY_SCRIPT ")\n"
    "  --seed N           what a new world grows from (default 1)\n"
    "  --save FILE        save the world in this SQLite file, and go on from the world in it\n"
    "  --save-every N     frames between saves (default 60)\n"
    "  --picture FILE     the PNG to paint in the end (default colony.png)\n"
    "  --window           show the world in a window. A click on an agent shows the stack of its\n"
    "                     script, Escape or another click ends that; space pauses, Q ends\n"
    "  --watch N          with --window: print where agent N is in each picture\n"
    "  --no-pace          do not wait between frames\n"
    "  --quiet            print nothing but errors\n"
    "  --help             print this\n";

/* All of the text must be a number; strtoull() alone takes "-1", " 1" and "1x" as well. */
static bool read_number(int which, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end = NULL;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n < low || n > high) {
        fprintf(stderr, "colony: --%s: '%s' is not a number from %llu to %llu\n", known[which].name, text,
                (unsigned long long)low, (unsigned long long)high);
        return false;
    }
    *out = n;
    return true;
}

static bool read_text(int which, const char *text, const char **out)
{
    if (text[0] == '\0') {
        fprintf(stderr, "colony: --%s: '' is not the name of a file\n", known[which].name);
        return false;
    }
    *out = text;
    return true;
}

static bool read_agents(int which, const char *text, uint64_t low, uint64_t high, size_t *out)
{
    uint64_t n = 0;
    bool ok = read_number(which, text, low, high, &n);

    *out = (size_t)n;
    return ok;
}

static bool read_one(int which, const char *text, options *out)
{
    switch (which) {
    case AGENTS:
        return read_agents(which, text, 1, WORLD_AGENTS_MOST, &out->agents);
    case WATCH:
        return read_agents(which, text, 0, WORLD_AGENTS_MOST - 1, &out->watch);
    case FRAMES:
        return read_number(which, text, 0, INT64_MAX, &out->frames);
    case WARM_UP:
        return read_number(which, text, 0, INT64_MAX, &out->warm_up);
    case SCRIPT:
        return read_text(which, text, &out->script);
    case SEED:
        return read_number(which, text, 0, UINT64_MAX, &out->seed);
    case SAVE:
        return read_text(which, text, &out->save);
    case SAVE_EVERY:
        return read_number(which, text, 1, INT64_MAX, &out->save_every);
    case PICTURE:
        return read_text(which, text, &out->picture);
    case WINDOW:
        out->window = true;
        return true;
    case NO_PACE:
        out->pace = false;
        return true;
    case QUIET:
        out->quiet = true;
        return true;
    default:
        return false; /* getopt_long() has told why */
    }
}

options_result options_read(int argc, char **argv, options *out)
{
    int which;

    *out = (options){.agents = 1000,
                     .frames = UINT64_MAX,
                     .seed = 1,
                     .save_every = 60,
                     .script = COLONY_SCRIPT,
                     .picture = "colony.png",
                     .watch = SIZE_MAX,
                     .pace = true};

    for (which = getopt_long(argc, argv, "", known, NULL); which != -1;
         which = getopt_long(argc, argv, "", known, NULL)) {
        if (which == HELP) {
            fputs(usage, stdout);
            return OPTIONS_DONE;
        }
        if (!read_one(which, optarg, out))
            return OPTIONS_WRONG;
    }
    if (optind < argc) {
        fprintf(stderr, "colony: '%s' is no option; try --help\n", argv[optind]);
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}
