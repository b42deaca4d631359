/* Class names in metadata: what Python's repr() and json.dumps() write, what else is met, and what is refused. */
#include "toy.h"

#include "graph/labels.h"
#include "ops/ops.h"

/* expected: the names, each followed by '|'; or part of the error. */
struct text_case { const char *text, *expected; enum ood_code code; };

static const struct text_case cases[] = {
    /* Ultralytics: str(dict) */
    { "{0: 'cat', 1: 'dog'}", "cat|dog|", OOD_OK },
    { "{0: 'tench', 1: \"carpenter's plane\", 2: 'say \"x\"'}", "tench|carpenter's plane|say \"x\"|", OOD_OK },
    { "{1: 'dog', 0: 'cat'}", "cat|dog|", OOD_OK },
    { "{0: 'it\\'s \"both\"', 1: 'back\\\\slash'}", "it's \"both\"|back\\slash|", OOD_OK },
    { "{0: 'Käse', 1: '猫'}", "Käse|猫|", OOD_OK },
    { "{0:'a',1:'b',}", "a|b|", OOD_OK },
    { " {\n 0 : 'a' ,\r\n\t1: 'b' } \n", "a|b|", OOD_OK },
    /* json.dumps of id2label, of class_to_idx, of a list */
    { "{\"0\": \"cat\", \"1\": \"dog\"}", "cat|dog|", OOD_OK },
    { "{\"dog\": 1, \"cat\": 0}", "cat|dog|", OOD_OK },
    { "{'10': 0, 'x': 1}", "expected", OOD_INVALID },                 /* digits in quotes are a number */
    { "[\"cat\", \"dog\"]", "cat|dog|", OOD_OK },
    { "[\"K\\u00e4se\", \"\\ud83d\\ude00\", \"\\u732b\"]", "Käse|😀|猫|", OOD_OK },
    { "['cat', 'dog']", "cat|dog|", OOD_OK },
    { "('cat', 'dog',)", "cat|dog|", OOD_OK },
    { "['\\xe9t\\xe9', '\\U0001F600']", "été|😀|", OOD_OK },
    /* plain */
    { "cat\ndog\n", "cat|dog|", OOD_OK },
    { "cat\r\ntraffic light\r\n", "cat|traffic light|", OOD_OK },
    { "cat, dog ,bird", "cat|dog|bird|", OOD_OK },
    { "a, b\nc, d", "a, b|c, d|", OOD_OK },
    { "cat", "cat|", OOD_OK },
    /* twins, as ImageNet has */
    { "['crane', 'heron', 'crane']", "crane (0)|heron|crane (2)|", OOD_OK },
    { "['a', 'a', 'a (1)']", "classes 1 and 2 are both \"a (1)\"", OOD_INVALID },

    { "", "found the end, expected names", OOD_INVALID },
    { "   ", "found the end, expected names", OOD_INVALID },
    { "{}", "byte 1: found \"}\", expected a name in quotes", OOD_INVALID },
    { "[]", "byte 1: found \"]\", expected a name in quotes", OOD_INVALID },
    { "{0: 'cat'", "found the end, expected \",\" or \"}\"", OOD_INVALID },
    { "{0: 'cat", "found the end, expected the end of a name", OOD_INVALID },
    { "{0: 'cat'} x", "byte 11: found \"x\", expected the end", OOD_INVALID },
    { "{0 'cat'}", "byte 3: found \"'\", expected \":\"", OOD_INVALID },
    { "{0: 'cat', 'dog': 1}", "expected a class's number", OOD_INVALID },
    { "{0: 'cat', 0: 'dog'}", "class 0 is named twice", OOD_INVALID },
    { "{1: 'cat', 2: 'dog'}", "class 2 of 2 names, expected 0 to 1", OOD_INVALID },
    { "{0: 'cat', 99999999999999999999: 'dog'}", "expected", OOD_INVALID },
    { "{-1: 'cat'}", "expected", OOD_INVALID },
    { "{0: cat}", "byte 4: found \"c\", expected a name in quotes", OOD_INVALID },
    { "{0: ['cat']}", "expected a name in quotes", OOD_INVALID },
    { "{0: 'cat', 1: __import__('os')}", "expected a name in quotes", OOD_INVALID },
    { "['cat' 'dog']", "expected \",\" or \"]\"", OOD_INVALID },
    { "['cat',,'dog']", "byte 7: found \",\", expected a name in quotes", OOD_INVALID },
    { "['']", "a name is empty", OOD_INVALID },
    { "['a\\qb']", "expected an escape", OOD_INVALID },
    { "['a\\", "expected an escape", OOD_INVALID },
    { "['\\u12']", "byte 6: found \"'\", expected a hexadecimal digit", OOD_INVALID },
    { "['\\ud83d\\u0041']", "half a character", OOD_INVALID },
    { "['\\ud83d']", "not UTF-8", OOD_INVALID },
    { "['\\udc00']", "not UTF-8", OOD_INVALID },
    { "['\\U00110000']", "no character has this number", OOD_INVALID },
    { "['\\x00']", "no character has this number", OOD_INVALID },
    { "['a\\nb']", "control characters", OOD_INVALID },
    { "['\xff\xfe']", "not UTF-8", OOD_INVALID },
    { "['\xc3']", "not UTF-8", OOD_INVALID },
    { "a,,b", "a name is empty", OOD_INVALID },
    { "cat,\x1b[31m", "control characters", OOD_INVALID },
};

