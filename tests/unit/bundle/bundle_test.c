/* Bundles: written and read again, the same bytes for the same content, every changed byte found and its file named, every
 * field of model.json refused when it is not what it must be. */
#include "small.h"

#include <locale.h>
#include <sys/stat.h>

#include "bundle/bundle_internal.h"

#define assert_doubles(a, b, count) assert_memory_equal(a, b, (count) * sizeof(double))

static void assert_same(const struct ood_bundle *a, const struct ood_bundle *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->version, b->version);
    assert_int_equal(a->classes, b->classes);
    for (size_t k = 0; k < a->classes; k++)
        assert_string_equal(a->labels[k], b->labels[k]);
    assert_string_equal(a->input_tensor, b->input_tensor);
    assert_string_equal(a->logits_tap, b->logits_tap);
    assert_string_equal(a->features_tap, b->features_tap);
    const struct ood_preprocess *p = &a->input, *q = &b->input;
    assert_true(p->width == q->width && p->height == q->height && p->channels == q->channels && p->layout == q->layout &&
                p->resize == q->resize && p->resize_to == q->resize_to && p->filter == q->filter && p->scale == q->scale);
    assert_memory_equal(p->fill, q->fill, sizeof p->fill);
    assert_memory_equal(p->mean, q->mean, sizeof p->mean);
    assert_memory_equal(p->std, q->std, sizeof p->std);
    const struct ood_judge *j = &a->judge, *k = &b->judge;
    assert_true(j->classes == k->classes && j->dimension == k->dimension && j->temperature == k->temperature &&
                j->distance == k->distance && j->beta == k->beta && j->energy_mean == k->energy_mean &&
                j->energy_std == k->energy_std && j->representation_mean == k->representation_mean &&
                j->representation_std == k->representation_std && j->alpha == k->alpha &&
                j->alpha_review == k->alpha_review && j->per_class == k->per_class && j->threshold == k->threshold &&
                j->review_threshold == k->review_threshold && j->calibration_count == k->calibration_count);
    assert_memory_equal(j->prototypes, k->prototypes, j->classes * j->dimension * sizeof *j->prototypes);
    assert_doubles(j->calibration_scores, k->calibration_scores, j->calibration_count);
    assert_int_equal(j->calibration_classes != NULL, j->per_class);
    if (j->per_class)
        assert_memory_equal(j->calibration_classes, k->calibration_classes,
                            j->calibration_count * sizeof *j->calibration_classes);
    assert_int_equal(a->beta_from, b->beta_from);
    assert_int_equal(a->convolution, b->convolution);
    assert_memory_equal(&a->largest_difference, &b->largest_difference, sizeof a->largest_difference);
    assert_string_equal(a->provenance, b->provenance);
    assert_int_equal(a->onnx.size, b->onnx.size);
    assert_memory_equal(a->onnx.data, b->onnx.data, a->onnx.size);
    assert_int_equal(a->selftest_count, b->selftest_count);
    assert_int_equal(a->selftest_floats, b->selftest_floats);
    assert_memory_equal(a->selftest_inputs, b->selftest_inputs, a->selftest_count * a->selftest_floats * sizeof(float));
    assert_doubles(a->selftest_energy, b->selftest_energy, a->selftest_count);
    assert_doubles(a->selftest_representation, b->selftest_representation, a->selftest_count);
    assert_doubles(a->selftest_score, b->selftest_score, a->selftest_count);
    assert_string_equal(a->selftest_isa, b->selftest_isa);
}

