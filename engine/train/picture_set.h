/* The pictures of a training run in memory: 8-bit pixels at the network's input size, as the preprocessing's resize and crop leave
 * them, as far as a limit allows; the rest as encoded bytes or paths, decoded again each time. A window of a picture is cut,
 * mirrored and normalised into the network's input. Which of the two ways a picture is kept changes no bit. */
#ifndef OOD_TRAIN_PICTURE_SET_H
#define OOD_TRAIN_PICTURE_SET_H

#include "base/file.h"
#include "picture/picture.h"
#include "train/strange.h"

struct ood_picture_set;

/* decoded_most: bytes of pixels kept; pictures added after that stay encoded. */
struct ood_picture_set *ood_picture_set_new(const struct ood_preprocess *preprocess, size_t decoded_most, struct ood_error *err) OOD_MUST_CHECK;
void ood_picture_set_free(struct ood_picture_set *set);        /* NULL is fine */

/* How a picture becomes pixels: the set's preprocessing without the normalisation, so that ood_picture_load gives whole numbers 0 … 255
 * in rows of pixels; ood_preprocess_floats of it values a picture. */
const struct ood_preprocess *ood_picture_set_pixels(const struct ood_picture_set *set);
enum ood_input_layout ood_picture_set_layout(const struct ood_picture_set *set);       /* of the network's input */

/* One picture: its pixels as ood_picture_load gave them by the above; and where it comes from: the path of its file, or its bytes. Both
 * are taken (also on failure) and kept only if the pixels are not. *bytes is left zeroed. */
bool ood_picture_set_add(struct ood_picture_set *set, const float *pixels, char *path, struct ood_bytes *bytes, struct ood_error *err) OOD_MUST_CHECK;
size_t ood_picture_set_count(const struct ood_picture_set *set);
size_t ood_picture_set_decoded(const struct ood_picture_set *set);     /* of them, kept as pixels */

/* A window of a picture, made strange before by `strange` and `draw`; it may reach outside: there the input is 0, the preprocessing's mean colour. */
struct ood_crop { ptrdiff_t x, y; size_t width, height; bool mirror; enum ood_strange strange; uint64_t draw; };
struct ood_crop ood_picture_set_whole(const struct ood_picture_set *set);

/* Picture `index` through the window into input[channels × height × width], in the preprocessing's layout. Any thread. Errors only for
 * pictures that are decoded again: the file went, or changed. */
bool ood_picture_set_fill(struct ood_picture_set *set, size_t index, const struct ood_crop *window, float *input, struct ood_error *err) OOD_MUST_CHECK;

/* ---- augmentation and order: numbers from (seed, step, index) alone, so no thread and no restart changes them ---- */

struct ood_augment {
    bool crop;                               /* a window of width × height somewhere in the picture padded by `pad` on all sides; else centred */
    bool mirror;                             /* half of the pictures, left to right */
    size_t pad;                              /* METHOD: 4. Not used where the window is smaller than the picture */
    size_t width, height;                    /* of the window; the network's input */
    double strange;                          /* this share of the pictures, each in one of the ways of strange.h */
};
struct ood_crop ood_augment_draw(const struct ood_picture_set *set, const struct ood_augment *augment, uint64_t seed, uint64_t step, uint64_t index);

/* A walk over places[count]: one permutation after another, each from (seed, stream, its number). */
struct ood_order { uint64_t seed, stream; size_t count; size_t *places; uint64_t epoch; bool made; };
bool ood_order_new(struct ood_order *order, uint64_t seed, uint64_t stream, const size_t *places, size_t count, struct ood_error *err) OOD_MUST_CHECK;
void ood_order_clear(struct ood_order *order);
size_t ood_order_at(struct ood_order *order, uint64_t position);       /* position 0, 1, …; quick where they ascend */

#endif
