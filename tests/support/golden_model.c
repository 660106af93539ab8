#include "golden_model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"

static bool begins(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

static Parameter *find(const Parameters *parameters, const char *prefix, const char *name, int64_t n_elements)
{
    char *own_name = mem_printf("%s%s", prefix, name);
    Parameter *parameter = parameters_find(parameters, own_name);
    if (!parameter || tensor_size(&parameter->tensor) != n_elements)
        fail_msg("%s is no parameter of the model, or has another size", own_name);
    mem_free(own_name);
    return parameter;
}

void golden_load_parameters(const Golden *golden, Parameters *parameters, const char *prefix)
{
    const SafeTensor *tensor;
    for (int64_t i = 0; (tensor = golden_at(golden, i)); i++)
        if (begins(tensor->name, "param.")) {
            Parameter *parameter = find(parameters, prefix, tensor->name + 6, tensor->n_elements);
            memcpy(parameter->tensor.data, golden_float(golden, tensor->name),
                   (size_t)tensor->n_elements * sizeof(float));
        }
}

int golden_check_parameter_gradients(const Golden *golden, const Parameters *parameters, const char *prefix,
                                     const char *begin, const char *group)
{
    const SafeTensor *tensor;
    int n_compared = 0;
    for (int64_t i = 0; (tensor = golden_at(golden, i)); i++) {
        const char *name = tensor->name;
        if (!begins(name, "grad.") || begins(name, "grad.in.") || !begins(name + 5, begin))
            continue;
        const Parameter *parameter = find(parameters, prefix, name + 5, tensor->n_elements);
        golden_check(golden, name, parameter->tensor.grad, tensor->n_elements,
                     golden_tolerance(golden, group), golden_scale_floor(golden, group));
        n_compared++;
    }
    return n_compared;
}
