/* Pictures in memory, and windows of them as network inputs. */
#include "train/picture_set.h"

#include <pthread.h>
#include <string.h>

struct kept { unsigned char *pixels; char *path; struct ood_bytes bytes; };      /* one of the three */

/* A thread's memory to decode in; as many are made as threads decode at once. */
struct decoder { struct ood_workspace workspace; float *values; unsigned char *pixels; struct decoder *next; };

struct ood_picture_set {
    struct ood_preprocess preprocess, pixels;
    size_t channels, picture_bytes;
    struct kept *pictures;
    size_t count, capacity, decoded, decoded_most;
    float value[3][256];                     /* of a byte in each channel */
    pthread_mutex_t lock;
    struct decoder *idle;                    /* under the lock */
};

/* The values of all bytes, by the very code that inference uses: a picture of 256 grey pixels, preprocessed. */
static bool make_table(struct ood_picture_set *set, struct ood_error *err)
{
    unsigned char ramp[256][3];
    float values[256 * 3];
    struct ood_preprocess flat = set->preprocess;
    struct ood_workspace workspace = { 0 };
    flat.width = 256;
    flat.height = 1;
    flat.resize = OOD_RESIZE_EXACT;
    flat.resize_to = 0;
    flat.layout = OOD_INPUT_NHWC;
    for (int i = 0; i < 256; i++)
        memset(ramp[i], i, 3);
    struct ood_picture picture = { .width = 256, .height = 1, .rgb = ramp[0] };
    bool done = ood_preprocess_apply(&flat, &picture, &workspace, values, err);
    ood_workspace_free(&workspace);
    for (size_t i = 0; done && i < 256; i++)
        for (size_t c = 0; c < set->channels; c++)
            set->value[c][i] = values[i * set->channels + c];
    return done;
}

struct ood_picture_set *ood_picture_set_new(const struct ood_preprocess *preprocess, size_t decoded_most, struct ood_error *err)
{
    struct ood_picture_set *set = ood_new(struct ood_picture_set, err);
    if (set == NULL)
        return NULL;
    pthread_mutex_init(&set->lock, NULL);
    set->preprocess = set->pixels = *preprocess;
    set->pixels.layout = OOD_INPUT_NHWC;
    set->pixels.scale = 1;
    for (size_t c = 0; c < 3; c++) {
        set->pixels.mean[c] = 0;
        set->pixels.std[c] = 1;
    }
    set->channels = preprocess->channels == OOD_CHANNELS_GREY ? 1 : 3;
    set->picture_bytes = ood_preprocess_floats(preprocess);
    set->decoded_most = decoded_most;
    if (!make_table(set, err)) {
        ood_picture_set_free(set);
        return NULL;
    }
    return set;
}

static void decoder_free(struct decoder *decoder)
{
    ood_workspace_free(&decoder->workspace);
    ood_free(decoder->values);
    ood_free(decoder->pixels);
    ood_free(decoder);
}

void ood_picture_set_free(struct ood_picture_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++) {
        ood_free(set->pictures[i].pixels);
        ood_free(set->pictures[i].path);
        ood_bytes_free(&set->pictures[i].bytes);
    }
    for (struct decoder *next; set->idle != NULL; set->idle = next) {
        next = set->idle->next;
        decoder_free(set->idle);
    }
    ood_free(set->pictures);
    pthread_mutex_destroy(&set->lock);
    ood_free(set);
}

const struct ood_preprocess *ood_picture_set_pixels(const struct ood_picture_set *set) { return &set->pixels; }
enum ood_input_layout ood_picture_set_layout(const struct ood_picture_set *set) { return set->preprocess.layout; }
size_t ood_picture_set_count(const struct ood_picture_set *set) { return set->count; }
size_t ood_picture_set_decoded(const struct ood_picture_set *set) { return set->decoded; }

static void to_bytes(const float *values, size_t n, unsigned char *bytes)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)values[i];
}

bool ood_picture_set_add(struct ood_picture_set *set, const float *pixels, char *path, struct ood_bytes *bytes, struct ood_error *err)
{
    struct kept kept = { .path = path, .bytes = *bytes };
    *bytes = (struct ood_bytes){ 0 };
    bool done = ood_grow(&set->pictures, &set->capacity, set->count + 1, sizeof *set->pictures, err);
    if (done && (set->decoded + 1) <= set->decoded_most / set->picture_bytes) {
        kept.pixels = ood_new_array(unsigned char, set->picture_bytes, err);
        done = kept.pixels != NULL;
    }
    if (!done || kept.pixels != NULL || kept.path != NULL) {           /* a path is enough: the file is read again */
        ood_bytes_free(&kept.bytes);
        kept.bytes = (struct ood_bytes){ 0 };
    }
    if (!done || kept.pixels != NULL) {
        ood_free(kept.path);
        kept.path = NULL;
    }
    if (!done)
        return false;
    if (kept.pixels != NULL) {
        to_bytes(pixels, set->picture_bytes, kept.pixels);
        set->decoded++;
    }
    set->pictures[set->count++] = kept;
    return true;
}