/* Writes, reads, writes again: the same fields, then the same bytes. */
static void goes_round(struct ood_bundle *bundle)
{
    struct ood_error err = { 0 };
    char folder[64], first[512], second[512];
    small_folder(folder);
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(second, sizeof second, "%s/second/", folder);
    check_ok(ood_bundle_write(bundle, first, &err));
    struct ood_bundle *again = ood_bundle_read(first, &err);
    check_ok(again != NULL);
    assert_same(bundle, again);
    assert_true(again->convolution != OOD_CONVOLUTION_AUTO);
    memset(again->version, 'x', 8);
    check_ok(ood_bundle_write(again, second, &err));
    assert_string_equal(again->version, bundle->version);
    for (size_t f = 0; f < SMALL_FILES; f++) {
        struct ood_bytes a = small_get(first, small_files[f]), b = small_get(second, small_files[f]);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        if (f == 0) {
            char hex[OOD_HASH_HEX];
            ood_sha256_hex(a.data, a.size, hex);
            assert_string_equal(hex, bundle->version);
        }
        ood_bytes_free(&a);
        ood_bytes_free(&b);
    }
    check_ok(ood_bundle_write(again, first, &err));      /* over one that is there */
    ood_bundle_free(again);
    small_remove(folder);
}

static void round_trip(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = small_bundle();
    goes_round(bundle);

    /* every choice the other way */
    ood_preprocess_preset("cifar", &bundle->input);
    bundle->input.width = bundle->input.height = 1;
    bundle->selftest_floats = 3;
    bundle->beta_from = OOD_BETA_BACKGROUND;
    bundle->convolution = OOD_CONVOLUTION_DIRECT;
    bundle->largest_difference = NAN;
    bundle->judge.distance = OOD_DISTANCE_PREDICTED;
    bundle->judge.alpha_review = bundle->judge.alpha;
    bundle->judge.per_class = true;
    bundle->judge.calibration_classes = ood_new_array(int64_t, 20, &err);
    for (size_t i = 0; i < 19; i++)
        bundle->judge.calibration_classes[i] = 2;
    check_ok(ood_judge_prepare(&bundle->judge, &err));
    goes_round(bundle);

    if (setlocale(LC_ALL, "de_DE.UTF-8") != NULL || setlocale(LC_ALL, "fr_FR.UTF-8") != NULL) {
        char version[OOD_HASH_HEX];
        memcpy(version, bundle->version, sizeof version);
        goes_round(bundle);
        assert_string_equal(bundle->version, version);
        setlocale(LC_ALL, "C");
    }
    ood_bundle_free(bundle);
    ood_bundle_free(NULL);
}

/* The text itself, so that a change of the format is seen and numbered. */
static void the_text_of_model_json(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    static const char expected[] =
        "\"decision\":{\"alpha\":0.05,\"alpha_review\":0.1,\"calibration_items\":20,\"per_class\":false,"
        "\"review_threshold\":-1.8571428571428572,\"threshold\":-2},"
        "\"engine\":{\"checked_against\":\"direct\",\"convolution\":\"winograd\",\"largest_difference\":1.25e-05},"
        "\"files\":{\"model.onnx\":\"";
    static const char rest[] =
        "\"input\":{\"channels\":\"grey\",\"crop\":\"center\",\"fill\":[1,2,255],\"filter\":\"bicubic\",\"height\":2,"
        "\"layout\":\"nhwc\",\"mean\":[0.4914],\"resize\":\"letterbox\",\"resize_to\":7,"
        "\"scale\":0.003921569,\"std\":[0.1],\"tensor\":\"input\",\"width\":2},"
        "\"labels\":[\"cat\",\"Füchse \\\"rot\\\"\",\"a\\\\b/c\"],\"name\":\"small-1.0_x\","
        "\"provenance\":{\"made\":{\"by\":\"a test\",\"pictures\":40},\"seed\":7,\"small\":[0.1,-0.0,1e-07,true,null]},"
        "\"schema\":1,\"score\":{\"beta\":0.35,\"beta_from\":\"outliers\",\"distance\":\"nearest\",\"energy_mean\":-9.81,"
        "\"energy_std\":0.3333333333333333,\"representation_mean\":0.07,\"representation_std\":0.01,\"temperature\":1},"
        "\"taps\":{\"features\":\"/pool/Flatten\",\"logits\":\"/fc/Gemm:0\"}}";
    struct ood_bundle *bundle = small_bundle();
    char folder[64], path[512];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    check_ok(ood_bundle_write(bundle, path, &err));
    struct ood_bytes text = small_get(path, "model.json");
    assert_memory_equal(text.data, BUNDLE_SEAL_START, sizeof BUNDLE_SEAL_START - 1);
    assert_memory_equal(text.data + 73, "\",", 2);
    assert_memory_equal(text.data + 75, expected, sizeof expected - 1);
    assert_true(text.size > sizeof rest);
    assert_string_equal((char *)text.data + text.size - (sizeof rest - 1), rest);
    ood_bytes_free(&text);
    small_remove(folder);
    ood_bundle_free(bundle);
}

