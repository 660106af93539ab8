#include "nn/parameters.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

enum { ALIGN_FLOATS = 16 }; // every tensor starts on a cache line

void parameters_init(Parameters *parameters)
{
    *parameters = (Parameters){0};
}

void parameters_release(Parameters *parameters)
{
    for (int64_t i = 0; i < parameters->n_items; i++) {
        mem_free(parameters->items[i]->name);
        mem_free(parameters->items[i]);
    }
    mem_free(parameters->items);
    mem_free(parameters->values);
    mem_free(parameters->grads);
    mem_free(parameters->buffers);
    *parameters = (Parameters){0};
}

static Parameter *declare(Parameters *parameters, bool is_buffer, int n_dims, const int64_t *dims, Init init,
                          const char *format, va_list arguments)
{
    char name[256];
    vsnprintf(name, sizeof name, format, arguments);
    Parameter *item = mem_zero(1, sizeof *item);
    item->name = mem_strdup(name);
    item->tensor = (Tensor){.n_dims = n_dims, .dim = {1, 1, 1, 1}, .needs_grad = !is_buffer};
    for (int d = 0; d < n_dims; d++)
        item->tensor.dim[d] = dims[d];
    item->init = init;
    item->is_buffer = is_buffer;
    item->trainable = !is_buffer;
    item->decay = n_dims >= 2;
    int64_t *total = is_buffer ? &parameters->n_buffers : &parameters->n_values;
    item->offset = *total;
    *total += (tensor_size(&item->tensor) + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    parameters->items = mem_grow(parameters->items, (size_t)parameters->n_items + 1, sizeof item);
    parameters->items[parameters->n_items++] = item;
    return item;
}

Parameter *parameters_add(Parameters *parameters, int n_dims, const int64_t *dims, Init init,
                          const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    Parameter *item = declare(parameters, false, n_dims, dims, init, name, arguments);
    va_end(arguments);
    return item;
}

Parameter *parameters_add_buffer(Parameters *parameters, int64_t size, Init init, const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    Parameter *item = declare(parameters, true, 1, &size, init, name, arguments);
    va_end(arguments);
    return item;
}

static float draw(Rng *rng, Init init)
{
    switch (init.kind) {
    case INIT_ZERO:
        return 0;
    case INIT_ONE:
        return 1;
    case INIT_CONSTANT:
        return init.value;
    case INIT_NORMAL:
        return (float)rng_normal(rng) * init.value;
    case INIT_TRUNCATED_NORMAL: {
        double x;
        do
            x = rng_normal(rng);
        while (fabs(x) > 2);
        return (float)x * init.value;
    }
    case INIT_UNIFORM:
        return (float)rng_range(rng, -init.value, init.value);
    }
    return 0;
}

int parameters_allocate(Parameters *parameters, uint64_t seed, bool with_grads, Error *error)
{
    size_t n = (size_t)parameters->n_values;
    parameters->values = mem_try_alloc(n, sizeof(float), "the model's parameters", error);
    parameters->grads = with_grads ? mem_try_alloc(n, sizeof(float), "the model's gradients", error) : NULL;
    parameters->buffers = mem_zero((size_t)parameters->n_buffers, sizeof(float));
    if (!parameters->values || (with_grads && !parameters->grads))
        return -1;
    memset(parameters->values, 0, n * sizeof(float)); // the gaps between tensors too
    for (int64_t i = 0; i < parameters->n_items; i++) {
        Parameter *item = parameters->items[i];
        item->tensor.data = (item->is_buffer ? parameters->buffers : parameters->values) + item->offset;
        item->tensor.grad = with_grads && !item->is_buffer ? parameters->grads + item->offset : NULL;
        item->tensor.needs_grad = with_grads && item->trainable;
        Rng rng = rng_stream(seed, item->name, 0, 0);
        for (int64_t j = 0; j < tensor_size(&item->tensor); j++)
            item->tensor.data[j] = draw(&rng, item->init);
    }
    parameters_zero_grads(parameters);
    return 0;
}

Parameter *parameters_find(const Parameters *parameters, const char *name)
{
    for (int64_t i = 0; i < parameters->n_items; i++)
        if (strcmp(parameters->items[i]->name, name) == 0)
            return parameters->items[i];
    return NULL;
}

void parameters_zero_grads(Parameters *parameters)
{
    if (parameters->grads)
        memset(parameters->grads, 0, (size_t)parameters->n_values * sizeof(float));
}

int64_t parameters_freeze(Parameters *parameters, const char *prefix)
{
    int64_t n = 0;
    for (int64_t i = 0; i < parameters->n_items; i++) {
        Parameter *item = parameters->items[i];
        if (item->is_buffer || strncmp(item->name, prefix, strlen(prefix)) != 0)
            continue;
        item->trainable = false;
        item->tensor.needs_grad = false;
        n++;
    }
    return n;
}
