// A Qt window whose script waits for clicks on the line where it stands, while another one counts the
// seconds. Closing the window ends the scripts; they clean up first. Runs clicks.py.
#include "bine_qt.h"

#include <QApplication>
#include <QCloseEvent>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>
#include <QWidget>
#include <bine/bine.h>
#include <cstdio>

static constexpr int64_t grace = 5000000000; // ns: what the scripts' finally blocks may take

class Window : public QWidget
{
  public:
    explicit Window(bine *rt) : rt(rt)
    {
        auto *column = new QVBoxLayout(this);

        column->addWidget(&news);
        column->addWidget(&seconds);
        column->addWidget(&button);
        button.setObjectName("button");
        connect(&button, &QPushButton::clicked, this, [this] { answer(); });
    }

    // ui.clicked(): the script waits from here on; the C++ function does not.
    int waitForClick(bine_call *call)
    {
        if (clicker != nullptr)
            return bine_fail(call, "RuntimeError", "another script waits for the click");
        return bine_defer(call, forget, &clicker);
    }

    QLabel news{"..."};
    QLabel seconds{"0"};

  private:
    void answer()
    {
        bine_resolver *waiting = clicker;

        clicker = nullptr;
        if (waiting != nullptr)
            bine_resolve(waiting, nullptr); // the script goes on at a turn of the loop, not in here
    }

    // The script ends, and does not want to know any more.
    static void forget(bine_resolver *waiting, void *window)
    {
        static_cast<Window *>(window)->clicker = nullptr;
        bine_resolver_drop(waiting);
    }

    void closeEvent(QCloseEvent *event) override
    {
        bine_shutdown(rt, grace);
        event->accept();
    }

    bine *rt;
    bine_resolver *clicker = nullptr;
    QPushButton button{"Click me"};
};

static int clicked(bine_call *call, void *window)
{
    return static_cast<Window *>(window)->waitForClick(call);
}

static int say(bine_call *call, void *label)
{
    static_cast<QLabel *>(label)->setText(QString::fromUtf8(bine_arg_str(call, 0, nullptr)));
    return BINE_OK;
}

static void onUnhandled(bine *, const bine_error *error, void *)
{
    bine_error_print(error, stderr);
}

static int complain()
{
    std::fprintf(stderr, "clicks: %s\n", bine_message());
    return 1;
}

// Until the scripts have ended.
static void runWindow(bine *rt, Window &window)
{
    BineDriver driver(rt, [] { QCoreApplication::quit(); });

    QApplication::setQuitOnLastWindowClosed(false);
    window.show();
    QApplication::exec();
}

int main(int argc, char **argv)
{
    QApplication app(argc, argv);
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.on_unhandled = onUnhandled;
    if (bine_open(&config, &rt) != BINE_OK)
        return complain();
    Window window(rt);
    if (bine_def(rt, "ui", "clicked() -> None", clicked, &window, "Waits for a click.") != BINE_OK ||
        bine_def(rt, "ui", "news(text: str) -> None", say, &window.news, nullptr) != BINE_OK ||
        bine_def(rt, "ui", "seconds(text: str) -> None", say, &window.seconds, nullptr) != BINE_OK ||
        bine_run_file(rt, argc > 1 ? argv[1] : CLICKS_SCRIPT, nullptr) != BINE_OK)
        return complain();

    runWindow(rt, window);
    return bine_close(rt) == BINE_OK ? 0 : complain();
}