/* ---- what was changed ---- */

static void every_byte_counts(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = small_bundle();
    char folder[64], path[512];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    check_ok(ood_bundle_write(bundle, path, &err));
    ood_bundle_free(bundle);
    for (size_t f = 0; f < SMALL_FILES; f++) {
        struct ood_bytes bytes = small_get(path, small_files[f]);
        for (size_t i = 0; i < bytes.size; i++) {
            unsigned char was = bytes.data[i];
            bytes.data[i] ^= (unsigned char)(1u << (i % 8));
            small_put(path, small_files[f], bytes.data, bytes.size);
            bytes.data[i] = was;
            struct ood_bundle *read = ood_bundle_read(path, &err);
            if (read != NULL || err.code != OOD_CHANGED || strncmp(err.message, small_files[f], strlen(small_files[f])) != 0)
                fail_msg("%s: byte %zu flipped: %s: %s", small_files[f], i, ood_code_name(err.code), err.message);
            err = (struct ood_error){ 0 };
        }
        for (size_t size = 0; size < bytes.size; size++) {
            small_put(path, small_files[f], bytes.data, size);
            check_fails(ood_bundle_read(path, &err) != NULL, OOD_CHANGED, small_files[f]);
        }
        small_put(path, small_files[f], bytes.data, bytes.size + 1);      /* and the zero byte that stands behind */
        check_fails(ood_bundle_read(path, &err) != NULL, OOD_CHANGED, small_files[f]);
        small_put(path, small_files[f], bytes.data, bytes.size);
        ood_bytes_free(&bytes);
        bundle = ood_bundle_read(path, &err);                              /* as it was: fine */
        check_ok(bundle != NULL);
        ood_bundle_free(bundle);
    }
    small_remove(folder);
}

static void files_missing_and_strange(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = small_bundle();
    char folder[64], path[512], file[1024], expected[128];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    check_ok(ood_bundle_write(bundle, path, &err));
    ood_bundle_free(bundle);
    for (size_t f = 0; f < SMALL_FILES; f++) {
        struct ood_bytes bytes = small_get(path, small_files[f]);
        snprintf(file, sizeof file, "%s/%s", path, small_files[f]);
        unlink(file);
        snprintf(expected, sizeof expected, "%s: No such file", small_files[f]);
        check_fails(ood_bundle_read(path, &err) != NULL, OOD_NOT_FOUND, expected);
        assert_int_equal(mkdir(file, 0777), 0);
        snprintf(expected, sizeof expected, "%s: is a folder, expected a file", small_files[f]);
        struct ood_bundle *none = ood_bundle_read(path, &err);
        assert_null(none);
        assert_string_equal(err.message, expected);      /* begins with the file's name, without the folder's */
        err = (struct ood_error){ 0 };
        rmdir(file);
        assert_int_equal(symlink(small_files[f], file), 0);      /* a link to itself: there, and cannot be opened */
        snprintf(expected, sizeof expected, "%s: ", small_files[f]);
        check_fails(ood_bundle_read(path, &err) != NULL, OOD_SYSTEM, expected);
        unlink(file);
        if (geteuid() != 0) {
            small_put(path, small_files[f], bytes.data, bytes.size);
            assert_int_equal(chmod(file, 0), 0);
            snprintf(expected, sizeof expected, "%s: Permission denied", small_files[f]);
            check_fails(ood_bundle_read(path, &err) != NULL, OOD_SYSTEM, expected);
            unlink(file);
        }
        small_put(path, small_files[f], bytes.data, bytes.size);
        ood_bytes_free(&bytes);
    }
    small_put(path, "README", "not part of it", 14);      /* not named in model.json: not opened */
    small_put(path, "model.json~", "{}", 2);
    bundle = ood_bundle_read(path, &err);
    check_ok(bundle != NULL);
    ood_bundle_free(bundle);
    check_fails(ood_bundle_read("no/such/folder", &err) != NULL, OOD_NOT_FOUND, "no such folder");
    snprintf(file, sizeof file, "%s/model.json", path);
    check_fails(ood_bundle_read(file, &err) != NULL, OOD_NOT_FOUND, "no such folder");
    small_remove(folder);
}

