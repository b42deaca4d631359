/* ONNX's own cases (Debian: libonnx-testdata), an outside witness of the operators: each is loaded, run and compared, and ends as
 * pass, as cleanly unsupported, or as a failure. What passes is listed in expected_pass.txt, which may only grow: a listed case
 * that does not pass fails the test, and so does one that passes and is not listed.
 *
 * The list is of ONNX 1.12's cases. Where the data are of a newer ONNX (there are cases of opsets that the reader refuses) other cases stand under
 * the same names: the list is then not held against them, but none may fail.
 *
 * A case runs twice: as its file has it, and with every input but the first known at load, as weights, target shapes and axes
 * are in networks (the test data give them as inputs). One way must pass, neither may fail.
 *
 * conformance_test [--list | -v]: --list prints the names that pass, for expected_pass.txt; -v says why each other case does not.
 * OOD_ONNX_DATA: where the cases are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ops/ops.h"
#include "plan/plan.h"

enum { INPUTS = 64, PATH = 4096, SKIPPED = 77 };

enum outcome { PASS, UNSUPPORTED, FAIL };

struct witness { struct ood_tensor *inputs[INPUTS], *outputs[INPUTS]; struct ood_bytes raw[INPUTS]; size_t input_count, output_count; };

static bool fail(struct ood_error *err, const char *sentence) { return ood_fail(err, OOD_INVALID, "%s", sentence); }

/* ---- reading ---- */

/* PREFIX_0.pb, PREFIX_1.pb, … as far as there are any. raw may be NULL. */
static bool read_tensors(const char *folder, const char *prefix, struct ood_tensor *tensors[INPUTS], struct ood_bytes *raw,
                         size_t *count, struct ood_error *err)
{
    for (size_t i = 0; i < INPUTS; i++) {
        char path[PATH];
        struct ood_bytes bytes;
        struct ood_error missing = { 0 };
        snprintf(path, sizeof path, "%.4000s/test_data_set_0/%s_%zu.pb", folder, prefix, i);
        if (!ood_file_read(path, (size_t)1 << 28, &bytes, &missing)) {
            if (missing.code == OOD_NOT_FOUND)
                return true;
            *err = missing;
            return false;
        }
        tensors[i] = ood_tensor_read_onnx(&bytes, err);
        *count = i + 1;
        if (raw != NULL)
            raw[i] = bytes;
        else
            ood_bytes_free(&bytes);
        if (tensors[i] == NULL)
            return ood_error_prefix(err, "%s_%zu.pb", prefix, i);
    }
    return fail(err, "too many tensors");
}

static void free_witness(struct witness *witness)
{
    for (size_t i = 0; i < INPUTS; i++) {
        ood_tensor_free(witness->inputs[i]);
        ood_tensor_free(witness->outputs[i]);
        ood_bytes_free(&witness->raw[i]);
    }
}

/* ---- inputs made known: initialisers put behind the graph's fields, on the wire ---- */

