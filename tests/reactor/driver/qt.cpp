// BineDriver of host-example/qt: the host runs Qt's event loop.
#include "driven.h"
#include "host_calls.h"

#include <QCoreApplication>
#include <QEventLoop>
#include <QSocketNotifier>
#include <memory>

#include "bine_qt.h"

const driver_pace driver_rests = DRIVER_SLEEPS;

static std::unique_ptr<QCoreApplication> app;
static std::unique_ptr<QSocketNotifier> calls;
static std::unique_ptr<BineDriver> scripts;

void driver_configure(bine_config *)
{
    static int argc = 1;
    static char name[] = "conformance";
    static char *argv[] = {name, nullptr};

    app = std::make_unique<QCoreApplication>(argc, argv);
    calls = std::make_unique<QSocketNotifier>(host_calls_fd(), QSocketNotifier::Read);
    QObject::connect(calls.get(), &QSocketNotifier::activated, [] { host_calls_run(); });
}

void driver_start(bine *runtime)
{
    scripts = std::make_unique<BineDriver>(runtime);
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user))
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
}

void driver_run_to_end(void)
{
    run_until_over();
}

void driver_call(void (*function)(void *user), void *user)
{
    host_calls_add(function, user);
}

void driver_close(void)
{
    scripts.reset();
    calls.reset();
    app.reset();
}