/* ---- fields ---- */

/* A bundle's parts in memory, for bundle_parse. */
struct parts { json_t *model; struct ood_bytes prototypes, selftest; };

static struct parts parts_of(struct ood_bundle *bundle)
{
    struct ood_error err = { 0 };
    char folder[64], path[512];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    check_ok(ood_bundle_write(bundle, path, &err));
    struct ood_bytes text = small_get(path, "model.json");
    struct parts parts = { bundle_json_load(text.data, text.size, &err), small_get(path, "prototypes.safetensors"),
                           small_get(path, "selftest.safetensors") };
    assert_non_null(parts.model);
    ood_bytes_free(&text);
    small_remove(folder);
    return parts;
}

static void parts_free(struct parts *parts)
{
    json_decref(parts->model);
    ood_bytes_free(&parts->prototypes);
    ood_bytes_free(&parts->selftest);
}

/* The model with "section.key" (or "key") set to a value, or removed (NULL). */
static json_t *with_field(const json_t *model, const char *place, const char *value)
{
    json_t *copy = json_deep_copy(model), *object = copy;
    const char *dot = strchr(place, '.');
    if (dot != NULL) {
        char section[64];
        snprintf(section, sizeof section, "%.*s", (int)(dot - place), place);
        object = json_object_get(copy, section);
        place = dot + 1;
    }
    if (value == NULL)
        assert_int_equal(json_object_del(object, place), 0);
    else
        assert_int_equal(json_object_set_new(object, place, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    return copy;
}

static void without(const struct parts *parts, const char *place)
{
    struct ood_error err = { 0 };
    json_t *model = with_field(parts->model, place, NULL);
    check_fails(bundle_parse(model, &parts->prototypes, &parts->selftest, &err) != NULL, OOD_INVALID, place);
    json_decref(model);
}

static void each_field(void **state)
{
    (void)state;
    static const struct { const char *place, *value, *part; } cases[] = {
        { "schema", "2", "model.json: schema: found 2, expected 1" },
        { "schema", "\"1\"", "schema: found \"1\", expected a whole number" },
        { "schema", NULL, "schema: found nothing" },
        { "name", "\"a b\"", "name: found \"a b\", expected 1 to 64 of" },
        { "name", "\"\"", "name: found \"\", expected 1 to 4096" },
        { "name", "3", "name: found 3, expected a string" },
        { "name", "\"0123456789012345678901234567890123456789012345678901234567890123x\"", "name: found \"0123" },
        { "labels", "[]", "labels: found an array of 0, expected an array of 1 to 1000000 names" },
        { "labels", "{}", "labels: found an object" },
        { "labels", "[\"a\",\"b\",3]", "labels[2]: found 3" },
        { "labels", "[\"a\",\"b\\n\",\"c\"]", "labels[1]: found \"b?\"" },
        { "labels", "[\"a\",\"b\"]", "prototypes.safetensors: prototypes: found shape [3, 2], expected [2, 0]" },
        { "extra", "1", "model.json: extra: not a member of schema 1" },
        { "detector", "{}", "model.json: detector.family: found nothing, expected a string" },
        { "detector", "[]", "model.json: detector: found an array of 0, expected an object" },
        { "input", "[]", "input: found an array of 0, expected an object" },
        { "input.more", "1", "input.more: not a member of schema 1" },
        { "input.tensor", "null", "input.tensor: found null, expected a string" },
        { "input.width", "0", "input.width: found 0, expected a whole number from 1 to 16384" },
        { "input.width", "-1", "input.width: found -1" },
        { "input.width", "2.0", "input.width: found 2, expected a whole number" },
        { "input.width", "4", "selftest.safetensors: inputs: found shape [2, 4], expected [0, 8]" },
        { "input.height", "16385", "input.height: found 16385" },
        { "input.channels", "\"cmyk\"", "input.channels: found \"cmyk\", expected rgb, bgr or grey" },
        { "input.channels", "\"rgb\"", "input.mean: found an array of 1, expected an array of 3 numbers" },
        { "input.layout", "\"chw\"", "input.layout: found \"chw\"" },
        { "input.resize", "\"no\"", "input.resize: found \"no\"" },
        { "input.resize_to", "70000", "input.resize_to: found 70000" },
        { "input.filter", "\"box\"", "input.filter: found \"box\"" },
        { "input.crop", "\"random\"", "input.crop: found \"random\", expected center" },
        { "input.fill", "[1,2]", "input.fill: found an array of 2, expected an array of 3" },
        { "input.fill", "[1,2,256]", "input.fill[2]: found 256, expected a number from 0 to 255" },
        { "input.fill", "[1,2,0.5]", "input.fill: found an array of 3, expected whole numbers" },
        { "input.scale", "0", "input.scale: found 0" },
        { "input.scale", "\"x\"", "input.scale: found \"x\", expected a number" },
        { "input.mean", "[1e40]", "input.mean[0]: found 1e+40" },
        { "input.mean", "[\"x\"]", "input.mean[0]: found \"x\"" },
        { "input.std", "[0]", "input.std[0]: found 0" },
        { "taps.logits", "\"\"", "taps.logits: found \"\"" },
        { "taps.features", NULL, "taps.features: found nothing, expected a string" },
        { "taps.also", "\"x\"", "taps.also: not a member" },
        { "score.temperature", "0", "score.temperature: found 0" },
        { "score.distance", "\"far\"", "score.distance: found \"far\", expected nearest or predicted" },
        { "score.beta", "1.01", "score.beta: found 1.01, expected a number from 0 to 1" },
        { "score.beta_from", "\"luck\"", "score.beta_from: found \"luck\"" },
        { "score.energy_mean", "null", "score.energy_mean: found null, expected a number" },
        { "score.energy_std", "1e-13", "score.energy_std: found 1e-13, expected a number from 1e-12" },
        { "score.representation_mean", "-0.1", "score.representation_mean: found -0.1" },
        { "score.representation_std", "0", "score.representation_std: found 0" },
        { "decision.alpha", "1", "decision.alpha: found 1" },
        { "decision.alpha", "0.2", "decision.alpha_review: found 0.1, expected alpha or more" },
        { "decision.alpha", "0.001", "prototypes.safetensors: calibration_scores: found 20, expected at least 999" },
        { "decision.threshold", "\"x\"", "model.json: decision.threshold: found \"x\", expected a number" },
        { "decision.threshold", "-2.0000000000000004", "decision.threshold: found -2.0000000000000004, expected -2, which" },
        { "decision.threshold", "null", "decision.threshold: found null, expected -2" },
        { "decision.threshold", NULL, "decision.threshold: found nothing" },
        { "decision.review_threshold", "-1.85", "decision.review_threshold: found -1.85, expected -1.857142857142857" },
        { "decision.per_class", "0", "decision.per_class: found 0, expected true or false" },
        { "decision.per_class", "true", "prototypes.safetensors: found 2 tensors, expected 3" },
        { "decision.calibration_items", "19", "calibration_scores: found shape [20], expected [19]" },
        { "decision.calibration_items", "0", "decision.calibration_items: found 0" },
        { "engine.convolution", "\"auto\"", "engine.convolution: found \"auto\", expected direct or winograd" },
        { "engine.largest_difference", "null", "engine.largest_difference: found null" },
        { "engine.largest_difference", "-1", "engine.largest_difference: found -1" },
        { "engine.checked_against", "null", "engine.checked_against: found null, expected direct" },
        { "provenance", "[]", "provenance: found an array of 0, expected an object" },
    };
    struct ood_bundle *bundle = small_bundle();
    struct parts parts = parts_of(bundle);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        json_t *model = with_field(parts.model, cases[i].place, cases[i].value);
        struct ood_bundle *parsed = bundle_parse(model, &parts.prototypes, &parts.selftest, &err);
        if (parsed != NULL || strstr(err.message, cases[i].part) == NULL)
            fail_msg("%s = %s: %s; expected \"%s\"", cases[i].place, cases[i].value, err.message, cases[i].part);
        assert_int_equal(err.code, strstr(cases[i].part, "found 2, expected 1") ? OOD_UNSUPPORTED : OOD_INVALID);
        json_decref(model);
    }
    /* each member of each section is needed */
    const char *key;
    json_t *section;
    json_object_foreach(parts.model, key, section) {
        if (strcmp(key, "files") == 0 || strcmp(key, "seal") == 0)      /* the file reader's, not the parser's */
            continue;
        without(&parts, key);
        if (strcmp(key, "provenance") == 0)
            continue;
        for (void *at = json_object_iter(section); at != NULL; at = json_object_iter_next(section, at)) {
            char place[128];
            snprintf(place, sizeof place, "%s.%s", key, json_object_iter_key(at));
            without(&parts, place);
        }
    }
    parts_free(&parts);
    ood_bundle_free(bundle);
}

/* What a sealed, well-formed model.json may still not say of its files. */
static void hashes(void **state)
{
    (void)state;
    static const struct { const char *place, *value, *part; } cases[] = {
        { "files", "null", "model.json: files: found null, expected an object" },
        { "files.more", "\"x\"", "model.json: files.more: not a member" },
        { "files.model.onnx", "3", "model.json: files.model.onnx: found 3" },
    };
    struct ood_error err = { 0 };
    struct ood_bundle *bundle = small_bundle();
    struct parts parts = parts_of(bundle);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *model = with_field(parts.model, cases[i].place, cases[i].value);
        check_fails(bundle_hash_check(model, "model.onnx", &bundle->onnx, &err), OOD_INVALID, cases[i].part);
        json_decref(model);
    }
    check_ok(bundle_hash_check(parts.model, "model.onnx", &bundle->onnx, &err));
    check_fails(bundle_hash_check(parts.model, "model.onnx", &parts.selftest, &err), OOD_CHANGED, "model.onnx: changed since");
    parts_free(&parts);
    ood_bundle_free(bundle);
}

