/* SPDX-License-Identifier: Apache-2.0
 *
 * libood: when not to believe a vision network.
 *
 * A bundle (a folder made by `oodctl fit`) holds a network, class prototypes and calibrated thresholds. Open it once,
 * give each thread a session, and score pictures:
 *
 *     struct ood_error err = { 0 };
 *     struct ood_scorer *scorer = ood_scorer_open("models/cifar10", NULL, &err);
 *     struct ood_session *session = ood_scorer_session(scorer, &err);
 *     struct ood_item item = { .picture = bytes, .picture_size = size };
 *     struct ood_verdict verdict;
 *     if (ood_score(scorer, session, &item, 1, &verdict, NULL, &err) && verdict.error.code == OOD_OK)
 *         printf("%s\n", ood_decision_name(verdict.decision));
 *     ood_session_free(session);
 *     ood_scorer_free(scorer);
 *
 * The library has no globals, prints nothing, logs nothing and never exits. Every call that can fail takes `err` last
 * and says so by false or NULL; `err` is never NULL, success leaves it alone, failure leaves every output alone.
 * Symbols and words are those of docs/METHOD.md. */
#ifndef OOD_H
#define OOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OOD_API __attribute__((visibility("default")))
#define OOD_MUST_CHECK __attribute__((warn_unused_result))
#else
#define OOD_API
#define OOD_MUST_CHECK
#endif

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* Code and the stable word by which the service, the tools and the documentation name it. */
#define OOD_CODES(X)                                                                                                  \
    X(OOD_OUT_OF_MEMORY, "out_of_memory")                /* an allocation failed */                                   \
    X(OOD_SYSTEM, "system_error")                        /* the kernel refused: disk full, permission, … */           \
    X(OOD_NOT_FOUND, "not_found")                        /* a named file, tensor or model does not exist */           \
    X(OOD_INVALID, "invalid")                            /* a file or argument is not what it must be */              \
    X(OOD_UNSUPPORTED, "unsupported")                    /* well formed, but not something we can do */               \
    X(OOD_LIMIT, "limit_exceeded")                       /* larger than a stated limit */                             \
    X(OOD_CHANGED, "changed")                            /* a file's bytes are not those its hash was made of */      \
    X(OOD_PICTURE_EMPTY, "picture_empty")                /* no bytes */                                               \
    X(OOD_PICTURE_UNKNOWN, "picture_unknown")            /* no format that is read, by its first bytes */             \
    X(OOD_PICTURE_TRUNCATED, "picture_truncated")        /* the data end before the picture does */                   \
    X(OOD_PICTURE_CORRUPT, "picture_corrupt")            /* the decoder cannot make sense of it */                    \
    X(OOD_PICTURE_TOO_LARGE, "picture_too_large")        /* more pixels than the limit */                             \
    X(OOD_PICTURE_UNSUPPORTED, "picture_unsupported")    /* a known format in a form we do not decode */              \
    X(OOD_TENSOR_MISMATCH, "tensor_mismatch")            /* logits or features of another length than the model's */  \
    X(OOD_SCORE_NOT_FINITE, "score_not_finite")          /* NaN or infinity in logits, features or score */           \
    X(OOD_BOX_INVALID, "box_invalid")                    /* a box that is not finite, empty or outside its picture */

enum ood_code {
    OOD_OK = 0,
#define OOD_CODE(code, word) code,
    OOD_CODES(OOD_CODE)
#undef OOD_CODE
};

/* A code and one sentence without its final stop. Zero it before the first use. */
struct ood_error {
    enum ood_code code;
    char message[504];
};

/* The stable word of a code; "ok" for OOD_OK. Static memory. */
OOD_API const char *ood_code_name(enum ood_code code);

/* ---- scorers and sessions ----------------------------------------------------------------------------------- */

/* A bundle ready to score: immutable, shared by all threads, counted. */
struct ood_scorer;

/* One thread's memory to score in. Used by one thread at a time; made for one scorer, whose reference it holds. */
struct ood_session;

enum ood_convolution {
    OOD_CONVOLUTION_AUTO,         /* what the bundle says */
    OOD_CONVOLUTION_DIRECT,       /* oneDNN's direct kernels everywhere */
    OOD_CONVOLUTION_WINOGRAD,     /* our own kernel where the shape allows */
};

