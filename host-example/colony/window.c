/* Pixels go to the screen as a texture, which SDL fits into the window however that is resized. See window.h.
 */
#include "window.h"

#include <SDL.h>

#include <stdio.h>
#include <stdlib.h>

struct window {
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
};

static int failed(const char *doing)
{
    fprintf(stderr, "colony: --window: %s: %s\n", doing, SDL_GetError());
    return -1;
}

static int start_sdl(void)
{
    SDL_SetMainReady();
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); /* Ctrl-C is the colony's own */
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    return SDL_Init(SDL_INIT_VIDEO) == 0 ? 0 : failed("starting SDL");
}

static int open_parts(window *w, const char *title, int width, int height, bool paced)
{
    const int any = SDL_WINDOWPOS_UNDEFINED;

    w->window = SDL_CreateWindow(title, any, any, width, height, SDL_WINDOW_RESIZABLE);
    if (w->window == NULL)
        return failed("opening a window");
    w->renderer = SDL_CreateRenderer(w->window, -1, paced ? SDL_RENDERER_PRESENTVSYNC : 0);
    if (w->renderer == NULL || SDL_RenderSetLogicalSize(w->renderer, width, height) != 0)
        return failed("drawing");
    w->texture = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STREAMING, width,
                                   height);
    return w->texture != NULL ? 0 : failed("drawing");
}

window *window_open(const char *title, int width, int height, bool paced)
{
    window *w = calloc(1, sizeof *w);

    if (w == NULL) {
        fputs("colony: --window: out of memory\n", stderr);
        return NULL;
    }
    if (start_sdl() == 0 && open_parts(w, title, width, height, paced) == 0)
        return w;
    window_close(w);
    return NULL;
}

void window_close(window *w)
{
    if (w == NULL)
        return;
    if (w->texture != NULL)
        SDL_DestroyTexture(w->texture);
    if (w->renderer != NULL)
        SDL_DestroyRenderer(w->renderer);
    if (w->window != NULL)
        SDL_DestroyWindow(w->window);
    SDL_Quit();
    free(w);
}

static window_act act_of_key(SDL_Keycode key)
{
    switch (key) {
    case SDLK_ESCAPE:
        return WINDOW_ESCAPE;
    case SDLK_SPACE:
        return WINDOW_SPACE;
    case SDLK_q:
        return WINDOW_CLOSE;
    default:
        return WINDOW_NOTHING;
    }
}

static window_input input_of(const SDL_Event *e)
{
    window_input input = {.act = WINDOW_NOTHING};

    if (e->type == SDL_QUIT) {
        input.act = WINDOW_CLOSE;
    } else if (e->type == SDL_KEYDOWN && e->key.repeat == 0) {
        input.act = act_of_key(e->key.keysym.sym);
    } else if (e->type == SDL_MOUSEBUTTONDOWN && e->button.button == SDL_BUTTON_LEFT) {
        input.act = WINDOW_CLICK; /* SDL has it in pixels of the logical size already */
        input.x = e->button.x + 0.5;
        input.y = e->button.y + 0.5;
    }
    return input;
}

window_input window_next(window *w)
{
    window_input input = {.act = WINDOW_NOTHING};
    SDL_Event e;

    (void)w;
    while (input.act == WINDOW_NOTHING && SDL_PollEvent(&e) != 0)
        input = input_of(&e);
    return input;
}

bool window_is_paced(const window *w)
{
    const Uint32 both = SDL_RENDERER_ACCELERATED |
                        SDL_RENDERER_PRESENTVSYNC; /* without a card it only says so */
    SDL_RendererInfo info;

    return SDL_GetRendererInfo(w->renderer, &info) == 0 && (info.flags & both) == both;
}

static void copy_row(uint32_t *to, const uint8_t *from, int width)
{
    for (int x = 0; x < width; x++)
        to[x] = 0xff000000u | (uint32_t)from[3 * x] << 16 | (uint32_t)from[3 * x + 1] << 8 | from[3 * x + 2];
}

int window_show(window *w, const canvas *c)
{
    void *pixels;
    int pitch;
    char *row;

    if (SDL_LockTexture(w->texture, NULL, &pixels, &pitch) != 0)
        return failed("drawing");
    row = pixels;
    for (int y = 0; y < c->height; y++) {
        copy_row((uint32_t *)(void *)row, canvas_pixel(c, 0, y), c->width);
        row += pitch;
    }
    SDL_UnlockTexture(w->texture);
    if (SDL_RenderClear(w->renderer) != 0 || SDL_RenderCopy(w->renderer, w->texture, NULL, NULL) != 0)
        return failed("drawing");
    SDL_RenderPresent(w->renderer);
    return 0;
}