/* Bundles another program wrote from the documentation alone (tests/fuzz/bundle_seeds.py): good ones are read, seal and
 * all, spoiled ones are refused in the words of their fault. */
static void another_programs_bundle(void **state)
{
    (void)state;
    static const struct { const char *name, *part; } cases[] = {
        { "plain", NULL }, { "per_class", NULL }, { "choices", NULL }, { "provenance", NULL },
        { "wrong_shape", "prototypes.safetensors: prototypes: found shape [1, 4], expected [2, 0]" },
        { "not_finite", "selftest.safetensors: energy: found NaN or infinity at 0" },
        { "too_many", "prototypes.safetensors: found 3 tensors, expected 2" },
    };
    const char *source = getenv("OOD_SOURCE");
    char folder[2048];
    snprintf(folder, sizeof folder, "%s/tests/fuzz/bundle.in", source != NULL ? source : ".");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_bytes all = small_get(folder, cases[i].name);
        uint32_t lengths[2];      /* bundle_fuzz.c's form */
        assert_true(all.size > 8);
        memcpy(lengths, all.data, 8);
        assert_true(8 + (size_t)lengths[0] + lengths[1] < all.size);
        struct ood_bytes text = { all.data + 8, lengths[0] }, prototypes = { text.data + text.size, lengths[1] };
        struct ood_bytes selftest = { prototypes.data + prototypes.size, all.size - 8 - lengths[0] - lengths[1] };
        check_ok(bundle_seal_check(&text, &err));
        json_t *model = bundle_json_load(text.data, text.size, &err);
        check_ok(model != NULL);
        check_ok(bundle_hash_check(model, "prototypes.safetensors", &prototypes, &err));
        check_ok(bundle_hash_check(model, "selftest.safetensors", &selftest, &err));
        struct ood_bundle *bundle = bundle_parse(model, &prototypes, &selftest, &err);
        if (cases[i].part == NULL)
            check_ok(bundle != NULL);
        else if (bundle != NULL || strstr(err.message, cases[i].part) == NULL)
            fail_msg("%s: %s; expected \"%s\"", cases[i].name, err.message, cases[i].part);
        if (i == 1)
            assert_true(bundle->judge.class_counts[1] == 19 && bundle->judge.class_scores[0] == NULL);
        ood_bundle_free(bundle);
        json_decref(model);
        ood_bytes_free(&all);
    }
}

