#include "train/parts.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

static int64_t first_row(const Parts *parts, const Crops *crops, int64_t part)
{
    return crops->rows * part / parts->n;
}

Tensor *crops_input(const Encoder *encoder, Tape *tape, const Crops *crops, int64_t first, int64_t count)
{
    InputShape shape = crop_shape(encoder->input, crops->group);
    return encoder_input(encoder, tape, crops->values + first * input_floats(shape), count, shape);
}

static Tensor *forward(const Parts *parts, Tape *tape, const Crops *crops, int64_t part)
{
    int64_t first = first_row(parts, crops, part), count = first_row(parts, crops, part + 1) - first;
    uint64_t place = (uint64_t)crops->group_number + BATCH_MAX_GROUPS * (uint64_t)part;
    ForwardMode mode = {.training = crops->training,
                        .rng = rng_stream(crops->seed, crops->consumer, (uint64_t)crops->step, place),
                        .maps = crops->maps};
    return encoder_forward(parts->encoder, tape, crops_input(parts->encoder, tape, crops, first, count),
                           &mode);
}

Tensor *parts_forward(const Parts *parts, Tape *tape, const Crops *crops)
{
    if (parts->n == 1)
        return forward(parts, tape, crops, 0);
    assert(!crops->maps);
    int64_t dim = parts->encoder->embedding_dim;
    Tensor *embeddings = tape_tensor(tape, 2, (int64_t[]){crops->rows, dim});
    embeddings->needs_grad = tape_is_recording(tape);
    for (int64_t part = 0; part < parts->n; part++) {
        tape_begin(parts->tape, TAPE_NO_GRAD);
        const Tensor *rows = forward(parts, parts->tape, crops, part);
        memcpy(embeddings->data + first_row(parts, crops, part) * dim, rows->data,
               (size_t)tensor_size(rows) * sizeof(float));
    }
    return embeddings;
}

void parts_backward(const Parts *parts, const Crops *crops, const Tensor *embeddings)
{
    if (parts->n == 1 || !embeddings->grad)
        return;
    // The first run has moved the running statistics.
    size_t buffer_bytes = (size_t)parts->parameters->n_buffers * sizeof(float);
    float *buffers = mem_alloc(buffer_bytes + 1, 1);
    memcpy(buffers, parts->parameters->buffers, buffer_bytes);
    for (int64_t part = 0; part < parts->n; part++) {
        tape_begin(parts->tape, TAPE_RECORD);
        Tensor *rows = forward(parts, parts->tape, crops, part);
        tape_backward_from(parts->tape, rows,
                           embeddings->grad + first_row(parts, crops, part) * rows->dim[1]);
    }
    memcpy(parts->parameters->buffers, buffers, buffer_bytes);
    mem_free(buffers);
}

int parts_check(int64_t n_parts, int64_t rows, Error *error)
{
    if (n_parts == 1 || rows / n_parts >= 2)
        return 0;
    return error_set(error, "--parts %lld leaves less than two of a step's %lld crops in a part",
                     (long long)n_parts, (long long)rows);
}
