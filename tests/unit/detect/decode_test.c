/* Box codings, scores and logits by hand; declarations and tensors that are not what they must be. */
#include "check.h"

#include <math.h>

#include "detect/detect.h"

static struct ood_error err;

/* One level of 2×1 cells of stride 8 over 16×8 pixels: tensors "t" [1, 2, C] rows of channels, and a map "m". */
static struct ood_detector plain(size_t classes)
{
    struct ood_detector d;
    ood_detector_usual(&d);
    d.classes = classes;
    d.level_count = 1;
    d.levels[0] = (struct ood_level){ .stride = 8, .anchor_count = 1, .anchors = { { 4, 6 } } };
    d.levels[0].boxes.tensor = ood_strdup("t", &err);
    d.levels[0].classes.tensor = ood_strdup("t", &err);
    d.levels[0].classes.channel = 4;
    d.maps[0] = ood_strdup("m", &err);
    d.map_count = 1;
    return d;
}

static const struct ood_shape map_shape = { 4, { 1, 2, 1, 2 } };

static struct ood_decoder *bind(const struct ood_detector *d, int64_t channels)
{
    struct ood_shape shapes[2] = { ood_shape_of(3, (int64_t)1, (int64_t)2, channels), map_shape };
    return ood_decoder_new(d, 16, 8, shapes, 2, &err);
}

struct coding { enum ood_box_coding coding; bool rows_first; double cell, cell_pixels; struct ood_box_part center, size; float t[4]; double box[4]; };

#define PART(activation, input_scale, scale, shift, power, unit) { OOD_ACTIVATION_##activation, input_scale, scale, shift, power, OOD_UNIT_##unit }

