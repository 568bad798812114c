/* A scene, written by libpng. See picture.h. */
#include "picture.h"

#include "scene.h"

#include <png.h>
#include <stdio.h>
#include <string.h>

static int write_png(const canvas *c, const char *path)
{
    png_image image;

    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.format = PNG_FORMAT_RGB;
    image.width = (png_uint_32)c->width;
    image.height = (png_uint_32)c->height;
    if (png_image_write_to_file(&image, path, 0, c->pixels, 0, NULL) == 0) {
        fprintf(stderr, "colony: %s: %s\n", path, image.message);
        return -1;
    }
    return 0;
}

int picture_write(const world *w, const char *path)
{
    scene *s = scene_new(w, 1.0, 2);
    int status;

    if (s == NULL) {
        fprintf(stderr, "colony: %s: out of memory\n", path);
        return -1;
    }
    status = write_png(scene_paint(s, w, 1.0, SCENE_NOBODY), path);
    scene_free(s);
    return status;
}
