/* xoshiro256** and what is drawn from it. */
#include "base/random.h"

#include <math.h>

void ood_random_seed(struct ood_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        random->state[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate_left(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t ood_random_next(struct ood_random *random)
{
    uint64_t *s = random->state, result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t ood_random_below(struct ood_random *random, uint64_t limit)
{
    uint64_t least = -limit % limit, value;      /* 2^64 mod limit: below it the draw would be biased */
    do
        value = ood_random_next(random);
    while (value < least);
    return value % limit;
}

double ood_random_uniform(struct ood_random *random)
{
    return (double)(ood_random_next(random) >> 11) * 0x1p-53;
}

double ood_random_normal(struct ood_random *random)
{
    double u, v, s;
    do {
        u = 2 * ood_random_uniform(random) - 1;
        v = 2 * ood_random_uniform(random) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * log(s) / s);
}

void ood_random_shuffle(struct ood_random *random, size_t *indices, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)ood_random_below(random, i), t = indices[i - 1];
        indices[i - 1] = indices[j];
        indices[j] = t;
    }
}