/* ---- writing ---- */

static void what_is_not_written(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    char folder[64], path[512];
    small_folder(folder);
    snprintf(path, sizeof path, "%s/b", folder);
    struct ood_bundle *bundle = small_bundle(), good = *bundle;
#define NOT_WRITTEN(field, value, expected, part)                                                                    \
    do {                                                                                                              \
        bundle->field = (value);                                                                                      \
        check_fails(ood_bundle_write(bundle, path, &err), expected, part);                                            \
        bundle->field = good.field;                                                                                   \
        assert_false(ood_is_folder(path));                                                                            \
        assert_string_equal(bundle->version, "");                                                                     \
    } while (0)
    NOT_WRITTEN(name, NULL, OOD_INVALID, "name: missing");
    NOT_WRITTEN(name, (char *)"a/b", OOD_INVALID, "model.json: name: found \"a/b\"");
    NOT_WRITTEN(onnx.size, 0, OOD_INVALID, "model.onnx: missing");
    NOT_WRITTEN(selftest_inputs, NULL, OOD_INVALID, "selftest: missing");
    NOT_WRITTEN(selftest_count, 0, OOD_INVALID, "selftest.safetensors: inputs: found 0, expected 1 to 1024");
    NOT_WRITTEN(selftest_floats, 3, OOD_INVALID, "selftest.safetensors: inputs: found shape [2, 3], expected [0, 4]");
    NOT_WRITTEN(judge.energy_mean, NAN, OOD_INVALID, "model.json: score.energy_mean: found null, expected a number");
    NOT_WRITTEN(judge.threshold, 0.5, OOD_INVALID, "model.json: decision.threshold: found 0.5, expected -2");
    NOT_WRITTEN(judge.per_class, true, OOD_INVALID, "calibration_classes: missing");
    NOT_WRITTEN(largest_difference, NAN, OOD_INVALID, "engine.largest_difference");
    NOT_WRITTEN(provenance, (char *)"[]", OOD_INVALID, "model.json: provenance: found an array of 0, expected an object");
    NOT_WRITTEN(provenance, (char *)"{\"a\":1,\"a\":2}", OOD_INVALID, "provenance: line 1");
    char *label = bundle->labels[1];
    NOT_WRITTEN(labels[1], (char *)"\xff", OOD_INVALID, "labels[1]: not UTF-8");
    bundle->labels[1] = label;
    NOT_WRITTEN(features_tap, (char *)"\xff", OOD_INVALID, "not UTF-8");
    NOT_WRITTEN(selftest_energy[1], INFINITY, OOD_INVALID, "selftest.safetensors: energy: found NaN or infinity at 1");
    bundle->selftest_energy[1] = -1e-3;
    NOT_WRITTEN(judge.prototypes[0], 1.5f, OOD_INVALID, "prototypes.safetensors: prototypes: class 0 has length 1.5");
    bundle->judge.prototypes[0] = 1;
    check_fails(ood_bundle_write(bundle, "no/such/place", &err), OOD_NOT_FOUND, "no/such/place");
    check_ok(ood_bundle_write(bundle, path, &err));
    ood_bundle_free(bundle);
    small_remove(folder);
}

