#include "data/decode.h"

#ifdef TP_PICTURES

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "data/picture.h"

enum { COLOURS = 3 };

static uint8_t *allocate(uint32_t height, uint32_t width, struct error *error)
{
    const uint64_t pixels = (uint64_t)height * width;
    uint8_t *memory;

    if (pixels > PICTURE_PIXELS_MAX) {
        error_set(error, "has %u x %u pixels; pictures may have %d million", width, height,
                  PICTURE_PIXELS_MAX / 1000000);
        return NULL;
    }
    memory = malloc(pixels * COLOURS);
    if (!memory)
        error_set(error, "out of memory for %u x %u pixels", width, height);
    return memory;
}

struct jpeg {
    struct jpeg_decompress_struct state; /* first: libjpeg knows no other address */
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
    uint8_t *pixels;
};

static void keep_message(j_common_ptr state)
{
    struct jpeg *jpeg = (struct jpeg *)(void *)state;

    if (jpeg->message[0] == '\0')
        jpeg->errors.format_message(state, jpeg->message);
}

static void fail(j_common_ptr state)
{
    struct jpeg *jpeg = (struct jpeg *)(void *)state;

    keep_message(state);
    longjmp(jpeg->failed, 1);
}

/* What libjpeg warns of is damage: it fills up what is missing with grey. */
static void warn(j_common_ptr state, int level)
{
    if (level < 0)
        fail(state);
}

static int read_jpeg(struct jpeg *jpeg, const unsigned char *bytes, size_t size, struct error *error)
{
    struct jpeg_decompress_struct *state = &jpeg->state;

    if (setjmp(jpeg->failed))
        return error_set(error, "is a damaged JPEG: %s", jpeg->message);
    jpeg_create_decompress(state);
    jpeg_mem_src(state, bytes, size);
    jpeg_read_header(state, TRUE);
    if (state->jpeg_color_space == JCS_CMYK || state->jpeg_color_space == JCS_YCCK)
        return error_set(error, "is a JPEG in four colours, for print; convert it to RGB");
    jpeg->pixels = allocate(state->image_height, state->image_width, error);
    if (!jpeg->pixels)
        return -1;
    state->out_color_space = JCS_RGB;
    jpeg_start_decompress(state);
    while (state->output_scanline < state->output_height) {
        JSAMPROW row = jpeg->pixels + (size_t)state->output_scanline * state->output_width * COLOURS;

        jpeg_read_scanlines(state, &row, 1);
    }
    jpeg_finish_decompress(state);
    return 0;
}

int decode_jpeg(const unsigned char *bytes, size_t size, uint8_t **pixels, int *height, int *width, struct error *error)
{
    struct jpeg *jpeg = calloc(1, sizeof(*jpeg));
    int result;

    if (!jpeg)
        return error_set(error, "out of memory");
    jpeg->state.err = jpeg_std_error(&jpeg->errors);
    jpeg->errors.error_exit = fail;
    jpeg->errors.emit_message = warn;
    jpeg->errors.output_message = keep_message;
    result = read_jpeg(jpeg, bytes, size, error);
    if (result == 0) {
        *height = (int)jpeg->state.output_height;
        *width = (int)jpeg->state.output_width;
        *pixels = jpeg->pixels;
        jpeg->pixels = NULL;
    }
    jpeg_destroy_decompress(&jpeg->state);
    free(jpeg->pixels);
    free(jpeg);
    return result;
}

int decode_png(const unsigned char *bytes, size_t size, uint8_t **pixels, int *height, int *width, struct error *error)
{
    static const png_color white = {255, 255, 255};
    png_image image = {.version = PNG_IMAGE_VERSION};

    *pixels = NULL;
    if (!png_image_begin_read_from_memory(&image, bytes, size))
        goto damaged;
    *pixels = allocate(image.height, image.width, error);
    if (!*pixels) {
        png_image_free(&image);
        return -1;
    }
    image.format = PNG_FORMAT_RGB;
    if (!png_image_finish_read(&image, &white, *pixels, 0, NULL))
        goto damaged;
    *height = (int)image.height;
    *width = (int)image.width;
    return 0;

damaged:
    error_set(error, "is a damaged PNG: %s", image.message);
    png_image_free(&image);
    free(*pixels);
    return -1;
}

#else

static int refuse(struct error *error)
{
    return error_set(error, "this tp was built without libjpeg-turbo and libpng: install the Debian packages "
                            "libjpeg62-turbo-dev and libpng-dev, and make again");
}

int decode_jpeg(const unsigned char *bytes, size_t size, uint8_t **pixels, int *height, int *width, struct error *error)
{
    (void)bytes, (void)size, (void)pixels, (void)height, (void)width;
    return refuse(error);
}

int decode_png(const unsigned char *bytes, size_t size, uint8_t **pixels, int *height, int *width, struct error *error)
{
    (void)bytes, (void)size, (void)pixels, (void)height, (void)width;
    return refuse(error);
}

#endif
