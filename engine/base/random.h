/* Random numbers that are the same on every machine: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. */
#ifndef OOD_BASE_RANDOM_H
#define OOD_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct ood_random { uint64_t state[4]; };

void ood_random_seed(struct ood_random *random, uint64_t seed);
uint64_t ood_random_next(struct ood_random *random);
uint64_t ood_random_below(struct ood_random *random, uint64_t limit);    /* 0 … limit-1, unbiased; limit > 0 */
double ood_random_uniform(struct ood_random *random);                    /* [0, 1), 53 bits */
double ood_random_normal(struct ood_random *random);                     /* mean 0, deviation 1 (polar method) */

/* Fisher-Yates over indices[n]. */
void ood_random_shuffle(struct ood_random *random, size_t *indices, size_t n);

#endif
