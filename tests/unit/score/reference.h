/* Reads tests/data/score/reference.txt and files like it (made by make.py beside them): records of a word, a count and so many values. */
#ifndef OOD_TESTS_SCORE_REFERENCE_H
#define OOD_TESTS_SCORE_REFERENCE_H

#include "check.h"

#include "score/score.h"

struct reference { FILE *file; char word[32]; size_t count; double *values; };

static inline struct reference reference_open_file(const char *name)
{
    struct reference reference = { .file = fopen(check_data(name), "r") };
    assert_non_null(reference.file);
    return reference;
}

static inline struct reference reference_open(void)
{
    return reference_open_file("score/reference.txt");
}

/* The next record, whatever it is. False at the end, which closes. */
static inline bool reference_next(struct reference *reference)
{
    free(reference->values);
    reference->values = NULL;
    if (fscanf(reference->file, "%31s %zu", reference->word, &reference->count) != 2) {
        fclose(reference->file);
        return false;
    }
    reference->values = calloc(reference->count + 1, sizeof *reference->values);
    assert_non_null(reference->values);
    for (size_t i = 0; i < reference->count; i++)
        assert_int_equal(fscanf(reference->file, "%lf", &reference->values[i]), 1);
    return true;
}

/* The next record, which must be `word`; its values become the caller's. */
static inline double *reference_take(struct reference *reference, const char *word, size_t *count)
{
    assert_true(reference_next(reference));
    assert_string_equal(reference->word, word);
    if (count != NULL)
        *count = reference->count;
    double *values = reference->values;
    reference->values = NULL;
    return values;
}

static inline float *reference_take_floats(struct reference *reference, const char *word)
{
    size_t count;
    double *values = reference_take(reference, word, &count);
    float *floats = calloc(count + 1, sizeof *floats);
    assert_non_null(floats);
    for (size_t i = 0; i < count; i++)
        floats[i] = (float)values[i];
    free(values);
    return floats;
}

#endif
