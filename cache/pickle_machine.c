#include "cache/pickle_machine.h"

#include "base/memory.h"

void pile_push(Pile *pile, Value *value)
{
    if (pile->n == pile->capacity) {
        pile->capacity = pile->capacity ? 2 * pile->capacity : 64;
        pile->values = mem_grow(pile->values, pile->capacity, sizeof *pile->values);
    }
    pile->values[pile->n++] = value;
}

int machine_refuse(Machine *machine, const char *reason)
{
    return error_set(machine->error, "%s", reason);
}

int machine_push(Machine *machine, Value *value)
{
    if (!value)
        return -1;
    pile_push(&machine->stack, value);
    return 0;
}

Value *machine_top(Machine *machine)
{
    const Pile *stack = &machine->stack;
    if (stack->n > 0 && stack->values[stack->n - 1])
        return stack->values[stack->n - 1];
    machine_refuse(machine, "an instruction finds too few values");
    return NULL;
}

Value *machine_pop(Machine *machine)
{
    Value *value = machine_top(machine);
    if (value)
        machine->stack.n--;
    return value;
}

int machine_pop_to_mark(Machine *machine, Value *const **items, size_t *n)
{
    Pile *stack = &machine->stack;
    for (size_t i = stack->n; i-- > 0;)
        if (!stack->values[i]) {
            *items = stack->values + i + 1;
            *n = stack->n - i - 1;
            stack->n = i;
            return 0;
        }
    return machine_refuse(machine, "an instruction finds no mark");
}

const uint8_t *machine_take(Machine *machine, size_t n_bytes)
{
    if (n_bytes > machine->n_bytes - machine->at) {
        machine_refuse(machine, "the pickle ends inside an instruction");
        return NULL;
    }
    machine->at += n_bytes;
    return machine->bytes + machine->at - n_bytes;
}

int machine_take_number(Machine *machine, size_t n_bytes, uint64_t *number)
{
    const uint8_t *bytes = machine_take(machine, n_bytes);
    *number = 0;
    for (size_t i = 0; bytes && i < n_bytes; i++)
        *number |= (uint64_t)bytes[i] << 8 * i;
    return bytes ? 0 : -1;
}
