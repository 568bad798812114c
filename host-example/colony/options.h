/* The command line of the colony, checked.
 *
 * It touches argv, and tells mistakes on stderr and the usage on stdout. */
#ifndef COLONY_OPTIONS_H
#define COLONY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct options {
    size_t agents;
    uint64_t frames;  /* UINT64_MAX: until Ctrl-C */
    uint64_t warm_up; /* frames that the last line leaves out */
    uint64_t seed;
    uint64_t save_every; /* frames */
    const char *script;
    const char *save; /* NULL: the world is not saved */
    const char *picture;
    size_t watch; /* an agent to print the places of; SIZE_MAX: none */
    bool window;
    bool pace;
    bool quiet;
} options;

typedef enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE, /* --help has been answered */
    OPTIONS_WRONG /* and told */
} options_result;

/* Text in *out is borrowed from argv. */
options_result options_read(int argc, char **argv, options *out);

#endif
