/* What the three have in common. */
#ifndef HOST_H
#define HOST_H

#include <bine/bine.h>
#include <stdio.h>
#include <stdlib.h>

static inline void must(int status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "%s: %s\n", bine_err_name(status), bine_message());
    exit(EXIT_FAILURE);
}

static inline bine *open_host(void)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    must(bine_open(&config, &rt));
    must(bine_run_string(rt, "import bine\nbine.sleep(0.01)\nprint('slept')", "sleeper", NULL));
    return rt;
}

static inline bool lives(const bine *rt) /* a script */
{
    bine_stats stats = {.struct_size = sizeof stats};

    must(bine_get_stats(rt, &stats));
    return stats.alive > 0;
}

#endif