static bool read_varint(const struct ood_bytes *bytes, size_t *at, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < bytes->size; shift += 7) {
        unsigned char byte = bytes->data[(*at)++];
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

static size_t write_varint(unsigned char *to, uint64_t value)
{
    size_t size = 0;
    for (; value > 127; value >>= 7)
        to[size++] = (unsigned char)(value | 128);
    to[size++] = (unsigned char)value;
    return size;
}

/* Finds a message field of a ModelProto: where its length stands and its contents begin and end. */
static bool find_field(const struct ood_bytes *model, uint64_t field, size_t *length_at, size_t *begin, size_t *end)
{
    for (size_t at = 0; at < model->size;) {
        uint64_t key, size;
        if (!read_varint(model, &at, &key))
            return false;
        *length_at = at;
        if ((key & 7) > 2 || (key & 7) == 1 || !read_varint(model, &at, &size))
            return false;
        if ((key & 7) == 0)
            continue;
        if (size > model->size - at)
            return false;
        *begin = at, *end = at + size;
        if (key >> 3 == field)
            return true;
        at += size;
    }
    return false;
}

/* An opset below 7 becomes 7. Was it? */
static bool raise_opset(struct ood_bytes *model)
{
    size_t length_at, begin, end;
    if (!find_field(model, 8, &length_at, &begin, &end))
        return false;
    for (size_t i = begin; i + 1 < end; i++)                          /* domain is empty: "\n\0", then version */
        if (model->data[i] == (2 << 3 | 0) && model->data[i + 1] < 7 && end - begin <= 4) {
            model->data[i + 1] = 7;
            return true;
        }
    return false;
}

/* The model with inputs 1, 2, … as initialisers, too (their .pb files are TensorProtos that carry the input's name). */
static bool bake(const struct ood_bytes *model, const struct witness *witness, struct ood_bytes *out, struct ood_error *err)
{
    size_t length_at, begin, end, extra = 0;
    unsigned char number[10];
    if (!find_field(model, 7, &length_at, &begin, &end))
        return fail(err, "the file has no graph");
    for (size_t i = 1; i < witness->input_count; i++)
        extra += 1 + write_varint(number, witness->raw[i].size) + witness->raw[i].size;
    out->data = ood_alloc(model->size + extra + 10, 1, err);
    if (out->data == NULL)
        return false;
    memcpy(out->data, model->data, length_at);
    out->size = length_at;
    out->size += write_varint(out->data + out->size, end - begin + extra);
    memcpy(out->data + out->size, model->data + begin, end - begin);
    out->size += end - begin;
    for (size_t i = 1; i < witness->input_count; i++) {
        out->data[out->size++] = 5 << 3 | 2;                          /* initializer */
        out->size += write_varint(out->data + out->size, witness->raw[i].size);
        memcpy(out->data + out->size, witness->raw[i].data, witness->raw[i].size);
        out->size += witness->raw[i].size;
    }
    memcpy(out->data + out->size, model->data + end, model->size - end);
    out->size += model->size - end;
    return true;
}

/* ---- running ---- */

static bool close_enough(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-4 + 1e-3 * fabs(b);
}

static bool compare(const struct ood_tensor *expected, enum ood_type type, const struct ood_shape *shape, const void *found,
                    struct ood_error *err)
{
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    if (type != expected->type || !ood_shape_equal(shape, &expected->shape))
        return ood_fail(err, OOD_INVALID, "output is %s %s; expected %s %s", ood_type_name(type), ood_shape_print(shape, a),
                        ood_type_name(expected->type), ood_shape_print(&expected->shape, b));
    size_t size = ood_type_size(type);
    for (size_t i = 0; i < expected->count; i++) {
        if (type != OOD_FLOAT32) {
            if (memcmp((const char *)found + i * size, (const char *)expected->data + i * size, size) != 0)
                return ood_fail(err, OOD_INVALID, "element %zu is wrong", i);
        } else if (!close_enough((double)((const float *)found)[i], (double)ood_f32(expected)[i]))
            return ood_fail(err, OOD_INVALID, "element %zu is %.9g; expected %.9g", i, (double)((const float *)found)[i],
                            (double)ood_f32(expected)[i]);
    }
    return true;
}

static bool run_model(struct ood_model *model, struct ood_run *run, const struct witness *witness, struct ood_error *err)
{
    size_t batch = ood_model_plan_batch(model, 1), count = ood_model_input_count(model);
    if (count > witness->input_count || ood_model_output_count(model) != witness->output_count)
        return fail(err, "another number of inputs or outputs than the test data");
    for (size_t i = 0; i < count; i++) {
        const struct ood_tensor *input = witness->inputs[i];
        struct ood_shape shape = ood_model_input_shape(model, i), bound = ood_shape_bind(&shape, batch);
        if (!ood_shape_equal(&bound, &input->shape) || ood_model_input_type(model, i) != input->type)
            return fail(err, "an input of another type or shape than the test data");
        if (input->count > 0)
            memcpy(ood_run_input(run, batch, i), input->data, input->count * ood_type_size(input->type));
    }
    if (!ood_run_all(run, batch, err))
        return false;
    for (size_t i = 0; i < witness->output_count; i++) {
        const struct ood_shape shape = ood_run_output_shape(run, batch, i);
        if (!compare(witness->outputs[i], ood_run_output_type(run, batch, i), &shape, ood_run_output(run, batch, i), err))
            return ood_error_prefix(err, "output %zu", i);
    }
    return true;
}

/* A refusal in words of its own is fine where it says `unsupported`; a wrong number never is. */
static enum outcome run_bytes(const struct ood_bytes *bytes, const struct witness *witness, bool raised, struct ood_error *err)
{
    struct ood_model_options options = { .operators = ood_op_table, .no_taps = true, .stages = true };
    struct ood_model *model = ood_model_new(bytes, &options, err);
    if (model == NULL)
        return err->code == OOD_UNSUPPORTED || raised ? UNSUPPORTED : FAIL;
    struct ood_run *run = ood_run_new(model, err);
    bool passed = run != NULL && run_model(model, run, witness, err);
    ood_run_free(run);
    ood_model_free(model);
    return passed ? PASS : err->code == OOD_UNSUPPORTED ? UNSUPPORTED : FAIL;
}

static enum outcome run_case(const char *folder, struct ood_error *err)
{
    char path[PATH];
    struct ood_bytes model = { 0 }, baked = { 0 };
    struct witness witness = { .input_count = 0 };
    snprintf(path, sizeof path, "%.4000s/model.onnx", folder);
    enum outcome outcome = FAIL;
    if (!ood_file_read(path, (size_t)1 << 30, &model, err))
        return FAIL;
    if (!read_tensors(folder, "input", witness.inputs, witness.raw, &witness.input_count, err) ||
        !read_tensors(folder, "output", witness.outputs, NULL, &witness.output_count, err)) {
        outcome = UNSUPPORTED;               /* sequences, strings, other number types: no tensors we read */
    } else if (witness.input_count == 0) {
        ood_fail(err, OOD_UNSUPPORTED, "a network without inputs");
        outcome = UNSUPPORTED;
    } else {
        bool raised = raise_opset(&model);
        outcome = run_bytes(&model, &witness, raised, err);
        struct ood_error second = { 0 };
        if (witness.input_count > 1 && outcome != FAIL) {
            enum outcome known = bake(&model, &witness, &baked, &second) ? run_bytes(&baked, &witness, raised, &second) : FAIL;
            if (known == PASS)
                outcome = PASS;
            else if (known == FAIL)
                outcome = FAIL, *err = second;
        }
    }
    free_witness(&witness);
    ood_bytes_free(&model);
    ood_bytes_free(&baked);
    return outcome;
}

/* ---- the list ---- */

/* Is `name` a line of the list? */
static bool listed(const struct ood_bytes *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = (const char *)list->data; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, name, length) == 0 && (line[length] == '\n' || line[length] == '\0'))
            return true;
    return false;
}

