/* A runtime that has its turns by events of SDL's. What scripts may rely on, whatever the loop: see
 * ../reactor/conformance. */
#include "fixture.h"

#include <SDL.h>
#include <bine/adapter/sdl2.h>
#include <bine/python.h>

static bine *rt;
static bine_resolver *door;
static int turns; /* events that were the runtime's */
static int others;

static int door_opens(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, NULL, &door);
}

static void open_door(void *user)
{
    (void)user;
    bine_resolve(door, bine_value_str("a cat"));
}

static void open_quiet(void)
{
    bine_config config;

    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    CHECK_OK(bine_def(rt, "host", "door_opens() -> str", door_opens, NULL, NULL));
}

static void open_all(void)
{
    CHECK_EQ(SDL_Init(SDL_INIT_EVENTS), 0);
    open_quiet();
    CHECK_OK(bine_sdl_start(rt));
}

static void close_all(void)
{
    bine_sdl_stop(rt);
    close_runtime(rt);
    SDL_Quit();
}

static void handle(const SDL_Event *event)
{
    if (bine_sdl_event(rt, event))
        turns++;
    else
        others++;
}

static void handle_next(void)
{
    SDL_Event event;

    CHECK_EQ(SDL_WaitEvent(&event), 1);
    handle(&event);
}

/* Everything in the queue now. */
static void handle_queue(void)
{
    SDL_Event event;

    while (SDL_PollEvent(&event))
        handle(&event);
}

static void turn_until_ended(void)
{
    while (count_alive(rt) > 0)
        handle_next();
}

static void turn_until_asked(void)
{
    while (door == NULL)
        handle_next();
}

static void push(Uint32 type)
{
    SDL_Event event = {.type = type};

    CHECK_EQ(SDL_PeepEvents(&event, 1, SDL_ADDEVENT, 0, 0), 1);
}

/* Until the runtime's thread has put its event there, or tried to. */
static void wait_for_request(void)
{
    while (!SDL_HasEvents(SDL_USEREVENT, SDL_LASTEVENT))
        SDL_Delay(1);
}

TEST(the_hosts_events_stay_the_hosts)
{
    SDL_Event event = {.type = SDL_KEYDOWN};

    open_all();
    CHECK(!bine_sdl_event(rt, &event));
    event.type = SDL_USEREVENT;
    event.user.type = SDL_RegisterEvents(1);
    CHECK(!bine_sdl_event(rt, &event));
    close_all();
}

TEST(while_scripts_are_idle_there_are_no_events)
{
    SDL_Event event;

    open_all();
    start_script(rt, "import bine, host\nbine.sleep(0.001)\nhost.door_opens()");
    turn_until_asked();
    while (SDL_WaitEventTimeout(&event, 20) == 1)
        handle(&event); /* what was on its way */
    turns = 0;
    CHECK_EQ(SDL_WaitEventTimeout(&event, 50), 0);
    CHECK_EQ(turns, 0);
    open_door(NULL);
    turn_until_ended();
    close_all();
}

TEST(a_busy_script_has_one_event_in_the_queue_at_a_time)
{
    open_all();
    start_script(rt, "import bine\nstop = False\nwhile not stop: bine.pause()");
    for (int i = 0; i < 5; i++) {
        SDL_Event event;

        wait_for_request();
        CHECK_EQ(SDL_PeepEvents(&event, 1, SDL_GETEVENT, SDL_USEREVENT, SDL_LASTEVENT), 1);
        CHECK(!SDL_HasEvents(SDL_USEREVENT, SDL_LASTEVENT));
        handle(&event);
    }
    CHECK_OK(bine_shutdown(rt, 0));
    turn_until_ended();
    close_all();
}

TEST(a_busy_script_does_not_hold_up_events_that_are_in_the_queue)
{
    open_all();
    start_script(rt, "import bine\nstop = False\nwhile not stop: bine.pause()");
    wait_for_request();
    for (int i = 0; i < 100; i++)
        push(SDL_KEYDOWN);
    while (others < 100)
        handle_next();
    CHECK(turns <= 2); /* before the first of them, and perhaps behind the last */
    CHECK_OK(bine_shutdown(rt, 0));
    turn_until_ended();
    close_all();
}

/* ---- requests that could not be put into the queue, or did not stay there ---- */

static void fill_queue(void)
{
    SDL_Event event = {.type = SDL_KEYDOWN};

    while (SDL_PeepEvents(&event, 1, SDL_ADDEVENT, 0, 0) == 1)
        ;
}

