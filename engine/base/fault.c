/* The countdown behind the test build's failing calls. */
#include "base/fault.h"

#ifdef OOD_FAULTS

#include <stdatomic.h>

static atomic_int armed_kind = -1;
static atomic_bool armed_persist, fired;
static atomic_ulong left;

void ood_fault_arm(enum ood_fault kind, unsigned long nth, bool persist)
{
    atomic_store(&fired, false);
    atomic_store(&armed_persist, persist);
    atomic_store(&left, nth);
    atomic_store(&armed_kind, (int)kind);
}

bool ood_fault_disarm(void)
{
    atomic_store(&armed_kind, -1);
    return atomic_load(&fired);
}

bool ood_fault_fires(enum ood_fault kind)
{
    if (atomic_load(&armed_kind) != (int)kind)
        return false;
    if (atomic_load(&left) > 1) {
        atomic_fetch_sub(&left, 1);
        return false;
    }
    if (atomic_load(&fired) && !atomic_load(&armed_persist))
        return false;
    atomic_store(&fired, true);
    return true;
}

#else
typedef int ood_fault_not_built;     /* a translation unit has a declaration */
#endif