/* Lines that name no case that was found. */
static int missing_cases(const struct ood_bytes *list, const char *data)
{
    int missing = 0;
    char name[PATH], path[2 * PATH];
    for (const char *line = (const char *)list->data; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "\n"), line);
        snprintf(path, sizeof path, "%s/%s", data, name);
        if (name[0] != '\0' && !ood_is_folder(path)) {
            printf("listed: %s is not there\n", name);
            missing++;
        }
    }
    return missing;
}

static const char *const groups[] = { "node", "pytorch-converted", "pytorch-operator", "simple" };

int main(int argc, char **argv)
{
    struct ood_error err = { 0 };
    struct ood_bytes list = { 0 };
    bool only_list = argc > 1 && strcmp(argv[1], "--list") == 0, tell = argc > 1 && strcmp(argv[1], "-v") == 0;
    const char *data = getenv("OOD_ONNX_DATA"), *source = getenv("OOD_SOURCE");
    char path[PATH];
    size_t counts[3] = { 0 }, newer = 0;
    int wrong = 0, off_list = 0;
    data = data != NULL ? data : "/usr/share/libonnx-testdata/data";
    if (!ood_is_folder(data)) {
        printf("SKIP: needs ONNX's test data (Debian: libonnx-testdata) in %s\n", data);
        return SKIPPED;
    }
    snprintf(path, sizeof path, "%s/tests/conformance/expected_pass.txt", source != NULL ? source : ".");
    if (!ood_file_read(path, (size_t)1 << 20, &list, &err) && !only_list) {
        printf("FAIL: %s\n", err.message);
        return 1;
    }
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        struct ood_names names;
        char folder[2 * PATH];
        snprintf(path, sizeof path, "%s/%s", data, groups[g]);
        err = (struct ood_error){ 0 };
        if (!ood_folder_names(path, &names, &err)) {
            printf("FAIL: %s\n", err.message);
            return 1;
        }
        for (size_t i = 0; i < names.count; i++) {
            char name[PATH];
            snprintf(name, sizeof name, "%s/%.1000s", groups[g], names.items[i]);
            snprintf(folder, sizeof folder, "%s/%s", data, name);
            err = (struct ood_error){ 0 };
            enum outcome outcome = run_case(folder, &err);
            bool expected = list.data != NULL && listed(&list, name);
            counts[outcome]++;
            newer += outcome == UNSUPPORTED && strncmp(err.message, "opset ", 6) == 0 && strstr(err.message, "expected 7 to 18") != NULL &&
                     strtol(err.message + 6, NULL, 10) > 18;
            if (only_list) {
                if (outcome == PASS)
                    printf("%s\n", name);
            } else if (outcome == FAIL) {
                printf("FAIL: %s: %s: %s\n", name, ood_code_name(err.code), err.message);
                wrong++;
            } else if (expected && outcome != PASS) {
                printf("listed: %s: %s: %s\n", name, ood_code_name(err.code), err.message);
                off_list++;
            } else if (outcome == PASS && !expected) {
                printf("not listed: %s passes: add it to expected_pass.txt\n", name);
                off_list++;
            } else if (tell) {
                printf("%s: %s %s\n", outcome == PASS ? "PASS" : "UNSUPPORTED", name, outcome == PASS ? "" : err.message);
            }
        }
        ood_names_free(&names);
    }
    if (!only_list) {
        off_list += missing_cases(&list, data);
        if (newer > 0)
            printf("%zu cases are of opsets beyond 18: the list, of ONNX 1.12's cases, is not held against these\n", newer);
        else
            wrong += off_list;
        printf("%zu passed, %zu unsupported, %zu failed, %d other than listed\n", counts[PASS], counts[UNSUPPORTED], counts[FAIL], off_list);
    }
    ood_bytes_free(&list);
    return wrong > 0;
}
