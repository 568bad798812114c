/* See scripts.h. A handle is held until its script has ended: by that we know whose it was. The
 * error of a script goes to on_unhandled only after its handle is gone. */
#include "scripts.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOLD_MOST = 5 };

struct scripts {
    size_t agents;
    size_t alive;
    size_t told; /* lines about ends */
    bine_micro **micros;
    uint64_t errors;
    size_t printed;            /* errors printed */
    uint64_t alike[TOLD_MOST]; /* what to know them by */
};

scripts *scripts_new(size_t agents)
{
    scripts *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->agents = agents;
    s->micros = calloc(agents, sizeof(bine_micro *));
    if (s->micros == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

void scripts_free(scripts *s)
{
    if (s == NULL)
        return;
    scripts_release(s);
    free(s->micros);
    free(s);
}

static int start_one(scripts *s, bine *rt, game *g, const char *module, size_t agent)
{
    bine_value *args = bine_value_list();
    int status = bine_value_append(args, bine_value_i64((int64_t)agent));

    if (status != BINE_OK) {
        bine_value_free(args);
        return status;
    }
    status = bine_spawn_named(rt, module, "live", args, &s->micros[agent]);
    if (status != BINE_OK)
        return status;
    bine_micro_set_data(s->micros[agent], game_agent_data(g, agent));
    s->alive++;
    return BINE_OK;
}

int scripts_start(scripts *s, bine *rt, game *g, const char *module)
{
    int status = BINE_OK;

    for (size_t i = 0; status == BINE_OK && i < s->agents; i++)
        status = start_one(s, rt, g, module, i);
    return status;
}

/* A thousand that end together, as by an error in their file, are told in one line. */
static void tell_ends(scripts *s, size_t ended, size_t first)
{
    if (s->told == TOLD_MOST)
        return;
    s->told++;
    if (ended == 1)
        fprintf(stderr, "colony: agent %zu stands still: its script has ended\n", first);
    else
        fprintf(stderr, "colony: agent %zu and %zu more stand still: their scripts have ended\n", first,
                ended - 1);
    if (s->told == TOLD_MOST)
        fprintf(stderr, "colony: further ends are only counted\n");
}

void scripts_sweep(scripts *s)
{
    size_t ended = 0;
    size_t first = 0;

    for (size_t i = 0; i < s->agents; i++) {
        if (s->micros[i] == NULL || bine_micro_get_state(s->micros[i]) != BINE_MICRO_DONE)
            continue;
        bine_micro_release(s->micros[i]);
        s->micros[i] = NULL;
        if (ended == 0)
            first = i;
        ended++;
    }
    s->alive -= ended;
    if (ended > 0)
        tell_ends(s, ended, first);
}

void scripts_release(scripts *s)
{
    for (size_t i = 0; i < s->agents; i++) {
        bine_micro_release(s->micros[i]);
        s->micros[i] = NULL;
    }
}

/* --- errors ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

/* The same for errors with the same text from the same line. */
static uint64_t likeness(const bine_error *error)
{
    uint64_t hash = mix(mix(0xcbf29ce484222325u, error->type), error->message);

    if (error->frame_count > 0) {
        const bine_frame *last = &error->frames[error->frame_count - 1];

        hash = mix(hash, last->file) + (uint64_t)last->line;
    }
    return hash;
}

static bool printed_before(const scripts *s, uint64_t like)
{
    for (size_t i = 0; i < s->printed; i++)
        if (s->alike[i] == like)
            return true;
    return false;
}

void scripts_error(scripts *s, const bine_error *error)
{
    uint64_t like = likeness(error);

    s->errors++;
    if (s->printed == TOLD_MOST || printed_before(s, like))
        return;
    s->alike[s->printed] = like;
    s->printed++;
    bine_error_print(error, stderr);
    if (s->printed == TOLD_MOST)
        fprintf(stderr, "colony: further errors are only counted\n");
}

size_t scripts_alive(const scripts *s)
{
    return s->alive;
}

uint64_t scripts_errors(const scripts *s)
{
    return s->errors;
}
