/* Checked allocation and pools. */
#include "base/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"

static void *out_of_memory(struct ood_error *err, size_t count, size_t size)
{
    ood_fail(err, OOD_OUT_OF_MEMORY, "out of memory (%zu elements of %zu bytes)", count, size);
    return NULL;
}

void *ood_alloc(size_t count, size_t size, struct ood_error *err)
{
    size_t bytes;
    if (!ood_mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX || ood_fault_fires(OOD_FAULT_ALLOC))
        return out_of_memory(err, count, size);
    void *memory = calloc(bytes == 0 ? 1 : bytes, 1);
    return memory != NULL ? memory : out_of_memory(err, count, size);
}

#define LAZY ((size_t)16 << 20)              /* bytes from which pages are taken as they are written */

/* The whole pages within memory[size]: where the first begins, and their bytes. */
struct pages { size_t before, bytes; };

static struct pages pages_in(const void *memory, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)memory % page) % page;
    return size > before ? (struct pages){ before, (size - before) / page * page } : (struct pages){ 0, 0 };
}

static bool give_back(void *memory, struct pages pages)
{
    return madvise((char *)memory + pages.before, pages.bytes, MADV_DONTNEED) == 0;
}

/* Zeroes fresh memory. Pages handed back to the system read as zeros: large blocks become resident only where they are used. */
static void *zeroed(void *memory, size_t size)
{
    if (size < LAZY)
        return memset(memory, 0, size);
    const struct pages pages = pages_in(memory, size);
    const size_t end = pages.before + pages.bytes;
    if (!give_back(memory, pages))
        return memset(memory, 0, size);
    memset(memory, 0, pages.before);
    memset((char *)memory + end, 0, size - end);
    return memory;
}

void *ood_alloc_aligned(size_t count, size_t size, struct ood_error *err)
{
    size_t bytes, rounded;
    if (!ood_mul_size(count, size, &bytes) || !ood_add_size(bytes, 64, &rounded) || rounded > PTRDIFF_MAX ||
        ood_fault_fires(OOD_FAULT_ALLOC))
        return out_of_memory(err, count, size);
    rounded = bytes == 0 ? 64 : (bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, rounded);
    if (memory == NULL)
        return out_of_memory(err, count, size);
    return zeroed(memory, rounded);
}

bool ood_grow(void *pointer, size_t *capacity, size_t needed, size_t size, struct ood_error *err)
{
    if (needed <= *capacity)
        return true;
    size_t larger = *capacity < 8 ? 8 : *capacity + *capacity / 2, bytes;
    if (larger < needed)
        larger = needed;
    if (!ood_mul_size(larger, size, &bytes) || bytes > PTRDIFF_MAX || ood_fault_fires(OOD_FAULT_ALLOC)) {
        out_of_memory(err, needed, size);
        return false;
    }
    void *old;
    memcpy(&old, pointer, sizeof old);
    void *grown = realloc(old, bytes);
    if (grown == NULL) {
        out_of_memory(err, needed, size);
        return false;
    }
    memset((char *)grown + *capacity * size, 0, bytes - *capacity * size);
    memcpy(pointer, &grown, sizeof grown);
    *capacity = larger;
    return true;
}

char *ood_strndup(const char *text, size_t length, struct ood_error *err)
{
    size_t size;
    if (!ood_add_size(length, 1, &size))
        return out_of_memory(err, length, 1);
    char *copy = ood_alloc(size, 1, err);
    if (copy != NULL)
        memcpy(copy, text, length);
    return copy;
}

char *ood_strdup(const char *text, struct ood_error *err)
{
    return ood_strndup(text, strlen(text), err);
}

char *ood_format(struct ood_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return out_of_memory(err, 1, 1);
    char *text = ood_alloc((size_t)length + 1, 1, err);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void ood_free(void *pointer)
{
    free(pointer);
}

void ood_forget(void *memory, size_t size)
{
    const struct pages pages = pages_in(memory, size);
    if (pages.bytes > 0)
        (void)give_back(memory, pages);
}

void ood_memory_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* ---- pools ---- */

struct ood_pool_block {
    struct ood_pool_block *next;
    size_t size, used;
    _Alignas(16) unsigned char memory[];
};

#define POOL_BLOCK 16384

void *ood_pool_alloc(struct ood_pool *pool, size_t count, size_t size, struct ood_error *err)
{
    size_t bytes, total;
    if (!ood_mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX / 2 || !ood_add_size(pool->used, bytes, &total))
        return out_of_memory(err, count, size);
    bytes = bytes == 0 ? 16 : (bytes + 15) / 16 * 16;
    total = pool->used + bytes;
    if (pool->limit != 0 && total > pool->limit) {
        ood_fail(err, OOD_LIMIT, "needs more than the limit of %zu bytes", pool->limit);
        return NULL;
    }
    struct ood_pool_block *block = pool->blocks;
    if (block == NULL || block->size - block->used < bytes) {
        size_t room = bytes > POOL_BLOCK ? bytes : POOL_BLOCK;
        block = ood_alloc(1, sizeof *block + room, err);
        if (block == NULL)
            return NULL;
        block->size = room;
        block->next = pool->blocks;
        pool->blocks = block;
    }
    void *memory = block->memory + block->used;
    block->used += bytes;
    pool->used = total;
    return memory;
}

char *ood_pool_strndup(struct ood_pool *pool, const char *text, size_t length, struct ood_error *err)
{
    size_t size;
    if (!ood_add_size(length, 1, &size))
        return out_of_memory(err, length, 1);
    char *copy = ood_pool_alloc(pool, size, 1, err);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}

void ood_pool_free(struct ood_pool *pool)
{
    for (struct ood_pool_block *block = pool->blocks, *next; block != NULL; block = next) {
        next = block->next;
        ood_free(block);
    }
    pool->blocks = NULL;
    pool->used = 0;
}