TEST(a_request_that_meets_a_full_queue_is_not_lost)
{
    open_all();
    start_script(rt, "import bine, host\nwho = host.door_opens()");
    turn_until_asked();
    handle_queue();
    fill_queue();
    in_thread(open_door, NULL);
    SDL_Delay(20); /* so long the runtime's thread may take; longer makes no test fail */
    handle_queue();
    turn_until_ended();
    CHECK_STR(script_str("who"), "a cat");
    close_all();
}

TEST(a_request_that_was_flushed_is_not_lost)
{
    open_all();
    start_script(rt, "done = 1");
    wait_for_request();
    SDL_FlushEvents(SDL_FIRSTEVENT, SDL_LASTEVENT);
    push(SDL_KEYDOWN);
    turn_until_ended();
    CHECK_EQ(others, 1);
    CHECK_EQ(turns, 0);
    close_all();
}

static int refuse_all(void *user, SDL_Event *event)
{
    (void)user;
    (void)event;
    return 0;
}

TEST(a_filter_of_the_hosts_is_not_asked)
{
    open_all();
    SDL_SetEventFilter(refuse_all, NULL);
    start_script(rt, "done = 1");
    turn_until_ended();
    close_all();
}

/* ---- where there are no turns ---- */

static int handle_inside(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    open_door(NULL); /* a turn is wanted and cannot be given */
    push(SDL_KEYDOWN);
    while (others == 0)
        handle_next();
    return BINE_OK;
}

TEST(scripts_wait_while_a_host_function_handles_events)
{
    open_all();
    CHECK_OK(bine_def(rt, "host", "handle_inside()", handle_inside, NULL, NULL));
    start_script(rt, "import bine, host\n"
                     "seen = []\n"
                     "other = bine.spawn(lambda: seen.append(host.door_opens()))\n"
                     "bine.pause()\n"
                     "host.handle_inside()\n"
                     "seen.append('inside')");
    turn_until_ended();
    CHECK(others > 0);
    CHECK_STR(script_str("' '.join(seen)"), "inside a cat");
    close_all();
}

TEST(a_turn_that_python_code_of_the_host_was_in_the_way_of_comes_by_the_next_event)
{
    open_all();
    start_script(rt, "done = 1");
    bine_python_enter(rt);
    handle_next();
    bine_python_leave(rt);
    CHECK_EQ(turns, 1);
    CHECK_EQ(count_alive(rt), 1);
    push(SDL_KEYDOWN);
    turn_until_ended();
    close_all();
}

/* ---- the end ---- */

TEST(after_the_stop_no_event_gives_a_turn)
{
    open_all();
    start_script(rt, "done = 1");
    wait_for_request();
    bine_sdl_stop(rt);
    CHECK(!SDL_HasEvents(SDL_USEREVENT, SDL_LASTEVENT));
    push(SDL_KEYDOWN);
    handle_queue();
    CHECK_EQ(count_alive(rt), 1);
    CHECK_OK(bine_sdl_start(rt)); /* and it may be started again */
    turn_until_ended();
    close_all();
}

TEST(events_that_are_left_after_the_close_do_nothing)
{
    open_all();
    CHECK_OK(bine_step_time(rt, 1)); /* asks for a turn */
    wait_for_request();
    close_runtime(rt);
    handle_queue();
    CHECK(turns > 0); /* the close may have asked anew */
    bine_sdl_stop(rt);
    SDL_Quit();
}

TEST(it_starts_after_sdl_and_once)
{
    open_quiet();
    CHECK_STATUS(bine_sdl_start(rt), BINE_EIO);
    CHECK_HAS(SDL_GetError(), "SDL_Init()");
    CHECK_EQ(SDL_Init(SDL_INIT_EVENTS), 0);
    CHECK_OK(bine_sdl_start(rt));
    CHECK_STATUS(bine_sdl_start(rt), BINE_EEXIST);
    CHECK_HAS(bine_message(), "bine_guest_start: it is on");
    close_all();
}

TEST(without_a_number_left_for_its_events_it_does_not_start)
{
    CHECK_EQ(SDL_Init(SDL_INIT_EVENTS), 0);
    open_quiet();
    CHECK(SDL_RegisterEvents(SDL_LASTEVENT - SDL_USEREVENT) != (Uint32)-1);
    CHECK_STATUS(bine_sdl_start(rt), BINE_EIO);
    CHECK_HAS(SDL_GetError(), "no kind of event");
    close_all();
}
