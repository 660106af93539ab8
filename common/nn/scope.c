#include "nn/scope.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Scope scope_of(Parameters *parameters, const char *prefix)
{
    Scope scope = {.parameters = parameters};
    assert(strlen(prefix) < sizeof scope.prefix);
    strcpy(scope.prefix, prefix);
    return scope;
}

Scope scope_enter(const Scope *outer, const char *format, ...)
{
    Scope inner = *outer;
    size_t used = strlen(inner.prefix), room = sizeof inner.prefix - used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(inner.prefix + used, room, format, arguments);
    va_end(arguments);
    assert(length > 0 && (size_t)length + 1 < room);
    strcat(inner.prefix, ".");
    return inner;
}

Parameter *scope_parameter(const Scope *scope, const char *name, int n_dims, const int64_t *dims, Init init)
{
    Parameter *parameter = parameters_add(scope->parameters, n_dims, dims, init, "%s%s", scope->prefix, name);
    parameter->group = scope->group;
    return parameter;
}

Parameter *scope_buffer(const Scope *scope, const char *name, int64_t size, Init init)
{
    return parameters_add_buffer(scope->parameters, size, init, "%s%s", scope->prefix, name);
}
