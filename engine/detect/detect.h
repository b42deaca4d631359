/* METHOD section 7: what a detector's output tensors mean is declared, not coded. A declaration (struct ood_detector: the
 * bundle's "detector" section) is checked against the tensors' shapes once (ood_decoder_new) and then turns them into
 * candidates, boxes and logits. No JSON and no network here: plain arrays in, plain structs out. */
#ifndef OOD_DETECT_DETECT_H
#define OOD_DETECT_DETECT_H

#include "score/score.h"
#include "tensor/tensor.h"

#define OOD_DETECTOR_LEVELS 8
#define OOD_DETECTOR_ANCHORS 32              /* of one level */
#define OOD_DETECTOR_MAPS 4
#define OOD_DETECTOR_BINS 64
#define OOD_DETECTOR_TENSORS (OOD_DETECTOR_LEVELS * 6 + 3 * OOD_DETECTOR_MAPS)
#define OOD_DETECTOR_FOUND 4096              /* rows that are read of a network that suppresses by itself */
#define OOD_DETECTOR_CANDIDATES 1000000
#define OOD_DETECTOR_MOST 10000              /* detections of one picture */

/* ---- the declaration ---- */

enum ood_activation { OOD_ACTIVATION_NONE, OOD_ACTIVATION_SIGMOID, OOD_ACTIVATION_TANH, OOD_ACTIVATION_EXP, OOD_ACTIVATION_RELU,
                      OOD_ACTIVATION_SOFTMAX };

/* A tensor of rank 2, or of more with a first dimension of 1 (the batch), is read as a table of rows and channels.
 * channels_last: the last dimension is the channels, the others are rows. channels_first: the last two dimensions (of rank 4
 * and more) or the last one are rows, those before are channels. */
enum ood_view_layout { OOD_VIEW_CHANNELS_LAST, OOD_VIEW_CHANNELS_FIRST };

/* Where the A anchors of a cell are: rows, cell by cell (cell·A + a); rows, plane by plane (a·cells + cell); groups of
 * anchor_step channels in the cell's row; or nowhere: one value that all anchors of the cell share. */
enum ood_view_anchors { OOD_VIEW_ROWS, OOD_VIEW_PLANES, OOD_VIEW_CHANNELS, OOD_VIEW_SHARED };

struct ood_view {
    char *tensor;                            /* NULL: there is none */
    enum ood_view_layout layout;
    enum ood_view_anchors anchors;
    size_t channel, anchor_step;             /* the first of its channels; CHANNELS: from anchor to anchor */
};

/* One grid of cells. Rows of a tensor that several levels read follow each other in the levels' order. */
struct ood_level {
    size_t stride;                           /* cells are ceil(input / stride) each way; 0: no grid, the rows are boxes, or `cells` */
    size_t cells[2];                         /* not 0, in place of a stride: how many columns and rows; the stride is then input / cells each way */
    size_t anchor_count;                     /* at least 1 */
    double anchors[OOD_DETECTOR_ANCHORS][2]; /* width, height in pixels of the input; only read by the unit ANCHOR */
    struct ood_view boxes, objectness, classes, logits;      /* objectness, logits: may be none */
    struct ood_view sizes;                   /* none, or CENTER_SIZE's w and h where `boxes` has cx and cy alone */
    /* Not none: the network suppresses by itself, and a row is what it found: `classes` has one channel, the score of the class whose number stands
     * here (from 0, with `background` first from 1). How many rows there are, a run tells: ood_detector_found. */
    struct ood_view labels;
};

enum ood_box_coding { OOD_BOX_CORNERS,       /* x1, y1, x2, y2: each `center` */
                      OOD_BOX_CENTER_SIZE,   /* cx, cy: `center`; w, h: `size` */
                      OOD_BOX_SIDES,         /* left, top, right, bottom of the cell's point: `size` */
                      OOD_BOX_DISTRIBUTION };        /* likewise, each the mean of softmax over `bins` values: 0 … bins − 1 */

/* value = unit · (scale · activation(input_scale · t) + shift)^power, power 1 or 2. */
enum ood_box_unit { OOD_UNIT_PIXEL, OOD_UNIT_INPUT, OOD_UNIT_STRIDE, OOD_UNIT_ANCHOR };
struct ood_box_part {
    enum ood_activation activation;          /* not SOFTMAX */
    double input_scale, scale, shift;
    size_t power;
    enum ood_box_unit unit;                  /* 1; the input's width or height; the stride; the anchor's width or height */
};