struct ood_scorer_options {
    size_t batch;                       /* the most items run together; 0: 8 */
    uint64_t picture_pixels;            /* the most pixels a picture may have; 0: 40,000,000 */
    enum ood_convolution convolution;
};

/* Reads, checks, compiles and self-tests the bundle in `folder`. `options` may be NULL. The caller owns one reference.
 * Errors name the file. Any byte changed since the bundle was written: OOD_CHANGED. */
OOD_API struct ood_scorer *ood_scorer_open(const char *folder, const struct ood_scorer_options *options,
                                           struct ood_error *err) OOD_MUST_CHECK;

/* One more reference; returns `scorer`. Any thread. */
OOD_API struct ood_scorer *ood_scorer_ref(struct ood_scorer *scorer);

/* Drops a reference; the last one frees. NULL is fine. Any thread. */
OOD_API void ood_scorer_free(struct ood_scorer *scorer);

/* A session for one thread; holds a reference to `scorer`. Freed by ood_session_free. */
OOD_API struct ood_session *ood_scorer_session(struct ood_scorer *scorer, struct ood_error *err) OOD_MUST_CHECK;
OOD_API void ood_session_free(struct ood_session *session);

OOD_API size_t ood_scorer_classes(const struct ood_scorer *scorer);        /* K */
OOD_API size_t ood_scorer_dimension(const struct ood_scorer *scorer);      /* D */
OOD_API const char *ood_scorer_label(const struct ood_scorer *scorer, size_t class_index);   /* the scorer's memory */
OOD_API const char *ood_scorer_version(const struct ood_scorer *scorer);   /* SHA-256 of model.json, 64 hex digits */

/* ---- items and verdicts ------------------------------------------------------------------------------------- */

/* What is to be scored: an encoded picture, or the network's outputs if the caller ran it. All memory is the caller's. */
struct ood_item {
    const void *picture;          /* an encoded picture, its format told by its first bytes; or NULL and */
    size_t picture_size;
    const float *logits;          /* [K], and */
    size_t logits_count;
    const float *features;        /* [D] */
    size_t features_count;
    float *logits_out;            /* [K] or NULL: the logits are copied here */
    float *features_out;          /* [D] or NULL */
    const unsigned char *crop;    /* [ood_scorer_crop_bytes] in place of all the above inputs: what ood_cut made of a box */
};

enum ood_decision { OOD_IN, OOD_REVIEW, OOD_OUT };

/* "in", "review", "out"; and the reason: "above_threshold", "review_zone", "below_threshold". */
OOD_API const char *ood_decision_name(enum ood_decision decision);
OOD_API const char *ood_decision_reason(enum ood_decision decision);

#define OOD_NEAREST 3
#define OOD_WARNINGS 2

/* METHOD sections 2 and 4 for one item. If error.code is not OOD_OK the item could not be scored and nothing else is set. */
struct ood_verdict {
    struct ood_error error;
    enum ood_decision decision;
    size_t class_index;                /* argmax of the logits, ties: the lower */
    double class_probability;          /* softmax at T = 1 */
    double energy;                     /* E, nats, low = in */
    double representation_score;       /* D, 0 … 2, low = in */
    double score;                      /* S, ID standard deviations, high = in */
    double threshold;                  /* s_(k) that S was compared with; -INFINITY: nothing is out */
    double p_value;                    /* p, (0, 1] */
    double alpha;
    size_t nearest_count;              /* min(OOD_NEAREST, K) */
    struct { size_t class_index; double distance; } nearest[OOD_NEAREST];
    size_t warning_count;              /* what the picture's decoder complained of, but scored */
    char warnings[OOD_WARNINGS][120];
};

/* Seconds one call of ood_score spent in each stage. */
struct ood_timing { double decode, infer, score; };

/* Scores n items; verdicts[n] in their order. False only if the call as a whole failed (memory, a session of another
 * scorer); an item that cannot be scored says so in its verdict. `timing` may be NULL. The same item gets the same bits
 * whatever n, its place, the session and the thread. */
OOD_API bool ood_score(const struct ood_scorer *scorer, struct ood_session *session, const struct ood_item *items,
                       size_t n, struct ood_verdict *verdicts, struct ood_timing *timing,
                       struct ood_error *err) OOD_MUST_CHECK;

/* ---- detections: a verdict for every object in a picture ---------------------------------------------------- */