/* ---- decoding again ---- */

static struct decoder *decoder_take(struct ood_picture_set *set, struct ood_error *err)
{
    pthread_mutex_lock(&set->lock);
    struct decoder *decoder = set->idle;
    if (decoder != NULL)
        set->idle = decoder->next;
    pthread_mutex_unlock(&set->lock);
    if (decoder != NULL || (decoder = ood_new(struct decoder, err)) == NULL)
        return decoder;
    decoder->values = ood_new_array(float, set->picture_bytes, err);
    decoder->pixels = ood_new_array(unsigned char, set->picture_bytes, err);
    if (decoder->values != NULL && decoder->pixels != NULL)
        return decoder;
    decoder_free(decoder);
    return NULL;
}

static void decoder_give(struct ood_picture_set *set, struct decoder *decoder)
{
    pthread_mutex_lock(&set->lock);
    decoder->next = set->idle;
    set->idle = decoder;
    pthread_mutex_unlock(&set->lock);
}

#define ENCODED_MOST ((size_t)64 << 20)

static bool decode(const struct ood_picture_set *set, const struct kept *kept, struct decoder *decoder, struct ood_error *err)
{
    struct ood_bytes read = { 0 }, bytes = kept->bytes;
    if (kept->path != NULL) {
        if (!ood_file_read(kept->path, ENCODED_MOST, &read, err))
            return false;
        bytes = read;
    }
    bool done = ood_picture_load(bytes.data, bytes.size, 0, &set->pixels, &decoder->workspace, decoder->values, NULL, err) ||
                ood_error_prefix(err, "%s", kept->path != NULL ? kept->path : "a picture of a shard");
    ood_bytes_free(&read);
    if (done)
        to_bytes(decoder->values, set->picture_bytes, decoder->pixels);
    return done;
}

/* ---- windows ---- */

struct ood_crop ood_picture_set_whole(const struct ood_picture_set *set)
{
    return (struct ood_crop){ .width = set->preprocess.width, .height = set->preprocess.height };
}

static void cut(const struct ood_picture_set *set, const unsigned char *pixels, const struct ood_crop *window, float *input)
{
    size_t channels = set->channels, plane = window->width * window->height;
    ptrdiff_t wide = (ptrdiff_t)set->preprocess.width, high = (ptrdiff_t)set->preprocess.height;
    bool planes = set->preprocess.layout == OOD_INPUT_NCHW;
    size_t across = planes ? 1 : channels, between = planes ? plane : 1;       /* from pixel to pixel, from channel to channel */
    for (size_t row = 0; row < window->height; row++) {
        ptrdiff_t y = window->y + (ptrdiff_t)row;
        float *to = input + row * window->width * across;
        for (size_t column = 0; column < window->width; column++, to += across) {
            ptrdiff_t x = window->x + (ptrdiff_t)(window->mirror ? window->width - 1 - column : column);
            bool inside = x >= 0 && x < wide && y >= 0 && y < high;
            const unsigned char *from = inside ? pixels + ((size_t)y * (size_t)wide + (size_t)x) * channels : NULL;
            for (size_t c = 0; c < channels; c++)
                to[c * between] = inside ? set->value[c][from[c]] : 0;
        }
    }
}

bool ood_picture_set_fill(struct ood_picture_set *set, size_t index, const struct ood_crop *window, float *input, struct ood_error *err)
{
    const struct kept *kept = &set->pictures[index];
    if (kept->pixels != NULL && window->strange == OOD_STRANGE_NOT) {
        cut(set, kept->pixels, window, input);
        return true;
    }
    struct decoder *decoder = decoder_take(set, err);
    if (decoder == NULL)
        return false;
    bool done = true;
    if (kept->pixels != NULL)
        memcpy(decoder->pixels, kept->pixels, set->picture_bytes);
    else
        done = decode(set, kept, decoder, err);
    if (done) {
        ood_strange_apply(window->strange, window->draw, decoder->pixels, set->preprocess.width, set->preprocess.height, set->channels);
        cut(set, decoder->pixels, window, input);
    }
    decoder_give(set, decoder);
    return done;
}
