/* Would bfloat16 pay in training? The three passes of WRN-40-2's ten convolutions in the calling thread: oneDNN in float32 and in bfloat16
 * (float32 sums), our float32 Winograd kernel where it serves, one after the other in each round.
 *
 *     bfloat16 [--batch B] [--seconds S] [--only CASE]
 *
 * A line a shape and pass, tab separated: shape, how often the network has it, pass, ms oneDNN float32, ms oneDNN bfloat16 (its kernel last),
 * ms ours (-: not served). Then, for the whole network (each shape as often as it occurs), ms a picture and pictures/s of convolutions alone:
 * oneDNN float32; what training does (ours where it serves); bfloat16; the faster of the last two for each shape and pass. Transforms and
 * reorders of weights, once a step, are not counted, nor conversions of activations to bfloat16. */
#include "plan/dnnl.h"
#include "tests/bench/layer_options.h"
#include "tests/bench/training_peer.h"

static const struct { struct layer layer; size_t times; } shapes[] = {
    { { "3to16x32x32", 3, 16, 32, 3, 1 }, 1 },        { { "16to32x32x32", 16, 32, 32, 3, 1 }, 1 },    { { "16to32x32x32,1x1", 16, 32, 32, 1, 1 }, 1 },
    { { "32x32x32", 32, 32, 32, 3, 1 }, 11 },         { { "32to64x32x32,/2", 32, 64, 32, 3, 2 }, 1 }, { { "32to64x32x32,1x1,/2", 32, 64, 32, 1, 2 }, 1 },
    { { "64x16x16", 64, 64, 16, 3, 1 }, 11 },         { { "64to128x16x16,/2", 64, 128, 16, 3, 2 }, 1 },
    { { "64to128x16x16,1x1,/2", 64, 128, 16, 1, 2 }, 1 }, { { "128x8x8", 128, 128, 8, 3, 1 }, 11 },
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

#define MOST_ROUNDS 500
#define LEAST_ROUNDS 5
enum engine { FLOAT32, BFLOAT16, OWN, ENGINES };

/* ms of each engine and pass; those of OWN are float32's where ours does not serve. */
static void run_shape(const struct layer *l, size_t times, size_t batch, double seconds, dnnl_engine_t engine, dnnl_stream_t stream,
                      double ms[ENGINES][3])
{
    static double found[ENGINES][3][MOST_ROUNDS];
    const bool served = l->kernel == 3 && l->stride == 1 && l->in >= 16, first = l->in == 3;
    struct peer peers[2][3];
    struct own own;
    size_t rounds = 0;
    if (served)
        make_own(&own, l, batch);
    for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
        make_peer(&peers[FLOAT32][pass], engine, pass, l, batch, dnnl_f32);
        make_peer(&peers[BFLOAT16][pass], engine, pass, l, batch, dnnl_bf16);
    }
    for (double begin = ood_clock(); rounds < MOST_ROUNDS && (rounds < LEAST_ROUNDS || ood_clock() - begin < seconds); rounds++)
        for (enum pass pass = FORWARD; pass < TRANSFORM; pass++)
            for (int warm = rounds == 0; warm >= 0; warm--) {
                found[FLOAT32][pass][rounds] = run_peer(&peers[FLOAT32][pass], stream);
                found[BFLOAT16][pass][rounds] = run_peer(&peers[BFLOAT16][pass], stream);
                found[OWN][pass][rounds] = served ? run_own(&own, pass) : found[FLOAT32][pass][rounds];
            }
    for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
        char ours[32] = "-";
        for (enum engine e = FLOAT32; e < ENGINES; e++)
            ms[e][pass] = first && pass == DATA ? 0 : 1e3 * median(found[e][pass], rounds);      /* pictures want no gradient */
        if (served)
            snprintf(ours, sizeof ours, "%.3f", ms[OWN][pass]);
        printf("%s\t%zu\t%s\t%.3f\t%.3f\t%s\t%s\n", l->name, times, pass_names[pass], ms[FLOAT32][pass], ms[BFLOAT16][pass], ours,
               peers[BFLOAT16][pass].kernel);
        end_peer(&peers[FLOAT32][pass]);
        end_peer(&peers[BFLOAT16][pass]);
    }
    fflush(stdout);
    if (served)
        end_own(&own);
}

static void print_sum(const char *name, const double ms[3], size_t batch)
{
    const double all = ms[FORWARD] + ms[DATA] + ms[WEIGHTS];
    printf("network\t%s\tms a picture: forward %.3f, data %.3f, weights %.3f, together %.3f\tpictures/s %.1f\n", name, ms[FORWARD] / (double)batch,
           ms[DATA] / (double)batch, ms[WEIGHTS] / (double)batch, all / (double)batch, 1e3 * (double)batch / all);
}

int main(int argc, char **argv)
{
    size_t batch = 32;
    double seconds = 1, sums[ENGINES + 1][3] = { 0 };
    const char *only = "";
    if (!layer_options("bfloat16", argc, argv, &batch, &seconds, &only))
        return 2;
    omp_set_num_threads(1);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0) == 0 && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == 0, "oneDNN");
    printf("# oneDNN %s, own kernels %s, batch %zu\n# shape\ttimes\tpass\tfloat32 ms\tbfloat16 ms\town ms\tbfloat16's kernel\n", ood_dnnl_isa(),
           ood_kernels_choose()->isa, batch);
    for (size_t i = 0; i < SHAPES; i++) {
        double ms[ENGINES][3];
        if (*only != '\0' && strcmp(only, shapes[i].layer.name) != 0)
            continue;
        run_shape(&shapes[i].layer, shapes[i].times, batch, seconds, engine, stream, ms);
        for (enum pass pass = FORWARD; pass < TRANSFORM; pass++) {
            const double bfloat16 = ms[BFLOAT16][pass], own = ms[OWN][pass];
            for (enum engine e = FLOAT32; e < ENGINES; e++)
                sums[e][pass] += (double)shapes[i].times * ms[e][pass];
            sums[ENGINES][pass] += (double)shapes[i].times * (bfloat16 < own ? bfloat16 : own);
        }
    }
    static const char *const names[] = { "oneDNN float32", "oneDNN bfloat16", "training's float32 (ours where it serves)", "the faster of bfloat16 and ours" };
    for (size_t e = 0; e <= ENGINES; e++)
        print_sum(names[e], sums[e], batch);
    return 0;
}
