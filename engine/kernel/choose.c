/* Which version of the kernels this CPU runs. */
#include "kernel/kernel.h"

#include <stdlib.h>
#include <string.h>
#if defined(OOD_HAVE_X86)
#include <cpuid.h>
#endif

extern const struct ood_kernels ood_kernels_baseline;
#if defined(OOD_HAVE_X86)
extern const struct ood_kernels ood_kernels_avx2, ood_kernels_avx512;
#endif

enum level { BASELINE, AVX2, AVX512 };

static enum level cpu_level(void)
{
#if defined(OOD_HAVE_X86)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return BASELINE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512dq"))
        return AVX2;
    return AVX512;
#else
    return BASELINE;
#endif
}

bool ood_kernels_halve_vectors(void)
{
#if defined(OOD_HAVE_X86)
    enum { AMD_FAMILY_19 = 0x19 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    __builtin_cpu_init();
    if (!__builtin_cpu_is("amd") || __get_cpuid(1, &a, &b, &c, &d) == 0)
        return false;
    return (a >> 8 & 0xf) + (a >> 20 & 0xff) == AMD_FAMILY_19;
#else
    return false;
#endif
}

/* Letters of any case; independent of the locale. */
static bool begins_with(const char *text, const char *word)
{
    for (; *word != '\0'; text++, word++) {
        char letter = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
        if (letter != *word)
            return false;
    }
    return true;
}

/* The limit in oneDNN's words. A word it does not know limits nothing, as there. */
static enum level limit(void)
{
    const char *word = getenv("ONEDNN_MAX_CPU_ISA");
    if (word == NULL || *word == '\0')
        word = getenv("DNNL_MAX_CPU_ISA");
    if (word == NULL)
        return AVX512;
    if (begins_with(word, "SSE41") || (begins_with(word, "AVX") && word[3] == '\0'))
        return BASELINE;
    if (begins_with(word, "AVX2") || begins_with(word, "AVX512_MIC"))
        return AVX2;
    return AVX512;
}

static const struct ood_kernels *of_level(enum level level)
{
#if defined(OOD_HAVE_X86)
    if (level == AVX512)
        return &ood_kernels_avx512;
    if (level == AVX2)
        return &ood_kernels_avx2;
#endif
    (void)level;
    return &ood_kernels_baseline;
}

const struct ood_kernels *ood_kernels_choose(void)
{
    enum level cpu = cpu_level(), most = limit();
    return of_level(cpu < most ? cpu : most);
}

const struct ood_kernels *ood_kernels_named(const char *isa)
{
    for (enum level level = BASELINE; level <= cpu_level(); level++)
        if (strcmp(of_level(level)->isa, isa) == 0)
            return of_level(level);
    return NULL;
}
