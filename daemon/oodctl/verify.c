/* oodctl verify: ONNX test folders (model.onnx, test_data_set_N/input_I.pb, output_I.pb) through the engine. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/oodctl/oodctl.h"
#include "ops/ops.h"
#include "plan/plan.h"

#define TENSORS 64                           /* inputs or outputs of a model */
#define TENSOR_BYTES ((size_t)1 << 30)

/* |a - b| <= ABSOLUTE + RELATIVE |b| for every element. */
#define ABSOLUTE 1e-4
#define RELATIVE 1e-3

static const struct ctl_option options[] = { { 0 } };

struct difference { double most, square, norm; bool within; };

struct tensors { struct ood_tensor *items[TENSORS]; size_t count; };

static void tensors_free(struct tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        ood_tensor_free(tensors->items[i]);
    tensors->count = 0;
}

/* SET/STEM_0.pb, STEM_1.pb, … as far as there are. */
static bool read_tensors(const char *set, const char *stem, struct tensors *out, struct ood_error *err)
{
    for (; out->count < TENSORS; out->count++) {
        struct ood_error reading = { 0 };
        struct ood_bytes bytes;
        char *path = ood_format(err, "%s/%s_%zu.pb", set, stem, out->count);
        if (path == NULL)
            return false;
        bool read = ood_file_read(path, TENSOR_BYTES, &bytes, &reading);
        if (!read && reading.code == OOD_NOT_FOUND) {
            ood_free(path);
            return true;
        }
        out->items[out->count] = read ? ood_tensor_read_onnx(&bytes, &reading) : NULL;
        if (read)
            ood_bytes_free(&bytes);
        if (out->items[out->count] == NULL) {
            *err = reading;
            if (read)
                ood_error_prefix(err, "%s", path);
            ood_free(path);
            return false;
        }
        ood_free(path);
    }
    return ood_fail(err, OOD_LIMIT, "%s: more than %d %ss", set, TENSORS, stem);
}

/* ---- comparing ---- */

static double element(enum ood_type type, const void *data, size_t i)
{
    switch (type) {
    case OOD_FLOAT32:
        return (double)((const float *)data)[i];
    case OOD_INT64:
        return (double)((const int64_t *)data)[i];
    case OOD_INT32:
        return (double)((const int32_t *)data)[i];
    case OOD_BOOL:
        break;
    }
    return ((const unsigned char *)data)[i] != 0;
}

/* NaN is equal to NaN, an infinity to itself. */
static void compare(const struct ood_tensor *expected, const void *found, struct difference *d)
{
    bool whole = expected->type != OOD_FLOAT32;
    for (size_t i = 0; i < expected->count; i++) {
        double b = element(expected->type, expected->data, i), a = element(expected->type, found, i);
        if (a == b || (isnan(a) && isnan(b))) {
            d->norm += isfinite(b) ? b * b : 0;
            continue;
        }
        double off = fabs(a - b);
        d->within = d->within && !whole && off <= ABSOLUTE + RELATIVE * fabs(b) && isfinite(b);
        d->most = isnan(off) || off > d->most ? off : d->most;
        d->square += off * off;
        d->norm += b * b;
    }
}

/* ---- running ---- */

static struct ood_model *compile(const struct ood_bytes *onnx, const struct tensors *inputs, struct ood_error *err)
{
    struct ood_model_options model_options = { .operators = ood_op_table, .no_taps = true, .only_batch = 1, .stages = true };
    if (inputs->count > 0 && inputs->items[0]->shape.rank > 0) {
        model_options.input_shape = inputs->items[0]->shape;
        model_options.only_batch = inputs->items[0]->shape.dims[0];
        if (model_options.only_batch < 1) {
            ood_fail(err, OOD_UNSUPPORTED, "input_0 has no elements");
            return NULL;
        }
    }
    return ood_model_new(onnx, &model_options, err);
}

static bool check_tensor(const char *what, size_t i, const char *name, enum ood_type type, const struct ood_shape *shape, size_t batch,
                         const struct ood_tensor *tensor, struct ood_error *err)
{
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    struct ood_shape bound = ood_shape_bind(shape, batch);
    if (tensor->type == type && ood_shape_equal(&bound, &tensor->shape))
        return true;
    return ood_fail(err, OOD_INVALID, "%s %zu (%s): %s %s, the file has %s %s", what, i, name, ood_type_name(type),
                    ood_shape_print(&bound, a), ood_type_name(tensor->type), ood_shape_print(&tensor->shape, b));
}

