/* Every allocation on the way from bytes to a simplified graph is made to fail once, and from then on. */
#include "toy.h"

#include "base/fault.h"

static void a_model(struct onnx_writer *w)
{
    onnx_model_begin(w, 13);
    onnx_input(w, "x", ONNX_FLOAT, DIMS(-1, 2, 3, 3));
    toy_weights(w, "w", DIMS(2, 2, 1, 1), -1);
    toy_weights(w, "s", DIMS(2), 0.1f);
    toy_weights(w, "t", DIMS(2, 1, 1), 0.1f);
    toy_begin(w, "Conv", "c", "x", "w", "s");
    onnx_int(w, "group", 1);
    onnx_ints(w, "pads", (int64_t[]){ 0, 0, 0, 0 }, 4);
    onnx_tensor(w, "value", ONNX_FLOAT, DIMS(1), "1234", 4);
    toy_end(w);
    toy_node(w, "Add", "t2", "t", "t");
    toy_node(w, "Add", "b", "c", "t2");
    toy_node(w, "BatchNormalization", "n", "b", "s", "s", "s", "s");
    toy_node(w, "Add", "a", "n", "x");
    toy_node(w, "Identity", "i", "a");
    toy_node(w, "Relu", "y", "i");
    onnx_output(w, "y");
    onnx_model_end(w);
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    struct onnx_writer w = { 0 };
    a_model(&w);
    struct ood_bytes bytes = { w.data, w.size };
    struct ood_graph_options options = { .operators = toy_table };
    for (int persist = 0; persist < 2; persist++) {
        unsigned long nth = 1;
        for (bool fired = true; fired; nth++) {
            struct ood_error err = { 0 };
            ood_fault_arm(OOD_FAULT_ALLOC, nth, persist != 0);
            struct ood_graph *graph = ood_graph_read(&bytes, &options, &err);
            bool ok = graph != NULL && ood_graph_simplify(graph, OOD_PASS_ALL, NULL, 0, &err);
            fired = ood_fault_disarm();
            if (ok != !fired || (fired && err.code != OOD_OUT_OF_MEMORY))
                fail_msg("allocation %lu: %s: %s", nth, ood_code_name(err.code), err.message);
            ood_graph_free(graph);
        }
        assert_true(nth > 20);
    }
    onnx_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(memory_may_end_anywhere) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
