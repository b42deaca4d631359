/* What `oodctl inspect` found out, for its two ways of saying it: text (inspect.c) and JSON (inspect_json.c). */
#ifndef OODCTL_INSPECT_H
#define OODCTL_INSPECT_H

#include "daemon/oodctl/network.h"

struct inspect_count { const char *name; size_t count; };

/* One plan: of the network, or of a stage of it. */
struct inspect_stage {
    const struct ood_model *model;
    size_t batch;
    double *seconds;                         /* [steps]; NULL: not profiled */
};

struct inspection {
    struct ctl_network network;
    struct ood_graph *graph;                 /* as the file has it, before any pass */
    struct inspect_count *operators;         /* [kinds], most first */
    size_t kinds;
    struct ood_model *model;
    bool staged;                             /* shapes hang on data: the stages are those of one run */
    struct ood_run *run;                     /* NULL: it was not run */
    struct inspect_stage *stages;            /* [stage_count]; 1 where not staged */
    size_t stage_count;
    struct ood_error untapped;               /* OOD_OK: outputs 0 and 1 are logits and features; else why there are no taps */
};

/* One line on standard output. */
bool inspect_json(const struct inspection *inspection, struct ood_error *err) OOD_MUST_CHECK;

#endif