static void print_names(const struct ood_labels *labels, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < labels->count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s|", labels->names[i]);
    assert_true(used < size);
}

/* Each text in a block of exactly its size, so that a byte read behind it is seen under AddressSanitizer. */
static void texts_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ood_error err = { 0 };
        struct ood_labels labels = { .count = 77 };
        const size_t size = strlen(cases[i].text);
        char *text = malloc(size), found[256];
        memcpy(text, cases[i].text, size);
        const bool done = ood_labels_parse(text, size, &labels, &err);
        free(text);
        if (err.code != cases[i].code || done != (err.code == OOD_OK) || (!done && strstr(err.message, cases[i].expected) == NULL))
            fail_msg("%s: %s: %s; expected %s with \"%s\"", cases[i].text, ood_code_name(err.code), err.message, ood_code_name(cases[i].code),
                     cases[i].expected);
        if (!done) {
            assert_int_equal(labels.count, 77);                       /* outputs untouched */
            continue;
        }
        print_names(&labels, found, sizeof found);
        assert_string_equal(found, cases[i].expected);
        ood_labels_clear(&labels);
    }
}

static void long_names(void **state)
{
    (void)state;
    struct ood_error err = { 0 };
    struct ood_labels labels;
    static char text[OOD_LABEL_BYTES + 8];
    for (size_t over = 0; over < 2; over++) {
        const size_t length = OOD_LABEL_BYTES + over;
        memset(text, 'x', sizeof text);
        text[0] = '[';
        text[1] = text[length + 2] = '\'';
        text[length + 3] = ']';
        if (over == 0) {
            check_ok(ood_labels_parse(text, length + 4, &labels, &err));
            assert_int_equal(strlen(labels.names[0]), OOD_LABEL_BYTES);
            ood_labels_clear(&labels);
        } else {
            check_fails(ood_labels_parse(text, length + 4, &labels, &err), OOD_INVALID, "a name of more than 4000 bytes");
        }
    }
}

/* ---- of a network ---- */

static void metadata(struct onnx_writer *w, const char *key, const char *value)
{
    onnx_begin(w, 14);
    onnx_text(w, 1, key);
    onnx_text(w, 2, value);
    onnx_end(w);
}

struct network_case { const char *metadata[6]; size_t classes; const char *key, *expected; enum ood_code code; };

static const struct network_case networks[] = {
    { { NULL }, 2, NULL, "", OOD_OK },
    { { "stride", "32", "task", "classify" }, 2, NULL, "", OOD_OK },
    { { "task", "classify", "names", "{0: 'cat', 1: 'dog'}" }, 2, "names", "cat|dog|", OOD_OK },
    { { "classes", "a,b", "names", "c,d" }, 2, "names", "c|d|", OOD_OK },            /* the keys' order, not the file's */
    { { "names", "a,b", "names", "c,d" }, 2, "names", "a|b|", OOD_OK },
    { { "names", "a,b,c", "classes", "c,d" }, 2, "classes", "c|d|", OOD_OK },        /* the first that can be used */
    { { "names", "{0: oops}", "id2label", "{\"0\": \"x\", \"1\": \"y\"}" }, 2, "id2label", "x|y|", OOD_OK },
    { { "names", "a,b,c" }, 2, NULL, "names: 3 names, the network has 2 classes", OOD_INVALID },
    { { "names", "{0: oops}", "classes", "a" }, 2, NULL, "names: byte 4: found \"o\"", OOD_INVALID },
    { { "names", "" }, 2, NULL, "names: byte 0: found the end, expected names", OOD_INVALID },
};

static void networks_name_their_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        struct onnx_writer w = { 0 };
        struct ood_error err = { 0 };
        struct ood_labels labels = { 0 };
        char found[256];
        onnx_model_begin(&w, 13);
        onnx_input(&w, "x", ONNX_FLOAT, DIMS(-1, 3));
        toy_node(&w, "Relu", "y", "x");
        onnx_output(&w, "y");
        onnx_model_end(&w);
        for (size_t k = 0; k < 6 && networks[i].metadata[k] != NULL; k += 2)
            metadata(&w, networks[i].metadata[k], networks[i].metadata[k + 1]);
        struct ood_bytes bytes = { w.data, w.size };
        struct ood_graph *graph = ood_graph_read(&bytes, &(struct ood_graph_options){ .operators = ood_op_table }, &err);
        check_ok(graph != NULL);
        onnx_free(&w);
        const bool done = ood_graph_labels(graph, networks[i].classes, &labels, &err);
        ood_graph_free(graph);
        if (err.code != networks[i].code || done != (err.code == OOD_OK) || (!done && strstr(err.message, networks[i].expected) == NULL))
            fail_msg("case %zu: %s: %s; expected \"%s\"", i, ood_code_name(err.code), err.message, networks[i].expected);
        if (!done)
            continue;
        print_names(&labels, found, sizeof found);
        assert_string_equal(found, networks[i].expected);
        assert_true(labels.key == NULL ? networks[i].key == NULL : networks[i].key != NULL && strcmp(labels.key, networks[i].key) == 0);
        ood_labels_clear(&labels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(long_names),
        cmocka_unit_test(networks_name_their_classes),
    };
    return cmocka_run_group_tests_name("labels", tests, NULL, NULL);
}
