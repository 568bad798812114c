/* Looks first and shows afterwards: what is shown are copies. See panel.h. */
#include "panel.h"

#include "palette.h"

#include <stdlib.h>
#include <string.h>

enum {
    MARGIN = 16,
    PADDING = 14,
    LINE = CANVAS_LETTER_HEIGHT + 4,
    GAP = LINE / 2,
    COLUMNS = 60, /* letters in a line */
    TEXT_WIDTH = COLUMNS * CANVAS_LETTER_WIDTH,
    WIDTH = TEXT_WIDTH + 2 * PADDING,
    LINES_OF_HEAD = 2,                                /* its name, and what it waits for */
    LINES_OF_FRAME = 2,                               /* where, and the source */
    LINES_LEAST = LINES_OF_HEAD + 1 + LINES_OF_FRAME, /* of one that is cut */
    LINE_MOST = 256
};

typedef struct seen {
    char *name;
    bine_stack *stack;
} seen;

struct panel {
    size_t count;
    size_t capacity;
    seen *micros;
};

/* --- looking ----------------------------------------------------------------------------- */

static bool make_room(panel *p)
{
    size_t capacity = p->capacity == 0 ? 4 : 2 * p->capacity;
    seen *micros;

    if (p->count < p->capacity)
        return true;
    micros = realloc(p->micros, capacity * sizeof *micros);
    if (micros == NULL)
        return false;
    p->micros = micros;
    p->capacity = capacity;
    return true;
}

static int add(panel *p, bine_micro *micro)
{
    seen *one;

    if (!make_room(p))
        return BINE_ENOMEM;
    one = &p->micros[p->count];
    *one = (seen){.name = strdup(bine_micro_name(micro))};
    p->count++;
    return one->name != NULL ? bine_micro_stack(micro, &one->stack) : BINE_ENOMEM;
}

int panel_look(bine *rt, const void *data, panel **out)
{
    panel *p = calloc(1, sizeof *p);
    int status = p != NULL ? BINE_OK : BINE_ENOMEM;

    *out = NULL;
    for (bine_micro *m = bine_micro_next(rt, NULL); status == BINE_OK && m != NULL;
         m = bine_micro_next(rt, m))
        if (bine_micro_data(m) == data)
            status = add(p, m);
    if (status != BINE_OK)
        panel_free(p);
    else
        *out = p;
    return status;
}

void panel_free(panel *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++) {
        free(p->micros[i].name);
        bine_stack_free(p->micros[i].stack);
    }
    free(p->micros);
    free(p);
}

/* --- printing ---------------------------------------------------------------------------- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void doing(const seen *s, char *text, size_t size)
{
    if (*s->stack->waits_for != '\0')
        snprintf(text, size, "waits for %s", s->stack->waits_for);
    else
        snprintf(text, size, "is to run");
}

void panel_print(const panel *p, FILE *stream)
{
    for (size_t i = 0; i < p->count; i++) {
        const bine_stack *stack = p->micros[i].stack;
        char text[LINE_MOST];

        doing(&p->micros[i], text, sizeof text);
        fprintf(stream, "  '%s' %s:", p->micros[i].name, text);
        for (size_t k = 0; k < stack->frame_count; k++)
            fprintf(stream, "%s %s %s:%d", k > 0 ? " >" : "", stack->frames[k].function,
                    file_name(stack->frames[k].file), stack->frames[k].line);
        fputs("\n", stream);
    }
}

/* --- painting ---------------------------------------------------------------------------- */

/* Where the next line goes, and where the last one must end. */
typedef struct page {
    canvas *canvas;
    int x, y, bottom;
} page;

/* Cut to `columns`, with an ellipsis. */
static void put_text(const page *g, int column, int columns, uint32_t colour, const char *text)
{
    char cut[COLUMNS + 1];

    if (strlen(text) > (size_t)columns)
        snprintf(cut, sizeof cut, "%.*s...", columns - 3, text);
    else
        snprintf(cut, sizeof cut, "%.*s", columns, text);
    canvas_text(g->canvas, g->x + column * CANVAS_LETTER_WIDTH, g->y, 1, colour, cut);
}

static void next_line(page *g)
{
    g->y += LINE;
}

