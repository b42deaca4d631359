/* Networks in training against PyTorch in float64 (tests/data/train/networks.py): gradients of every operator that has a backward pass, three
 * steps of METHOD's loss, three kinds of statistics; the same bits with any number of threads; what is refused. */
#include <math.h>

#include "base/file.h"
#include "ops/ops.h"
#include "tests/unit/check.h"
#include "train/loss.h"
#include "train/optimiser.h"
#include "train/trainer.h"

#define IN 8
#define OUT 4
#define N (IN + OUT)

/* The script's. */
static float sequence(size_t i, unsigned seed)
{
    return (float)((double)((i * 7919 + (size_t)seed * 104729) % 2003) / 1001.5 - 1);
}

struct inputs { size_t floats; unsigned seed; };

static bool fill(void *context, size_t index, float *input, struct ood_error *err)
{
    const struct inputs *inputs = context;
    (void)err;
    for (size_t i = 0; i < inputs->floats; i++)
        input[i] = sequence(index * inputs->floats + i, inputs->seed);
    return true;
}

static struct ood_trainer *open_network(const char *name, const struct ood_trainer_options *changes, struct ood_error *err)
{
    char path[200];
    struct ood_bytes bytes = { 0 };
    struct ood_error ignored = { 0 };
    snprintf(path, sizeof path, "train/networks/%s.onnx", name);
    if (!ood_file_read(check_data(path), 1 << 20, &bytes, &ignored))
        fail_msg("%s", ignored.message);
    struct ood_trainer_options options = *changes;
    options.operators = ood_op_table;
    options.in = options.in == 0 ? IN : options.in;
    options.out = options.out == 0 ? OUT : options.out;
    struct ood_trainer *trainer = ood_trainer_new(&bytes, &options, err);
    ood_bytes_free(&bytes);
    return trainer;
}

/* A tensor is told by its sum, its L2 norm and its product with the sequence. */
static void check_tensor(const char *network, const char *name, const float *values, size_t count, const double expected[3], double tolerance)
{
    double sum = 0, square = 0, dot = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
        square += (double)values[i] * (double)values[i];
        dot += (double)values[i] * ((double)((i * 7919 + 9 * 104729) % 2003) / 1001.5 - 1);
    }
    const double norm = sqrt(square), room = tolerance * expected[1] + 3e-5, wide = room * fmax(1, sqrt((double)count) / 3);
    if (!(fabs(norm - expected[1]) <= room && fabs(sum - expected[0]) <= wide && fabs(dot - expected[2]) <= wide))
        fail_msg("%s: %s: sum %.9g, norm %.9g, dot %.9g; expected %.9g, %.9g, %.9g", network, name, sum, norm, dot, expected[0], expected[1], expected[2]);
}

static struct ood_parameter find(const struct ood_trainer *trainer, const char *name)
{
    for (size_t i = 0; i < ood_trainer_parameter_count(trainer); i++)
        if (strcmp(ood_trainer_parameter(trainer, i).name, name) == 0)
            return ood_trainer_parameter(trainer, i);
    return (struct ood_parameter){ .name = NULL };
}

/* Forward and backward with the script's L and F. */
static void one_pass(struct ood_trainer *trainer, unsigned seed)
{
    struct ood_error err = { 0 };
    struct inputs inputs = { ood_trainer_input_floats(trainer), seed };
    check_ok(ood_trainer_forward(trainer, fill, &inputs, &err));
    for (size_t i = 0; i < N * ood_trainer_classes(trainer); i++)
        ood_trainer_logits_gradient(trainer)[i] = sequence(i, 2);
    for (size_t i = 0; i < N * ood_trainer_dimension(trainer); i++)
        ood_trainer_features_gradient(trainer)[i] = sequence(i, 3);
    ood_trainer_backward(trainer);
}

/* ---- against the records ---- */

struct training {                            /* three steps, as `train` takes them */
    struct ood_trainer *trainer;
    struct ood_loss *loss;
    struct ood_optimiser *optimiser;
    float *prototypes, *gradient;
    int32_t labels[N];
    unsigned seed;
};

