#include "bine_qt.h"

#include <QAbstractEventDispatcher>
#include <algorithm>
#include <bine/runtime.h>
#include <chrono>
#include <limits>

using std::chrono::milliseconds;

// How often a turn is tried while none can be had.
static constexpr milliseconds busyTime{10};

BineDriver::BineDriver(bine *runtime, std::function<void()> whenDone, QObject *parent)
    : QObject(parent), rt(runtime), done(std::move(whenDone))
{
    timer.setSingleShot(true);
    timer.setTimerType(Qt::PreciseTimer);
    connect(&timer, &QTimer::timeout, this, [this] { turn(); });
    connect(QAbstractEventDispatcher::instance(), &QAbstractEventDispatcher::aboutToBlock, this,
            [this] { plan(); });
    plan();
}

// The descriptor is another one in the child of a fork; negative: none.
void BineDriver::watch(int wanted)
{
    if (wanted == fd)
        return;
    fd = wanted;
    if (notifier) { // this may be its own signal
        notifier->setEnabled(false);
        notifier.release()->deleteLater();
    }
    if (fd < 0)
        return;
    notifier = std::make_unique<QSocketNotifier>(fd, QSocketNotifier::Read);
    connect(notifier.get(), &QSocketNotifier::activated, this, [this] { turn(); });
}

// When the next turn is wanted. Rounded up: a turn that comes early finds nothing to do.
void BineDriver::plan()
{
    const qint64 most = std::numeric_limits<int>::max();
    qint64 wait;

    if (busy)
        return;
    watch(bine_poll_fd(rt));
    wait = fd < 0 ? -1 : bine_poll_timeout_ns(rt);
    if (wait < 0)
        timer.stop();
    else
        timer.start(milliseconds(std::min(most, wait / 1000000 + (wait % 1000000 != 0))));
}

void BineDriver::turn()
{
    const int status = bine_run(rt, BINE_RUN_NOWAIT);

    busy = status == BINE_EBUSY;
    if (busy) {
        watch(-1);
        timer.start(busyTime);
        return;
    }
    if (status < 0 && status != BINE_ECLOSED)
        qCritical("BineDriver: %s", bine_message());
    plan();
    if (status == 0)
        tellDone();
}

// No micro-thread lives: all that were ever spawned have ended.
void BineDriver::tellDone()
{
    const std::function<void()> call = done;
    bine_stats stats;

    stats.struct_size = sizeof stats;
    if (bine_get_stats(rt, &stats) != BINE_OK || stats.spawned == ended)
        return;
    ended = stats.spawned;
    if (call)
        call();
}
