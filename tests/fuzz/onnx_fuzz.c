/* The ONNX reader with the engine's own operators: any bytes give a graph that can be tapped and simplified, or an error with
 * a code and a sentence. The same bytes as a lone tensor, too. */
#include "fuzz.h"
#include "graph/graph.h"
#include "ops/ops.h"

static void require_told(const struct ood_error *err)
{
    fuzz_require(err->code != OOD_OK && err->message[0] != '\0');
}

static void simplify(struct ood_graph *graph)
{
    struct ood_taps taps = { OOD_NONE, OOD_NONE };
    struct ood_error err = { 0 };
    size_t kept = ood_graph_taps(graph, NULL, NULL, &taps, &err) ? 2 : 0;
    if (kept == 0)
        require_told(&err);
    err = (struct ood_error){ 0 };
    if (!ood_graph_simplify(graph, OOD_PASS_ALL, (uint32_t[]){ taps.logits, taps.features }, kept, &err))
        require_told(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ood_error err = { 0 };
    struct ood_bytes bytes = { (unsigned char *)data, size };
    struct ood_graph_options options = { .operators = ood_op_table };
    struct ood_graph *graph = ood_graph_read(&bytes, &options, &err);
    if (graph != NULL)
        simplify(graph);
    else
        require_told(&err);
    ood_graph_free(graph);
    err = (struct ood_error){ 0 };
    struct ood_tensor *tensor = ood_tensor_read_onnx(&bytes, &err);
    if (tensor == NULL)
        require_told(&err);
    ood_tensor_free(tensor);
    return 0;
}
