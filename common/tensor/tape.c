#include "tensor/tape.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "tensor/rows.h"

enum { ALIGNMENT = 64, FIRST_CHUNK_BYTES = 1 << 20 };

typedef struct Chunk {
    char *data;
    size_t capacity;
} Chunk;

struct Tape {
    TapeMode mode;
    Chunk *chunks;
    size_t n_chunks;
    TapeMark top; // the next free byte
    size_t peak_bytes;
    Node *nodes;
    int64_t n_nodes, nodes_capacity;
};

Tape *tape_create(void)
{
    return mem_zero(1, sizeof(Tape));
}

static void free_chunks(Tape *tape)
{
    for (size_t c = 0; c < tape->n_chunks; c++)
        mem_free(tape->chunks[c].data);
    mem_free(tape->chunks);
    tape->chunks = NULL;
    tape->n_chunks = 0;
}

void tape_destroy(Tape *tape)
{
    if (!tape)
        return;
    free_chunks(tape);
    mem_free(tape->nodes);
    mem_free(tape);
}

static void add_chunk(Tape *tape, size_t capacity)
{
    tape->chunks = mem_grow(tape->chunks, tape->n_chunks + 1, sizeof(Chunk));
    tape->chunks[tape->n_chunks++] = (Chunk){mem_alloc(capacity, 1), capacity};
}

void tape_begin(Tape *tape, TapeMode mode)
{
    // A step that needed several chunks gets one block of their size, so that the next ones allocate nothing.
    if (tape->n_chunks > 1) {
        size_t total = 0;
        for (size_t c = 0; c < tape->n_chunks; c++)
            total += tape->chunks[c].capacity;
        free_chunks(tape);
        add_chunk(tape, total);
    }
    tape->top = (TapeMark){0, 0};
    tape->n_nodes = 0;
    tape->mode = mode;
}

bool tape_is_recording(const Tape *tape)
{
    return tape->mode == TAPE_RECORD;
}

static size_t bytes_in_use(const Tape *tape)
{
    size_t total = tape->top.used;
    for (size_t c = 0; c < tape->top.chunk; c++)
        total += tape->chunks[c].capacity;
    return total;
}

void *tape_scratch(Tape *tape, size_t n_bytes)
{
    n_bytes = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    while (tape->top.chunk < tape->n_chunks &&
           n_bytes > tape->chunks[tape->top.chunk].capacity - tape->top.used)
        tape->top = (TapeMark){tape->top.chunk + 1, 0};
    if (tape->top.chunk == tape->n_chunks) {
        size_t doubled = tape->n_chunks ? 2 * tape->chunks[tape->n_chunks - 1].capacity : FIRST_CHUNK_BYTES;
        add_chunk(tape, n_bytes > doubled             ? n_bytes
                        : doubled < ((size_t)1 << 30) ? doubled
                                                      : n_bytes + FIRST_CHUNK_BYTES);
    }
    void *block = tape->chunks[tape->top.chunk].data + tape->top.used;
    tape->top.used += n_bytes;
    size_t in_use = bytes_in_use(tape);
    if (in_use > tape->peak_bytes)
        tape->peak_bytes = in_use;
    return block;
}

Tensor *tape_tensor(Tape *tape, int n_dims, const int64_t *dims)
{
    assert(n_dims >= 1 && n_dims <= TENSOR_MAX_DIMS);
    Tensor *x = tape_scratch(tape, sizeof *x);
    *x = (Tensor){.n_dims = n_dims, .dim = {1, 1, 1, 1}};
    for (int d = 0; d < n_dims; d++)
        x->dim[d] = dims[d];
    x->data = tape_scratch(tape, (size_t)tensor_size(x) * sizeof(float));
    return x;
}

Tensor *tape_tensor_like(Tape *tape, const Tensor *x)
{
    return tape_tensor(tape, x->n_dims, x->dim);
}

Tensor *tape_input(Tape *tape, int n_dims, const int64_t *dims, const float *values)
{
    Tensor *x = tape_tensor(tape, n_dims, dims);
    memcpy(x->data, values, (size_t)tensor_size(x) * sizeof(float));
    return x;
}

TapeMark tape_scratch_begin(Tape *tape)
{
    return tape->top;
}

void tape_scratch_end(Tape *tape, TapeMark mark)
{
    tape->top = mark;
}

void tape_record(Tape *tape, const Operator *op, Tensor *output, Tensor *const *inputs, int n_inputs,
                 void *context)
{
    assert(n_inputs <= NODE_MAX_INPUTS);
    bool needed = false;
    for (int i = 0; i < n_inputs; i++)
        needed |= inputs[i] && inputs[i]->needs_grad;
    if (!needed || tape->mode != TAPE_RECORD)
        return;
    output->needs_grad = true;
    if (tape->n_nodes == tape->nodes_capacity) {
        tape->nodes_capacity = tape->nodes_capacity ? 2 * tape->nodes_capacity : 256;
        tape->nodes = mem_grow(tape->nodes, (size_t)tape->nodes_capacity, sizeof(Node));
    }
    Tensor **copy = tape_scratch(tape, (size_t)n_inputs * sizeof *copy);
    memcpy(copy, inputs, (size_t)n_inputs * sizeof *copy);
    tape->nodes[tape->n_nodes++] = (Node){op, output, copy, n_inputs, context};
}

float *tape_grad_fresh(Tape *tape, Tensor *x, bool *fresh)
{
    *fresh = false;
    if (!x || !x->needs_grad)
        return NULL;
    if (!x->grad) {
        x->grad = tape_scratch(tape, (size_t)tensor_size(x) * sizeof *x->grad);
        *fresh = true;
    }
    return x->grad;
}

float *tape_grad(Tape *tape, Tensor *x)
{
    bool fresh;
    float *grad = tape_grad_fresh(tape, x, &fresh);
    int64_t n = fresh ? tensor_size(x) : 0;
#pragma omp parallel for simd if (n > PARALLEL_FROM)
    for (int64_t i = 0; i < n; i++)
        grad[i] = 0;
    return grad;
}

void tape_backward_on(Tape *tape)
{
    for (int64_t i = tape->n_nodes; i-- > 0;) {
        const Node *node = &tape->nodes[i];
        if (node->output->grad) // else nothing flows through here
            node->op->backward(tape, node);
    }
}

void tape_backward(Tape *tape, Tensor *loss)
{
    assert(tensor_size(loss) == 1);
    float *seed = tape_grad(tape, loss);
    if (!seed)
        return;
    seed[0] += 1;
    tape_backward_on(tape);
}

void tape_backward_from(Tape *tape, Tensor *output, const float *grad)
{
    float *seed = tape_grad(tape, output);
    if (!seed)
        return;
    for (int64_t i = 0; i < tensor_size(output); i++)
        seed[i] += grad[i];
    tape_backward_on(tape);
}

TapeMark tape_mark(const Tape *tape)
{
    return tape->top;
}

Tensor *tape_release(Tape *tape, TapeMark mark, Tensor *keep)
{
    if (tape->mode == TAPE_RECORD)
        return keep;
    Tensor old = *keep;
    tape->top = mark;
    Tensor *moved = tape_scratch(tape, sizeof *moved);
    float *data = tape_scratch(tape, (size_t)tensor_size(&old) * sizeof(float));
    memmove(data, old.data, (size_t)tensor_size(&old) * sizeof(float));
    *moved = old;
    moved->data = data;
    return moved;
}

size_t tape_peak_bytes(const Tape *tape)
{
    return tape->peak_bytes;
}
