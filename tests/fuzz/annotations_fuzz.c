/* Annotations from bytes: the first byte says which form. What is accepted must hold together, and matching must bear it. */
#include <math.h>
#include <string.h>

#include "detect/match.h"
#include "fuzz.h"

static void check_all(const struct ood_annotations *annotations)
{
    struct ood_error err = { 0 };
    struct ood_tally tally;
    const struct ood_found found[2] = { { { 0, 0, 10, 10 }, 0.9, 0 }, { { 1, 2, 30, 40 }, 0.5, 1 } };
    size_t *classes = ood_new_array(size_t, annotations->name_count, &err), truths = 0, counted = 0;
    char label[] = "a", *labels[] = { label };
    fuzz_require(classes != NULL && ood_tally_begin(&tally, 2, &err));
    ood_match_names(annotations, labels, 1, classes);
    for (size_t i = 0; i < annotations->name_count; i++)
        classes[i] = classes[i] == SIZE_MAX ? i % 2 : classes[i];
    for (size_t i = 0; i < annotations->picture_count; i++) {
        const struct ood_annotated *picture = &annotations->pictures[i];
        fuzz_require(picture->file[0] != '\0' && strchr(picture->file, '/') == NULL && ood_annotations_find(annotations, picture->file) == picture);
        for (size_t t = 0; t < picture->count; t++) {
            const struct ood_truth *truth = &picture->truths[t];
            truths += !truth->ignored;
            fuzz_require(truth->name < annotations->name_count && truth->box[2] > truth->box[0] && truth->box[3] > truth->box[1]);
        }
        fuzz_require(ood_tally_add(&tally, found, 2, picture, classes, &err));
    }
    fuzz_require(truths == annotations->truth_count);
    for (size_t k = 0; k < 2; k++)
        counted += tally.truths[k];
    double ap50 = ood_tally_ap50(&tally);
    fuzz_require(counted == truths && (truths == 0 ? isnan(ap50) : ap50 >= 0 && ap50 <= 1));
    ood_tally_free(&tally);
    ood_free(classes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    struct ood_annotations annotations = { 0 };
    if (size == 0)
        return 0;
    struct ood_bytes bytes = { ood_alloc(size, 1, &err), size - 1 };
    fuzz_require(bytes.data != NULL);
    memcpy(bytes.data, data + 1, size - 1);
    bool xml = data[0] == 'x';
    if (xml ? ood_annotations_voc(&bytes, &annotations, &err) && ood_annotations_sort(&annotations, &err)
            : ood_annotations_coco(&bytes, &annotations, &err))
        check_all(&annotations);
    else
        fuzz_require(err.code != OOD_OK && err.message[0] != '\0');
    ood_annotations_free(&annotations);
    ood_bytes_free(&bytes);
    return 0;
}