/* A centre with the unit STRIDE or ANCHOR, and every side, is told from the cell's point: (g + cell)·stride + cell_pixels. */
struct ood_box_form {
    enum ood_box_coding coding;
    bool rows_first;                         /* y before x: y1, x1, y2, x2 and so on */
    size_t bins;                             /* DISTRIBUTION: 2 … OOD_DETECTOR_BINS; else 0 */
    double cell, cell_pixels;
    struct ood_box_part center, size;
};

enum ood_background { OOD_BACKGROUND_NONE, OOD_BACKGROUND_FIRST, OOD_BACKGROUND_LAST };
enum ood_suppression { OOD_SUPPRESS_CLASS_WISE, OOD_SUPPRESS_AGNOSTIC, OOD_SUPPRESS_NONE };

struct ood_detector {
    char *family;
    size_t classes;                          /* K, without background */
    size_t level_count;
    struct ood_level levels[OOD_DETECTOR_LEVELS];
    struct ood_box_form box;
    enum ood_activation objectness_activation;       /* NONE (it is a probability) or SIGMOID */
    enum ood_activation class_activation;    /* NONE (they are probabilities), SIGMOID or SOFTMAX: what is still to be done */
    bool class_softmax;                      /* the head: softmax over all classes, or a sigmoid each */
    enum ood_background background;          /* one channel more than classes */
    double objectness_power, class_power;    /* score = objectness^a · probability^b */
    double limit;                            /* a candidate counts when score >= limit */
    bool limit_validated;                    /* chosen on validation pictures, not as declared */
    bool peaks;                              /* a candidate counts where no cell around has more of its class: heat maps */
    enum ood_suppression suppression;
    double iou;                              /* a box goes when its IoU with a better one that stays is greater */
    size_t most;                             /* detections kept, the best first */
    size_t map_count;                        /* region features: maps [1, C, H, W], joined */
    char *maps[OOD_DETECTOR_MAPS];
    /* A trained region head (train/region_head.h), whose nodes are in the network's file: maps [1, D, H, W] of h in place of those above and
     * [1, K, H, W] of what is added to the logits, each pooled as `maps` are and summed. 0: there is none. */
    size_t head_count;
    char *head_features[OOD_DETECTOR_MAPS], *head_logits[OOD_DETECTOR_MAPS];
};

/* A zeroed declaration with the members that have usual values set: powers 1, IoU 0.45, limit 0.25, most 300, activations none,
 * scales 1. */
void ood_detector_usual(struct ood_detector *detector);
void ood_detector_clear(struct ood_detector *detector);      /* frees what it holds, leaves it zeroed */
bool ood_detector_copy(const struct ood_detector *from, struct ood_detector *to, struct ood_error *err) OOD_MUST_CHECK;

/* What can be told without the tensors: ranges, counts, members that contradict each other. OOD_INVALID names the member. */
bool ood_detector_check(const struct ood_detector *detector, struct ood_error *err) OOD_MUST_CHECK;

/* E as METHOD section 7 has it for this head; a trained one is a softmax. */
enum ood_energy_form ood_detector_energy(const struct ood_detector *detector);

/* Each tensor it reads, once: the order in which ood_decoder_new and ood_decode want them. Pointers into the detector.
 * Returns how many. */
size_t ood_detector_tensors(const struct ood_detector *detector, const char *names[OOD_DETECTOR_TENSORS]);

/* Columns of a tensor whose rows are what the network found (a level with labels), else 0. Whoever runs the network gives ood_decoder_new the shape
 * [OOD_DETECTOR_FOUND, columns] for it, and to what reads the tensors so many rows as float32, those that are not there zero. */
size_t ood_detector_found(const struct ood_detector *detector, const char *tensor);

/* What a declaration leaves to the network: tensors "#i" become the names of its outputs; classes 0: the channels of the first
 * level's classes; no maps: the deepest, which is, of the maps 1xCxHxW with the greatest stride up to 32, the one with the most
 * channels (of these the last). The graph is just read, its batch bound to 1; width and height are the input's. */
struct ood_graph;
bool ood_detector_resolve(struct ood_detector *detector, const struct ood_graph *graph, size_t width, size_t height,
                          struct ood_error *err) OOD_MUST_CHECK;

