/* Whole networks: outputs equal to recorded ones, the same bits wherever a picture stands, nothing allocated on the way. */
#include "check.h"

#include <math.h>
#include <pthread.h>

#include "kernel/kernel.h"
#include "ops/ops.h"
#include "plan/plan.h"

static const enum ood_convolution choices[] = { OOD_CONVOLUTION_DIRECT, OOD_CONVOLUTION_WINOGRAD };
#define CHOICES (sizeof choices / sizeof choices[0])

static struct ood_tensor *read_tensor(const char *folder, size_t set, const char *file)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes;
    char path[4200];
    snprintf(path, sizeof path, "%s/test_data_set_%zu/%s", folder, set, file);
    if (!ood_file_read(path, (size_t)1 << 28, &bytes, &err))
        return NULL;
    struct ood_tensor *tensor = ood_tensor_read_onnx(&bytes, &err);
    if (tensor == NULL)
        fail_msg("%s: %s", path, err.message);
    ood_bytes_free(&bytes);
    return tensor;
}

static struct ood_model *load_as(const char *path, const struct ood_model_options *options)
{
    struct ood_error err = { 0 };
    struct ood_bytes onnx;
    if (!ood_file_read(path, (size_t)1 << 30, &onnx, &err))
        fail_msg("%s", err.message);
    struct ood_model *model = ood_model_new(&onnx, options, &err);
    if (model == NULL)
        fail_msg("%s: %s", path, err.message);
    ood_bytes_free(&onnx);
    return model;
}

static struct ood_model *load_pieces(const char *path, bool taps, enum ood_convolution convolution, size_t piece_bytes)
{
    return load_as(path, &(struct ood_model_options){ .operators = ood_op_table, .no_taps = !taps, .convolution = convolution,
                                                      .piece_bytes = piece_bytes });
}

static struct ood_model *load(const char *path, bool taps, enum ood_convolution convolution)
{
    return load_pieces(path, taps, convolution, 0);
}

/* Every recorded set of a folder within |a - b| <= 1e-4 + 1e-3 |b|, element by element. Returns how many sets there were. */
static size_t check_recorded(const char *model_path, const char *folder, enum ood_convolution convolution)
{
    size_t sets = 0;
    for (;; sets++) {
        struct ood_error err = { 0 };
        struct ood_tensor *input = read_tensor(folder, sets, "input_0.pb");
        if (input == NULL)
            return sets;
        struct ood_tensor *output = read_tensor(folder, sets, "output_0.pb");
        assert_non_null(output);
        struct ood_model *model = load_as(model_path, &(struct ood_model_options){
            .operators = ood_op_table, .no_taps = true, .input_shape = input->shape, .only_batch = input->shape.dims[0], .convolution = convolution });
        struct ood_run *run = ood_run_new(model, &err);
        assert_non_null(run);
        size_t batch = ood_model_plan_batch(model, (size_t)input->shape.dims[0]);
        memcpy(ood_run_input(run, batch, 0), input->data, input->count * sizeof(float));
        ood_run_execute(run, batch);
        const float *found = ood_run_output(run, batch, 0), *expected = ood_f32(output);
        for (size_t i = 0; i < output->count; i++)
            if (!(fabsf(found[i] - expected[i]) <= 1e-4f + 1e-3f * fabsf(expected[i])))
                fail_msg("%s, set %zu, element %zu: %.9g, recorded %.9g", folder, sets, i, (double)found[i], (double)expected[i]);
        ood_run_free(run);
        ood_model_free(model);
        ood_tensor_free(input);
        ood_tensor_free(output);
    }
}

static const char *own_model(void)
{
    static char path[4200];
    const char *source = getenv("OOD_SOURCE");
    snprintf(path, sizeof path, "%s/deploy/models/cifar10/model.onnx", source != NULL ? source : ".");
    return path;
}

static void our_network(void **state)
{
    (void)state;
    for (size_t c = 0; c < CHOICES; c++)
        assert_int_equal(check_recorded(own_model(), check_data("wrn40_2_cifar10"), choices[c]), 2);
}

