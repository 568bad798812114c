/* A runtime on GLib's main loop: turns when they are wanted, and no others. What scripts may rely on,
 * whatever the loop: see ../reactor/conformance. */
#include "fixture.h"

#include <bine/adapter/glib.h>

static bine *rt;
static GMainContext *context;
static GSource *source;
static int polls; /* how often the loop has waited, or might have */
static bine_resolver *door;

static gint count_poll(GPollFD *fds, guint count, gint timeout_ms)
{
    polls++;
    return g_poll(fds, count, timeout_ms);
}

static int door_opens(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, NULL, &door);
}

static void open_on(GMainContext *where)
{
    bine_config config;

    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    CHECK_OK(bine_def(rt, "host", "door_opens() -> str", door_opens, NULL, NULL));
    context = where;
    g_main_context_set_poll_func(context, count_poll);
    source = bine_glib_source_new(rt);
    CHECK(source != NULL);
    g_source_attach(source, context);
}

static void close_all(void)
{
    g_source_destroy(source);
    g_source_unref(source);
    close_runtime(rt);
}

static void turn_until_ended(void)
{
    while (count_alive(rt) > 0)
        g_main_context_iteration(context, TRUE);
}

/* Turns until everything waits. */
static void turn_until_idle(void)
{
    bool more = true;

    while (more) {
        bine_idle why;

        g_main_context_iteration(context, FALSE);
        CHECK_OK(bine_why_idle(rt, &why, NULL));
        more = why == BINE_IDLE_BUSY;
    }
    while (g_main_context_iteration(context, FALSE))
        ;
}

static gboolean set_flag(gpointer flag)
{
    *(bool *)flag = true;
    return G_SOURCE_REMOVE;
}

/* Calls `function` in the loop after `ms`; 0: when nothing else is to be done. */
static void in_loop_after(guint ms, GSourceFunc function, gpointer user)
{
    GSource *timer = ms == 0 ? g_idle_source_new() : g_timeout_source_new(ms);

    g_source_set_callback(timer, function, user, NULL);
    g_source_attach(timer, context);
    g_source_unref(timer);
}

static void open_door(void)
{
    bine_resolve(door, bine_value_str("a cat"));
}

TEST(it_runs_on_a_context_that_is_not_the_default)
{
    open_on(g_main_context_new());
    start_script(rt, "import bine\nbine.sleep(0.001)\ndone = 1");
    CHECK(!g_main_context_iteration(NULL, FALSE));
    turn_until_ended();
    CHECK_EQ(script_int("done"), 1);
    close_all();
    g_main_context_unref(context);
}

/* How often the loop waits in `ms` in which nothing happens. */
static int polls_in(guint ms)
{
    bool over = false;

    in_loop_after(ms, set_flag, &over);
    polls = 0;
    while (!over)
        g_main_context_iteration(context, TRUE);
    return polls;
}

TEST(an_idle_runtime_does_not_wake_the_loop)
{
    open_on(g_main_context_default());
    start_script(rt, "import host\nhost.door_opens()");
    turn_until_idle();
    CHECK_EQ(polls_in(50), 1);
    open_door();
    turn_until_ended();
    close_all();
}

TEST(a_sleep_that_is_over_does_not_wake_the_loop_again)
{
    open_on(g_main_context_default());
    start_script(rt, "import bine, host\nbine.sleep(0.001)\nhost.door_opens()");
    while (door == NULL)
        g_main_context_iteration(context, TRUE);
    turn_until_idle();
    CHECK_EQ(polls_in(50), 1);
    open_door();
    turn_until_ended();
    close_all();
}

TEST(a_sleep_wakes_the_loop_once)
{
    open_on(g_main_context_default());
    start_script(rt, "import bine\nbine.sleep(0.05)");
    turn_until_idle();
    polls = 0;
    turn_until_ended();
    CHECK(polls <= 2); /* the second one without waiting, when the machine is slow */
    close_all();
}

/* The host takes a turn itself, in which a script wants the next one long before the source knew. */
static gboolean take_a_turn(gpointer user)
{
    (void)user;
    start_script(rt, "import bine\nbine.sleep(0.001)\ndoor.cancel()");
    CHECK_OK(bine_tick(rt, 0, NULL));
    return G_SOURCE_REMOVE;
}

TEST(an_earlier_wake_is_noticed_before_the_wait)
{
    open_on(g_main_context_default());
    start_script(rt, "import bine, builtins\nbuiltins.door = bine.current()\nbine.sleep(3600)");
    turn_until_idle();
    in_loop_after(0, take_a_turn, NULL);
    turn_until_ended();
    close_all();
}

/* ---- priority ---- */

static gboolean count_five(gpointer count)
{
    return ++*(int *)count < 5;
}

TEST(a_busy_script_does_not_keep_a_window_from_being_drawn)
{
    const int priority_redraw = G_PRIORITY_HIGH_IDLE + 20; /* GTK's */
    GSource *redraw = g_idle_source_new();
    int drawn = 0;

    open_on(g_main_context_default());
    start_script(rt, "import bine\nstop = False\nwhile not stop: bine.pause()");
    g_source_set_priority(redraw, priority_redraw);
    g_source_set_callback(redraw, count_five, &drawn, NULL);
    g_source_attach(redraw, context);
    for (int i = 0; i < 5; i++)
        g_main_context_iteration(context, FALSE);
    CHECK_EQ(drawn, 5);
    g_source_unref(redraw);
    bine_shutdown(rt, 0);
    turn_until_ended();
    close_all();
}

