/* A GTK application whose scripts talk with a person. Each ui.ask() in dialog.py waits for the answer on the
 * line where it stands, and the window goes on: no modal dialog, no callback in Python. Closing the window
 * ends the scripts; they clean up first.
 *
 *     python3 -m http.server 8000 --bind 127.0.0.1 &
 *     dialog 127.0.0.1:8000
 *
 * A second argument says how many seconds the world takes that the scripts build, which is 20. */
#include <bine/adapter/glib.h>
#include <bine/bine.h>
#include <gtk/gtk.h>

#define GRACE_MS 5000 /* what the scripts' finally blocks may take */

typedef struct dialog {
    bine *rt;
    bool closed;          /* by the person */
    bool late;            /* the scripts' time to clean up is over */
    bine_resolver *asker; /* the script that waits for an answer; NULL: no question is open */
    GtkWidget *window;
    GtkWidget *news;
    GtkWidget *question;
    GtkWidget *answers; /* an entry or buttons */
    GtkWidget *progress;
} dialog;

/* ---- questions and answers ---- */

static void show(dialog *d, const char *text)
{
    GtkWidget *old = gtk_widget_get_first_child(d->answers);

    for (; old != NULL; old = gtk_widget_get_first_child(d->answers))
        gtk_box_remove(GTK_BOX(d->answers), old);
    gtk_label_set_text(GTK_LABEL(d->question), text);
}

/* The script goes on at the main loop's next turn, not in here. `value` is taken. */
static void answer(dialog *d, bine_value *value)
{
    bine_resolver *asker = d->asker;

    d->asker = NULL;
    show(d, "");
    bine_resolve(asker, value);
}

/* The script ends or has run out of time: nobody wants to know any more. */
static void on_cancel(bine_resolver *asker, void *user)
{
    dialog *d = user;

    d->asker = NULL;
    show(d, "");
    bine_resolver_drop(asker);
}

/* The script waits from here on; the C function does not. */
static int open_question(bine_call *call, dialog *d)
{
    int status;

    if (d->asker != NULL)
        return bine_fail(call, "RuntimeError", "another question is open");
    status = bine_defer(call, on_cancel, &d->asker);
    if (status == BINE_OK)
        show(d, bine_arg_str(call, 0, NULL));
    return status;
}

static void on_entry(GtkEntry *entry, dialog *d)
{
    answer(d, bine_value_str(gtk_editable_get_text(GTK_EDITABLE(entry))));
}

static int ask(bine_call *call, void *user)
{
    dialog *d = user;
    int status = open_question(call, d);
    GtkWidget *entry;

    if (status != BINE_OK)
        return status;
    entry = gtk_entry_new();
    g_signal_connect(entry, "activate", G_CALLBACK(on_entry), d);
    gtk_box_append(GTK_BOX(d->answers), entry);
    gtk_widget_grab_focus(entry);
    return BINE_OK;
}

static void on_button(GtkButton *button, dialog *d)
{
    answer(d, bine_value_retain(g_object_get_data(G_OBJECT(button), "answer")));
}

static void free_value(gpointer value)
{
    bine_value_free(value);
}

/* `value` is taken: the answer that the button stands for. The first one has the keyboard. */
static void add_button(dialog *d, const char *label, bine_value *value)
{
    GtkWidget *button = gtk_button_new_with_label(label);

    g_object_set_data_full(G_OBJECT(button), "answer", value, free_value);
    g_signal_connect(button, "clicked", G_CALLBACK(on_button), d);
    gtk_box_append(GTK_BOX(d->answers), button);
    if (gtk_widget_get_first_child(d->answers) != button)
        return;
    gtk_widget_add_css_class(button, "suggested-action");
    gtk_widget_grab_focus(button);
}

static int confirm(bine_call *call, void *user)
{
    dialog *d = user;
    int status = open_question(call, d);

    if (status != BINE_OK)
        return status;
    add_button(d, "Yes", bine_value_bool(true));
    add_button(d, "No", bine_value_bool(false));
    return BINE_OK;
}

/* BINE_OK when each of the choices can stand on a button. */
static int check_choices(bine_call *call, const bine_value *choices)
{
    size_t count = bine_value_count(choices);

    if (choices == NULL)
        return BINE_ETYPE; /* one is no data at all; the script is told which type it has */
    if (count == 0)
        return bine_fail(call, "ValueError", "choose() without a choice");
    for (size_t i = 0; i < count; i++) {
        if (bine_value_kind(bine_value_at(choices, i)) != BINE_STR)
            return bine_fail(call, "TypeError", "choices[%zu] is not a str", i);
    }
    return BINE_OK;
}

static int choose(bine_call *call, void *user)
{
    bine_value *choices = bine_arg_value(call, 1);
    int status = check_choices(call, choices);

    if (status == BINE_OK)
        status = open_question(call, user);
    for (size_t i = 0; status == BINE_OK && i < bine_value_count(choices); i++) {
        const char *label = bine_value_as_str(bine_value_at(choices, i), NULL);

        add_button(user, label, bine_value_str(label));
    }
    bine_value_free(choices);
    return status;
}

/* ---- what scripts show ---- */