static void shared_networks(void **state)
{
    (void)state;
    static const struct { const char *name; size_t sets; } networks[] = {
        { "wrn40_2_cifar10", 2 }, { "resnet20_cifar10", 2 }, { "resnet56_cifar10", 2 }, { "keras_resnet8_cifar10", 2 },
        { "densenet100_12_cifar10", 2 }, { "resnet4b_cifar10", 1 }, { "keras_cnn_cifar10", 2 }, { "keras_mobilenetv1_025_vww", 2 },
        { "keras_mobilenetv2_035_catdog", 2 }, { "lmfrnet_cifar10", 2 }, { "mnist_cntk_opset8", 2 }, { "resnet20_onnc_cifar10", 1 },
        { "squeezenet10_dc_imagenet", 2 }, { "minifasnetv2_antispoof", 2 }, { "ppocr_mobilenetv3_textdir", 2 }, { "vit_ibp_3_3_8_cifar10", 2 },
        { "vit_pgd_2_3_16_cifar10", 2 }, { "vit_tiny_cifar10", 2 }, { "yolo11n_cls_catdog", 2 },
    };
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        char name[128], folder[4200], path[4300];
        snprintf(name, sizeof name, "models/%s/model.onnx", networks[i].name);
        snprintf(path, sizeof path, "%s", check_shared(name));
        snprintf(folder, sizeof folder, "%.*s", (int)(strlen(path) - strlen("/model.onnx")), path);
        for (size_t c = 0; c < CHOICES; c++)
            assert_int_equal(check_recorded(path, folder, choices[c]), networks[i].sets);
    }
}

/* ---- bits ---- */

enum { PICTURES = 8, FLOATS = 3 * 32 * 32, OUTPUTS = 10 + 128 };

struct thread { struct ood_model *model; const float *inputs; float outputs[PICTURES][OUTPUTS]; size_t batch; };

/* All pictures in batches of `batch`, as the plans there are allow. */
static void *score_all(void *argument)
{
    struct thread *t = argument;
    struct ood_error err = { 0 };
    struct ood_run *run = ood_run_new(t->model, &err);
    for (size_t first = 0; run != NULL && first < PICTURES; first += t->batch) {
        size_t left = PICTURES - first < t->batch ? PICTURES - first : t->batch;
        for (size_t done = 0; done < left;) {
            size_t n = ood_model_plan_batch(t->model, left - done);
            memcpy(ood_run_input(run, n, 0), t->inputs + (first + done) * FLOATS, n * FLOATS * sizeof(float));
            ood_run_execute(run, n);
            for (size_t i = 0; i < n; i++) {
                memcpy(t->outputs[first + done + i], (const float *)ood_run_output(run, n, 0) + 10 * i, 10 * sizeof(float));
                memcpy(t->outputs[first + done + i] + 10, (const float *)ood_run_output(run, n, 1) + 128 * i, 128 * sizeof(float));
            }
            done += n;
        }
    }
    ood_run_free(run);
    return run;
}

static void check_bits(enum ood_convolution convolution)
{
    static float inputs[PICTURES * FLOATS];
    static struct thread one, other[2];
    struct ood_model *model = load(own_model(), true, convolution);
    for (size_t i = 0; i < PICTURES * FLOATS; i++)
        inputs[i] = (float)(i * 2654435761u % 1000) / 250 - 2;
    memcpy(inputs + 5 * FLOATS, inputs, FLOATS * sizeof(float));          /* a picture that comes twice */
    one = (struct thread){ .model = model, .inputs = inputs, .batch = 1 };
    assert_non_null(score_all(&one));
    assert_memory_equal(one.outputs[0], one.outputs[5], sizeof one.outputs[0]);
    static const size_t batches[] = { 1, 2, 3, 8 };
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++) {
            other[i] = (struct thread){ .model = model, .inputs = inputs, .batch = batches[b] };
            assert_int_equal(pthread_create(&threads[i], NULL, score_all, &other[i]), 0);
        }
        for (size_t i = 0; i < 2; i++) {
            void *result;
            assert_int_equal(pthread_join(threads[i], &result), 0);
            assert_non_null(result);
            assert_memory_equal(other[i].outputs, one.outputs, sizeof one.outputs);
        }
    }
    ood_model_free(model);
}

static void same_bits(void **state)
{
    (void)state;
    for (size_t c = 0; c < CHOICES; c++)
        check_bits(choices[c]);
}

/* Large maps picture by picture: the same bits as all together, in less memory; the work told is the batch's. The last place where
 * a map of 64 KiB or 32 KiB is left behind is the third group's first sum or the pool. */
