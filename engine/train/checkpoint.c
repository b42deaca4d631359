/* A training run's state as one safetensors file. The seal among its texts is the SHA-256 of the whole file with the seal's own digits
 * replaced by zeros, so a byte that changed anywhere is found before anything is believed. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "bundle/safetensors.h"
#include "train/training_internal.h"

#define FORMAT "oodd training 1"
#define SEAL "seal"
#define SEAL_MARK "\"" SEAL "\":\""
#define SEAL_DIGITS (OOD_HASH_HEX - 1)
#define CONSTANTS 8
#define CHECKPOINT_MOST ((size_t)1 << 33)

struct ood_checkpoint {
    struct ood_bytes bytes;
    struct ood_safetensors tensors;
    uint64_t steps;
    double elapsed;
};

/* ---- the seal ---- */

/* Its digits, or NULL. The header is where texts are; the first such mark in it is the seal's or the file is not ours. */
static unsigned char *find_seal(const struct ood_bytes *bytes)
{
    uint64_t header = 0;
    if (bytes->size < 8)
        return NULL;
    memcpy(&header, bytes->data, sizeof header);
    size_t end = header > bytes->size - 8 ? bytes->size : 8 + (size_t)header;
    unsigned char *mark = memmem(bytes->data, end, SEAL_MARK, sizeof SEAL_MARK - 1);
    if (mark == NULL || (size_t)(bytes->data + end - mark) < sizeof SEAL_MARK - 1 + SEAL_DIGITS)
        return NULL;
    return mark + sizeof SEAL_MARK - 1;
}

/* What the seal must be. The digits in the file are zeros afterwards. */
static void compute_seal(struct ood_bytes *bytes, unsigned char *digits, char hex[OOD_HASH_HEX])
{
    memset(digits, '0', SEAL_DIGITS);
    ood_sha256_hex(bytes->data, bytes->size, hex);
}

static bool check_seal(struct ood_bytes *bytes, struct ood_error *err)
{
    char found[SEAL_DIGITS], hex[OOD_HASH_HEX];
    unsigned char *digits = find_seal(bytes);
    if (digits == NULL)
        return ood_fail(err, OOD_INVALID, "not a checkpoint of oodctl train: no seal");
    memcpy(found, digits, SEAL_DIGITS);
    compute_seal(bytes, digits, hex);
    memcpy(digits, found, SEAL_DIGITS);
    return memcmp(found, hex, SEAL_DIGITS) == 0 || ood_fail(err, OOD_CHANGED, "changed since it was written, or cut short");
}

/* ---- writing ---- */

/* Names of entries and the entries, as many as a state can have. */
struct gathering {
    struct ood_safetensors_entry *entries;
    char **names;
    size_t count;
};

static bool gather(struct gathering *to, const char *kind, const char *name, enum ood_safetensors_type type, size_t rank, const size_t *shape,
                   const void *data, struct ood_error *err)
{
    char *full = name != NULL ? ood_format(err, "%s.%s", kind, name) : ood_strdup(kind, err);
    if (full == NULL)
        return false;
    struct ood_safetensors_entry entry = { .name = full, .type = type, .rank = rank, .data = data };
    memcpy(entry.shape, shape, rank * sizeof *shape);
    to->names[to->count] = full;
    to->entries[to->count++] = entry;
    return true;
}

static void constants_get(const struct ood_loss_options *loss, double constants[CONSTANTS])
{
    const double values[CONSTANTS] = { loss->energy_in, loss->energy_out, loss->representation_in, loss->representation_out,
                                       loss->energy_mean, loss->energy_std, loss->representation_mean, loss->representation_std };
    memcpy(constants, values, sizeof values);
}

static void constants_set(struct ood_loss_options *loss, const double constants[CONSTANTS])
{
    double *const fields[CONSTANTS] = { &loss->energy_in, &loss->energy_out, &loss->representation_in, &loss->representation_out,
                                        &loss->energy_mean, &loss->energy_std, &loss->representation_mean, &loss->representation_std };
    for (size_t i = 0; i < CONSTANTS; i++)
        *fields[i] = constants[i];
}

