#ifndef OOD_BASE_CPUS_H
#define OOD_BASE_CPUS_H

#include <stddef.h>

/* CPUs this process may keep busy: those of its affinity mask, at most its cgroup's quota rounded up. At least 1. */
size_t ood_cpus(void);

#endif
