/* RoIAlign in every form of ONNX's operator: the mean against torchvision's (tests/data/ops/make.py), the greatest against a loop over samples, and
 * boxes that no network should give. */
#include <math.h>

#include "base/memory.h"
#include "bundle/safetensors.h"
#include "check.h"
#include "kernel/roi_align.h"

static void *take(const struct ood_safetensors *tensors, size_t i, const char *kind, size_t rank, size_t *shape)
{
    struct ood_error err = { 0 };
    char name[32];
    snprintf(name, sizeof name, "%zu.%s", i, kind);
    void *values = ood_safetensors_take(tensors, name, OOD_SAFETENSORS_F32, rank, shape, &err);
    if (values == NULL)
        fail_msg("%s", err.message);
    return values;
}

static void check_form(const struct ood_safetensors *tensors, size_t i)
{
    struct ood_error err = { 0 };
    size_t five[1] = { 5 }, map_shape[3] = { 0 }, boxes_shape[2] = { 0, 4 }, bins_shape[4] = { 0 };
    float *numbers = take(tensors, i, "form", 1, five), *map = take(tensors, i, "map", 3, map_shape);
    float *boxes = take(tensors, i, "boxes", 2, boxes_shape), *bins = take(tensors, i, "bins", 4, bins_shape);
    const struct ood_roi_form form = { .rows = (size_t)numbers[1], .columns = (size_t)numbers[2], .samples = (size_t)numbers[3],
                                       .half_pixel = numbers[4] != 0 };
    const struct ood_roi_map roi = { .values = map, .height = map_shape[0], .width = map_shape[1], .channels = map_shape[2],
                                     .scale_x = (double)numbers[0], .scale_y = (double)numbers[0] };
    const size_t count = form.rows * form.columns * roi.channels;
    double *scratch = ood_new_array(double, ood_roi_form_scratch(roi.channels, roi.height, roi.width), &err);
    float *out = ood_new_array(float, count, &err);
    for (size_t b = 0; b < boxes_shape[0]; b++) {
        ood_roi_form_align(&form, &roi, boxes + 4 * b, scratch, out);
        for (size_t k = 0; k < count; k++)
            if (!(fabsf(out[k] - bins[b * count + k]) <= 2e-5f))
                fail_msg("form %zu, box %zu, element %zu: %.9g, torchvision %.9g", i, b, k, (double)out[k], (double)bins[b * count + k]);
    }
    ood_free(numbers);
    ood_free(map);
    ood_free(boxes);
    ood_free(bins);
    ood_free(scratch);
    ood_free(out);
}

static void the_mean_is_torchvisions(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    struct ood_safetensors tensors;
    check_ok(ood_file_read(check_data("ops/roi_forms.safetensors"), (size_t)1 << 20, &bytes, &err));
    check_ok(ood_safetensors_read(bytes.data, bytes.size, &tensors, &err));
    assert_int_equal(tensors.count, 8 * 4);
    for (size_t i = 0; i < tensors.count / 4; i++)
        check_form(&tensors, i);
    ood_safetensors_free(&tensors);
    ood_bytes_free(&bytes);
}

enum { HEIGHT = 6, WIDTH = 5, CHANNELS = 2, BINS = 3 };

static double sample(const float *map, double y, double x, size_t c)
{
    if (y < -1 || y > HEIGHT || x < -1 || x > WIDTH)
        return 0;
    y = y < 0 ? 0 : y > HEIGHT - 1 ? HEIGHT - 1 : y;
    x = x < 0 ? 0 : x > WIDTH - 1 ? WIDTH - 1 : x;
    const size_t row = (size_t)y, column = (size_t)x, below = row + 1 < HEIGHT ? row + 1 : row, beside = column + 1 < WIDTH ? column + 1 : column;
    const double down = y - (double)row, across = x - (double)column;
#define CELL(r, k) (double)map[((r) * WIDTH + (k)) * CHANNELS + c]
    return (1 - down) * ((1 - across) * CELL(row, column) + across * CELL(row, beside)) +
           down * ((1 - across) * CELL(below, column) + across * CELL(below, beside));
#undef CELL
}

