/* A training step's three passes of a 3x3 convolution (forward, gradient of the data, of the weights): our Winograd kernel
 * beside oneDNN's direct ones in the layout oneDNN prefers, in the calling thread, one after the other in each round, so that
 * a busy machine slows both: trust the ratios. ONEDNN_MAX_CPU_ISA=AVX2 limits both.
 *
 *     winograd_training [--batch B] [--seconds S] [--only CASE]
 *
 * S seconds a case. A line a case and pass, tab separated: name, pass, oneDNN's kernel and ms, ours ms, ours GFLOP/s (direct
 * count), ratio (median of the rounds'). Neither side's time has the weights' own transform or reorder, which a step makes
 * once for all slices of a batch; ours: a line of its own. Last: geometric means of the ratios. */
#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/winograd.h"
#include "plan/dnnl.h"
#include "tests/bench/layer_options.h"
#include "tests/bench/training_peer.h"

/* The 3x3 convolutions of stride 1 of WRN-40-2 and ResNet-18. */
#define PLAIN(name, in, out, size) { name, in, out, size, 3, 1 }
static const struct layer layers[] = {
    PLAIN("16to32x32x32", 16, 32, 32), PLAIN("32x32x32", 32, 32, 32),    PLAIN("64x16x16", 64, 64, 16),    PLAIN("128x8x8", 128, 128, 8),
    PLAIN("64x56x56", 64, 64, 56),     PLAIN("128x28x28", 128, 128, 28), PLAIN("256x14x14", 256, 256, 14), PLAIN("512x7x7", 512, 512, 7),
};
#define LAYERS (sizeof layers / sizeof layers[0])

/* ---- a case ---- */

#define MOST_ROUNDS 2000
#define LEAST_ROUNDS 5
static double theirs[3][MOST_ROUNDS], ours[4][MOST_ROUNDS], ratios[3][MOST_ROUNDS];

/* Adds the ratios' logarithms to `sums`. */
static void run_case(const struct layer *l, size_t batch, double seconds, dnnl_engine_t engine, dnnl_stream_t stream, double sums[3])
{
    struct peer peers[3];
    struct own own;
    make_own(&own, l, batch);
    for (enum pass pass = FORWARD; pass < TRANSFORM; pass++)
        make_peer(&peers[pass], engine, pass, l, batch, dnnl_f32);
    size_t rounds = 0;
    for (double begin = ood_clock(); rounds < MOST_ROUNDS && (rounds < LEAST_ROUNDS || ood_clock() - begin < seconds); rounds++) {
        for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
            if (rounds == 0) {               /* to warm both */
                run_peer(&peers[pass], stream);
                run_own(&own, pass);
            }
            theirs[pass][rounds] = run_peer(&peers[pass], stream);
            ours[pass][rounds] = run_own(&own, pass);
            ratios[pass][rounds] = theirs[pass][rounds] / ours[pass][rounds];
        }
        ours[TRANSFORM][rounds] = run_own(&own, TRANSFORM);
    }
    const double flops = 18.0 * (double)(batch * l->in * l->out * l->size * l->size);
    for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
        const double ms = median(ours[pass], rounds), ratio = median(ratios[pass], rounds);
        printf("%s\t%s\t%s\t%.3f\t%.3f\t%.0f\t%.2f\n", l->name, pass_names[pass], peers[pass].kernel,
               median(theirs[pass], rounds) * 1e3, ms * 1e3, flops / ms * 1e-9, ratio);
        sums[pass] += log(ratio);
        end_peer(&peers[pass]);
    }
    printf("%s\t%s\t-\t-\t%.3f\t-\t-\n", l->name, pass_names[TRANSFORM], median(ours[TRANSFORM], rounds) * 1e3);
    fflush(stdout);
    end_own(&own);
}

int main(int argc, char **argv)
{
    size_t batch = 32, cases = 0;
    double seconds = 1, sums[3] = { 0, 0, 0 };
    const char *only = "";
    if (!layer_options("winograd_training", argc, argv, &batch, &seconds, &only))
        return 2;
    omp_set_num_threads(1);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0) == 0 && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == 0, "oneDNN");
    printf("# own kernels %s, batch %zu\n# case\tpass\toneDNN's kernel\toneDNN ms\town ms\town GFLOP/s\toneDNN / own\n",
           ood_kernels_choose()->isa, batch);
    for (size_t i = 0; i < LAYERS; i++)
        if (*only == '\0' || strcmp(only, layers[i].name) == 0) {
            run_case(&layers[i], batch, seconds, engine, stream, sums);
            cases++;
        }
    for (enum pass pass = FORWARD; pass < TRANSFORM && cases > 0; pass++)
        printf("geometric mean\t%s\t-\t-\t-\t-\t%.2f\n", pass_names[pass], exp(sums[pass] / (double)cases));
    return 0;
}
