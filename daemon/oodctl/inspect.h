/* What `oodctl inspect` found out, for its two ways of saying it: text (inspect.c) and JSON (inspect_json.c). */
#ifndef OODCTL_INSPECT_H
#define OODCTL_INSPECT_H

#include "daemon/oodctl/network.h"

struct inspect_count { const char *name; size_t count; };

struct inspection {
    struct ctl_network network;
    struct ood_graph *graph;                 /* as the file has it, before any pass */
    struct inspect_count *operators;         /* [kinds], most first */
    size_t kinds;
    struct ood_model *model;
    struct ood_error untapped;               /* OOD_OK: outputs 0 and 1 are logits and features; else why there are no taps */
    size_t batch;                            /* of the plan shown */
    double *seconds;                         /* [steps]; NULL: not profiled */
};

/* One line on standard output. */
bool inspect_json(const struct inspection *inspection, struct ood_error *err) OOD_MUST_CHECK;

#endif
