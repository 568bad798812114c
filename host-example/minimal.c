/* A host in one page: read this first. It lends scripts two functions, gives them a turn in
 * each frame of its own loop, and goes on drawing whatever they do. Runs minimal.py. */
#include <bine/bine.h>
#include <stdio.h>
#include <time.h>

#define FRAME_NS 16666667

static bine_resolver *door; /* who waits for the door to open */

/* door_opens() -> str: the script waits; the C function does not. */
static int door_opens(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, NULL, &door);
}

static int say(bine_call *call, void *user)
{
    int *frame = user;

    printf("[frame %3d] %s\n", *frame, bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

static void on_unhandled(bine *rt, const bine_error *error, void *user)
{
    (void)rt;
    (void)user;
    bine_error_print(error, stderr);
}

static int complain(void)
{
    fprintf(stderr, "minimal: %s\n", bine_message());
    return 1;
}

int main(int argc, char **argv)
{
    const struct timespec rest = {0, FRAME_NS};
    bine_tick_info info = {.struct_size = sizeof info, .alive = 1};
    bine_config config;
    int frame = 0;
    bine *rt;

    bine_config_init(&config);
    config.on_unhandled = on_unhandled;
    if (bine_open(&config, &rt) != BINE_OK)
        return complain();
    if (bine_def(rt, "host", "door_opens() -> str", door_opens, NULL, "Waits until it does.") != BINE_OK ||
        bine_def(rt, "host", "say(text: str) -> None", say, &frame, NULL) != BINE_OK ||
        bine_run_file(rt, argc > 1 ? argv[1] : MINIMAL_SCRIPT, NULL) != BINE_OK)
        return complain();

    for (; info.alive > 0; frame++) { /* your main loop */
        if (frame >= 90 && door != NULL) {
            bine_resolve(door, bine_value_str("a cat")); /* from any thread, at any time */
            door = NULL;
        }
        bine_tick(rt, 2000000, &info); /* scripts may use 2 ms of this frame */
        nanosleep(&rest, NULL);        /* ... and here you would draw */
    }
    return bine_close(rt) == BINE_OK ? 0 : complain();
}
