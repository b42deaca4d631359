/* The later stages of a run: compiled when what decides is known, kept for the next run that decides alike. */
#ifndef OOD_PLAN_STAGES_INTERNAL_H
#define OOD_PLAN_STAGES_INTERNAL_H

#include "plan/builder_internal.h"

struct ood_stages;

struct ood_stages_output { const void *data; struct ood_shape shape; enum ood_type type; };

/* Of a staged model's run; both must outlive it. */
struct ood_stages *ood_stages_new(struct ood_run *run, struct ood_model *model, struct ood_error *err) OOD_MUST_CHECK;
void ood_stages_free(struct ood_stages *stages);

/* What follows once the first stage has run; then the outputs, which stay until the next time. */
bool ood_stages_run(struct ood_stages *stages, struct ood_error *err) OOD_MUST_CHECK;
const struct ood_stages_output *ood_stages_output(const struct ood_stages *stages, size_t i);

/* Those that the last run came to behind the first; i counts from 1. */
size_t ood_stages_behind(const struct ood_stages *stages);
struct ood_run *ood_stages_at(const struct ood_stages *stages, size_t i);

/* Where an operand of the first plan of a run lies (run.c). */
const void *ood_run_place(const struct ood_run *run, struct ood_operand operand);

#endif