static void the_greatest_is_of_all_samples(void **state)
{
    (void)state;
    static const float boxes[][4] = { { 0, 0, 5, 6 }, { 1.2f, 0.7f, 3.9f, 5.1f }, { -3, -2, 4, 4 }, { 2, 2, 2.5f, 2.5f }, { -9, -9, 20, 20 } };
    float map[HEIGHT * WIDTH * CHANNELS], out[BINS * BINS * CHANNELS];
    double scratch[CHANNELS + HEIGHT + WIDTH];
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        map[i] = (float)((int)(i * 37 % 23) - 14) / 7;
    for (size_t form = 0; form < 4; form++)
        for (size_t b = 0; b < sizeof boxes / sizeof *boxes; b++) {
            const struct ood_roi_form f = { BINS, BINS, form < 2 ? 0 : 2, form % 2 == 0, true };
            const double shift = f.half_pixel ? 0.5 : 0;
            ood_roi_form_align(&f, &(struct ood_roi_map){ map, CHANNELS, HEIGHT, WIDTH, 1, 1 }, boxes[b], scratch, out);
            double h = (double)boxes[b][3] - (double)boxes[b][1], w = (double)boxes[b][2] - (double)boxes[b][0];
            h = !f.half_pixel && h < 1 ? 1 : h, w = !f.half_pixel && w < 1 ? 1 : w;
            const size_t rows = f.samples > 0 ? f.samples : (size_t)ceil(h / BINS), columns = f.samples > 0 ? f.samples : (size_t)ceil(w / BINS);
            for (size_t bin = 0; bin < BINS * BINS; bin++)
                for (size_t c = 0; c < CHANNELS; c++) {
                    double most = -INFINITY;
                    for (size_t i = 0; i < rows * columns; i++)
                        most = fmax(most, sample(map, (double)boxes[b][1] - shift + h / BINS * ((double)(bin / BINS) + ((double)(i / columns) + 0.5) / (double)rows),
                                                 (double)boxes[b][0] - shift + w / BINS * ((double)(bin % BINS) + ((double)(i % columns) + 0.5) / (double)columns), c));
                    check_close((double)out[bin * CHANNELS + c], most, 1e-5, 1e-5);
                }
        }
}

/* NaN where the box, or its size, is not finite; 0 where nothing lies inside; and no box takes long. */
static void hostile_boxes(void **state)
{
    (void)state;
    static const struct { float box[4]; enum { A_NAN, ZERO, FINITE } is; } cases[] = {
        { { NAN, 0, 1, 1 }, A_NAN }, { { 0, 0, INFINITY, 1 }, A_NAN }, { { 0, -INFINITY, 1, 1 }, A_NAN }, { { 1e30f, 1e30f, 2e30f, 2e30f }, ZERO },
        { { -3e38f, -3e38f, 3e38f, 3e38f }, A_NAN }, { { -1e9f, -1e9f, 1e9f, 1e9f }, FINITE }, { { 1e38f, 1e38f, -1e38f, -1e38f }, ZERO },
        { { 0, 0, 1e-40f, 1e-40f }, FINITE }, { { 2, 2, 1, 1 }, FINITE },
    };
    float map[HEIGHT * WIDTH * CHANNELS], out[BINS * BINS * CHANNELS];
    double scratch[CHANNELS + HEIGHT + WIDTH];
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        map[i] = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t form = 0; form < 8; form++) {
            const struct ood_roi_form f = { BINS, BINS, form & 1 ? 2 : 0, (form & 2) != 0, (form & 4) != 0 };
            ood_roi_form_align(&f, &(struct ood_roi_map){ map, CHANNELS, HEIGHT, WIDTH, 1, 1 }, cases[i].box, scratch, out);
            for (size_t k = 0; k < sizeof out / sizeof *out; k++)
                if (cases[i].is == A_NAN ? !isnan(out[k]) : cases[i].is == ZERO ? out[k] != 0 : !(out[k] >= 0 && out[k] <= 1.000001f))
                    fail_msg("box %zu, form %zu: %g", i, form, (double)out[k]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_mean_is_torchvisions), cmocka_unit_test(the_greatest_is_of_all_samples),
                                        cmocka_unit_test(hostile_boxes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