static void pictures_one_by_one(void **state)
{
    (void)state;
    static float inputs[PICTURES * FLOATS];
    static struct thread whole, pieces;
    for (size_t i = 0; i < PICTURES * FLOATS; i++)
        inputs[i] = (float)(i * 2654435761u % 1000) / 250 - 2;
    static const size_t sizes[] = { (size_t)128 << 10, (size_t)64 << 10, (size_t)32 << 10, 1 };
    struct ood_model *all = load(own_model(), true, OOD_CONVOLUTION_WINOGRAD);
    whole = (struct thread){ .model = all, .inputs = inputs, .batch = 8 };
    assert_non_null(score_all(&whole));
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct ood_model *model = load_pieces(own_model(), true, OOD_CONVOLUTION_WINOGRAD, sizes[s]);
        for (size_t batch = 1; batch <= 8; batch++) {
            double flops = 0, expected = 0;
            pieces = (struct thread){ .model = model, .inputs = inputs, .batch = batch };
            assert_non_null(score_all(&pieces));
            assert_memory_equal(pieces.outputs, whole.outputs, sizeof whole.outputs);
            assert_int_equal(ood_model_step_count(model, batch), ood_model_step_count(all, batch));
            for (size_t i = 0; i < ood_model_step_count(model, batch); i++) {
                flops += ood_model_step(model, batch, i).flops;
                expected += ood_model_step(all, batch, i).flops;
            }
            check_close(flops, expected, 0, 1e-12);
        }
        if (sizes[s] > 1)                    /* 1: no map is smaller */
            assert_true(ood_model_arena_bytes(model, 8) < ood_model_arena_bytes(all, 8));
        else
            assert_int_equal(ood_model_arena_bytes(model, 8), ood_model_arena_bytes(all, 8));
        ood_model_free(model);
    }
    ood_model_free(all);
}

/* The 3x3 convolutions of stride 1 but the first, of 3 channels; and no other step differs. */
static void winograd_where_it_serves(void **state)
{
    (void)state;
    struct ood_model *direct = load(own_model(), true, OOD_CONVOLUTION_AUTO);
    struct ood_model *winograd = load(own_model(), true, OOD_CONVOLUTION_WINOGRAD);
    for (size_t batch = 1; batch <= 8; batch *= 2) {
        size_t served = 0, copies = 0;
        assert_int_equal(ood_model_step_count(direct, batch), ood_model_step_count(winograd, batch));
        for (size_t i = 0; i < ood_model_step_count(winograd, batch); i++) {
            const struct ood_step_info ours = ood_model_step(winograd, batch, i), theirs = ood_model_step(direct, batch, i);
            const bool is = strncmp(ours.kernel, "own:winograd ", 13) == 0;
            served += is;
            copies += strcmp(ours.kernel, "own:copy") == 0;
            assert_string_equal(ours.node, theirs.node);
            check_close(ours.flops, theirs.flops, 0, 1e-12);
            assert_true(is || strcmp(ours.kernel, theirs.kernel) == 0);
        }
        assert_int_equal(served, 34);
        assert_int_equal(copies, 0);
    }
    ood_model_free(direct);
    ood_model_free(winograd);
}

/* Of the 1x1 convolutions those with few channels where vectors have 16 floats, those to 8 where they have 8; in every plan. */
static void pointwise_where_it_serves(void **state)
{
    (void)state;
    const char *isa = ood_kernels_choose()->isa;
    const size_t expected = strcmp(isa, "avx512") == 0 ? 23 : strcmp(isa, "avx2") == 0 ? 3 : 0;
    struct ood_model *model = load(check_shared("models/keras_mobilenetv2_035_catdog/model.onnx"), false, OOD_CONVOLUTION_DIRECT);
    for (size_t batch = 1; batch <= 8; batch++) {
        size_t served = 0;
        for (size_t i = 0; i < ood_model_step_count(model, batch); i++)
            served += strncmp(ood_model_step(model, batch, i).kernel, "own:pointwise ", 14) == 0;
        assert_int_equal(served, expected);
    }
    ood_model_free(model);
}

static void taps_and_inspection(void **state)
{
    (void)state;
    struct ood_model *model = load(own_model(), true, OOD_CONVOLUTION_AUTO);
    struct ood_shape features = ood_model_output_shape(model, 1);
    assert_string_equal(ood_model_output_name(model, 0), "logits");
    assert_true(features.rank == 2 && features.dims[1] == 128);
    assert_int_equal(ood_model_parameters(model), 2243546);
    assert_int_equal(ood_model_most_batch(model), 8);
    assert_int_equal(ood_model_plan_batch(model, 7), 7);
    double flops = 0;
    size_t passes = 0;
    for (size_t i = 0; i < ood_model_step_count(model, 1); i++) {
        struct ood_step_info step = ood_model_step(model, 1, i);
        flops += step.flops;
        assert_false(step.slow);
        passes += strcmp(step.op, "BatchNormalization") == 0;
        assert_true(strcmp(step.op, "Relu") != 0 && strcmp(step.op, "Add") != 0);      /* all fused */
    }
    assert_int_equal(passes, 18);            /* those that read a raw sum; the others are folded into the convolutions */
    check_close(flops, 2 * 0.3276e9, 0, 0.01);
    ood_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_network), cmocka_unit_test(same_bits), cmocka_unit_test(pictures_one_by_one), cmocka_unit_test(winograd_where_it_serves),
        cmocka_unit_test(pointwise_where_it_serves), cmocka_unit_test(taps_and_inspection), cmocka_unit_test(shared_networks),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