static int say(bine_call *call, void *user)
{
    dialog *d = user;

    if (d->asker != NULL)
        return bine_fail(call, "RuntimeError", "a question is open");
    show(d, bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

static int progress(bine_call *call, void *user)
{
    dialog *d = user;
    double fraction = bine_arg_f64(call, 0);

    if (!(fraction >= 0 && fraction <= 1))
        return bine_fail(call, "ValueError", "the bar goes from 0 to 1, not to %g", fraction);
    gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(d->progress), fraction);
    return BINE_OK;
}

static int news(bine_call *call, void *user)
{
    dialog *d = user;

    gtk_label_set_text(GTK_LABEL(d->news), bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

/* ---- the window ---- */

/* It is hidden, not destroyed: scripts that clean up may still show something. */
static gboolean on_close(GtkWindow *window, dialog *d)
{
    gtk_widget_set_visible(GTK_WIDGET(window), FALSE);
    d->closed = true;
    return TRUE;
}

static GtkWidget *add_label(GtkWidget *box, const char *style)
{
    GtkWidget *label = gtk_label_new(NULL);

    gtk_widget_add_css_class(label, style);
    gtk_label_set_wrap(GTK_LABEL(label), TRUE);
    gtk_box_append(GTK_BOX(box), label);
    return label;
}

static void build_window(dialog *d)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 24);

    d->window = gtk_window_new();
    gtk_window_set_title(GTK_WINDOW(d->window), "A new world");
    gtk_window_set_titlebar(GTK_WINDOW(d->window), gtk_header_bar_new());
    gtk_window_set_default_size(GTK_WINDOW(d->window), 520, 340);
    g_signal_connect(d->window, "close-request", G_CALLBACK(on_close), d);
    gtk_window_set_child(GTK_WINDOW(d->window), box);
    gtk_widget_set_margin_top(box, 24);
    gtk_widget_set_margin_bottom(box, 24);
    gtk_widget_set_margin_start(box, 36);
    gtk_widget_set_margin_end(box, 36);

    d->news = add_label(box, "dim-label");
    d->question = add_label(box, "title-2");
    gtk_widget_set_vexpand(d->question, TRUE);
    d->answers = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
    gtk_box_set_homogeneous(GTK_BOX(d->answers), TRUE);
    gtk_widget_set_size_request(d->answers, -1, 36); /* also without any */
    gtk_widget_set_halign(d->answers, GTK_ALIGN_CENTER);
    gtk_widget_set_valign(d->answers, GTK_ALIGN_START);
    gtk_widget_set_vexpand(d->answers, TRUE);
    gtk_box_append(GTK_BOX(box), d->answers);
    d->progress = gtk_progress_bar_new();
    gtk_progress_bar_set_show_text(GTK_PROGRESS_BAR(d->progress), TRUE);
    gtk_box_append(GTK_BOX(box), d->progress);
    gtk_window_present(GTK_WINDOW(d->window));
}

/* ---- the scripts ---- */

static void on_unhandled(bine *rt, const bine_error *error, void *user)
{
    (void)rt;
    (void)user;
    bine_error_print(error, stderr);
}

static int lend_functions(dialog *d)
{
    static const struct {
        const char *signature;
        bine_fn function;
        const char *doc;
    } functions[] = {
        {"ask(question: str) -> str", ask, "Waits for the person to type an answer."},
        {"confirm(question: str) -> bool", confirm, "Waits for yes or no."},
        {"choose(question: str, choices: list) -> str", choose, "Waits for one of the choices."},
        {"say(text: str) -> None", say, "Shows text where the questions stand."},
        {"progress(fraction: float) -> None", progress, "Moves the bar, from 0 to 1."},
        {"news(text: str) -> None", news, "Shows text at the top."},
    };
    int status = BINE_OK;

    for (size_t i = 0; i < G_N_ELEMENTS(functions) && status == BINE_OK; i++)
        status = bine_def(d->rt, "ui", functions[i].signature, functions[i].function, d, functions[i].doc);
    return status;
}

static int start_scripts(dialog *d, int argc, char **argv)
{
    bine_config config;
    GSource *turns;
    int status;

    bine_config_init(&config);
    config.on_unhandled = on_unhandled;
    config.argc = argc;
    config.argv = argv;
    status = bine_open(&config, &d->rt);
    if (status == BINE_OK)
        status = lend_functions(d);
    if (status == BINE_OK)
        status = bine_run_file(d->rt, DIALOG_SCRIPT, NULL);
    if (status != BINE_OK)
        return status;
    turns = bine_glib_source_new(d->rt); /* from here on scripts run whenever the main loop turns */
    if (turns == NULL)
        return BINE_EIO;
    g_source_attach(turns, NULL);
    g_source_unref(turns);
    return BINE_OK;
}

static gboolean on_late(gpointer user)
{
    dialog *d = user;

    d->late = true;
    return G_SOURCE_REMOVE;
}

/* Raises bine.Exit in every script where it waits, and turns the loop until all have ended. */
static int end_scripts(dialog *d)
{
    int status;

    bine_shutdown(d->rt, GRACE_MS * INT64_C(1000000));
    g_timeout_add(GRACE_MS, on_late, d);
    status = bine_close(d->rt);
    for (; status == BINE_EBUSY && !d->late; status = bine_close(d->rt))
        g_main_context_iteration(NULL, TRUE);
    return status == BINE_EBUSY ? bine_close_abandon(d->rt) : status; /* a script that will not end */
}

static int complain(void)
{
    fprintf(stderr, "dialog: %s\n", bine_message());
    return 1;
}

int main(int argc, char **argv)
{
    dialog d = {0};

    gtk_init();
    build_window(&d);
    if (start_scripts(&d, argc, argv) != BINE_OK)
        return complain();
    while (!d.closed)
        g_main_context_iteration(NULL, TRUE);
    if (end_scripts(&d) != BINE_OK)
        return complain();
    gtk_window_destroy(GTK_WINDOW(d.window));
    return 0;
}
