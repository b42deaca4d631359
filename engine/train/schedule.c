/* Learning rates by progress. */
#include <math.h>

#include "train/schedule.h"

static const double pi = 3.14159265358979323846;
static const double cycle_first = 1.0 / 25, cycle_last = 1.0 / 250000;       /* of the peak: OneCycleLR's div_factor and final_div_factor */

bool ood_schedule_named(const char *name, double peak, struct ood_schedule *schedule, struct ood_error *err)
{
    static const struct { const char *name; enum ood_schedule_kind kind; double warmup; } named[] = {
        { "cosine", OOD_SCHEDULE_COSINE, 0.05 }, { "one-cycle", OOD_SCHEDULE_ONE_CYCLE, 0.3 }, { "constant", OOD_SCHEDULE_CONSTANT, 0.05 },
    };
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (strcmp(name, named[i].name) != 0)
            continue;
        struct ood_schedule made = { .kind = named[i].kind, .peak = peak, .warmup = named[i].warmup, .warmup_start = 0.01 };
        if (!ood_schedule_check(&made, err))
            return false;
        *schedule = made;
        return true;
    }
    return ood_fail(err, OOD_INVALID, "schedule: found \"%.40s\", expected cosine, one-cycle or constant", name);
}

bool ood_schedule_check(const struct ood_schedule *schedule, struct ood_error *err)
{
    if (!isfinite(schedule->peak) || schedule->peak < 0)
        return ood_fail(err, OOD_INVALID, "learning rate: found %g, expected a finite number of at least 0", schedule->peak);
    if (!(schedule->warmup >= 0 && schedule->warmup < 1))
        return ood_fail(err, OOD_INVALID, "warm-up: found %g, expected a share of the run from 0 to less than 1", schedule->warmup);
    if (!(schedule->warmup_start >= 0 && schedule->warmup_start <= 1))
        return ood_fail(err, OOD_INVALID, "warm-up's start: found %g, expected a share of the learning rate from 0 to 1", schedule->warmup_start);
    return true;
}

/* From `from` at 0 to `to` at 1, flat at both ends. */
static double cosine(double from, double to, double at)
{
    return to + (from - to) * (1 + cos(pi * at)) / 2;
}

double ood_schedule_rate(const struct ood_schedule *schedule, double progress)
{
    double at = progress > 0 ? fmin(progress, 1) : 0, peak = schedule->peak;
    bool rising = at < schedule->warmup;
    double rise = rising ? at / schedule->warmup : 1, fall = rising ? 0 : (at - schedule->warmup) / (1 - schedule->warmup);
    if (schedule->kind == OOD_SCHEDULE_ONE_CYCLE)
        return rising ? cosine(cycle_first * peak, peak, rise) : cosine(peak, cycle_last * peak, fall);
    if (rising)
        return peak * (schedule->warmup_start + (1 - schedule->warmup_start) * rise);
    return schedule->kind == OOD_SCHEDULE_COSINE ? cosine(peak, 0, fall) : peak;
}
