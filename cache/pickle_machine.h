// The parts of a pickle machine: its input, its stack with marks and its memo. Every function that can fail
// has said why in machine->error.
#pragma once
#include "cache/torch_tensor.h"

typedef struct Pile {
    Value **values; // NULL: a mark
    size_t n, capacity;
} Pile;

typedef struct Machine {
    const uint8_t *bytes;
    size_t n_bytes, at;
    Pile stack, memo;
    ValueStore *values;
    TensorBuilder *builder;
    bool stopped;
    Error *error;
} Machine;

void pile_push(Pile *pile, Value *value);
int machine_refuse(Machine *machine, const char *reason); // always -1

int machine_push(Machine *machine, Value *value); // NULL, which has been reported already, fails
Value *machine_top(Machine *machine);             // stays on the stack; NULL: none above the last mark
Value *machine_pop(Machine *machine);
// Takes everything down to the last mark off the stack, mark included; *items stays valid until the next
// push.
int machine_pop_to_mark(Machine *machine, Value *const **items, size_t *n);

const uint8_t *machine_take(Machine *machine, size_t n_bytes);               // NULL: the input is shorter
int machine_take_number(Machine *machine, size_t n_bytes, uint64_t *number); // little-endian, at most 8 bytes
