/* Reads a case's row, writes its ONNX file, runs it every way and compares. */
#include "op_case.h"

#include <ctype.h>
#include <math.h>

#include "../graph/onnx_writer.h"
#include "base/number.h"
#include "base/random.h"
#include "ops/ops.h"
#include "plan/plan.h"
#include "tensor/reference.h"

const char op_may_refuse[] = "";

enum { PICTURES = 8, VALUES = 48, NODES = 24, NODE_INPUTS = 16, TEXT = 1024 };

/* A value of the network: an input (data holds PICTURES pictures, or what a fixed batch asks for), a constant, or computed. */
struct value {
    char name[OP_NAME];
    bool input, fixed;
    struct ood_tensor *data;                 /* of inputs and constants */
};

struct step {
    char op[OP_NAME];
    size_t inputs[NODE_INPUTS], input_count, output;         /* values; SIZE_MAX: omitted */
    struct op_attributes attributes;
};

struct network {
    struct value values[VALUES];
    struct step steps[NODES];
    size_t value_count, step_count;
    int opset;
};

/* ---- reading a row ---- */

static double number(const char *text)
{
    double value;
    if (!ood_parse_double(text, &value))
        fail_msg("\"%s\" is no number", text);
    return value;
}

/* The next word of *text, ended by one of `ends` (not in it); blanks before it are skipped. False at the end. */
static bool next(const char **text, const char *ends, char word[TEXT])
{
    const char *start = *text + strspn(*text, " ");
    size_t size = strcspn(start, ends);
    if (*start == '\0')
        return false;
    assert_true(size < TEXT);
    memcpy(word, start, size);
    word[size] = '\0';
    *text = start + size + (start[size] != '\0');
    while (size > 0 && word[size - 1] == ' ')
        word[--size] = '\0';
    return true;
}

static size_t numbers(const char *list, double values[OP_INTS])
{
    char word[TEXT];
    size_t count = 0;
    while (next(&list, ",", word)) {
        assert_true(count < OP_INTS);
        values[count++] = number(word);
    }
    return count;
}

static void set_text(char name[OP_NAME], const char *text)
{
    assert_true(strlen(text) < OP_NAME);
    snprintf(name, OP_NAME, "%s", text);
}