static void json_text(void **state)
{
    (void)state;
    static const struct { const char *in, *out; } cases[] = {
        { "{ \"b\" : 1, \"a\" : [ ] , \"\" : { } }", "{\"\":{},\"a\":[],\"b\":1}" },
        { "{\"a\":\"\\u0001\\b\\t\\n\\f\\r\\\"\\\\\\/\\u00e4\\ud83d\\ude00\\u007f\"}",
          "{\"a\":\"\\u0001\\b\\t\\n\\f\\r\\\"\\\\/ä😀\x7f\"}" },
        { "{\"a\":[0.1,1.0,-0.0,0.0,1e22,-1e-7,12345678901234567890.0,9007199254740993,5e-324,123456789012345678.0]}",
          "{\"a\":[0.1,1,-0.0,0,1e+22,-1e-07,1.2345678901234567e+19,9007199254740993,4.94065645841247e-324,"
          "1.2345678901234568e+17]}" },
        { "{\"z\":true,\"y\":false,\"x\":null,\"Z\":-5}", "{\"Z\":-5,\"x\":null,\"y\":false,\"z\":true}" },
    };
    struct ood_error err = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value = bundle_json_load(cases[i].in, strlen(cases[i].in), &err);
        check_ok(value != NULL);
        char *text = bundle_json_text(value, &err);
        check_ok(text != NULL);
        assert_string_equal(text, cases[i].out);
        json_t *again = bundle_json_load(text, strlen(text), &err);      /* and the same from its own text */
        check_ok(again != NULL);
        ood_free(text);
        text = bundle_json_text(again, &err);
        check_ok(text != NULL);
        assert_string_equal(text, cases[i].out);
        ood_free(text);
        json_decref(value);
        json_decref(again);
    }
    for (size_t levels = 62; levels <= 66; levels++) {
        char deep[256] = "{\"a\":";
        for (size_t i = 0; i < levels; i++)
            snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "[");
        for (size_t i = 0; i < levels; i++)
            snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "]");
        snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "}");
        json_t *value = bundle_json_load(deep, strlen(deep), &err);
        check_ok(value != NULL);
        if (levels <= 63) {
            char *text = bundle_json_text(value, &err);
            check_ok(text != NULL);
            assert_string_equal(text, deep);
            ood_free(text);
        } else {
            check_fails(bundle_json_text(value, &err) != NULL, OOD_LIMIT, "64 levels");
        }
        json_decref(value);
    }
    static const char *const bad[] = { "", "{", "[]", "3", "{\"a\":1}x", "{\"a\":1,\"a\":1}", "{\"a\":1e999}", "{\"a\":NaN}",
                                       "{\"a\":\"\\u0000\"}", "{'a':1}", "{\"a\":01}", "\xef\xbb\xbf{}" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_fails(bundle_json_load(bad[i], strlen(bad[i]), &err) != NULL, OOD_INVALID, "");
    check_fails(bundle_json_load("{}\0", 3, &err) != NULL, OOD_INVALID, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(the_text_of_model_json),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(files_missing_and_strange),
        cmocka_unit_test(each_field),
        cmocka_unit_test(hashes),
        cmocka_unit_test(another_programs_bundle),
        cmocka_unit_test(what_is_not_written),
        cmocka_unit_test(json_text),
    };
    return cmocka_run_group_tests_name("bundle", tests, NULL, NULL);
}