/* One object: found by a detector, or a box of the caller's. */
struct ood_detection {
    double box[4];                     /* x1, y1, x2, y2 in pixels of the upright picture, inside it */
    double objectness;                 /* 0 … 1; 1 where there is none: a detector without, a crop */
    double detection_score;            /* what the detector ranks by, objectness^a · class probability^b; 1 for a crop */
    struct ood_verdict verdict;        /* of the region; an error in it is this object's alone. Warnings are the scene's */
};

/* One picture. If error.code is not OOD_OK the picture could not be scored and nothing else is set. */
struct ood_scene {
    struct ood_error error;
    size_t width, height;              /* of the upright picture */
    size_t count;                      /* detections written */
    size_t box;                        /* error.code OOD_BOX_INVALID: which box */
    size_t warning_count;
    char warnings[OOD_WARNINGS][120];
};

/* Does the bundle hold a detector? Then pictures go to ood_detect, and ood_score takes logits and features of regions only:
 * a picture there fails alone (OOD_UNSUPPORTED). */
OOD_API bool ood_scorer_is_detector(const struct ood_scorer *scorer);

/* The most detections one picture can have: the detector's top-k. 0: not a detector. */
OOD_API size_t ood_scorer_detections_most(const struct ood_scorer *scorer);

/* Finds the objects of one encoded picture with a detector's bundle: detections[scene->count] by falling detection score.
 * `capacity` is ood_scorer_detections_most or more. An undecodable picture says so in scene->error; a picture without
 * objects has count 0. False only if the call as a whole failed: a bundle without a detector, a session of another scorer,
 * too little capacity. `timing` may be NULL. The same picture gets the same bits in any session and thread. */
OOD_API bool ood_detect(const struct ood_scorer *scorer, struct ood_session *session, const void *picture,
                        size_t picture_size, struct ood_detection *detections, size_t capacity, struct ood_scene *scene,
                        struct ood_timing *timing, struct ood_error *err) OOD_MUST_CHECK;

#define OOD_MARGIN_MOST 10

/* Boxes of the caller's in one picture. Memory is the caller's. */
struct ood_boxes {
    const double (*corners)[4];        /* [count]: x1, y1, x2, y2 */
    size_t count;
    bool relative;                     /* x in widths and y in heights of the upright picture, instead of in pixels */
    double margin;                     /* context cut out around a box: so many times its width and height on each side, at most
                                        * OOD_MARGIN_MOST; 0 for a detector, which sees the whole picture */
};

/* A verdict for each of the caller's boxes, in their order: detections[boxes->count], box cut to the picture. With a
 * classifier's bundle each is cropped and scored as a picture of its own would be, to the bit: the box, cut to the picture,
 * widened by the margin, cut again, its corners rounded to whole pixels as Pillow's crop rounds (halves to even; at least one
 * pixel), out of the picture decoded at full size. With a detector's bundle each gets its region's features. Boxes that are not
 * finite, have no area or lie outside of the picture: OOD_BOX_INVALID in scene->error, which names the first of them in
 * scene->box; an undecodable picture likewise; then no detection is set. False only if the call as a whole failed. */
OOD_API bool ood_score_boxes(const struct ood_scorer *scorer, struct ood_session *session, const void *picture,
                             size_t picture_size, const struct ood_boxes *boxes, struct ood_detection *detections,
                             struct ood_scene *scene, struct ood_timing *timing, struct ood_error *err) OOD_MUST_CHECK;

/* The same in two steps, for who shares the boxes of a picture among threads: decode once and cut; then ood_score takes the
 * crops, in any session, as ood_item.crop. Bytes of one crop: */
OOD_API size_t ood_scorer_crop_bytes(const struct ood_scorer *scorer);
/* detections[boxes->count]: all but the verdict is set. crops[boxes->count], each of ood_scorer_crop_bytes, are filled. Errors as
 * above; a detector's bundle: false, OOD_UNSUPPORTED. Of timing only decode is set. */
OOD_API bool ood_cut(const struct ood_scorer *scorer, struct ood_session *session, const void *picture, size_t picture_size,
                     const struct ood_boxes *boxes, struct ood_detection *detections, unsigned char *const *crops,
                     struct ood_scene *scene, struct ood_timing *timing, struct ood_error *err) OOD_MUST_CHECK;

/* Library version, e.g. "0.1.0"; and one line with commit, oneDNN's version, instruction set and configure options. */
OOD_API const char *ood_version(void);
OOD_API void ood_build_description(char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
