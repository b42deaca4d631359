/* For `inspect` and `bench`: a bundle or a bare ONNX file, told by what is there, as bytes and what is known about them. */
#ifndef OODCTL_NETWORK_H
#define OODCTL_NETWORK_H

#include "bundle/bundle.h"
#include "plan/plan.h"

struct ctl_network {
    struct ood_bundle *bundle;               /* NULL: a bare file */
    struct ood_bytes bytes;                  /* of a bare file */
    const struct ood_bytes *onnx;            /* either's */
    bool spent;                              /* the bare file's bytes are gone */
    const char *model_path;                  /* for messages */
    struct ood_shape input_shape;            /* rank 0: as the file says */
};

/* "3x32x32": the sizes of an input behind the batch; NULL gives rank 0. */
bool ctl_input_shape_parse(const char *text, struct ood_shape *out);

/* input_shape is a bare file's. */
bool ctl_network_open(const char *path, const struct ood_shape *input_shape, struct ctl_network *network,
                      struct ood_error *err) OOD_MUST_CHECK;
void ctl_network_close(struct ctl_network *network);

/* "auto", "direct", "winograd": the word of every command's --convolution. */
bool ctl_convolution_parse(const char *word, enum ood_convolution *out);

/* The file's bytes, behind a compilation: read again where they are gone. */
bool ctl_network_bytes(struct ctl_network *network, struct ood_error *err) OOD_MUST_CHECK;

/* Compiled for exactly `batch` (a network of stages: for one, whatever is asked for), or, with `up_to`, for every batch up to 8, 16, … batch. Taps: the bundle's, a bare file's defaults, or, where
 * it has none, every output; *why (may be NULL) then says why. */
struct ood_model *ctl_network_compile(struct ctl_network *network, size_t batch, bool up_to, enum ood_convolution convolution,
                                      struct ood_error *why, struct ood_error *err) OOD_MUST_CHECK;

/* Pictures in a run at `batch`. Detectors of stages may take a picture as it is, CxHxW: its first dimension is then no batch. */
size_t ctl_network_pictures(const struct ood_model *model, size_t batch);

/* What a network is run on: a picture of the first input, in each place of the batch; inputs after the first stay zero. */
struct ctl_input { float *values; size_t floats; };          /* values NULL: the first input is not float32. ood_free(values) */

/* `picture` as the bundle prepares it; NULL: normal random numbers, always the same. */
bool ctl_network_input(const struct ctl_network *network, const char *picture, const struct ood_model *model, size_t batch, struct ctl_input *out,
                       struct ood_error *err) OOD_MUST_CHECK;
/* Copied each time, as the service does: an input's memory is used again within a run. */
void ctl_input_place(const struct ctl_input *input, struct ood_run *run, size_t batch);
bool ctl_input_run(const struct ctl_input *input, struct ood_run *run, size_t batch, struct ood_error *err) OOD_MUST_CHECK;

#endif