static size_t find_value(const struct network *network, const char *name)
{
    for (size_t i = 0; i < network->value_count; i++)
        if (strcmp(network->values[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

static struct value *add_value(struct network *network, const char *name)
{
    assert_true(network->value_count < VALUES && find_value(network, name) == SIZE_MAX);
    struct value *value = &network->values[network->value_count++];
    set_text(value->name, name);
    return value;
}

/* Weights of a convolution are made smaller, by the root of what one output sums, so that chains keep their numbers near 1. */
static void fill(struct ood_tensor *tensor, struct ood_random *random, bool positive, bool constant)
{
    double scale = constant && tensor->shape.rank == 4 ? 1 / sqrt((double)tensor->count / (double)tensor->shape.dims[0]) : 1;
    for (size_t i = 0; i < tensor->count; i++) {
        double normal = ood_random_normal(random);
        int64_t small = (int64_t)ood_random_below(random, 9) - 4;
        switch (tensor->type) {
        case OOD_FLOAT32: ood_f32(tensor)[i] = (float)(positive ? 0.5 + ood_random_uniform(random) : normal * scale); break;
        case OOD_INT64: ood_i64(tensor)[i] = small; break;
        case OOD_INT32: ((int32_t *)tensor->data)[i] = (int32_t)small; break;
        case OOD_BOOL: ((unsigned char *)tensor->data)[i] = small > 0; break;
        }
    }
}

/* [1,-1] {3} (0.5): values given. */
static struct ood_tensor *given_values(const char *text)
{
    struct ood_error err = { 0 };
    double values[OP_INTS];
    char inner[TEXT];
    snprintf(inner, sizeof inner, "%.*s", (int)strlen(text) - 2, text + 1);
    size_t count = numbers(inner, values);
    bool scalar = text[0] == '{' || (text[0] == '(' && count == 1);
    struct ood_shape shape = { .rank = !scalar, .dims = { (int64_t)count } };
    struct ood_tensor *tensor = ood_tensor_new(text[0] == '(' ? OOD_FLOAT32 : OOD_INT64, &shape, &err);
    assert_non_null(tensor);
    for (size_t i = 0; i < count; i++) {
        if (text[0] == '(')
            ood_f32(tensor)[i] = (float)values[i];
        else
            ood_i64(tensor)[i] = (int64_t)values[i];
    }
    return tensor;
}

static void read_value(struct value *value, const char *text, struct ood_random *random)
{
    struct ood_error err = { 0 };
    if (strchr("[{(", *text) != NULL) {
        value->data = given_values(text);
        return;
    }
    enum ood_type type = strncmp(text, "i:", 2) == 0   ? OOD_INT64
                         : strncmp(text, "j:", 2) == 0 ? OOD_INT32
                         : strncmp(text, "b:", 2) == 0 ? OOD_BOOL
                                                       : OOD_FLOAT32;
    text += type != OOD_FLOAT32 ? 2 : 0;
    bool positive = *text == '+', batch = *text == 'N';
    value->fixed = *text == '!';
    value->input = batch || value->fixed;
    double dims[OP_INTS];
    char list[TEXT];
    int used = snprintf(list, sizeof list, "%s%s", batch ? "8" : "", text + (positive || batch || value->fixed));
    assert_true(used > 0 && (size_t)used < sizeof list);
    struct ood_shape shape = { .rank = numbers(list, dims) };
    for (size_t i = 0; i < shape.rank; i++)
        shape.dims[i] = (int64_t)dims[i];
    value->data = ood_tensor_new(type, &shape, &err);
    assert_non_null(value->data);
    fill(value->data, random, positive, !value->input);
}

static void read_attribute(struct op_attribute *attribute, const char *text)
{
    const char *equals = strchr(text, '='), *value = equals + 1;
    assert_non_null(equals);
    *attribute = (struct op_attribute){ .count = 0 };
    snprintf(attribute->name, OP_NAME, "%.*s", (int)(equals - text), text);
    if (isalpha((unsigned char)*value)) {
        attribute->kind = OP_STRING;
        set_text(attribute->text, value);
        return;
    }
    double values[OP_INTS];
    bool list = strchr(value, ',') != NULL, floats = strpbrk(value, ".e") != NULL;
    attribute->count = numbers(value, values);
    attribute->kind = list ? floats ? OP_FLOAT_LIST : OP_INT_LIST : floats ? OP_FLOAT : OP_INT;
    for (size_t i = 0; i < attribute->count; i++) {
        attribute->floats[i] = (float)values[i];
        attribute->ints[i] = floats ? 0 : (int64_t)values[i];
    }
}

static void read_attributes(struct op_attributes *attributes, const char *text)
{
    char word[TEXT];
    attributes->count = 0;
    while (text != NULL && next(&text, " ", word)) {
        assert_true(attributes->count < OP_ATTRIBUTES);
        read_attribute(&attributes->items[attributes->count++], word);
    }
}

/* "y = Op(a, -, b) attributes" */
static void read_step(struct network *network, const char *text)
{
    assert_true(network->step_count < NODES);
    struct step *step = &network->steps[network->step_count++];
    char name[TEXT], word[TEXT], arguments[TEXT];
    *step = (struct step){ .input_count = 0 };
    assert_true(next(&text, "=", name) && next(&text, "(", word));
    set_text(step->op, word);
    snprintf(arguments, sizeof arguments, "%.*s", (int)strcspn(text, ")"), text);
    text += strcspn(text, ")") + 1;
    for (const char *rest = arguments; next(&rest, ",", word);) {
        assert_true(step->input_count < NODE_INPUTS);
        size_t value = strcmp(word, "-") == 0 ? SIZE_MAX : find_value(network, word);
        if (value == SIZE_MAX && strcmp(word, "-") != 0)
            fail_msg("no value is named \"%s\"", word);
        step->inputs[step->input_count++] = value;
    }
    read_attributes(&step->attributes, text);
    step->output = network->value_count;
    add_value(network, name);
}

static uint64_t seed_of(const char *name)
{
    uint64_t seed = 14695981039346656037u;
    for (; *name != '\0'; name++)
        seed = (seed ^ (unsigned char)*name) * 1099511628211u;
    return seed;
}

static void read_case(struct network *network, const struct op_case *row)
{
    bool chain = strchr(row->op, '(') != NULL;
    char word[TEXT], text[TEXT];
    struct ood_random random;
    ood_random_seed(&random, seed_of(row->name));
    *network = (struct network){ .opset = row->opset != 0 ? row->opset : 13 };
    size_t used = (size_t)snprintf(text, sizeof text, "y = %s(", row->op);
    for (const char *rest = row->inputs; next(&rest, " ", word);) {
        const char *equals = chain ? strchr(word, '=') : NULL;
        char name[OP_NAME];
        bool omitted = strcmp(word, "-") == 0;
        if (equals != NULL)
            snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
        else
            snprintf(name, sizeof name, "x%zu", network->value_count);
        if (!omitted)
            read_value(add_value(network, name), equals != NULL ? equals + 1 : word, &random);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s, ", omitted ? "-" : name);
        assert_true(used < sizeof text);
    }
    if (!chain) {
        snprintf(text + used, sizeof text - used, ") %s", row->attributes != NULL ? row->attributes : "");
        read_step(network, text);
    }
    for (const char *rest = row->op; chain && next(&rest, ";", word);)
        read_step(network, word);
}

static void free_network(struct network *network)
{
    for (size_t i = 0; i < network->value_count; i++)
        ood_tensor_free(network->values[i].data);
}

/* ---- writing it ---- */

static int onnx_type(enum ood_type type)
{
    return type == OOD_FLOAT32 ? ONNX_FLOAT : type == OOD_INT64 ? ONNX_INT64 : type == OOD_INT32 ? ONNX_INT32 : ONNX_BOOL;
}

static void write_attribute(struct onnx_writer *w, const struct op_attribute *attribute)
{
    switch (attribute->kind) {
    case OP_INT: onnx_int(w, attribute->name, attribute->ints[0]); break;
    case OP_FLOAT: onnx_float(w, attribute->name, attribute->floats[0]); break;
    case OP_STRING: onnx_string(w, attribute->name, attribute->text); break;
    case OP_INT_LIST: onnx_ints(w, attribute->name, attribute->ints, attribute->count); break;
    case OP_FLOAT_LIST: onnx_floats(w, attribute->name, attribute->floats, attribute->count); break;
    }
}

static void write_network(struct onnx_writer *w, const struct network *network)
{
    onnx_model_begin(w, network->opset);
    for (size_t i = 0; i < network->value_count; i++) {
        const struct value *value = &network->values[i];
        if (value->data == NULL)
            continue;
        struct ood_shape shape = value->data->shape;
        if (value->input && !value->fixed)
            shape.dims[0] = -1;
        if (value->input)
            onnx_input(w, value->name, onnx_type(value->data->type), shape.rank, shape.dims);
        else
            onnx_initialiser(w, value->name, onnx_type(value->data->type), shape.rank, shape.dims, value->data->data,
                             value->data->count * ood_type_size(value->data->type));
    }
    for (size_t i = 0; i < network->step_count; i++) {
        const struct step *step = &network->steps[i];
        const char *inputs[NODE_INPUTS], *output = network->values[step->output].name;
        for (size_t k = 0; k < step->input_count; k++)
            inputs[k] = step->inputs[k] == SIZE_MAX ? "" : network->values[step->inputs[k]].name;
        onnx_node_begin(w, step->op, NULL, inputs, step->input_count, &output, 1);
        for (size_t k = 0; k < step->attributes.count; k++)
            write_attribute(w, &step->attributes.items[k]);
        onnx_node_end(w);
    }
    onnx_output(w, network->values[network->steps[network->step_count - 1].output].name);
    onnx_model_end(w);
}

struct ood_bytes op_case_onnx(const struct op_case *row)
{
    struct ood_error err = { 0 };
    struct network *network = ood_new(struct network, &err);
    struct onnx_writer w = { 0 };
    assert_non_null(network);
    read_case(network, row);
    write_network(&w, network);
    free_network(network);
    ood_free(network);
    return (struct ood_bytes){ w.data, w.size };
}

/* ---- the reference ---- */

/* Pictures first … first+batch-1 of an input, as a view. */
static struct ood_tensor *pictures(const struct value *value, size_t first, size_t batch)
{
    struct ood_error err = { 0 };
    struct ood_shape shape = value->data->shape;
    size_t bytes = value->data->count * ood_type_size(value->data->type);
    if (!value->fixed) {
        bytes = bytes / PICTURES * first;
        shape.dims[0] = (int64_t)batch;
    } else {
        bytes = 0;
    }
    struct ood_tensor *view = ood_tensor_view(value->data->type, &shape, (char *)value->data->data + bytes, &err);
    assert_non_null(view);
    return view;
}

static struct ood_tensor *run_reference(const struct network *network, size_t first, size_t batch)
{
    struct ood_error err = { 0 };
    struct ood_tensor *known[VALUES] = { NULL }, *result;
    for (size_t i = 0; i < network->value_count; i++) {
        const struct value *value = &network->values[i];
        if (value->input)
            known[i] = pictures(value, first, batch);
        else if (value->data != NULL) {
            known[i] = ood_tensor_view(value->data->type, &value->data->shape, value->data->data, &err);
            assert_non_null(known[i]);
        }
    }
    for (size_t i = 0; i < network->step_count; i++) {
        const struct step *step = &network->steps[i];
        const struct ood_tensor *inputs[NODE_INPUTS];
        for (size_t k = 0; k < step->input_count; k++)
            inputs[k] = step->inputs[k] == SIZE_MAX ? NULL : known[step->inputs[k]];
        known[step->output] = op_reference(step->op, network->opset, &step->attributes, inputs, step->input_count, &err);
        if (known[step->output] == NULL)
            fail_msg("reference %s: %s", step->op, err.message);
    }
    size_t last = network->steps[network->step_count - 1].output;
    result = known[last];
    known[last] = NULL;
    for (size_t i = 0; i < network->value_count; i++)
        ood_tensor_free(known[i]);
    return result;
}

/* ---- comparing ---- */

enum closeness { EXACT, CLOSE, CLOSE_TO_LARGEST };

/* CLOSE_TO_LARGEST: Winograd's error is that of a tile's largest values. */
static double allowed(const struct ood_tensor *expected, enum closeness closeness)
{
    double largest = 1;
    for (size_t i = 0; closeness == CLOSE_TO_LARGEST && expected->type == OOD_FLOAT32 && i < expected->count; i++)
        largest = fmax(largest, fabs((double)ood_f32(expected)[i]));
    return 1e-5 * largest;
}

static void compare(const struct ood_tensor *expected, const void *found, enum closeness closeness, const char *how, size_t batch)
{
    const double absolute = allowed(expected, closeness);
    for (size_t i = 0; i < expected->count; i++) {
        size_t size = ood_type_size(expected->type);
        bool same = memcmp((const char *)found + i * size, (const char *)expected->data + i * size, size) == 0;
        if (expected->type != OOD_FLOAT32) {
            if (!same)
                fail_msg("%s, batch %zu: element %zu is wrong", how, batch, i);
            continue;
        }
        double a = (double)((const float *)found)[i], b = (double)ood_f32(expected)[i], d = a > b ? a - b : b - a;
        if (!(same || (closeness != EXACT && (a == b || d <= absolute + 1e-4 * (b < 0 ? -b : b)))))
            fail_msg("%s, batch %zu: element %zu is %.9g, expected %.9g", how, batch, i, a, b);
    }
}

struct running { const struct network *network; struct ood_model *model; struct ood_run *run; const char *how; enum closeness closeness; };

static const void *execute(const struct running *running, size_t first, size_t batch)
{
    for (size_t i = 0; i < ood_model_input_count(running->model); i++) {
        size_t value = find_value(running->network, ood_model_input_name(running->model, i));
        assert_true(value != SIZE_MAX);
        struct ood_tensor *view = pictures(&running->network->values[value], first, batch);
        memcpy(ood_run_input(running->run, batch, i), view->data, view->count * ood_type_size(view->type));
        ood_tensor_free(view);
    }
    ood_run_execute(running->run, batch);
    return ood_run_output(running->run, batch, 0);
}

/* One batch: shape, values, and, where pictures lie one behind the other, the bits they have alone. */
static void check_batch(const struct running *running, size_t first, size_t batch, const struct ood_tensor *alone)
{
    struct ood_tensor *expected = run_reference(running->network, first, batch);
    struct ood_shape told = ood_model_output_shape(running->model, 0), bound = ood_shape_bind(&told, batch);
    char a[OOD_SHAPE_TEXT], b[OOD_SHAPE_TEXT];
    if (!ood_shape_equal(&bound, &expected->shape))
        fail_msg("%s, batch %zu: shape %s, expected %s", running->how, batch, ood_shape_print(&bound, a),
                 ood_shape_print(&expected->shape, b));
    assert_int_equal(ood_model_output_type(running->model, 0), expected->type);
    const char *found = execute(running, first, batch);
    compare(expected, found, running->closeness, running->how, batch);
    size_t bytes = expected->count * ood_type_size(expected->type) / batch;
    for (size_t i = 0; alone != NULL && i < batch && bytes > 0; i++)
        if (memcmp(found + i * bytes, (const char *)alone->data + (first + i) * bytes, bytes) != 0)
            fail_msg("%s, batch %zu: picture %zu has other bits than alone", running->how, batch, first + i);
    ood_tensor_free(expected);
}

/* The outputs of each picture run alone, one behind the other; NULL where the output's first dimension is not the batch. */
static struct ood_tensor *run_alone(const struct running *running)
{
    struct ood_error err = { 0 };
    struct ood_shape shape = ood_model_output_shape(running->model, 0);
    bool batch_first = shape.rank > 0 && ood_dim_is_batch(shape.dims[0]);
    if (!batch_first)
        return NULL;
    shape = ood_shape_bind(&shape, PICTURES);
    struct ood_tensor *alone = ood_tensor_new(ood_model_output_type(running->model, 0), &shape, &err);
    assert_non_null(alone);
    size_t bytes = alone->count * ood_type_size(alone->type) / PICTURES;
    for (size_t i = 0; i < PICTURES && bytes > 0; i++)
        memcpy((char *)alone->data + i * bytes, execute(running, i, 1), bytes);
    return alone;
}

static bool has_winograd(const struct ood_model *model)
{
    bool found = false;
    for (size_t i = 0; i < ood_model_step_count(model, 1); i++)
        found = found || strncmp(ood_model_step(model, 1, i).kernel, "own:winograd ", 13) == 0;
    return found;
}

enum way { WITHOUT_PASSES, WITH_PASSES, WINOGRAD };

/* Returns whether the Winograd kernel was in it; WINOGRAD where it is not: nothing is run, that was done before. */
static bool check_model(const struct network *network, const struct ood_bytes *onnx, enum way way, size_t most, bool exact)
{
    static const char *const hows[] = { "without passes", "with passes", "with Winograd" };
    struct ood_error err = { 0 };
    struct ood_model_options options = { .operators = ood_op_table, .no_taps = true, .batch = most,
                                         .passes = way == WITHOUT_PASSES ? OOD_PASS_NONE : 0,
                                         .convolution = way == WINOGRAD ? OOD_CONVOLUTION_WINOGRAD : OOD_CONVOLUTION_DIRECT };
    struct running running = { .network = network, .how = hows[way],
                               .closeness = way == WINOGRAD ? CLOSE_TO_LARGEST : exact ? EXACT : CLOSE };
    check_ok(running.model = ood_model_new(onnx, &options, &err));
    const bool winograd = has_winograd(running.model);
    if (way == WINOGRAD && !winograd) {
        ood_model_free(running.model);
        return false;
    }
    check_ok(running.run = ood_run_new(running.model, &err));
    if (ood_model_most_batch(running.model) != most) {                     /* the file fixes the batch */
        check_batch(&running, 0, ood_model_most_batch(running.model), NULL);
    } else {
        struct ood_tensor *alone = run_alone(&running);
        check_batch(&running, 1, 1, alone);
        check_batch(&running, 3, 2, alone);
        check_batch(&running, 8 - most, most, alone);
        if (most == 3)
            check_batch(&running, 0, 3, alone);
        ood_tensor_free(alone);
    }
    ood_run_free(running.run);
    ood_model_free(running.model);
    return winograd;
}

/* ---- a case as a test ---- */

static bool is_supported(const struct ood_bytes *onnx)
{
    struct ood_error err = { 0 };
    struct ood_model_options options = { .operators = ood_op_table, .no_taps = true, .batch = 1 };
    struct ood_model *model = ood_model_new(onnx, &options, &err);
    if (model == NULL && err.code != OOD_UNSUPPORTED)
        fail_msg("%s: %s", ood_code_name(err.code), err.message);
    ood_model_free(model);
    return model != NULL;
}

enum demand { NONE, EXACT_BITS, USES_WINOGRAD };

struct prepared { const struct op_case *row; enum demand demand; };

static void run_case(void **state)
{
    const struct prepared *prepared = *state;
    const struct op_case *row = prepared->row;
    struct ood_error err = { 0 };
    struct network *network = ood_new(struct network, &err);
    struct onnx_writer w = { 0 };
    assert_non_null(network);
    read_case(network, row);
    write_network(&w, network);
    const struct ood_bytes onnx = { w.data, w.size };
    if (row->refused != NULL && row->refused != op_may_refuse) {
        struct ood_model_options options = { .operators = ood_op_table, .no_taps = true };
        struct ood_model *model = ood_model_new(&onnx, &options, &err);
        if (model != NULL)
            fail_msg("loaded; expected \"%s\"", row->refused);
        if ((err.code != OOD_INVALID && err.code != OOD_UNSUPPORTED) || strstr(err.message, row->refused) == NULL)
            fail_msg("%s: %s; expected \"%s\"", ood_code_name(err.code), err.message, row->refused);
    } else if (row->refused == NULL || is_supported(&onnx)) {
        const bool exact = prepared->demand == EXACT_BITS;
        assert_false(check_model(network, &onnx, WITHOUT_PASSES, 8, exact));
        assert_false(check_model(network, &onnx, WITH_PASSES, 8, exact));
        check_model(network, &onnx, WITH_PASSES, 3, exact);
        const bool winograd = check_model(network, &onnx, WINOGRAD, 8, exact);
        if (prepared->demand == USES_WINOGRAD && !winograd)
            fail_msg("the Winograd kernel is not used");
    }
    onnx_free(&w);
    free_network(network);
    ood_free(network);
}

static int run_cases(const char *group, const struct op_case *cases, size_t count, enum demand demand)
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    struct prepared *prepared = calloc(count, sizeof *prepared);
    if (tests == NULL || prepared == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        prepared[i] = (struct prepared){ &cases[i], demand };
        tests[i] = (struct CMUnitTest){ .name = cases[i].name, .test_func = run_case, .initial_state = &prepared[i] };
    }
    int failed = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    free(tests);
    free(prepared);
    return failed;
}

int op_cases_run(const char *group, const struct op_case *cases, size_t count, bool exact)
{
    return run_cases(group, cases, count, exact ? EXACT_BITS : NONE);
}

int op_cases_run_winograd(const char *group, const struct op_case *cases, size_t count)
{
    return run_cases(group, cases, count, USES_WINOGRAD);
}
