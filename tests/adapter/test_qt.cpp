// BineDriver of host-example/qt: turns on Qt's event loop when they are wanted, and no others. What scripts
// may rely on, whatever the loop: see ../reactor/conformance.
#include "fixture.h"

#include <QAbstractEventDispatcher>
#include <QCoreApplication>
#include <QEventLoop>
#include <memory>

#include "bine_qt.h"

static bine *rt;
static std::unique_ptr<QCoreApplication> app;
static std::unique_ptr<BineDriver> driver;
static bine_resolver *door;
static int waits; // of the loop
static int ends;  // that the driver told

static int door_opens(bine_call *call, void *)
{
    return bine_defer(call, nullptr, &door);
}

static void open_door()
{
    bine_resolve(door, bine_value_str("a cat"));
}

static void open_with_door()
{
    bine_config config;

    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    CHECK_OK(bine_def(rt, "host", "door_opens() -> str", door_opens, nullptr, nullptr));
}

static void open_all()
{
    static int argc = 1;
    static char name[] = "test";
    static char *argv[] = {name, nullptr};

    app = std::make_unique<QCoreApplication>(argc, argv);
    QObject::connect(QAbstractEventDispatcher::instance(), &QAbstractEventDispatcher::aboutToBlock,
                     [] { waits++; });
    open_with_door();
    driver = std::make_unique<BineDriver>(rt, [] { ends++; });
}

static void close_all()
{
    driver.reset();
    close_runtime(rt);
    app.reset();
}

static void turn_until_ended()
{
    while (count_alive(rt) > 0)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
}

static void turn_until_asked()
{
    while (door == nullptr)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
}

// How often the loop waits in `ms` in which nothing happens.
static int waits_in(int ms)
{
    bool over = false;

    while (QCoreApplication::eventDispatcher()->processEvents(QEventLoop::AllEvents))
        ;
    QTimer::singleShot(ms, Qt::PreciseTimer, [&over] { over = true; });
    waits = 0;
    while (!over)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    return waits;
}

TEST(the_end_of_the_scripts_is_told_once)
{
    open_all();
    start_script(rt, "import bine\nbine.spawn(bine.sleep, 0.001)");
    turn_until_ended();
    CHECK_EQ(ends, 1);
    (void)waits_in(1);
    CHECK_EQ(ends, 1);
    start_script(rt, "pass");
    turn_until_ended();
    CHECK_EQ(ends, 2);
    close_all();
}

TEST(the_end_may_close_the_runtime_and_delete_the_driver)
{
    open_all();
    driver = std::make_unique<BineDriver>(rt, [] {
        driver.reset();
        close_runtime(rt);
        QCoreApplication::quit();
    });
    start_script(rt, "import bine\nbine.sleep(0.001)");
    QCoreApplication::exec();
    CHECK(driver == nullptr);
    app.reset();
}

TEST(an_idle_runtime_does_not_wake_the_loop)
{
    open_all();
    start_script(rt, "import bine, host\nbine.sleep(0.001)\nhost.door_opens()");
    turn_until_asked();
    CHECK_EQ(waits_in(50), 1);
    open_door();
    turn_until_ended();
    close_all();
}

TEST(an_earlier_wake_is_noticed_before_the_wait)
{
    open_all();
    start_script(rt, "import bine, builtins\nbuiltins.door = bine.current()\nbine.sleep(3600)");
    (void)waits_in(1);
    QTimer::singleShot(0, [] {
        start_script(rt, "import bine\nbine.sleep(0.001)\ndoor.cancel()");
        CHECK_OK(bine_tick(rt, 0, nullptr));
    });
    turn_until_ended();
    close_all();
}

TEST(a_busy_script_does_not_hold_up_the_hosts_events)
{
    int handled = 0;
    QTimer often;

    open_all();
    start_script(rt, "import bine\nstop = False\nwhile not stop: bine.pause()");
    QObject::connect(&often, &QTimer::timeout, [&handled] { handled++; });
    often.start(0);
    while (handled < 5)
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    often.stop();
    CHECK_OK(bine_shutdown(rt, 0));
    turn_until_ended();
    close_all();
}

static int waits_inside;

static int nest(bine_call *, void *)
{
    open_door(); // a turn is wanted and cannot be given
    waits_inside = waits_in(50);
    return BINE_OK;
}

TEST(scripts_wait_while_a_host_function_runs_a_nested_loop)
{
    open_all();
    CHECK_OK(bine_def(rt, "host", "nest()", nest, nullptr, nullptr));
    start_script(rt, "import bine, host\n"
                     "seen = []\n"
                     "other = bine.spawn(lambda: seen.append(host.door_opens()))\n"
                     "bine.pause()\n"
                     "host.nest()\n"
                     "seen.append('nested')");
    turn_until_ended();
    CHECK(waits_inside <= 2 * (50 / 10 + 2)); // it does not spin
    CHECK_STR(script_str("' '.join(seen)"), "nested a cat");
    close_all();
}

TEST(a_driver_that_goes_early_leaves_the_runtime_as_it_is)
{
    open_all();
    start_script(rt, "import bine\nbine.sleep(0)\ndone = 1");
    driver.reset();
    CHECK_EQ(waits_in(20), 1);
    CHECK_EQ(count_alive(rt), 1);
    run_to_end(rt);
    CHECK_EQ(script_int("done"), 1);
    close_all();
}
