#include "host.h"

#include <bine/adapter/glib.h>

int main(void)
{
    bine *rt = open_host();
    GSource *turns = bine_glib_source_new(rt);

    g_source_attach(turns, NULL);
    g_source_unref(turns);
    while (lives(rt))
        g_main_context_iteration(NULL, TRUE);
    return bine_close(rt);
}