/* The function on the left, the line's number on the right, its text below. */
static void paint_frame(page *g, const bine_frame *frame, bool innermost)
{
    char where[LINE_MOST];
    int columns;

    snprintf(where, sizeof where, "%.40s:%d", file_name(frame->file), frame->line);
    columns = (int)strlen(where);
    put_text(g, 1, COLUMNS - 2 - columns, INK, frame->function);
    put_text(g, COLUMNS - columns, columns, INK_DIM, where);
    next_line(g);
    if (innermost)
        canvas_box(g->canvas, g->x + CANVAS_LETTER_WIDTH, g->y - 2, TEXT_WIDTH - CANVAS_LETTER_WIDTH, LINE,
                   INK_CODE, 0.16);
    put_text(g, 3, COLUMNS - 3, INK_CODE, frame->source);
    next_line(g);
}

static int lines_of(const seen *s)
{
    return LINES_OF_HEAD + LINES_OF_FRAME * (int)s->stack->frame_count;
}

/* In so many lines; when they are too few, the innermost calls. */
static void paint_micro(page *g, const seen *s, int lines)
{
    int count = (int)s->stack->frame_count;
    int left_out = lines_of(s) <= lines ? 0 : count - (lines - LINES_OF_HEAD - 1) / LINES_OF_FRAME;
    char text[LINE_MOST];

    put_text(g, 0, COLUMNS, SUN, s->name);
    next_line(g);
    doing(s, text, sizeof text);
    put_text(g, 1, COLUMNS - 1, INK_DIM, text);
    next_line(g);
    if (left_out > 0) {
        snprintf(text, sizeof text, "... %d outer calls", left_out);
        put_text(g, 1, COLUMNS - 1, INK_DIM, text);
        next_line(g);
    }
    for (int i = left_out; i < count; i++)
        paint_frame(g, &s->stack->frames[i], i + 1 == count);
}

/* What those behind need to show their innermost call each. */
static int lines_behind(const panel *p, size_t index)
{
    int lines = 0;

    for (size_t i = index + 1; i < p->count; i++)
        lines += lines_of(&p->micros[i]) < LINES_LEAST ? lines_of(&p->micros[i]) + 1 : LINES_LEAST + 1;
    return lines;
}

/* A deep stack leaves half of the room to those behind. Who is left out is counted. */
static void paint_micros(page *g, const panel *p)
{
    size_t shown = 0;
    char text[LINE_MOST];

    for (; shown < p->count; shown++) {
        int room = (g->bottom - g->y) / LINE;
        int kept = lines_behind(p, shown);
        int lines = room - (kept < room / 2 ? kept : room / 2);

        if (lines_of(&p->micros[shown]) > lines && lines < LINES_LEAST)
            break;
        paint_micro(g, &p->micros[shown], lines);
        g->y += GAP;
    }
    if (p->count == 0)
        snprintf(text, sizeof text, "Its script has ended.");
    else
        snprintf(text, sizeof text, "... and %zu more", p->count - shown);
    if (p->count == 0 || shown < p->count)
        put_text(g, 0, COLUMNS, INK_DIM, text);
}

/* How high all of it is, in pixels. */
static int height_of(const panel *p)
{
    int lines = p->count > 0 ? 1 : 2;

    for (size_t i = 0; i < p->count; i++)
        lines += lines_of(&p->micros[i]);
    return lines * LINE + (int)p->count * GAP + 2 * PADDING;
}

void panel_paint(const panel *p, canvas *c, int width, int height, double x, const char *title,
                 const char *subtitle)
{
    int most = height - 2 * MARGIN;
    int wanted = height_of(p);
    int tall = wanted < most ? wanted : most;
    int left = x < width / 2.0 ? width - WIDTH - MARGIN : MARGIN;
    page g = {c, left + PADDING, MARGIN + PADDING, MARGIN + tall - PADDING};

    canvas_box(c, left + 4, MARGIN + 5, WIDTH, tall, SHADOW, 0.35);
    canvas_box(c, left, MARGIN, WIDTH, tall, PANEL, 0.93);
    canvas_box(c, left, MARGIN, WIDTH, 3, SUN, 1.0);
    put_text(&g, 0, COLUMNS, INK, title);
    put_text(&g, COLUMNS - (int)strlen(subtitle), COLUMNS, INK_DIM, subtitle);
    next_line(&g);
    canvas_box(c, g.x, g.y + 2, TEXT_WIDTH, 1, INK_DIM, 0.5);
    g.y += GAP;
    paint_micros(&g, p);
}
