/* Annotations in COCO's and Pascal VOC's form, whole and broken; matching, AP50 and the best limit on cases done by hand. */
#include "check.h"

#include <math.h>

#include "detect/match.h"

static struct ood_error err;

static struct ood_bytes bytes_of(const char *text) { return (struct ood_bytes){ (unsigned char *)(uintptr_t)text, strlen(text) }; }

/* Every part of a file that is missing its end is refused; in memory of its own, so that reading past the end is seen. */
static void check_halves(bool (*read)(const struct ood_bytes *, struct ood_annotations *, struct ood_error *), struct ood_bytes whole)
{
    for (size_t size = 1; size < whole.size; size++) {
        struct ood_annotations half = { 0 };
        struct ood_bytes part = { malloc(size), size };
        memcpy(part.data, whole.data, size);
        check_fails(read(&part, &half, &err), OOD_INVALID, "line ");
        ood_annotations_free(&half);
        free(part.data);
    }
}

#define IMAGES "\"images\":[{\"id\":7,\"file_name\":\"sub/b.jpg\"},{\"id\":3,\"file_name\":\"a.jpg\"}]"
#define CATEGORIES "\"categories\":[{\"id\":90,\"name\":\"dog\"},{\"id\":1,\"name\":\"cat\"}]"

static void coco(void **state)
{
    (void)state;
    struct ood_annotations read = { 0 };
    struct ood_bytes text = bytes_of("{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":90,\"bbox\":[1,2,3,4.5],\"iscrowd\":0},"
                                     "{\"image_id\":7,\"category_id\":1,\"bbox\":[0,0,9,9],\"iscrowd\":1},"
                                     "{\"image_id\":3,\"category_id\":1,\"bbox\":[5,5,0,2]}]}");
    check_ok(ood_annotations_coco(&text, &read, &err));
    check_halves(ood_annotations_coco, text);
    assert_int_equal(read.name_count, 2);
    assert_string_equal(read.names[0], "cat");
    assert_int_equal(read.picture_count, 2);
    assert_true(read.truth_count == 1 && read.skipped == 1);
    const struct ood_annotated *picture = ood_annotations_find(&read, "elsewhere/b.jpg");
    assert_non_null(picture);
    assert_int_equal(picture->count, 2);
    assert_true(picture->truths[0].box[2] == 4 && picture->truths[0].box[3] == 6.5 && picture->truths[0].name == 1 && picture->truths[1].ignored);
    assert_int_equal(ood_annotations_find(&read, "a.jpg")->count, 0);
    assert_null(ood_annotations_find(&read, "c.jpg"));
    ood_annotations_free(&read);
    static const struct { const char *text, *part; } bad[] = {
        { "[]", "images: expected an array" },
        { "{\"images\":[{\"id\":\"x\"}]}", "images[0]: expected a whole number" },
        { "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":1,\"file_name\":\"b\"}]}", "images: id 1 stands twice" },
        { "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":2,\"file_name\":\"x/a\"}],\"categories\":[],\"annotations\":[]}", "picture a: named twice" },
        { "{" IMAGES "," CATEGORIES "}", "annotations: expected an array" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":8,\"category_id\":1,\"bbox\":[0,0,1,1]}]}", "annotations[0].image_id: names none" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":2,\"bbox\":[0,0,1,1]}]}", "annotations[0].category_id" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":1,\"bbox\":[0,0,1]}]}", "annotations[0].bbox: expected" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":1,\"bbox\":[0,0,\"1\",1]}]}", "annotations[0].bbox[2]" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":1,\"bbox\":[0,0,1e300,1]}]}", "annotations[0]: b.jpg: a box with 1e+300" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":1,\"bbox\":[0,0,1,1],\"iscrowd\":\"1\"}]}", "annotations[0].iscrowd: expected 0 or 1" },
        { "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":7,\"category_id\":1,\"bbox\":[0,0,1,1],\"iscrowd\":2}]}", "annotations[0].iscrowd: expected 0 or 1" },
        { "{", "line 1" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        text = bytes_of(bad[i].text);
        check_fails(ood_annotations_coco(&text, &read, &err), OOD_INVALID, bad[i].part);
        assert_null(read.names);
    }
}

#define OBJECT(name, extra, box) "<object><name>" name "</name>" extra "<bndbox>" box "</bndbox></object>"
#define BOX "<xmin>1</xmin><ymin> 11 </ymin><xmax>20</xmax><ymax>30</ymax>"

static void voc(void **state)
{
    (void)state;
    struct ood_annotations read = { 0 };
    struct ood_bytes text = bytes_of("<?xml version=\"1.0\"?>\n<annotation>\n <folder>f</folder><filename>x.jpg</filename><size><width>99</width></size>"
                                     OBJECT("cat", "<difficult>0</difficult>", BOX) OBJECT("dog", "<difficult>1</difficult><part><name>head</name>"
                                     "<bndbox><xmin>5</xmin></bndbox></part>", BOX) OBJECT("cat", "", BOX) "</annotation>");
    check_ok(ood_annotations_voc(&text, &read, &err));
    check_ok(ood_annotations_sort(&read, &err));
    check_halves(ood_annotations_voc, text);
    const struct ood_annotated *picture = ood_annotations_find(&read, "x.jpg");
    assert_non_null(picture);
    assert_int_equal(picture->count, 3);
    assert_int_equal(read.name_count, 2);
    assert_true(picture->truths[1].ignored && !picture->truths[0].ignored && picture->truths[2].name == 0);
    assert_true(picture->truths[0].box[0] == 0 && picture->truths[0].box[1] == 10 && picture->truths[0].box[2] == 20 && picture->truths[0].box[3] == 30);
    check_ok(ood_annotations_voc(&text, &read, &err));
    check_fails(ood_annotations_sort(&read, &err), OOD_INVALID, "picture x.jpg: named twice");
    static const struct { const char *text, *part; } bad[] = {
        { "", "line 1" },
        { "<a/>", "line 1: found another root element, expected <annotation>" },
        { "<annotation/>", "no <filename>" },
        { "<annotation><filename>a/</filename></annotation>", "without a file name" },
        { "<annotation><filename>a</filename><object><name>n</name></object></annotation>", "an <object> without" },
        { "<annotation><filename>a</filename>" OBJECT("", "", BOX) "</annotation>", "an <object> without <name>" },
        { "<annotation><filename>a</filename>" OBJECT("n", "", "<xmin>nan</xmin>") "</annotation>", "a corner of a <bndbox> that is no number" },
        { "<annotation><filename>a</filename>\n</annotatio>", "line 2" },
        { "<!DOCTYPE annotation [<!ENTITY a \"b\">]><annotation><filename>&a;</filename></annotation>", "a document type declaration" },
        { "<annotation><b><b><b><b><b><b><b><b><b><b><b><b><b><b><b><b><b>", "nested too deep" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        text = bytes_of(bad[i].text);
        check_fails(ood_annotations_voc(&text, &read, &err), OOD_INVALID, bad[i].part);
    }
    char *long_text = malloc(10000);
    memset(long_text, 'x', 9999);
    memcpy(long_text, "<annotation><filename>", 22);
    long_text[9999] = '\0';
    text = bytes_of(long_text);
    check_fails(ood_annotations_voc(&text, &read, &err), OOD_INVALID, "more than 4095 bytes");
    free(long_text);
    ood_annotations_free(&read);
}

/* Two classes. Class 0 has 2 objects, found right (0.9), wrong (0.8), right (0.7); class 1 has one that is never found. */
static void precision_by_hand(void **state)
{
    (void)state;
    struct ood_truth truths[] = { { { 0, 0, 10, 10 }, 0, false }, { { 20, 0, 30, 10 }, 0, false }, { { 0, 20, 10, 30 }, 1, false },
                                  { { 50, 50, 90, 90 }, 0, true } };
    struct ood_annotated picture = { .truths = truths, .count = 4 };
    const size_t classes[] = { 0, 1 };
    const struct ood_found found[] = {
        { { 0, 0, 10, 10 }, 0.9, 0 }, { { 0, 0, 10, 9 }, 0.8, 0 }, { { 60, 60, 70, 70 }, 0.75, 0 }, { { 21, 0, 30, 10 }, 0.7, 0 } };
    enum ood_match result[4];
    bool left[4];
    ood_match(found, 4, &picture, classes, false, result, left);
    assert_true(result[0] == OOD_MATCHED && result[1] == OOD_UNMATCHED && result[2] == OOD_MATCH_IGNORED && result[3] == OOD_MATCHED);
    assert_true(!left[0] && !left[1] && left[2]);
    struct ood_tally tally;
    double f1;
    check_ok(ood_tally_begin(&tally, 2, &err));
    assert_true(isnan(ood_tally_ap50(&tally)) && isnan(ood_tally_best_limit(&tally, NULL)));
    check_ok(ood_tally_add(&tally, found, 4, &picture, classes, &err));
    /* recall 0 … 0.50: 51 points at precision 1; 0.51 … 1: 50 points at 2/3; class 1: 0 */
    check_close(ood_tally_ap50(&tally), (51 + 50 * 2.0 / 3) / 101 / 2, 1e-12, 0);
    check_close(ood_tally_best_limit(&tally, &f1), 0.7, 0, 0);
    check_close(f1, 2 * 2.0 / (3 + 3), 1e-15, 0);
    ood_tally_free(&tally);
    ood_match(found, 4, NULL, classes, false, result, left);
    assert_true(result[0] == OOD_UNMATCHED);
}

static void names_are_matched(void **state)
{
    (void)state;
    char *names[] = { (char[]){ "Dog" }, (char[]){ "cow" } }, *labels[] = { (char[]){ "cat" }, (char[]){ "dog" } };
    struct ood_annotations annotations = { .names = names, .name_count = 2 };
    size_t classes[2];
    ood_match_names(&annotations, labels, 2, classes);
    assert_true(classes[0] == 1 && classes[1] == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coco), cmocka_unit_test(voc), cmocka_unit_test(precision_by_hand), cmocka_unit_test(names_are_matched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
