/* Random windows, paddings, broadcasts, permutations and concatenations, alone, behind a convolution (whose output lies in NHWC)
 * and before an activation. The seed is fixed; OOD_TEST_SEED gives another, OOD_TEST_COUNT another number of cases. A failing
 * case's name tells its text. */
#include "base/number.h"
#include "base/random.h"
#include "op_case.h"

enum { MOST = 100000, TEXT = 512 };

static struct ood_random source;

static int below(int limit) { return (int)ood_random_below(&source, (uint64_t)limit); }
static int between(int least, int most) { return least + below(most - least + 1); }

struct text { char chars[TEXT]; size_t used; };

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->chars + text->used, TEXT - text->used, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= TEXT - text->used)
        abort();
    text->used += (size_t)size;
}

/* ---- windows ---- */

struct window { int kernel[2], pads[4], dilations[2]; };

/* A window that fits a map of size[2]; pads stay below `most_pad` and the kernel. */
static struct window random_window(const int size[2], int most_pad, bool dilated)
{
    struct window w;
    for (int i = 0; i < 2; i++) {
        do {
            w.kernel[i] = between(1, 5);
            w.dilations[i] = dilated ? between(1, 2) : 1;
            for (int k = i; k < 4; k += 2)
                w.pads[k] = below(w.kernel[i] < most_pad ? w.kernel[i] : most_pad);
        } while ((w.kernel[i] - 1) * w.dilations[i] + 1 > size[i] + w.pads[i] + w.pads[i + 2]);
    }
    return w;
}

static void put_window(struct text *text, const struct window *w, const int size[2], bool pool)
{
    static const char *const modes[] = { "SAME_UPPER", "SAME_LOWER", "VALID" };
    bool valid = (w->kernel[0] - 1) * w->dilations[0] < size[0] && (w->kernel[1] - 1) * w->dilations[1] < size[1];
    put(text, " kernel_shape=%d,%d strides=%d,%d", w->kernel[0], w->kernel[1], between(1, 3), between(1, 3));
    if (!pool)
        put(text, " dilations=%d,%d", w->dilations[0], w->dilations[1]);
    if (below(4) == 0)
        put(text, " auto_pad=%s", modes[below(valid ? 3 : 2)]);
    else
        put(text, " pads=%d,%d,%d,%d", w->pads[0], w->pads[1], w->pads[2], w->pads[3]);
}

static void put_conv(struct text *op, struct text *inputs, int channels, const int size[2])
{
    int groups = 1;
    for (int tries = below(4); tries > 0; tries--) {
        int candidate = between(1, channels);
        groups = channels % candidate == 0 ? candidate : groups;
    }
    int maps = groups * between(1, groups > 4 ? 2 : 9);
    struct window w = random_window(size, 3, true);
    bool bias = below(2) == 0;
    put(op, "r = Conv(p, k%s) group=%d", bias ? ", b" : "", groups);
    put_window(op, &w, size, false);
    put(inputs, " k=%d,%d,%d,%d", maps, channels / groups, w.kernel[0], w.kernel[1]);
    if (bias)
        put(inputs, " b=%d", maps);
}

static void put_pool(struct text *op, const int size[2])
{
    struct window w = random_window(size, 3, false);
    bool average = below(2) == 0;
    put(op, "r = %s(p) ceil_mode=%d", average ? "AveragePool" : "MaxPool", below(2));
    put_window(op, &w, size, true);
    if (average)
        put(op, " count_include_pad=%d", below(2));
}

/* ---- places ---- */

static void put_pad(struct text *op, struct text *inputs, int channels, const int size[2])
{
    static const char *const modes[] = { "constant", "reflect", "edge" };
    const int dims[3] = { channels, size[0], size[1] };
    int pads[6];
    for (int i = 0; i < 6; i++)
        pads[i] = between(-1, 3) * below(2);
    for (int i = 0; i < 3; i++)
        for (int k = i; k < 6; k += 3)
            if (pads[k] >= dims[i] || dims[i] + pads[i] + pads[i + 3] < 1)
                pads[i] = pads[i + 3] = 0;
    put(op, "r = Pad(p, e, v) mode=%s", modes[below(3)]);
    put(inputs, " e=[0,%d,%d,%d,0,%d,%d,%d] v=(0.5)", pads[0], pads[1], pads[2], pads[3], pads[4], pads[5]);
}

static void put_transpose(struct text *op)
{
    int order[3] = { 1, 2, 3 };
    for (int i = 2; i > 0; i--) {
        int other = below(i + 1), kept = order[i];
        order[i] = order[other], order[other] = kept;
    }
    put(op, "r = Transpose(p) perm=0,%d,%d,%d", order[0], order[1], order[2]);
}

