// Bine on Qt 6's event loop. Copy this file and bine_qt.cpp into your application; they need Qt Core and no
// moc.
//
//     QCoreApplication app(argc, argv);
//     BineDriver driver(rt, [] { QCoreApplication::quit(); }); // scripts have their turns from here on
//     app.exec();
//
// An idle runtime costs the loop nothing: a notifier waits for the runtime's descriptor, a timer for when the
// next turn is wanted, and which time that is, is asked before every wait. Events are handled and windows
// drawn however busy scripts are. A frame (bine.next_frame()) is 1/60 s, as with bine_run().
#ifndef BINE_QT_H
#define BINE_QT_H

#include <QObject>
#include <QSocketNotifier>
#include <QTimer>
#include <bine/common.h>
#include <functional>
#include <memory>

// Gives the runtime a turn, bine_run(rt, BINE_RUN_NOWAIT), whenever one is wanted. Make it on the owner
// thread, after the application object; destroy it there, outside of ticks. After bine_close() it does
// nothing. Scripts wait while a host function runs a nested event loop (a modal dialog); in one that an event
// handler runs they go on.
class BineDriver : public QObject
{
  public:
    // `whenDone` is called outside of ticks when the last micro-thread has ended, again whenever that happens
    // again, and not within this call. It may delete the driver, and then close the runtime.
    explicit BineDriver(bine *runtime, std::function<void()> whenDone = {}, QObject *parent = nullptr);

  private:
    void watch(int fd);
    void plan();
    void turn();
    void tellDone();

    bine *rt;
    std::function<void()> done;
    int fd = -1; // that the notifier waits for
    std::unique_ptr<QSocketNotifier> notifier;
    QTimer timer;
    bool busy = false; // a nested event loop inside a tick: no turn before that has ended
    quint64 ended = 0; // micro-threads, when `done` was last called
};

#endif