/* Shapes are written flat: the network's file knows the others. */
static bool gather_state(struct ood_training *training, struct gathering *to, const int64_t *step, const double *elapsed, const double *constants,
                         struct ood_error *err)
{
    size_t parameters = ood_trainer_parameter_count(training->trainer), blocks = ood_optimiser_block_count(training->optimiser);
    for (size_t i = 0; i < blocks; i++) {
        struct ood_optimiser_state state = ood_optimiser_state(training->optimiser, i);
        const char *name = i < parameters ? state.name : NULL;
        const float *value = i < parameters ? ood_trainer_parameter(training->trainer, i).value : training->prototypes;
        if (!gather(to, i < parameters ? "parameter" : "prototypes", name, OOD_SAFETENSORS_F32, 1, &state.count, value, err) ||
            (state.momentum != NULL && !gather(to, i < parameters ? "momentum" : "prototypes:momentum", name, OOD_SAFETENSORS_F32, 1, &state.count, state.momentum, err)) ||
            (state.average != NULL && !gather(to, i < parameters ? "average" : "prototypes:average", name, OOD_SAFETENSORS_F32, 1, &state.count, state.average, err)))
            return false;
    }
    const size_t one = 1, eight = CONSTANTS;
    return gather(to, "step", NULL, OOD_SAFETENSORS_I64, 1, &one, step, err) && gather(to, "elapsed", NULL, OOD_SAFETENSORS_F64, 1, &one, elapsed, err) &&
           gather(to, "loss", NULL, OOD_SAFETENSORS_F64, 1, &eight, constants, err);
}

/* texts, the format and the seal's place. */
static bool pack(const struct gathering *from, const char *const *texts, size_t text_count, struct ood_bytes *bytes, struct ood_error *err)
{
    char zeros[OOD_HASH_HEX] = "", hex[OOD_HASH_HEX];
    const char **all = ood_new_array(const char *, 2 * text_count + 4, err);
    if (all == NULL)
        return false;
    memset(zeros, '0', SEAL_DIGITS);
    memcpy(all, (const char *const[]){ "format", FORMAT, SEAL, zeros }, 4 * sizeof *all);
    if (text_count > 0)
        memcpy(all + 4, texts, 2 * text_count * sizeof *all);
    bool done = ood_safetensors_write(from->entries, from->count, all, text_count + 2, bytes, err);
    ood_free(all);
    if (!done)
        return false;
    unsigned char *digits = find_seal(bytes);
    if (digits == NULL)
        return ood_fail(err, OOD_INVALID, "the checkpoint's header has no place for its seal");
    compute_seal(bytes, digits, hex);
    memcpy(digits, hex, SEAL_DIGITS);
    return true;
}

bool ood_checkpoint_write(struct ood_training *training, const char *path, const char *const *texts, size_t text_count, double elapsed,
                          struct ood_error *err)
{
    size_t most = 3 * ood_optimiser_block_count(training->optimiser) + 3;
    struct gathering state = { .entries = ood_new_array(struct ood_safetensors_entry, most, err), .names = ood_new_array(char *, most, err) };
    struct ood_bytes bytes = { 0 };
    double constants[CONSTANTS];
    int64_t step = (int64_t)training->step;
    constants_get(&training->options.loss, constants);
    bool done = state.entries != NULL && state.names != NULL && gather_state(training, &state, &step, &elapsed, constants, err) &&
                pack(&state, texts, text_count, &bytes, err) && ood_file_write(path, bytes.data, bytes.size, err);
    for (size_t i = 0; i < state.count; i++)
        ood_free(state.names[i]);
    ood_free(state.names);
    ood_free(state.entries);
    ood_bytes_free(&bytes);
    return done;
}

/* ---- reading ---- */

static bool take_scalars(struct ood_checkpoint *checkpoint, struct ood_error *err)
{
    size_t one = 1;
    int64_t *step = ood_safetensors_take(&checkpoint->tensors, "step", OOD_SAFETENSORS_I64, 1, &one, err);
    double *elapsed = step != NULL ? ood_safetensors_take(&checkpoint->tensors, "elapsed", OOD_SAFETENSORS_F64, 1, &one, err) : NULL;
    bool done = elapsed != NULL;
    if (done && *step < 0)
        done = ood_fail(err, OOD_INVALID, "step: found %lld, expected at least 0", (long long)*step);
    if (done) {
        checkpoint->steps = (uint64_t)*step;
        checkpoint->elapsed = *elapsed;
    }
    ood_free(step);
    ood_free(elapsed);
    return done;
}