static void put_concat(struct text *op, struct text *inputs, int channels, const int size[2])
{
    int axis = between(1, 3), count = between(1, 9), own = below(count);
    int dims[4] = { 0, channels, size[0], size[1] };
    put(op, "r = Concat(");
    for (int i = 0; i < count; i++) {
        if (i == own || below(3) == 0) {
            put(op, "%sp", i > 0 ? ", " : "");
            continue;
        }
        dims[axis] = between(1, 6);
        put(op, "%sc%d", i > 0 ? ", " : "", i);
        put(inputs, " c%d=N,%d,%d,%d", i, dims[1], dims[2], dims[3]);
    }
    put(op, ") axis=%d", below(2) ? axis : axis - 4);
}

static void put_gather(struct text *op, struct text *inputs, int channels, const int size[2])
{
    int axis = between(1, 3), dim = axis == 1 ? channels : size[axis - 2], count = between(1, 5);
    put(op, "r = Gather(p, i) axis=%d", axis);
    put(inputs, " i=[");
    for (int i = 0; i < count; i++)
        put(inputs, "%s%d", i > 0 ? "," : "", between(-dim, dim - 1));
    put(inputs, "]");
}

/* ---- arithmetic ---- */

static void put_binary(struct text *op, struct text *inputs, int channels, const int size[2])
{
    static const char *const names[] = { "Add", "Sub", "Mul" };
    const int dims[4] = { 0, channels, size[0], size[1] };
    int first = below(4), turned = below(2);
    put(op, "r = %s(%s)", names[below(3)], turned ? "o, p" : "p, o");
    put(inputs, " o=");
    for (int i = first; i < 4; i++)
        if (i == 0)
            put(inputs, "N");
        else
            put(inputs, "%s%d", i > first ? "," : "", below(3) ? dims[i] : 1);
}

static void put_over_axes(struct text *op)
{
    static const char *const axes[] = { "1,", "2,", "3,", "1,2", "1,3", "2,3", "1,2,3", "-1,", "-2,-1" };
    if (below(2))
        put(op, "r = ReduceMean(p) axes=%s keepdims=1", axes[below(9)]);
    else
        put(op, "r = %sSoftmax(p) axis=%d", below(2) ? "Log" : "", between(1, 3));
}

/* ---- a case ---- */

static void make_case(struct op_case *row, struct text *op, struct text *inputs)
{
    int channels = below(4) == 0 ? between(1, 40) : between(1, 9), size[2] = { between(1, 10), between(1, 10) };
    if (below(2)) {
        put(op, "p = Conv(x, w); ");
        put(inputs, "x=N,3,%d,%d w=%d,3,1,1", size[0], size[1], channels);
    } else {
        put(inputs, "p=N,%d,%d,%d", channels, size[0], size[1]);
    }
    switch (below(10)) {
    case 0: case 1: case 2: put_conv(op, inputs, channels, size); break;
    case 3: case 4: put_pool(op, size); break;
    case 5: put_pad(op, inputs, channels, size); break;
    case 6: put_transpose(op); break;
    case 7: put_concat(op, inputs, channels, size); break;
    case 8: put_gather(op, inputs, channels, size); break;
    default: below(3) ? put_binary(op, inputs, channels, size) : put_over_axes(op); break;
    }
    static const char *const behind[] = { "", "; y = Relu(r)", "; y = Add(r, r)", "; q = Relu(r); y = Add(q, r)", "; y = Sigmoid(r)",
                                          "; a = Add(r, r); y = Relu(a)", "; g = GlobalAveragePool(r); y = Flatten(g)", "; y = Flatten(r)" };
    put(op, "%s", behind[below(8)]);
    *row = (struct op_case){ .name = op->chars, .op = op->chars, .inputs = inputs->chars, .refused = op_may_refuse };
}

int main(void)
{
    uint64_t seed = 12;
    size_t count = 300;
    const char *given = getenv("OOD_TEST_SEED"), *number = getenv("OOD_TEST_COUNT");
    if ((given != NULL && !ood_parse_uint64(given, &seed)) || (number != NULL && (!ood_parse_size(number, &count) || count > MOST)))
        return 2;
    ood_random_seed(&source, seed);
    struct op_case *rows = calloc(count, sizeof *rows);
    struct text *texts = calloc(2 * count, sizeof *texts);
    if (rows == NULL || texts == NULL)
        return 2;
    for (size_t i = 0; i < count; i++)
        make_case(&rows[i], &texts[2 * i], &texts[2 * i + 1]);
    print_message("seed %llu\n", (unsigned long long)seed);
    int failed = op_cases_run("random", rows, count, false);
    free(rows);
    free(texts);
    return failed;
}
