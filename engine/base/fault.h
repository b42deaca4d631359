/* Faults that tests arm: the nth call of a kind fails, once or from then on. Only in the test build of this library
 * (-DOOD_FAULTS); the shipped one has no hook. */
#ifndef OOD_BASE_FAULT_H
#define OOD_BASE_FAULT_H

#include <stdbool.h>

enum ood_fault { OOD_FAULT_ALLOC, OOD_FAULT_OPEN, OOD_FAULT_READ, OOD_FAULT_WRITE, OOD_FAULT_SYNC, OOD_FAULT_RENAME, OOD_FAULT_KINDS };

#ifdef OOD_FAULTS
/* The nth call (from 1) of this kind from now on fails; with persist all after it, too. Any thread counts. */
void ood_fault_arm(enum ood_fault kind, unsigned long nth, bool persist);
/* Disarms; did a fault fire? */
bool ood_fault_disarm(void);
bool ood_fault_fires(enum ood_fault kind);
#else
#define ood_fault_fires(kind) false
#endif

#endif