static void begin(struct training *t, const char *network, unsigned seed, size_t slices, size_t threads)
{
    struct ood_error err = { 0 };
    struct ood_loss_options options;
    struct ood_block blocks[64];
    size_t count = 0;
    t->seed = seed;
    t->trainer = open_network(network, &(struct ood_trainer_options){ .slices = slices, .threads = threads }, &err);
    assert_non_null(t->trainer);
    const size_t classes = ood_trainer_classes(t->trainer), dimension = ood_trainer_dimension(t->trainer);
    check_ok(ood_loss_preset("sde", classes, &options, &err));
    check_ok((t->loss = ood_loss_new(classes, dimension, N, &options, &err)) != NULL);
    check_ok((t->prototypes = ood_new_array(float, classes * dimension, &err)) != NULL);
    check_ok((t->gradient = ood_new_array(float, classes * dimension, &err)) != NULL);
    for (size_t i = 0; i < classes * dimension; i++)
        t->prototypes[i] = sequence(i, 4);
    for (size_t i = 0; i < N; i++)
        t->labels[i] = i < IN ? (int32_t)(i % classes) : -1;
    for (size_t i = 0; i < ood_trainer_parameter_count(t->trainer); i++) {
        const struct ood_parameter p = ood_trainer_parameter(t->trainer, i);
        if (p.gradient != NULL)
            blocks[count++] = (struct ood_block){ p.name, p.value, p.gradient, p.count, p.decay, 1 };
    }
    blocks[count++] = (struct ood_block){ "prototypes", t->prototypes, t->gradient, classes * dimension, false, 1 };
    const struct ood_optimiser_options optimising = ood_optimiser_defaults();
    check_ok((t->optimiser = ood_optimiser_new(blocks, count, &optimising, &err)) != NULL);
}

static double step(struct training *t)
{
    struct ood_error err = { 0 };
    struct ood_loss_terms terms;
    struct inputs inputs = { ood_trainer_input_floats(t->trainer), t->seed };
    check_ok(ood_trainer_forward(t->trainer, fill, &inputs, &err));
    const struct ood_loss_batch batch = { N, ood_trainer_logits(t->trainer), ood_trainer_features(t->trainer), t->labels, t->prototypes };
    const struct ood_loss_gradients gradients = { ood_trainer_logits_gradient(t->trainer), ood_trainer_features_gradient(t->trainer), t->gradient };
    check_ok(ood_loss(t->loss, &batch, &gradients, &terms, &err));
    ood_trainer_backward(t->trainer);
    check_ok(ood_optimiser_step(t->optimiser, 0.02, NULL, &err));
    ood_trainer_parameters_changed(t->trainer);
    return terms.total;
}

static void end(struct training *t)
{
    ood_loss_free(t->loss);
    ood_optimiser_free(t->optimiser);
    ood_free(t->prototypes);
    ood_free(t->gradient);
    ood_trainer_free(t->trainer);
    *t = (struct training){ 0 };
}

static void check_records(size_t slices, size_t threads)
{
    struct ood_error err = { 0 };
    struct ood_trainer *trainer = NULL;
    struct training training = { 0 };
    char line[400], network[100] = "", word[20], name[100];
    size_t checked = 0;
    unsigned seed = 0;
    FILE *file = fopen(check_data("train/networks.txt"), "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        double expected[3] = { 0 };
        const int found = sscanf(line, "%19s %99s %lf %lf %lf", word, name, &expected[0], &expected[1], &expected[2]);
        assert_true(found == 3 || found == 5);
        if (strcmp(word, "network") == 0 || strcmp(word, "statistics") == 0) {
            seed = (unsigned)expected[0];
            struct ood_trainer_options options = { .slices = slices, .threads = threads };
            if (strcmp(word, "network") == 0)
                memcpy(network, name, sizeof network);
            else
                options.statistics = strcmp(name, "in") == 0 ? OOD_STATISTICS_IN : OOD_STATISTICS_FROZEN;
            ood_trainer_free(trainer);
            end(&training);
            check_ok((trainer = open_network(network, &options, &err)) != NULL);
            one_pass(trainer, seed);
        } else if (strcmp(word, "step") == 0) {
            if (training.trainer == NULL)
                begin(&training, network, seed, slices, threads);
        } else if (strcmp(word, "loss") == 0)
            check_close(step(&training), expected[0], 1e-5, 2e-5);
        else if (strcmp(word, "after") == 0) {
            const struct ood_parameter p = find(training.trainer, name);
            const size_t floats = ood_trainer_classes(training.trainer) * ood_trainer_dimension(training.trainer);
            check_tensor(network, name, p.name != NULL ? p.value : training.prototypes, p.name != NULL ? p.count : floats, expected, 1e-4);
        } else if (strcmp(name, "logits") == 0)
            check_tensor(network, name, ood_trainer_logits(trainer), N * ood_trainer_classes(trainer), expected, 1e-5);
        else if (strcmp(name, "features") == 0)
            check_tensor(network, name, ood_trainer_features(trainer), N * ood_trainer_dimension(trainer), expected, 1e-5);
        else {
            const struct ood_parameter p = find(trainer, name);
            if (p.name == NULL)
                fail_msg("%s: there is no %s", network, name);
            check_tensor(network, name, strcmp(word, "gradient") == 0 ? p.gradient : p.value, p.count, expected, 5e-5);
        }
        checked++;
    }
    assert_true(checked > 200);
    ood_trainer_free(trainer);
    end(&training);
    fclose(file);
}