/* Words of model.json for the enumerations, and back (false: unknown). */
const char *ood_activation_name(enum ood_activation value);
const char *ood_view_layout_name(enum ood_view_layout value);
const char *ood_view_anchors_name(enum ood_view_anchors value);
const char *ood_box_coding_name(enum ood_box_coding value);
const char *ood_box_unit_name(enum ood_box_unit value);
const char *ood_background_name(enum ood_background value);
const char *ood_suppression_name(enum ood_suppression value);
bool ood_activation_parse(const char *name, enum ood_activation *out);
bool ood_view_layout_parse(const char *name, enum ood_view_layout *out);
bool ood_view_anchors_parse(const char *name, enum ood_view_anchors *out);
bool ood_box_coding_parse(const char *name, enum ood_box_coding *out);
bool ood_box_unit_parse(const char *name, enum ood_box_unit *out);
bool ood_background_parse(const char *name, enum ood_background *out);
bool ood_suppression_parse(const char *name, enum ood_suppression *out);

/* ---- decoding ---- */

struct ood_candidate {
    double box[4];                           /* x1, y1, x2, y2 in pixels of the network's input, not cut */
    double score, objectness, probability;
    size_t class_index;
    size_t index;                            /* level by level, cell by cell (rows first), anchor by anchor */
};

struct ood_decoder;                          /* a declaration bound to shapes; read-only, shared by all threads */

/* shapes[n] of the tensors as ood_detector_tensors lists them, without batch dims. The detector is copied. A shape that does
 * not fit is named with its tensor: OOD_INVALID. */
struct ood_decoder *ood_decoder_new(const struct ood_detector *detector, size_t input_width, size_t input_height,
                                    const struct ood_shape *shapes, size_t n, struct ood_error *err) OOD_MUST_CHECK;
void ood_decoder_free(struct ood_decoder *decoder);          /* NULL is fine */

const struct ood_detector *ood_decoder_detector(const struct ood_decoder *decoder);
size_t ood_decoder_candidates(const struct ood_decoder *decoder);    /* all there can be */
size_t ood_decoder_dimension(const struct ood_decoder *decoder);     /* D: channels of the maps together; of a trained head's, of each */
/* Map i of those the features are of: [1, channels, height, width]. */
struct ood_shape ood_decoder_map(const struct ood_decoder *decoder, size_t i);
size_t ood_decoder_scratch(const struct ood_decoder *decoder);       /* doubles that ood_decoder_features needs */

/* Candidates whose score is `limit` or more, into out[ood_decoder_candidates], by index. tensors[n]: float32, row major.
 * A candidate above the limit whose box is not finite is left out and counted in *dropped. A score that is NaN, or an objectness
 * or probability outside 0 … 1 by more than rounding: OOD_SCORE_NOT_FINITE, naming the candidate. */
bool ood_decode(const struct ood_decoder *decoder, const float *const *tensors, double limit, struct ood_candidate *out, size_t *count,
                size_t *dropped, struct ood_error *err) OOD_MUST_CHECK;

/* One candidate, whatever its score (for a caller's box). False: its score or box is not finite. */
bool ood_decode_one(const struct ood_decoder *decoder, const float *const *tensors, size_t index, struct ood_candidate *out);

/* f of METHOD section 7: a candidate's logits[K] without background. With a trained head what it adds at the box, by the next call. */
void ood_decoder_logits(const struct ood_decoder *decoder, const float *const *tensors, size_t index, float *logits);
void ood_decoder_add_head(const struct ood_decoder *decoder, const float *const *tensors, const double box[4], double *scratch, float *logits);

/* h of METHOD section 7: the mean over 7×7 bins of RoIAlign over the maps, one behind the other (a trained head's: their sum): features[D].
 * The box is in pixels of the network's input and finite. */
void ood_decoder_features(const struct ood_decoder *decoder, const float *const *tensors, const double box[4], double *scratch,
                          float *features);

/* Greedy non-maximum suppression: candidates[count] are reordered so that the first of them, as many as are returned, are
 * those kept, best first; ties: the lower index. Takes no memory; count·most comparisons at most. */
size_t ood_suppress(struct ood_candidate *candidates, size_t count, enum ood_suppression kind, double iou, size_t most);

/* Intersection over union of two boxes, areas without "+1"; 0 where a box has no area or is not finite. */
double ood_iou(const double a[4], const double b[4]);

#endif
