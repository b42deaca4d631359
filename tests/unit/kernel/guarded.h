/* What the Winograd kernel's tests share: each version this CPU runs, and memory between pages that must not be touched. */
#ifndef OOD_TESTS_GUARDED_H
#define OOD_TESTS_GUARDED_H

#include "check.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kernel/kernel.h"

static const char *const versions[] = { "baseline", "avx2", "avx512" };
#define VERSIONS (sizeof versions / sizeof versions[0])

static inline const struct ood_kernels *version_named(size_t version)
{
    const struct ood_kernels *kernels = ood_kernels_named(versions[version]);
    if (kernels == NULL)
        print_message("this CPU or build has no %s\n", versions[version]);
    return kernels;
}

#define for_each_version(kernels)                                                                                     \
    for (size_t version = 0; version < VERSIONS; version++)                                                           \
        for (const struct ood_kernels *kernels = version_named(version); kernels != NULL; kernels = NULL)

/* ---- memory between guard pages ---- */

struct guarded { char *pages; size_t bytes; float *at; };

/* n floats that end where the last page begins, or begin where the first ends (then aligned to 64 bytes). */
static inline struct guarded guard(size_t n, bool at_end)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = (n * sizeof(float) + page - 1) / page * page;
    struct guarded g = { .bytes = inside + 2 * page };
    g.pages = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.pages != MAP_FAILED);
    assert_int_equal(mprotect(g.pages, page, PROT_NONE), 0);
    assert_int_equal(mprotect(g.pages + page + inside, page, PROT_NONE), 0);
    g.at = (float *)(void *)(g.pages + page + (at_end ? inside - n * sizeof(float) : 0));
    memset(g.pages + page, 0xff, inside);    /* NaN: what is read before it is written shows */
    return g;
}

/* The last bytes before the last page. */
static inline void *guarded_end(const struct guarded *g, size_t bytes)
{
    return g->pages + g->bytes - (size_t)sysconf(_SC_PAGESIZE) - bytes;
}

static inline void unguard(struct guarded *g) { munmap(g->pages, g->bytes); }

#endif