static void test_records(void **state)
{
    (void)state;
    check_records(4, 2);
    check_records(1, 1);
    check_records(2, 1);
}

/* ---- the same bits ---- */

static void test_threads(void **state)
{
    static const char *const networks[] = { "wide", "residual" };
    (void)state;
    for (size_t n = 0; n < 2; n++) {
        struct training first, other;
        begin(&first, networks[n], 10, 4, 1);
        for (int s = 0; s < 3; s++)
            step(&first);
        for (size_t threads = 1; threads <= 5; threads++) {
            begin(&other, networks[n], 10, 4, threads);
            for (int s = 0; s < 3; s++)
                step(&other);
            for (size_t i = 0; i < ood_trainer_parameter_count(first.trainer); i++) {
                const struct ood_parameter a = ood_trainer_parameter(first.trainer, i), b = ood_trainer_parameter(other.trainer, i);
                assert_memory_equal(a.value, b.value, a.count * sizeof(float));
            }
            end(&other);
        }
        end(&first);
    }
}

/* ---- refused ---- */

static void test_refused(void **state)
{
    struct ood_error err = { 0 };
    (void)state;
    const struct ood_trainer_options plain = { .slices = 4 };
    check_fails(open_network("refused_softmax", &plain, &err) != NULL, OOD_UNSUPPORTED, "(Softmax, opset 13): this operator cannot be trained through");
    check_fails(open_network("refused_statistics", &plain, &err) != NULL, OOD_UNSUPPORTED, "is also read by node");
    const struct ood_trainer_options uneven = { .slices = 3 };
    check_fails(open_network("wide", &uneven, &err) != NULL, OOD_INVALID, "cannot be cut into 3 slices");
    const struct ood_trainer_options half = { .slices = 4, .precision = OOD_PRECISION_BFLOAT16 };
    check_fails(open_network("wide", &half, &err) != NULL, OOD_UNSUPPORTED, "bfloat16");
    const struct ood_bytes broken = { .data = (unsigned char *)"not a network", .size = 13 };
    const struct ood_trainer_options options = { .operators = ood_op_table, .in = IN };
    check_fails(ood_trainer_new(&broken, &options, &err) != NULL, OOD_INVALID, "");
}

static bool fail_at(void *context, size_t index, float *input, struct ood_error *err)
{
    (void)context, (void)input;
    return index != 5 && index != 9 ? true : ood_fail(err, OOD_PICTURE_CORRUPT, "picture %zu", index);
}

static void test_fill_fails(void **state)
{
    struct ood_error err = { 0 };
    (void)state;
    struct ood_trainer *trainer = open_network("wide", &(struct ood_trainer_options){ .threads = 2 }, &err);
    assert_non_null(trainer);
    check_fails(ood_trainer_forward(trainer, fail_at, NULL, &err), OOD_PICTURE_CORRUPT, "picture 5");
    one_pass(trainer, 10);
    ood_trainer_free(trainer);
}

/* Outliers may be none; every step has a name and takes time. */
static void test_profile(void **state)
{
    struct ood_error err = { 0 };
    (void)state;
    struct ood_trainer *trainer = open_network("wide", &(struct ood_trainer_options){ .threads = 2 }, &err);
    assert_non_null(trainer);
    ood_trainer_profile(trainer, true);
    one_pass(trainer, 10);
    double seconds[2] = { 0 };
    for (size_t i = 0; i < ood_trainer_step_count(trainer); i++) {
        const struct ood_trainer_step_info info = ood_trainer_step(trainer, i);
        assert_non_null(info.kernel);
        seconds[info.backward] += info.seconds;
    }
    assert_true(seconds[0] > 0 && seconds[1] > 0 && ood_trainer_bytes(trainer) > 0);
    ood_trainer_free(trainer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records), cmocka_unit_test(test_threads), cmocka_unit_test(test_refused), cmocka_unit_test(test_fill_fails),
        cmocka_unit_test(test_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