static void codings(void **state)
{
    (void)state;
    const double s = 1 / (1 + exp(-1.0)), e = exp(0.5);
    const struct coding cases[] = {
        { OOD_BOX_CORNERS, false, 0, 0, PART(NONE, 1, 1, 0, 1, PIXEL), PART(NONE, 1, 1, 0, 1, PIXEL), { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
        { OOD_BOX_CORNERS, true, 0, 0, PART(NONE, 1, 1, 0, 1, INPUT), PART(NONE, 1, 1, 0, 1, PIXEL), { 0.5f, 0.25f, 1, 0.75f }, { 4, 4, 12, 8 } },
        { OOD_BOX_CENTER_SIZE, false, 0, 0, PART(SIGMOID, 1, 2, -0.5, 1, STRIDE),
          PART(SIGMOID, 1, 2, 0, 2, ANCHOR), { 1, 1, 1, 1 },
          { (2 * s + 0.5) * 8 - 8 * s * s, (2 * s - 0.5) * 8 - 12 * s * s, (2 * s + 0.5) * 8 + 8 * s * s, (2 * s - 0.5) * 8 + 12 * s * s } },
        { OOD_BOX_CENTER_SIZE, false, 0.5, 0, PART(NONE, 1, 0.1, 0, 1, ANCHOR),
          PART(EXP, 0.5, 1, 0, 1, ANCHOR), { 10, -10, 1, 1 },
          { 16 - 2 * e, -2 - 3 * e, 16 + 2 * e, -2 + 3 * e } },
        { OOD_BOX_SIDES, false, 0.5, -0.5, PART(NONE, 1, 1, 0, 1, PIXEL), PART(RELU, 1, 1, 0, 1, STRIDE),
          { 1, 0.5f, -3, 2 }, { 11.5 - 8, 3.5 - 4, 11.5, 3.5 + 16 } },
        { OOD_BOX_CENTER_SIZE, false, 0, 0, PART(TANH, 1, 1, 0, 1, STRIDE),
          PART(NONE, 1, 1, 0, 1, INPUT), { 0, 0, 0.5f, 0.5f }, { 4, -2, 12, 2 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_detector d = plain(1);
        d.box = (struct ood_box_form){ cases[i].coding, cases[i].rows_first, 0, cases[i].cell, cases[i].cell_pixels, cases[i].center, cases[i].size };
        struct ood_decoder *decoder = bind(&d, 5);
        if (decoder == NULL)
            fail_msg("%zu: %s", i, err.message);
        float t[10] = { 0 }, map[4] = { 0 };     /* the second cell: x 8 … 16 */
        memcpy(t + 5, cases[i].t, sizeof cases[i].t);
        t[9] = 0.75f;
        const float *tensors[] = { t, map };
        struct ood_candidate found[2];
        size_t count, dropped;
        check_ok(ood_decode(decoder, tensors, 0.5, found, &count, &dropped, &err));
        assert_int_equal(count, 1);
        assert_int_equal(found[0].index, 1);
        for (size_t k = 0; k < 4; k++)
            check_close(found[0].box[k], cases[i].box[k], 1e-6, 1e-6);
        ood_decoder_free(decoder);
        ood_detector_clear(&d);
    }
}

static void scores_and_logits(void **state)
{
    (void)state;
    /* objectness 0.64 by sigmoid, three classes and a background behind, a softmax still to be done */
    struct ood_detector d = plain(3);
    d.levels[0].objectness.tensor = ood_strdup("t", &err);
    d.levels[0].objectness.channel = 8;
    d.objectness_activation = OOD_ACTIVATION_SIGMOID;
    d.class_softmax = true;
    d.class_activation = OOD_ACTIVATION_SOFTMAX;
    d.background = OOD_BACKGROUND_LAST;
    d.objectness_power = 0.5;
    d.class_power = 2;
    struct ood_decoder *decoder = bind(&d, 9);
    assert_non_null(decoder);
    float t[18] = { 0 }, map[4] = { 0 }, logits[3];
    t[8] = -50;
    const float second[9] = { 0, 0, 4, 4, 1, 3, 2, 2.5f, (float)log(0.64 / 0.36) };
    memcpy(t + 9, second, sizeof second);
    const float *tensors[] = { t, map };
    struct ood_candidate found[2];
    size_t count, dropped;
    double p = exp(3) / (exp(1) + exp(3) + exp(2) + exp(2.5));
    check_ok(ood_decode(decoder, tensors, 0.01, found, &count, &dropped, &err));
    assert_int_equal(count, 1);
    assert_int_equal(found[0].class_index, 1);
    check_close(found[0].objectness, 0.64, 1e-7, 0);
    check_close(found[0].probability, p, 1e-12, 0);
    check_close(found[0].score, 0.8 * p * p, 1e-7, 0);
    ood_decoder_logits(decoder, tensors, 1, logits);
    assert_true(logits[0] == 1 && logits[1] == 3 && logits[2] == 2);
    ood_decoder_free(decoder);
    /* probabilities with the background first: clipped, then their log odds */
    d.class_activation = OOD_ACTIVATION_NONE;
    d.background = OOD_BACKGROUND_FIRST;
    decoder = bind(&d, 9);
    assert_non_null(decoder);
    const float odds[4] = { 0.5f, 0, 0.25f, 1 };
    memcpy(t + 13, odds, sizeof odds);
    ood_decoder_logits(decoder, tensors, 1, logits);
    check_close((double)logits[0], log(1e-7 / (1 - 1e-7)), 1e-5, 0);
    check_close((double)logits[1], log(1.0 / 3), 1e-6, 0);
    check_close((double)logits[2], -log(1e-7 / (1 - 1e-7)), 1e-5, 0);
    ood_decoder_free(decoder);
    ood_detector_clear(&d);
}

static void numbers_that_are_none(void **state)
{
    (void)state;
    struct ood_detector d = plain(2);
    d.box.coding = OOD_BOX_CENTER_SIZE;
    d.box.size.activation = OOD_ACTIVATION_EXP;
    struct ood_decoder *decoder = bind(&d, 6);
    assert_non_null(decoder);
    const float *tensors[2] = { NULL, (float[4]){ 0 } };
    struct ood_candidate found[2];
    size_t count = 7, dropped = 7;
    const float bad[][6] = {
        { 0, 0, 0, 0, NAN, 0.1f }, { 0, 0, 0, 0, 0.9f, NAN }, { 0, 0, 0, 0, INFINITY, 0 }, { 0, 0, 0, 0, 1.01f, 0 }, { 0, 0, 0, 0, -0.5f, -1 } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        float t[12] = { 0 };
        memcpy(t, bad[i], sizeof bad[i]);
        tensors[0] = t;
        check_fails(ood_decode(decoder, tensors, 0.5, found, &count, &dropped, &err), OOD_SCORE_NOT_FINITE, "candidate 0: class probability");
        assert_true(count == 7 && dropped == 7);
        assert_false(ood_decode_one(decoder, tensors, 0, found));
        assert_true(ood_decode_one(decoder, tensors, 1, found));
    }
    /* a box that overflows is left out and counted; below the limit nobody asks */
    float t[12] = { 0, 0, 1000, 1, 0.9f, 0, NAN, 0, 0, 0, 0.9f, 0 };
    tensors[0] = t;
    check_ok(ood_decode(decoder, tensors, 0.5, found, &count, &dropped, &err));
    assert_true(count == 0 && dropped == 2);
    check_ok(ood_decode(decoder, tensors, 0.95, found, &count, &dropped, &err));
    assert_true(count == 0 && dropped == 0);
    ood_decoder_free(decoder);
    ood_detector_clear(&d);
}

static void shapes_that_do_not_fit(void **state)
{
    (void)state;
    struct ood_detector d = plain(2);
    const struct { struct ood_shape t, m; const char *part; } cases[] = {
        { { 3, { 1, 2, 5 } }, map_shape, "levels[0].classes: tensor t of shape 1x2x5 has 2 rows of 5 channels, expected at least 2 of 6" },
        { { 3, { 1, 1, 6 } }, map_shape, "levels[0].boxes: tensor t of shape 1x1x6 has 1 rows of 6 channels, expected at least 2 of 4" },
        { { 3, { 1, 3, 6 } }, map_shape, "levels[0].boxes: tensor t of shape 1x3x6 has 3 rows, but the levels have 2" },
        { { 3, { 2, 2, 6 } }, map_shape, "tensor t: shape 2x2x6, expected rows and channels, of one picture" },
        { { 1, { 6 } }, map_shape, "tensor t: shape" },
        { { 3, { 1, 0, 6 } }, map_shape, "tensor t: shape" },
        { { 3, { 1, 2, 6 } }, { 3, { 1, 2, 2 } }, "maps[0]: tensor m of shape 1x2x2, expected 1xCxHxW" },
        { { 3, { 1, 2, 6 } }, { 4, { 1, 2, 0, 2 } }, "maps[0]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_shape shapes[2] = { cases[i].t, cases[i].m };
        check_fails(ood_decoder_new(&d, 16, 8, shapes, 2, &err) != NULL, OOD_INVALID, cases[i].part);
    }
    struct ood_shape shapes[2] = { { 3, { 1, 2, 6 } }, map_shape };
    check_fails(ood_decoder_new(&d, 16, 8, shapes, 1, &err) != NULL, OOD_INVALID, "1 tensors given, the detector reads 2");
    d.levels[0].stride = 1;
    check_fails(ood_decoder_new(&d, 8000, 8000, shapes, 2, &err) != NULL, OOD_LIMIT, "more than 1000000 candidates");
    d.levels[0].stride = 0;
    d.box.coding = OOD_BOX_SIDES;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "levels[0].stride: found 0, expected a grid");
    d.levels[0].stride = 8;
    d.box.bins = 3;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "box.bins: found 3");
    d.box.bins = 0;
    d.class_activation = OOD_ACTIVATION_SOFTMAX;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "class_activation: found softmax, expected none or the head's, sigmoid");
    d.class_activation = OOD_ACTIVATION_NONE;
    d.levels[0].cells[0] = d.levels[0].cells[1] = 2;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "levels[0].cells: found 2 and 2, stride 8");
    d.levels[0].stride = d.levels[0].cells[1] = 0;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "levels[0].cells: found 2 and 0, stride 0");
    d.levels[0].cells[0] = 0;
    d.box.coding = OOD_BOX_CORNERS;
    check_ok(ood_detector_check(&d, &err));
    d.peaks = true;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "levels[0].stride: found 0, expected a grid");
    d.peaks = false;
    d.levels[0].sizes.tensor = ood_strdup("t", &err);
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "levels[0].sizes: expected the coding center_size");
    d.box.coding = OOD_BOX_CENTER_SIZE;
    check_ok(ood_detector_check(&d, &err));
    d.levels[0].sizes.channel = 5;
    check_fails(ood_decoder_new(&d, 16, 8, shapes, 2, &err) != NULL, OOD_INVALID, "levels[0].sizes: tensor t of shape 1x2x6 has 2 rows of 6 channels, expected at least 2 of 7");
    d.limit = (double)NAN;
    check_fails(ood_detector_check(&d, &err), OOD_INVALID, "limit: found nan");
    ood_detector_clear(&d);
}

