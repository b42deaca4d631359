/* A caller's boxes through a classifier's bundle: the bits of the cropped picture's own score, margins and units, refusals that
 * name the box. */
#include <spng.h>

#include "picture/picture.h"
#include "scorer/tiny.h"

#define BOXES 11                         /* more than a batch takes */

/* All inside a picture of 100×70 or more but the last two, which are cut. */
static const double corners[BOXES][4] = {
    { 0, 0, 100, 70 }, { 10, 5, 42, 37 }, { 50, 20, 66, 36 }, { 3, 3, 4, 4 }, { 0, 60, 90, 64 }, { 20, 0, 23, 70 }, { 7, 9, 80, 44 },
    { 33, 21, 49, 37 }, { 60, 10, 61, 60 }, { -20, -30, 40, 50 }, { 30, 20, 1e6, 1e9 },
};

static struct ood_picture decoded(const struct ood_bytes *bytes)
{
    struct ood_error err = { 0 };
    struct ood_picture picture = { 0 };
    check_ok(ood_picture_decode(bytes->data, bytes->size, &(struct ood_decode_limits){ 0 }, &picture, &err));
    return picture;
}

/* A part of a picture as a PNG of its own. Freed by free. */
static void *png_of(const struct ood_picture *picture, size_t left, size_t top, size_t right, size_t bottom, size_t *size)
{
    size_t row = (right - left) * 3, rows = bottom - top;
    unsigned char *pixels = malloc(row * rows);
    struct spng_ihdr header = { .width = (uint32_t)(right - left), .height = (uint32_t)rows, .bit_depth = 8,
                                .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
    spng_ctx *encoder = spng_ctx_new(SPNG_CTX_ENCODER);
    int failed;
    assert_true(pixels != NULL && encoder != NULL);
    for (size_t y = 0; y < rows; y++)
        memcpy(pixels + y * row, picture->rgb + ((top + y) * picture->width + left) * 3, row);
    assert_int_equal(spng_set_option(encoder, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(encoder, &header), 0);
    assert_int_equal(spng_encode_image(encoder, pixels, row * rows, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
    void *bytes = spng_get_png_buffer(encoder, size, &failed);
    assert_non_null(bytes);
    spng_ctx_free(encoder);
    free(pixels);
    return bytes;
}

static size_t clip(double value, size_t side)
{
    return value < 0 ? 0 : value > (double)side ? side : (size_t)value;
}

static struct ood_verdict score_part(struct ood_scorer *scorer, struct ood_session *session, const struct ood_picture *picture,
                                     const double box[4])
{
    struct ood_error err = { 0 };
    struct ood_verdict verdict;
    struct ood_item item = { 0 };
    void *bytes = png_of(picture, clip(box[0], picture->width), clip(box[1], picture->height), clip(box[2], picture->width),
                         clip(box[3], picture->height), &item.picture_size);
    item.picture = bytes;
    check_ok(ood_score(scorer, session, &item, 1, &verdict, NULL, &err));
    assert_int_equal(verdict.error.code, OOD_OK);
    free(bytes);
    return verdict;
}

static void assert_same(const struct ood_verdict *a, const struct ood_verdict *b)
{
    assert_int_equal(a->error.code, OOD_OK);
    assert_int_equal(a->decision, b->decision);
    assert_int_equal(a->class_index, b->class_index);
    assert_memory_equal(&a->class_probability, &b->class_probability, sizeof a->score);
    assert_memory_equal(&a->energy, &b->energy, sizeof a->score);
    assert_memory_equal(&a->representation_score, &b->representation_score, sizeof a->score);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_memory_equal(&a->p_value, &b->p_value, sizeof a->score);
}

/* In two steps, the crops scored by another session. */
static void cut_and_score(struct ood_scorer *scorer, struct ood_session *cutter, struct ood_session *session, const struct ood_bytes *bytes,
                          const struct ood_boxes *boxes, struct ood_detection *detections)
{
    struct ood_error err = { 0 };
    struct ood_scene scene;
    struct ood_timing timing;
    size_t size = ood_scorer_crop_bytes(scorer);
    assert_int_equal(size, SIDE * SIDE * 3);
    unsigned char *crops[BOXES];
    for (size_t i = 0; i < BOXES; i++)
        crops[i] = malloc(size);
    check_ok(ood_cut(scorer, cutter, bytes->data, bytes->size, boxes, detections, crops, &scene, &timing, &err));
    assert_int_equal(scene.error.code, OOD_OK);
    assert_int_equal(scene.count, boxes->count);
    assert_true(timing.decode > 0 && timing.infer == 0);
    for (size_t i = boxes->count; i-- > 0;) {            /* last one first: the order does not matter */
        struct ood_item item = { .crop = crops[i] };
        check_ok(ood_score(scorer, session, &item, 1, &detections[i].verdict, NULL, &err));
    }
    for (size_t i = 0; i < BOXES; i++)
        free(crops[i]);
}

static void the_bits_of_the_cropped_picture(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_scorer *scorer = open_tiny(-1);
    struct ood_session *session = ood_scorer_session(scorer, &err), *other = ood_scorer_session(scorer, &err);
    struct ood_bytes pictures[PICTURES];
    struct ood_boxes boxes = { .corners = corners, .count = BOXES };
    check_ok(session != NULL && other != NULL);
    read_pictures(pictures);
    for (size_t p = 0; p < PICTURES; p++) {
        struct ood_detection detections[BOXES], again[BOXES];
        struct ood_picture picture = decoded(&pictures[p]);
        struct ood_scene scene;
        if (picture.width < 100 || picture.height < 70) {
            ood_picture_free(&picture);
            continue;
        }
        check_ok(ood_score_boxes(scorer, session, pictures[p].data, pictures[p].size, &boxes, detections, &scene, NULL, &err));
        assert_int_equal(scene.error.code, OOD_OK);
        assert_int_equal(scene.width, picture.width);
        assert_int_equal(scene.height, picture.height);
        assert_int_equal(scene.count, BOXES);
        cut_and_score(scorer, session, other, &pictures[p], &boxes, again);
        for (size_t i = 0; i < BOXES; i++) {
            struct ood_verdict alone = score_part(scorer, other, &picture, corners[i]);
            assert_same(&detections[i].verdict, &alone);
            assert_same(&again[i].verdict, &alone);
            for (size_t k = 0; k < 4; k++)
                assert_true(detections[i].box[k] == (double)clip(corners[i][k], k % 2 == 0 ? picture.width : picture.height));
            assert_true(detections[i].objectness == 1 && detections[i].detection_score == 1);
        }
        ood_picture_free(&picture);
    }
    free_pictures(pictures);
    ood_session_free(session);
    ood_session_free(other);
    ood_scorer_free(scorer);
}

/* base.png has 227×189 pixels. The widened box is cut out; the answer's box is the caller's. */
static void margins_and_units(void **state)
{
    (void)state;
    static const struct { double given[4]; bool relative; double margin, box[4], cut[4]; } cases[] = {
        { { 0.5, 0, 1, 1 }, true, 0, { 113.5, 0, 227, 189 }, { 114, 0, 227, 189 } },
        { { -1, 0.25, 0.5, 9 }, true, 0, { 0, 47.25, 113.5, 189 }, { 0, 47, 114, 189 } },
        { { 40, 60, 60, 100 }, false, 0.5, { 40, 60, 60, 100 }, { 30, 40, 70, 120 } },
        { { 40, 60, 60, 100 }, false, 10, { 40, 60, 60, 100 }, { 0, 0, 227, 189 } },
        { { -1e308, 60, 10, 100 }, false, 0.1, { 0, 60, 10, 100 }, { 0, 56, 11, 104 } },
    };
    struct ood_error err = { 0 };
    struct ood_scorer *scorer = open_tiny(-1);
    struct ood_session *session = ood_scorer_session(scorer, &err);
    struct ood_bytes bytes;
    check_ok(session != NULL && ood_file_read(check_data("samples/expected/base.png"), 1 << 24, &bytes, &err));
    struct ood_picture picture = decoded(&bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_boxes boxes = { .corners = &cases[i].given, .count = 1, .relative = cases[i].relative, .margin = cases[i].margin };
        struct ood_detection detection;
        struct ood_scene scene;
        check_ok(ood_score_boxes(scorer, session, bytes.data, bytes.size, &boxes, &detection, &scene, NULL, &err));
        assert_int_equal(scene.error.code, OOD_OK);
        struct ood_verdict alone = score_part(scorer, session, &picture, cases[i].cut);
        assert_same(&detection.verdict, &alone);
        for (size_t k = 0; k < 4; k++)
            assert_true(detection.box[k] == cases[i].box[k]);
    }
    ood_picture_free(&picture);
    ood_bytes_free(&bytes);
    ood_session_free(session);
    ood_scorer_free(scorer);
}

static void refusals_name_the_box(void **state)
{
    (void)state;
    static const struct { double box[4]; const char *says; } cases[] = {
        { { NAN, 0, 5, 5 }, "coordinate 0 is nan; expected finite numbers" },
        { { 0, 0, INFINITY, 5 }, "coordinate 2 is inf; expected finite numbers" },
        { { 5, 5, 5, 9 }, "no area: from 5,5 to 5,9" },
        { { 9, 5, 5, 9 }, "no area: from 9,5 to 5,9" },
        { { 227, 0, 300, 10 }, "from 227,0 to 300,10 is outside of the picture of 227×189 pixels" },
        { { -9, -9, 0, 5 }, "from -9,-9 to 0,5 is outside of the picture of 227×189 pixels" },
    };
    struct ood_error err = { 0 };
    struct ood_scorer *scorer = open_tiny(-1), *stranger = open_tiny(-1);
    struct ood_session *session = ood_scorer_session(scorer, &err);
    struct ood_bytes bytes;
    struct ood_detection detections[3] = { { .objectness = 7 } };
    struct ood_scene scene;
    check_ok(session != NULL && ood_file_read(check_data("samples/expected/base.png"), 1 << 24, &bytes, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double three[3][4] = { { 0, 0, 9, 9 }, { 0, 0, 9, 9 } };
        memcpy(three[2], cases[i].box, sizeof three[2]);
        struct ood_boxes boxes = { .corners = (const double (*)[4])three, .count = 3 };
        check_ok(ood_score_boxes(scorer, session, bytes.data, bytes.size, &boxes, detections, &scene, NULL, &err));
        assert_int_equal(scene.error.code, OOD_BOX_INVALID);
        assert_int_equal(scene.box, 2);
        assert_string_equal(scene.error.message, cases[i].says);
        assert_true(detections[0].objectness == 7);
    }
    struct ood_boxes none = { 0 };
    check_ok(ood_score_boxes(scorer, session, bytes.data, bytes.size, &none, NULL, &scene, NULL, &err));
    assert_true(scene.error.code == OOD_OK && scene.count == 0 && scene.width == 227 && scene.height == 189);
    check_ok(ood_score_boxes(scorer, session, bytes.data, bytes.size / 2, &none, NULL, &scene, NULL, &err));
    assert_int_equal(scene.error.code, OOD_PICTURE_TRUNCATED);
    check_ok(ood_score_boxes(scorer, session, "no picture", 10, &none, NULL, &scene, NULL, &err));
    assert_int_equal(scene.error.code, OOD_PICTURE_UNKNOWN);
    const double margins[] = { -0.1, 10.5, NAN, INFINITY };
    for (size_t i = 0; i < sizeof margins / sizeof margins[0]; i++) {
        struct ood_error cause = { 0 };
        assert_false(ood_score_boxes(scorer, session, bytes.data, bytes.size, &(struct ood_boxes){ .margin = margins[i] }, NULL, &scene, NULL, &cause));
        assert_int_equal(cause.code, OOD_INVALID);
    }
    assert_false(ood_score_boxes(stranger, session, bytes.data, bytes.size, &none, NULL, &scene, NULL, &err));
    ood_bytes_free(&bytes);
    ood_session_free(session);
    ood_scorer_free(scorer);
    ood_scorer_free(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_of_the_cropped_picture),
        cmocka_unit_test(margins_and_units),
        cmocka_unit_test(refusals_name_the_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
