// Bine on Qt 6's event loop. Copy this file and bine_qt.cpp into your application; they need Qt Core and no moc.
//
//     QCoreApplication app(argc, argv);
//     BineDriver driver(rt, [] { QCoreApplication::quit(); }); // scripts have their turns from here on
//     app.exec();
//
// An idle runtime costs the loop nothing: a notifier waits for the runtime's descriptor, a timer for when the
// next turn is wanted, and which time that is, is asked before every wait. Events are handled and windows drawn
// however busy scripts are. A frame (bine.next_frame()) is 1/60 s, as with bine_run().
#ifndef BINE_QT_H
#define BINE_QT_H

#include <QObject>
#include <QSocketNotifier>
#include <QTimer>
#include <bine/common.h>
#include <functional>
#include <memory>

// Gives the runtime a turn, bine_run(rt, BINE_RUN_NOWAIT), whenever one is wanted. Make it on the owner thread,
// after the application object, and destroy it there at any time, before or after bine_close(), but not within
// a tick. Scripts wait while a host function runs a nested event loop (a modal dialog); in one that an event
// handler runs they go on. isOn() is false where the loop is the host's own, and after bine_close().
class BineDriver : public QObject
{
public:
    // `done` is called outside of ticks after a turn that leaves no micro-thread alive, and may close the
    // runtime. Not from within this call.
    explicit BineDriver(bine *rt, std::function<void()> done = {}, QObject *parent = nullptr);

    bool isOn() const;

private:
    void watch(int fd);
    void plan();
    void turn();

    bine *rt;
    std::function<void()> done;
    int fd = -1; // that the notifier waits for
    std::unique_ptr<QSocketNotifier> notifier;
    QTimer timer;
    bool busy = false;  // a nested event loop inside a tick: no turn before that has ended
    bool alive = false; // a micro-thread, when the last turn ended
};

#endif