static bool run_model(struct ood_model *model, const struct tensors *inputs, const struct tensors *outputs, struct difference *d,
                      struct ood_error *err)
{
    size_t batch = ood_model_most_batch(model);
    if (ood_model_input_count(model) != inputs->count || ood_model_output_count(model) != outputs->count)
        return ood_fail(err, OOD_INVALID, "%zu inputs and %zu outputs, the files have %zu and %zu", ood_model_input_count(model),
                        ood_model_output_count(model), inputs->count, outputs->count);
    struct ood_run *run = ood_run_new(model, err);
    bool done = run != NULL;
    for (size_t i = 0; done && i < inputs->count; i++) {
        struct ood_shape shape = ood_model_input_shape(model, i);
        const struct ood_tensor *tensor = inputs->items[i];
        done = check_tensor("input", i, ood_model_input_name(model, i), ood_model_input_type(model, i), &shape, batch, tensor, err);
        if (done)
            memcpy(ood_run_input(run, batch, i), tensor->data, tensor->count * ood_type_size(tensor->type));
    }
    done = done && ood_run_all(run, batch, err);
    for (size_t i = 0; done && i < outputs->count; i++) {
        const struct ood_shape shape = ood_run_output_shape(run, batch, i);
        done = check_tensor("output", i, ood_model_output_name(model, i), ood_run_output_type(run, batch, i), &shape, batch, outputs->items[i], err);
        if (done)
            compare(outputs->items[i], ood_run_output(run, batch, i), d);
    }
    ood_run_free(run);
    return done;
}

static bool verify_set(const struct ood_bytes *onnx, const char *set, struct difference *d, struct ood_error *err)
{
    struct tensors inputs = { 0 }, outputs = { 0 };
    struct ood_model *model = NULL;
    bool done = read_tensors(set, "input", &inputs, err) && read_tensors(set, "output", &outputs, err);
    if (done && outputs.count == 0)
        done = ood_fail(err, OOD_NOT_FOUND, "%s: no output_0.pb", set);
    if (done)
        done = (model = compile(onnx, &inputs, err)) != NULL && run_model(model, &inputs, &outputs, d, err);
    ood_model_free(model);
    tensors_free(&inputs);
    tensors_free(&outputs);
    return done;
}

/* All sets of one folder. False: err says why it could not be told. */
static bool verify_sets(const char *folder, const struct ood_bytes *onnx, struct difference *d, struct ood_error *err)
{
    static const char prefix[] = "test_data_set_";
    struct ood_names names;
    size_t sets = 0;
    bool done = true;
    if (!ood_folder_names(folder, &names, err))
        return false;
    for (size_t i = 0; i < names.count && done; i++) {
        if (strncmp(names.items[i], prefix, sizeof prefix - 1) != 0)
            continue;
        char *set = ood_format(err, "%s/%s", folder, names.items[i]);
        done = set != NULL && verify_set(onnx, set, d, err);
        ood_free(set);
        sets++;
    }
    ood_names_free(&names);
    return done && (sets > 0 || ood_fail(err, OOD_NOT_FOUND, "%s: no test_data_set_*", folder));
}

enum outcome { PASSED, FAILED, UNSUPPORTED, OUTCOMES };

static const char *const outcome_words[OUTCOMES] = { "PASS", "FAIL", "UNSUPPORTED" };

/* Prints the folder's line. False: it has no model that can be read, and no line. */
static bool verify_folder(const char *folder, enum outcome *outcome, struct ood_error *err)
{
    struct difference d = { .within = true };
    struct ood_error why = { 0 };
    struct ood_bytes onnx = { 0 };
    char *path = ood_format(err, "%s/model.onnx", folder);
    const char *base = ctl_base_name(folder);
    int length = (int)strcspn(base, "/");
    if (path == NULL || !ood_file_read(path, OOD_MODEL_BYTES_MOST, &onnx, err)) {
        ood_free(path);
        return false;
    }
    bool told = verify_sets(folder, &onnx, &d, &why);
    *outcome = told ? (d.within ? PASSED : FAILED) : why.code == OOD_UNSUPPORTED ? UNSUPPORTED : FAILED;
    printf("%s\t%.*s\t", outcome_words[*outcome], length, base);
    if (told)
        printf("%.3g\t%.3g", d.most, d.norm > 0 ? sqrt(d.square / d.norm) : sqrt(d.square));
    else
        ctl_put(stdout, why.message);
    putchar('\n');
    ood_bytes_free(&onnx);
    ood_free(path);
    return true;
}

static int run_verify(const struct ctl_command *command, int argc, char **argv)
{
    size_t counts[OUTCOMES] = { 0 };
    int first, status, worst = CTL_DONE;
    char nothing;
    if (!ctl_parse(command, argc, argv, &nothing, &first, &status))
        return status;
    if (first == argc)
        return ctl_usage(command, "DIR missing");
    for (int i = first; i < argc; i++) {
        struct ood_error err = { 0 };
        enum outcome outcome;
        if (verify_folder(argv[i], &outcome, &err)) {
            counts[outcome]++;
            status = outcome == FAILED ? CTL_NO : CTL_DONE;
        } else
            status = ctl_fail(&err);
        worst = status > worst ? status : worst;
    }
    printf("%zu PASS, %zu FAIL, %zu UNSUPPORTED\n", counts[PASSED], counts[FAILED], counts[UNSUPPORTED]);
    return worst;
}

const struct ctl_command ctl_verify = {
    "verify", "DIR…", "Runs ONNX test folders: PASS, FAIL or UNSUPPORTED, name, greatest and relative difference", options, run_verify,
};
