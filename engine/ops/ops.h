/* The operators this engine knows: one row each, listed in table.c. */
#ifndef OOD_OPS_OPS_H
#define OOD_OPS_OPS_H

#include "graph/op.h"

extern const struct ood_op *const ood_op_table[];        /* ends in NULL */

#endif
