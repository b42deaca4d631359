/* Cases for operators: a row says what to run, and running it writes a small ONNX file, compiles it with the passes on and
 * off, and with our Winograd kernel where that makes a difference, runs it at batch 1, 2, 3 and 8 and compares with the reference loops (tensor/reference.h); the same picture must give
 * the same bits wherever it stands in whatever batch.
 *
 * op: one operator ("MaxPool"; inputs are listed without names, attributes in their field), or a network of several
 *     ("a = Conv(x, w) pads=1,1,1,1; y = Relu(a)"; inputs are named, attributes stand behind their node, attributes is NULL). The
 *     output of the last node is the network's. An omitted input is "-".
 * inputs, separated by blanks, for networks each with NAME= in front:
 *     N,3,8,8      an input of the network, normal random numbers; N is the batch
 *     !2,3,8,8     an input whose batch the file fixes
 *     4,3,3,3      a constant of normal random numbers;  +4  of numbers in 0.5 … 1.5
 *     [1,-1]       a constant of int64, one dimension;  {3}  a scalar
 *     (0.5) (1,2)  a constant of float32: a scalar, one dimension
 *     i: j: b:     before the first three: int64, int32, bool instead of float32 (small numbers)
 * attributes, separated by blanks: axis=1 (int) alpha=0.5 (float) mode=edge (string) pads=1,1 axes=2, (ints) */
#ifndef OOD_TESTS_OP_CASE_H
#define OOD_TESTS_OP_CASE_H

#include "base/file.h"
#include "check.h"
#include "tensor/tensor.h"

struct op_case {
    const char *name, *op, *inputs, *attributes;
    int opset;                               /* 0: 13 */
    const char *refused;                     /* not NULL: loading must fail, saying this */
};

/* As `refused`, for cases made at random: loading may say that it is unsupported, and must be right where it does not. */
extern const char op_may_refuse[];

/* Runs each case as a test of its own. exact: the outputs are the reference's bits; else |a-b| <= 1e-5 + 1e-4·|b|.
 * Returns the number of failures. */
int op_cases_run(const char *group, const struct op_case *cases, size_t count, bool exact);

/* The same (not exact), and the Winograd kernel must serve a convolution of each case. */
int op_cases_run_winograd(const char *group, const struct op_case *cases, size_t count);

/* The row's network as an ONNX file. Freed by free(data). */
struct ood_bytes op_case_onnx(const struct op_case *row);

/* ---- attributes, as op_case.c reads them and op_reference.c asks for them ---- */

enum { OP_INTS = 16, OP_ATTRIBUTES = 12, OP_NAME = 40 };

struct op_attribute {
    char name[OP_NAME], text[OP_NAME];
    enum { OP_INT, OP_FLOAT, OP_STRING, OP_INT_LIST, OP_FLOAT_LIST } kind;
    size_t count;
    int64_t ints[OP_INTS];
    float floats[OP_INTS];
};

struct op_attributes { size_t count; struct op_attribute items[OP_ATTRIBUTES]; };

const struct op_attribute *op_attribute(const struct op_attributes *attributes, const char *name);
int64_t op_attribute_int(const struct op_attributes *attributes, const char *name, int64_t otherwise);
double op_attribute_float(const struct op_attributes *attributes, const char *name, double otherwise);

/* One operator by the reference loops; inputs[i] NULL where omitted. Freed by ood_tensor_free. */
struct ood_tensor *op_reference(const char *op, int opset, const struct op_attributes *attributes,
                                const struct ood_tensor *const *inputs, size_t count, struct ood_error *err);

#endif
