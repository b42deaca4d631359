/* The bits of a picture's logits and features depend neither on the batch, nor on its place in it, nor on the thread, nor on the run:
 * every classifier of the shared material, direct and Winograd convolutions. */
#include "check.h"

#include <pthread.h>

#include "base/file.h"
#include "ops/ops.h"
#include "plan/plan.h"

enum { PICTURES = 8 };

static struct ood_model *load(const char *path, enum ood_convolution convolution, struct ood_shape input)
{
    struct ood_error err = { 0 };
    struct ood_bytes onnx;
    check_ok(ood_file_read(path, (size_t)1 << 30, &onnx, &err));
    const struct ood_model_options options = { .operators = ood_op_table, .input_shape = input, .convolution = convolution, .one_if_needed = true };
    struct ood_model *model = ood_model_new(&onnx, &options, &err);
    check_ok(model != NULL);
    ood_bytes_free(&onnx);
    return model;
}

/* Floats of one picture: of the input, or of both outputs. */
static size_t floats_of(struct ood_shape shape)
{
    size_t count = 0;
    shape = ood_shape_bind(&shape, 1);
    assert_true(ood_shape_count(&shape, &count));
    return count;
}

struct work {
    struct ood_model *model;
    const float *inputs;                     /* [PICTURES][floats] */
    size_t floats, batch, sizes[2];
    float *outputs;                          /* [PICTURES][sizes[0] + sizes[1]] */
};

/* All pictures, at most `batch` together, the last first where it is even. */
static void *score_all(void *argument)
{
    const struct work *work = argument;
    struct ood_error err = { 0 };
    struct ood_run *run = ood_run_new(work->model, &err);
    const size_t all = work->sizes[0] + work->sizes[1];
    for (size_t done = 0, n; run != NULL && done < PICTURES; done += n) {
        const size_t left = PICTURES - done, plan = ood_model_plan_batch(work->model, left < work->batch ? left : work->batch);
        n = plan < left ? plan : left;
        size_t place[PICTURES];
        for (size_t i = 0; i < n; i++) {
            place[i] = work->batch % 2 == 0 ? PICTURES - 1 - done - i : done + i;
            memcpy((float *)ood_run_input(run, plan, 0) + i * work->floats, work->inputs + place[i] * work->floats, work->floats * sizeof(float));
        }
        ood_run_execute(run, plan);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < 2; k++)
                memcpy(work->outputs + place[i] * all + k * work->sizes[0], (const float *)ood_run_output(run, plan, k) + i * work->sizes[k],
                       work->sizes[k] * sizeof(float));
    }
    ood_run_free(run);
    return run;
}

/* Two threads at once with each batch, against one alone with pictures one by one. */
static void check_bits(const char *name, enum ood_convolution convolution, struct ood_shape input)
{
    static const size_t batches[] = { 3, 8 };
    struct ood_model *model = load(name, convolution, input);
    struct work one = { .model = model, .floats = floats_of(ood_model_input_shape(model, 0)), .batch = 1 };
    for (size_t k = 0; k < 2; k++)
        one.sizes[k] = floats_of(ood_model_output_shape(model, k));
    const size_t bytes = PICTURES * (one.sizes[0] + one.sizes[1]) * sizeof(float);
    float *inputs = test_malloc(PICTURES * one.floats * sizeof(float)), *outputs[3];
    for (size_t i = 0; i < 3; i++)
        outputs[i] = test_malloc(bytes);
    for (size_t i = 0; i < PICTURES * one.floats; i++)
        inputs[i] = (float)(i * 2654435761u % 1000) / 250 - 2;
    memcpy(inputs + 5 * one.floats, inputs, one.floats * sizeof(float));            /* a picture that comes twice */
    one.inputs = inputs;
    one.outputs = outputs[0];
    assert_non_null(score_all(&one));
    assert_memory_equal(outputs[0], (char *)outputs[0] + 5 * (bytes / PICTURES), bytes / PICTURES);
    assert_memory_not_equal(outputs[0], (char *)outputs[0] + bytes / PICTURES, bytes / PICTURES);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        struct work other[2];
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++) {
            other[i] = one;
            other[i].batch = batches[b];
            other[i].outputs = outputs[i + 1];
            memset(other[i].outputs, 0xff, bytes);
            assert_int_equal(pthread_create(&threads[i], NULL, score_all, &other[i]), 0);
        }
        for (size_t i = 0; i < 2; i++) {
            void *result;
            assert_int_equal(pthread_join(threads[i], &result), 0);
            assert_non_null(result);
            if (memcmp(outputs[i + 1], outputs[0], bytes) != 0)
                fail_msg("%s: other bits in batches of %zu, thread %zu", name, batches[b], i);
        }
    }
    for (size_t i = 0; i < 3; i++)
        test_free(outputs[i]);
    test_free(inputs);
    ood_model_free(model);
}

static void check_model(void **state)
{
    static const enum ood_convolution choices[] = { OOD_CONVOLUTION_DIRECT, OOD_CONVOLUTION_WINOGRAD };
    const char *folder = *state;
    char file[128], path[4200];
    struct ood_shape input = { .rank = 0 };
    if (strcmp(folder, "ppocr_mobilenetv3_textdir") == 0)         /* leaves height and width open */
        input = ood_shape_of(4, (int64_t)0, (int64_t)3, (int64_t)48, (int64_t)192);
    snprintf(file, sizeof file, "models/%s/model.onnx", folder);
    snprintf(path, sizeof path, "%s", check_shared(file));
    for (size_t c = 0; c < sizeof choices / sizeof choices[0]; c++)
        check_bits(path, choices[c], input);
}

#define MODEL(folder) { #folder, check_model, NULL, NULL, (void *)(uintptr_t)#folder }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL(densenet100_12_cifar10), MODEL(keras_cnn_cifar10), MODEL(keras_mobilenetv1_025_vww), MODEL(keras_mobilenetv2_035_catdog),
        MODEL(keras_resnet8_cifar10), MODEL(lmfrnet_cifar10), MODEL(minifasnetv2_antispoof), MODEL(mnist_cntk_opset8),
        MODEL(ppocr_mobilenetv3_textdir), MODEL(resnet20_cifar10), MODEL(resnet20_onnc_cifar10), MODEL(resnet4b_cifar10), MODEL(resnet56_cifar10),
        MODEL(squeezenet10_dc_imagenet), MODEL(vit_ibp_3_3_8_cifar10), MODEL(vit_pgd_2_3_16_cifar10), MODEL(vit_tiny_cifar10),
        MODEL(wrn40_2_cifar10), MODEL(yolo11n_cls_catdog),
    };
    return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}
