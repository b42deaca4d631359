/* Memory that runs out while a network is read and compiled: each allocation fails once, alone and with all after it. Nothing
 * may leak (the leak checker watches) and the code must be the one for memory. */
#include "base/fault.h"
#include "op_case.h"
#include "ops/ops.h"
#include "plan/plan.h"

/* Every operator that keeps something: lists, tables of indices, packed weights, folded constants, shape arithmetic. */
static const struct op_case cases[] = {
    { .name = "movement",
      .op = "s = Shape(x); g = Gather(s, zero) axis=0; u = Unsqueeze(g, first); t = Concat(u, rest) axis=0; "
            "p = Pad(x, pads, v); c = Concat(p, p) axis=1; a = Transpose(c) perm=0,2,3,1; b = Gather(a, picks) axis=1; "
            "d = Identity(b); e = Reshape(d, t); f = Squeeze(h, first); h2 = Transpose(k) perm=1,0; i = Cast(h2) to=1; "
            "j = Reshape(i, flat); l = Gather(j, picks) axis=0; m = Pad(l, two); n = Concat(m, m) axis=0; y = Concat(e, e) axis=1",
      .inputs = "x=N,2,3,4 zero={0} first=[0] rest=[-1] pads=[0,0,1,1,0,0,1,0] v=(1) picks=[0,2,-1] h=1,3 k=3,2 flat=[6] two=[1,1]" },
    { .name = "arithmetic",
      .op = "m = Mul(c, c); a = Add(x, m); r = Relu(a); n = BatchNormalization(r, s, s, s, v); q = ReduceMean(n) axes=2,3 keepdims=0; "
            "w2 = Div(w, v2); g = Gemm(q, w2, b) transB=1; l = LeakyRelu(g); h = MatMul(l, k); z = Add(h, t); y = Softmax(z) axis=1",
      .inputs = "x=N,3,4,4 c=3,1,1 s=3 v=+3 w=5,3 v2=(2) b=5 k=5,4 t=4" },
};

static void one_network(const struct op_case *row, bool persist)
{
    const struct ood_bytes onnx = op_case_onnx(row);
    unsigned long nth = 1;
    for (bool fired = true; fired; nth++) {
        struct ood_error err = { 0 };
        struct ood_model_options options = { .operators = ood_op_table, .no_taps = true, .batch = 1 };
        ood_fault_arm(OOD_FAULT_ALLOC, nth, persist);
        struct ood_model *model = ood_model_new(&onnx, &options, &err);
        struct ood_run *run = model != NULL ? ood_run_new(model, &err) : NULL;
        fired = ood_fault_disarm();
        if (fired && (run != NULL || err.code != OOD_OUT_OF_MEMORY))
            fail_msg("%s, allocation %lu: %s: %s", row->name, nth, ood_code_name(err.code), err.message);
        if (!fired && run == NULL)
            fail_msg("%s: %s: %s", row->name, ood_code_name(err.code), err.message);
        ood_run_free(run);
        ood_model_free(model);
    }
    assert_true(nth > 20);
    free(onnx.data);
}

static void out_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        one_network(&cases[i], false);
        one_network(&cases[i], true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(out_of_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