struct ood_checkpoint *ood_checkpoint_read(const char *path, struct ood_error *err)
{
    struct ood_checkpoint *checkpoint = ood_new(struct ood_checkpoint, err);
    if (checkpoint == NULL)
        return NULL;
    if (!ood_file_read(path, CHECKPOINT_MOST, &checkpoint->bytes, err))
        goto fail;
    if (!check_seal(&checkpoint->bytes, err) || !ood_safetensors_read(checkpoint->bytes.data, checkpoint->bytes.size, &checkpoint->tensors, err))
        goto named;
    const char *format = ood_safetensors_metadata(&checkpoint->tensors, "format");
    if (format == NULL || strcmp(format, FORMAT) != 0) {
        ood_fail(err, OOD_UNSUPPORTED, "format: found \"%.40s\", expected \"" FORMAT "\"", format != NULL ? format : "");
        goto named;
    }
    if (!take_scalars(checkpoint, err))
        goto named;
    return checkpoint;
named:
    ood_error_prefix(err, "%s", path);
fail:
    ood_checkpoint_free(checkpoint);
    return NULL;
}

void ood_checkpoint_free(struct ood_checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    ood_safetensors_free(&checkpoint->tensors);
    ood_bytes_free(&checkpoint->bytes);
    ood_free(checkpoint);
}

const char *ood_checkpoint_text(const struct ood_checkpoint *checkpoint, const char *key) { return ood_safetensors_metadata(&checkpoint->tensors, key); }
uint64_t ood_checkpoint_steps(const struct ood_checkpoint *checkpoint) { return checkpoint->steps; }
double ood_checkpoint_elapsed(const struct ood_checkpoint *checkpoint) { return checkpoint->elapsed; }

/* to may be NULL: nothing of this kind is wanted. */
static bool take_floats(const struct ood_checkpoint *checkpoint, const char *kind, const char *name, float *to, size_t count, struct ood_error *err)
{
    if (to == NULL)
        return true;
    char *full = name != NULL ? ood_format(err, "%s.%s", kind, name) : ood_strdup(kind, err);
    float *values = full != NULL ? ood_safetensors_take(&checkpoint->tensors, full, OOD_SAFETENSORS_F32, 1, &count, err) : NULL;
    if (values != NULL)
        memcpy(to, values, count * sizeof *to);
    ood_free(values);
    ood_free(full);
    return values != NULL;
}

bool ood_training_restore(struct ood_training *training, const struct ood_checkpoint *checkpoint, struct ood_error *err)
{
    size_t parameters = ood_trainer_parameter_count(training->trainer), blocks = ood_optimiser_block_count(training->optimiser), eight = CONSTANTS;
    struct ood_loss_options loss = training->options.loss;
    double *constants = ood_safetensors_take(&checkpoint->tensors, "loss", OOD_SAFETENSORS_F64, 1, &eight, err);
    if (constants == NULL)
        return false;
    constants_set(&loss, constants);
    ood_free(constants);
    if (!ood_training_set_loss(training, &loss, err))
        return false;
    for (size_t i = 0; i < blocks; i++) {
        struct ood_optimiser_state state = ood_optimiser_state(training->optimiser, i);
        bool parameter = i < parameters;
        const char *name = parameter ? state.name : NULL;
        float *value = parameter ? ood_trainer_parameter(training->trainer, i).value : training->prototypes;
        if (!take_floats(checkpoint, parameter ? "parameter" : "prototypes", name, value, state.count, err) ||
            !take_floats(checkpoint, parameter ? "momentum" : "prototypes:momentum", name, state.momentum, state.count, err) ||
            !take_floats(checkpoint, parameter ? "average" : "prototypes:average", name, state.average, state.count, err))
            return false;
    }
    ood_trainer_parameters_changed(training->trainer);
    ood_optimiser_set_steps(training->optimiser, checkpoint->steps);
    training->step = checkpoint->steps;
    return true;
}
