/* An ONNX file with more nodes behind its own. */
#include <stdlib.h>
#include <string.h>

#include "graph/write.h"
#include "graph/write_internal.h"

/* ---- names ---- */

static int compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void put(const char **names, size_t *count, const char *name)
{
    if (name != NULL && name[0] != '\0')
        names[(*count)++] = name;
}

/* What the graph gives names to: inputs, initialisers, nodes and what they make. Fresh memory. */
static const char **made_names(const Onnx__GraphProto *graph, size_t *count, struct ood_error *err)
{
    size_t most = graph->n_input + graph->n_initializer + graph->n_node, n = 0;
    for (size_t i = 0; i < graph->n_node; i++)
        most += graph->node[i]->n_output;
    const char **names = ood_new_array(const char *, most, err);
    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < graph->n_input; i++)
        put(names, &n, graph->input[i]->name);
    for (size_t i = 0; i < graph->n_initializer; i++)
        put(names, &n, graph->initializer[i]->name);
    for (size_t i = 0; i < graph->n_node; i++) {
        put(names, &n, graph->node[i]->name);
        for (size_t o = 0; o < graph->node[i]->n_output; o++)
            put(names, &n, graph->node[i]->output[o]);
    }
    *count = n;
    return names;
}

bool ood_onnx_has_prefix(const struct ood_bytes *onnx, const char *prefix, bool *has, struct ood_error *err)
{
    struct ood_pool pool = { 0 };
    size_t count = 0;
    const Onnx__ModelProto *model = ood_onnx_unpack_to_change(onnx, &pool, err);
    const char **names = model != NULL ? made_names(model->graph, &count, err) : NULL;
    bool found = false, done = names != NULL;
    for (size_t i = 0; i < count && !found; i++)
        found = strncmp(names[i], prefix, strlen(prefix)) == 0;
    ood_free(names);
    ood_pool_free(&pool);
    if (done)
        *has = found;
    return done;
}

static bool check_apart(const Onnx__GraphProto *first, const Onnx__GraphProto *second, struct ood_error *err)
{
    size_t n = 0, m = 0;
    const char **ours = made_names(first, &n, err), **theirs = ours != NULL ? made_names(second, &m, err) : NULL;
    bool done = theirs != NULL;
    if (done && n > 0)
        qsort(ours, n, sizeof *ours, compare);
    for (size_t i = 0; done && n > 0 && i < m; i++)
        if (bsearch(&theirs[i], ours, n, sizeof *ours, compare) != NULL)
            done = ood_fail(err, OOD_INVALID, "\"%s\": a name of the network already", theirs[i]);
    ood_free(ours);
    ood_free(theirs);
    return done;
}

/* ---- joining ---- */

/* Pointers first[n] and second[m] as one list in the pool. NULL on failure. */
static void *join(struct ood_pool *pool, const void *first, size_t n, const void *second, size_t m, struct ood_error *err)
{
    unsigned char *all = ood_pool_alloc(pool, n + m + 1, sizeof(void *), err);
    if (all != NULL && n > 0)
        memcpy(all, first, n * sizeof(void *));
    if (all != NULL && m > 0)
        memcpy(all + n * sizeof(void *), second, m * sizeof(void *));
    return all;
}

bool ood_onnx_append(const struct ood_bytes *onnx, const struct ood_bytes *more, struct ood_bytes *out, struct ood_error *err)
{
    struct ood_pool pools[3] = { 0 };        /* a file's limit is of its own pool */
    bool done = false;
    Onnx__ModelProto *first = ood_onnx_unpack_to_change(onnx, &pools[0], err);
    const Onnx__ModelProto *second = first != NULL ? ood_onnx_unpack_to_change(more, &pools[1], err) : NULL;
    if (second == NULL || !check_apart(first->graph, second->graph, err))
        goto out;
    Onnx__GraphProto *a = first->graph;
    const Onnx__GraphProto *b = second->graph;
    a->initializer = join(&pools[2], a->initializer, a->n_initializer, b->initializer, b->n_initializer, err);
    a->node = a->initializer != NULL ? join(&pools[2], a->node, a->n_node, b->node, b->n_node, err) : NULL;
    a->output = a->node != NULL ? join(&pools[2], a->output, a->n_output, b->output, b->n_output, err) : NULL;
    if (a->output == NULL)
        goto out;
    a->n_initializer += b->n_initializer;
    a->n_node += b->n_node;
    a->n_output += b->n_output;
    done = ood_onnx_pack(first, out, err);
out:
    for (size_t i = 0; i < 3; i++)
        ood_pool_free(&pools[i]);
    return done;
}
