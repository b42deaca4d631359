/* What makes a picture strange. Whole numbers throughout, so that it is the same on every machine. */
#include "train/strange.h"

#include <string.h>

#include "base/random.h"

struct map { unsigned char *pixels; size_t width, height, channels; };
typedef unsigned char colour[3];

static unsigned luma(const unsigned char *pixel, size_t channels)
{
    return channels == 1 ? pixel[0] : (19595u * pixel[0] + 38470u * pixel[1] + 7471u * pixel[2] + 32768u) >> 16;
}

static void any_colour(struct ood_random *random, colour out)
{
    for (size_t c = 0; c < 3; c++)
        out[c] = (unsigned char)ood_random_below(random, 256);
}

/* The mean of the pixels from (x0, y0) to just before (x1, y1). */
static void mean_colour(const struct map *map, size_t x0, size_t y0, size_t x1, size_t y1, colour out)
{
    uint64_t sums[3] = { 0 }, count = (uint64_t)(x1 - x0) * (y1 - y0);
    for (size_t y = y0; y < y1; y++)
        for (size_t i = x0 * map->channels; i < x1 * map->channels; i++)
            sums[i % map->channels] += map->pixels[y * map->width * map->channels + i];
    for (size_t c = 0; c < map->channels; c++)
        out[c] = (unsigned char)((sums[c] + count / 2) / count);
}

static void paint(const struct map *map, size_t x0, size_t y0, size_t x1, size_t y1, const colour with)
{
    for (size_t y = y0; y < y1; y++)
        for (size_t x = x0; x < x1; x++)
            memcpy(map->pixels + (y * map->width + x) * map->channels, with, map->channels);
}

static void grey(const struct map *map)
{
    for (size_t i = 0; i < map->width * map->height; i++)
        memset(map->pixels + i * map->channels, (int)luma(map->pixels + i * map->channels, map->channels), map->channels);
}

static void exchange(const struct map *map, struct ood_random *random)
{
    static const unsigned char ways[5][3] = { { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    const unsigned char *way = ways[ood_random_below(random, 5)];
    for (unsigned char *pixel = map->pixels; map->channels == 3 && pixel < map->pixels + map->width * map->height * 3; pixel += 3) {
        const colour old = { pixel[0], pixel[1], pixel[2] };
        for (size_t c = 0; c < 3; c++)
            pixel[c] = old[way[c]];
    }
}

static void two_tones(const struct map *map, struct ood_random *random)
{
    colour tones[2] = { { 0, 0, 0 }, { 255, 255, 255 } };
    size_t swap = ood_random_below(random, 2), count = map->width * map->height;
    uint64_t sum = 0;
    if (ood_random_below(random, 2) == 1)
        for (size_t i = 0; i < 2; i++)
            any_colour(random, tones[i]);
    for (size_t i = 0; i < count; i++)
        sum += luma(map->pixels + i * map->channels, map->channels);
    for (size_t i = 0; i < count; i++) {
        unsigned char *pixel = map->pixels + i * map->channels;
        memcpy(pixel, tones[(luma(pixel, map->channels) * (uint64_t)count >= sum) ^ swap], map->channels);
    }
}

static void contrast(const struct map *map, struct ood_random *random)
{
    int64_t eighths = ood_random_below(random, 2) == 0 ? 1 + (int64_t)ood_random_below(random, 3) : 24 + (int64_t)ood_random_below(random, 25);
    const size_t count = map->width * map->height * map->channels;
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += map->pixels[i];
    const int64_t mean = sum / (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        int64_t value = mean + (map->pixels[i] - mean) * eighths / 8;
        map->pixels[i] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static void exchange_tiles(const struct map *map, size_t wide, size_t high, size_t a, size_t b)
{
    for (size_t y = 0; y < high; y++) {
        unsigned char *one = map->pixels + ((a / 4 * high + y) * map->width + a % 4 * wide) * map->channels;
        unsigned char *other = map->pixels + ((b / 4 * high + y) * map->width + b % 4 * wide) * map->channels;
        for (size_t i = 0; i < wide * map->channels; i++) {
            unsigned char value = one[i];
            one[i] = other[i];
            other[i] = value;
        }
    }
}

static void tiles(const struct map *map, struct ood_random *random)
{
    for (size_t i = 16; i > 1; i--) {
        size_t other = ood_random_below(random, i);
        if (other != i - 1)
            exchange_tiles(map, map->width / 4, map->height / 4, i - 1, other);
    }
}

static void blocks(const struct map *map, struct ood_random *random)
{
    const size_t side = 2 + ood_random_below(random, 7);
    for (size_t i = 0; i < side * side; i++) {
        const size_t x0 = i % side * map->width / side, x1 = (i % side + 1) * map->width / side;
        const size_t y0 = i / side * map->height / side, y1 = (i / side + 1) * map->height / side;
        colour mean;
        if (x0 == x1 || y0 == y1)            /* a side of fewer pixels than blocks */
            continue;
        mean_colour(map, x0, y0, x1, y1, mean);
        paint(map, x0, y0, x1, y1, mean);
    }
}

static void flat(const struct map *map, struct ood_random *random)
{
    colour all;
    if (ood_random_below(random, 2) == 0)
        mean_colour(map, 0, 0, map->width, map->height, all);
    else
        any_colour(random, all);
    paint(map, 0, 0, map->width, map->height, all);
}

void ood_strange_apply(enum ood_strange kind, uint64_t draw, unsigned char *pixels, size_t width, size_t height, size_t channels)
{
    const struct map map = { pixels, width, height, channels };
    const size_t count = width * height * channels;
    struct ood_random random;
    ood_random_seed(&random, draw);
    switch (kind) {
    case OOD_STRANGE_GREY: grey(&map); break;
    case OOD_STRANGE_NEGATIVE:
        for (size_t i = 0; i < count; i++)
            pixels[i] = (unsigned char)(255 - pixels[i]);
        break;
    case OOD_STRANGE_CHANNELS: exchange(&map, &random); break;
    case OOD_STRANGE_TWO_TONES: two_tones(&map, &random); break;
    case OOD_STRANGE_CONTRAST: contrast(&map, &random); break;
    case OOD_STRANGE_TILES: tiles(&map, &random); break;
    case OOD_STRANGE_BLOCKS: blocks(&map, &random); break;
    case OOD_STRANGE_FLAT: flat(&map, &random); break;
    case OOD_STRANGE_NOISE:
        for (size_t i = 0; i < count; i++)
            pixels[i] = (unsigned char)ood_random_below(&random, 256);
        break;
    case OOD_STRANGE_NOT:
    case OOD_STRANGE_KINDS: break;
    }
}