/* Two anchors and two levels in one tensor, in each of the ways anchors can lie: value = 1000·level + 100·cell + 10·anchor + channel. */
static void anchors_and_levels(void **state)
{
    (void)state;
    static const enum ood_view_anchors ways[] = { OOD_VIEW_ROWS, OOD_VIEW_PLANES, OOD_VIEW_CHANNELS, OOD_VIEW_SHARED };
    for (size_t w = 0; w < 4; w++)
        for (size_t first = 0; first < 2; first++) {
            struct ood_detector d = plain(1);
            bool in_rows = ways[w] == OOD_VIEW_ROWS || ways[w] == OOD_VIEW_PLANES;
            size_t channels = ways[w] == OOD_VIEW_CHANNELS ? 10 : 5, rows = (2 + 8) * (in_rows ? 2 : 1), cells[2] = { 2, 8 };
            d.level_count = 2;
            d.levels[0].anchor_count = 2;
            d.levels[0].boxes.layout = d.levels[0].classes.layout = first ? OOD_VIEW_CHANNELS_FIRST : OOD_VIEW_CHANNELS_LAST;
            d.levels[0].boxes.anchors = d.levels[0].classes.anchors = ways[w];
            d.levels[0].boxes.anchor_step = d.levels[0].classes.anchor_step = 5;
            d.levels[1] = d.levels[0];
            d.levels[1].stride = 4;
            d.levels[1].boxes.tensor = ood_strdup("t", &err);
            d.levels[1].classes.tensor = ood_strdup("t", &err);
            float *t = calloc(rows * channels, sizeof *t), map[4] = { 0 };
            for (size_t l = 0; l < 2; l++)
                for (size_t c = 0; c < cells[l]; c++)
                    for (size_t a = 0; a < 2; a++)
                        for (size_t k = 0; k < 5; k++) {
                            size_t row = (l == 0 ? 0 : in_rows ? 4 : 2) + (ways[w] == OOD_VIEW_ROWS ? 2 * c + a : ways[w] == OOD_VIEW_PLANES ? a * cells[l] + c : c);
                            size_t channel = ways[w] == OOD_VIEW_CHANNELS ? 5 * a + k : k, at = first ? channel * rows + row : row * channels + channel;
                            double shown = 1000.0 * (double)l + 100.0 * (double)c + (ways[w] == OOD_VIEW_SHARED ? 0 : 10.0 * (double)a) + (double)k;
                            t[at] = k == 4 ? 0.5f : (float)shown;
                        }
            struct ood_shape shapes[2] = { { 3, { 1, (int64_t)(first ? channels : rows), (int64_t)(first ? rows : channels) } }, map_shape };
            struct ood_decoder *decoder = ood_decoder_new(&d, 16, 8, shapes, 2, &err);
            if (decoder == NULL)
                fail_msg("%zu: %s", w, err.message);
            assert_int_equal(ood_decoder_candidates(decoder), 20);
            const float *tensors[] = { t, map };
            for (size_t i = 0; i < 20; i++) {
                struct ood_candidate candidate;
                size_t l = i >= 4, c = (i - 4 * l) / 2, a = i % 2;
                assert_true(ood_decode_one(decoder, tensors, i, &candidate));
                check_close(candidate.box[0], 1000.0 * (double)l + 100.0 * (double)c + (ways[w] == OOD_VIEW_SHARED ? 0 : 10.0 * (double)a), 0, 0);
                check_close(candidate.box[3] - candidate.box[0], 3, 0, 0);
            }
            ood_decoder_free(decoder);
            ood_detector_clear(&d);
            free(t);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codings), cmocka_unit_test(scores_and_logits), cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(shapes_that_do_not_fit), cmocka_unit_test(anchors_and_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