TEST(the_host_may_give_it_another_priority)
{
    int idle = 0;

    open_on(g_main_context_default());
    g_source_set_priority(source, G_PRIORITY_HIGH);
    start_script(rt, "import bine\nfor i in range(100): bine.pause()");
    in_loop_after(0, count_five, &idle);
    turn_until_ended();
    CHECK_EQ(idle, 0);
    close_all();
}

/* ---- the end ---- */

TEST(a_source_destroyed_early_leaves_the_runtime_as_it_is)
{
    open_on(g_main_context_default());
    start_script(rt, "import bine\nbine.sleep(0)\ndone = 1");
    g_source_destroy(source);
    CHECK(!g_main_context_iteration(context, FALSE));
    run_to_end(rt);
    CHECK_EQ(script_int("done"), 1);
    close_all();
}

TEST(it_removes_itself_after_the_close)
{
    open_on(g_main_context_default());
    turn_until_idle();
    close_runtime(rt);
    CHECK(g_main_context_iteration(context, FALSE));
    CHECK(g_source_is_destroyed(source));
    g_source_unref(source);
    CHECK(!g_main_context_iteration(context, FALSE));
}

TEST(a_source_destroyed_after_the_close_touches_nothing)
{
    open_on(g_main_context_default());
    turn_until_idle();
    close_runtime(rt);
    g_source_destroy(source);
    g_source_unref(source);
    CHECK(!g_main_context_iteration(context, FALSE));
    CHECK(bine_glib_source_new(rt) == NULL);
    CHECK_HAS(bine_message(), "closed");
}

/* ---- nested main loops ---- */

static bool script_has(const char *name)
{
    char expression[64];

    snprintf(expression, sizeof expression, "'%s' in globals()", name);
    return script_true(expression);
}

static gboolean nest_until_ended(gpointer user)
{
    (void)user;
    turn_until_ended();
    return G_SOURCE_REMOVE;
}

TEST(scripts_go_on_in_a_nested_loop)
{
    open_on(g_main_context_default());
    start_script(rt, "import bine\nbine.sleep(0.001)\ndone = 1");
    in_loop_after(0, nest_until_ended, NULL);
    while (count_alive(rt) > 0)
        g_main_context_iteration(context, TRUE);
    CHECK(script_has("done"));
    close_all();
}

static int polls_inside;

static void do_nothing(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
}

static void post_nothing(void *user)
{
    (void)user;
    CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
}

/* A loop in a host function, so inside a tick, when a turn is wanted. */
static int nest(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    in_thread(post_nothing, NULL);
    polls_inside = polls_in(50);
    return BINE_OK;
}

static const char nesting[] = "import bine, host\n"
                              "seen = []\n"
                              "bine.spawn(lambda: seen.append('other'))\n"
                              "host.nest()\n"
                              "seen.append('nested')\n"
                              "bine.sleep(0.001)\n"
                              "seen.append('end')";

TEST(scripts_wait_while_a_host_function_runs_a_nested_loop)
{
    open_on(g_main_context_default());
    CHECK_OK(bine_def(rt, "host", "nest()", nest, NULL, NULL));
    start_script(rt, nesting);
    turn_until_ended();
    CHECK_STR(script_str("' '.join(seen)"), "nested other end");
    CHECK(polls_inside <= 3); /* what has happened before it began may end a wait */
    close_all();
}

static gboolean tick_here(gpointer user)
{
    (void)user;
    CHECK_OK(bine_tick(rt, -1, NULL));
    return G_SOURCE_REMOVE;
}

TEST(a_nested_loop_inside_a_tick_of_the_hosts_does_not_spin)
{
    open_on(g_main_context_default());
    CHECK_OK(bine_def(rt, "host", "nest()", nest, NULL, NULL));
    g_source_set_priority(source, G_PRIORITY_LOW);
    start_script(rt, nesting);
    in_loop_after(0, tick_here, NULL);
    turn_until_ended();
    CHECK_STR(script_str("' '.join(seen)"), "nested other end");
    CHECK(polls_inside > 1);
    CHECK(polls_inside <= 2 * (50 / 10 + 2));
    close_all();
}

/* ---- other threads ---- */

static void make_source(void *user)
{
    (void)user;
    CHECK(bine_glib_source_new(rt) == NULL);
    CHECK_HAS(bine_message(), "thread");
}

TEST(only_the_owner_thread_makes_one)
{
    open_on(g_main_context_default());
    in_thread(make_source, NULL);
    close_all();
}

static char complaint[256];

static void keep_complaint(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer user)
{
    (void)domain;
    (void)level;
    (void)user;
    snprintf(complaint, sizeof complaint, "%s", message);
}

static void turn_here(void *user)
{
    (void)user;
    g_main_context_iteration(context, FALSE);
}

TEST(a_context_that_another_thread_runs_gets_no_turns_and_a_complaint)
{
    open_on(g_main_context_new());
    g_log_set_handler(NULL, G_LOG_LEVEL_CRITICAL, keep_complaint, NULL);
    start_script(rt, "import bine");
    in_thread(turn_here, NULL);
    CHECK(g_source_is_destroyed(source));
    CHECK_HAS(complaint, "thread");
    run_to_end(rt);
    close_all();
    g_main_context_unref(context);
}
