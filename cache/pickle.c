#include "cache/pickle.h"

#include <string.h>

#include "base/memory.h"
#include "cache/pickle_machine.h"

typedef int Operation(Machine *machine, uint8_t opcode);

static int do_proto(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    uint64_t protocol;
    if (machine_take_number(machine, 1, &protocol) != 0)
        return -1;
    return protocol >= 2 && protocol <= 5
               ? 0
               : machine_refuse(machine, "the pickle's protocol is not 2, 3, 4 or 5");
}

static int do_frame(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    uint64_t n_bytes;
    if (machine_take_number(machine, 8, &n_bytes) != 0)
        return -1;
    return n_bytes <= machine->n_bytes - machine->at
               ? 0
               : machine_refuse(machine, "a frame ends behind the pickle");
}

static int do_stop(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    if (machine->at != machine->n_bytes)
        return machine_refuse(machine, "something follows the end of the pickle");
    machine->stopped = true;
    return 0;
}

static int do_mark(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    pile_push(&machine->stack, NULL);
    return 0;
}

static int do_pop(Machine *machine, uint8_t opcode)
{
    Value *const *items;
    size_t n;
    if (opcode == '1' || (machine->stack.n > 0 && !machine->stack.values[machine->stack.n - 1]))
        return machine_pop_to_mark(machine, &items, &n);
    return machine_pop(machine) ? 0 : -1;
}

static int do_constant(Machine *machine, uint8_t opcode)
{
    Value *value = value_create(machine->values, opcode == 'N' ? TORCH_NONE : TORCH_BOOL, VALUE_PLAIN);
    value->shown.integer = opcode == 0x88;
    return machine_push(machine, value);
}

// BININT 'J' (signed), BININT1 'K', BININT2 'M', LONG1 0x8a (a length, then signed)
static int do_integer(Machine *machine, uint8_t opcode)
{
    uint64_t n_bytes = opcode == 'J' ? 4 : opcode == 'K' ? 1 : 2, number;
    if (opcode == 0x8a && machine_take_number(machine, 1, &n_bytes) != 0)
        return -1;
    if (n_bytes > 8)
        return machine_refuse(machine, "a whole number has more than 64 bits");
    if (machine_take_number(machine, n_bytes, &number) != 0)
        return -1;
    if ((opcode == 'J' || opcode == 0x8a) && n_bytes > 0 && n_bytes < 8 && number >> (8 * n_bytes - 1))
        number |= UINT64_MAX << 8 * n_bytes;
    Value *value = value_create(machine->values, TORCH_INTEGER, VALUE_PLAIN);
    value->shown.integer = (int64_t)number;
    return machine_push(machine, value);
}

static int do_real(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    uint64_t number;
    if (machine_take_number(machine, 8, &number) != 0)
        return -1;
    number = __builtin_bswap64(number); // the only big-endian number of a pickle
    Value *value = value_create(machine->values, TORCH_REAL, VALUE_PLAIN);
    memcpy(&value->shown.real, &number, sizeof number);
    return machine_push(machine, value);
}

static int do_text(Machine *machine, uint8_t opcode)
{
    bool is_short = opcode == 0x8c || opcode == 'U' || opcode == 'C', is_long = opcode == 0x8d;
    uint64_t n_bytes;
    if (machine_take_number(machine, is_short ? 1 : is_long ? 8 : 4, &n_bytes) != 0)
        return -1;
    const uint8_t *bytes = machine_take(machine, n_bytes);
    if (!bytes)
        return -1;
    Value *text = value_text(machine->values, bytes, n_bytes);
    return text ? machine_push(machine, text) : machine_refuse(machine, "a text holds a zero byte");
}

// BINPUT 'q', LONG_BINPUT 'r', MEMOIZE 0x94. Pickles number what they remember one after another.
static int do_put(Machine *machine, uint8_t opcode)
{
    uint64_t index = machine->memo.n;
    if (opcode != 0x94 && machine_take_number(machine, opcode == 'q' ? 1 : 4, &index) != 0)
        return -1;
    Value *value = machine_top(machine);
    if (!value)
        return -1;
    if (index > machine->memo.n)
        return machine_refuse(machine, "the memo has a hole");
    if (index == machine->memo.n)
        pile_push(&machine->memo, value);
    machine->memo.values[index] = value;
    return 0;
}

static int do_get(Machine *machine, uint8_t opcode)
{
    uint64_t index;
    if (machine_take_number(machine, opcode == 'h' ? 1 : 4, &index) != 0)
        return -1;
    if (index >= machine->memo.n)
        return machine_refuse(machine, "the memo holds nothing under that number");
    return machine_push(machine, machine->memo.values[index]);
}

static int do_empty(Machine *machine, uint8_t opcode)
{
    if (opcode == '}')
        return machine_push(machine, value_create(machine->values, TORCH_DICT, VALUE_DICT));
    return machine_push(machine,
                        value_create(machine->values, TORCH_LIST, opcode == ']' ? VALUE_LIST : VALUE_TUPLE));
}

static int append_all(Machine *machine, Value *list, Value *const *items, size_t n)
{
    if (!list)
        return -1;
    if (list->role != VALUE_LIST)
        return machine_refuse(machine, "something is appended to a value that is no list");
    for (size_t i = 0; i < n; i++)
        if (value_append(list, items[i], machine->error) != 0)
            return -1;
    return 0;
}

static int insert_all(Machine *machine, Value *dict, Value *const *items, size_t n)
{
    if (!dict)
        return -1;
    if (dict->role != VALUE_DICT || n % 2 != 0)
        return machine_refuse(machine, "a key is set in a value that is no dictionary, or has no value");
    for (size_t i = 0; i < n; i += 2)
        if (value_insert(machine->values, dict, items[i], items[i + 1], machine->error) != 0)
            return -1;
    return 0;
}

// TUPLE 't', LIST 'l', DICT 'd': of everything above the mark
static int do_container(Machine *machine, uint8_t opcode)
{
    Value *const *items;
    size_t n;
    if (machine_pop_to_mark(machine, &items, &n) != 0)
        return -1;
    if (opcode == 't')
        return machine_push(machine, value_tuple(machine->values, items, n, machine->error));
    bool is_list = opcode == 'l';
    Value *container =
        value_create(machine->values, is_list ? TORCH_LIST : TORCH_DICT, is_list ? VALUE_LIST : VALUE_DICT);
    if ((is_list ? append_all : insert_all)(machine, container, items, n) != 0)
        return -1;
    return machine_push(machine, container);
}

// TUPLE1 0x85, TUPLE2, TUPLE3: of that many values
static int do_short_tuple(Machine *machine, uint8_t opcode)
{
    Value *items[3];
    size_t n = opcode - 0x84;
    for (size_t i = n; i-- > 0;)
        if (!(items[i] = machine_pop(machine)))
            return -1;
    return machine_push(machine, value_tuple(machine->values, items, n, machine->error));
}

static int do_append(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *item = machine_pop(machine);
    return item ? append_all(machine, machine_top(machine), &item, 1) : -1;
}

static int do_insert(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *pair[2];
    if (!(pair[1] = machine_pop(machine)) || !(pair[0] = machine_pop(machine)))
        return -1;
    return insert_all(machine, machine_top(machine), pair, 2);
}

// APPENDS 'e', SETITEMS 'u'
static int do_fill(Machine *machine, uint8_t opcode)
{
    Value *const *items;
    size_t n;
    if (machine_pop_to_mark(machine, &items, &n) != 0)
        return -1;
    return (opcode == 'e' ? append_all : insert_all)(machine, machine_top(machine), items, n);
}

static int push_global(Machine *machine, const char *module, const char *name)
{
    Value *value = global_create(machine->values, module, name);
    if (value)
        return machine_push(machine, value);
    char shown[2][128];
    copy_printable(shown[0], sizeof shown[0], module);
    copy_printable(shown[1], sizeof shown[1], name);
    return error_set(machine->error, "the pickle asks for %s.%s; only tensors and plain containers are read",
                     shown[0], shown[1]);
}

static Value *take_line(Machine *machine)
{
    const uint8_t *line = machine->bytes + machine->at;
    const uint8_t *end = memchr(line, '\n', machine->n_bytes - machine->at);
    Value *text = end ? value_text(machine->values, line, (size_t)(end - line)) : NULL;
    if (text)
        machine->at += (size_t)(end - line) + 1;
    else
        machine_refuse(machine, "the name of a global does not end");
    return text;
}

static int do_global(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *module = take_line(machine), *name = module ? take_line(machine) : NULL;
    return name ? push_global(machine, module->shown.text, name->shown.text) : -1;
}

static int do_stack_global(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *name = machine_pop(machine), *module = name ? machine_pop(machine) : NULL;
    if (!module)
        return -1;
    if (name->shown.kind != TORCH_TEXT || module->shown.kind != TORCH_TEXT)
        return machine_refuse(machine, "the name of a global is no text");
    return push_global(machine, module->shown.text, name->shown.text);
}

static int do_reduce(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *arguments = machine_pop(machine), *callable = arguments ? machine_pop(machine) : NULL;
    return callable
               ? machine_push(machine, global_call(machine->builder, callable, arguments, machine->error))
               : -1;
}

static int do_build(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *state = machine_pop(machine), *object = state ? machine_top(machine) : NULL;
    if (!object)
        return -1;
    return object->role == VALUE_DICT && state->role == VALUE_DICT
               ? 0
               : machine_refuse(machine, "the pickle sets the state of something that is no dictionary");
}

static int do_persistent_id(Machine *machine, uint8_t opcode)
{
    (void)opcode;
    Value *id = machine_pop(machine);
    return id ? machine_push(machine, storage_load(machine->builder, id, machine->error)) : -1;
}

static Operation *const OPERATIONS[256] = {
    [0x80] = do_proto,        [0x95] = do_frame,       ['.'] = do_stop,         ['('] = do_mark,
    ['0'] = do_pop,           ['1'] = do_pop,          ['N'] = do_constant,     [0x88] = do_constant,
    [0x89] = do_constant,     ['J'] = do_integer,      ['K'] = do_integer,      ['M'] = do_integer,
    [0x8a] = do_integer,      ['G'] = do_real,         ['X'] = do_text,         [0x8c] = do_text,
    [0x8d] = do_text,         ['T'] = do_text,         ['U'] = do_text,         ['B'] = do_text,
    ['C'] = do_text,          ['q'] = do_put,          ['r'] = do_put,          [0x94] = do_put,
    ['h'] = do_get,           ['j'] = do_get,          ['}'] = do_empty,        [']'] = do_empty,
    [')'] = do_empty,         ['t'] = do_container,    ['l'] = do_container,    ['d'] = do_container,
    [0x85] = do_short_tuple,  [0x86] = do_short_tuple, [0x87] = do_short_tuple, ['a'] = do_append,
    ['e'] = do_fill,          ['s'] = do_insert,       ['u'] = do_fill,         ['c'] = do_global,
    [0x93] = do_stack_global, ['R'] = do_reduce,       ['b'] = do_build,        ['Q'] = do_persistent_id,
};

static int step(Machine *machine)
{
    const uint8_t *opcode = machine_take(machine, 1);
    if (!opcode)
        return -1;
    if (!OPERATIONS[*opcode])
        return error_set(machine->error, "instruction 0x%02x is none that PyTorch writes", *opcode);
    if (machine->values->n >= VALUES_MOST)
        return error_set(machine->error, "the pickle holds more than %d values", VALUES_MOST);
    return OPERATIONS[*opcode](machine, *opcode);
}

static const TorchValue *result(Machine *machine)
{
    const Pile *stack = &machine->stack;
    if (stack->n != 1 || !stack->values[0] || stack->values[0]->internal) {
        machine_refuse(machine, "the pickle does not end with one value");
        return NULL;
    }
    return values_check_keys(machine->values, machine->error) == 0 ? &stack->values[0]->shown : NULL;
}

const TorchValue *pickle_read(const void *bytes, size_t n_bytes, TensorBuilder *builder, ValueStore *values,
                              Error *error)
{
    Machine machine = {
        .bytes = bytes, .n_bytes = n_bytes, .values = values, .builder = builder, .error = error};
    const TorchValue *root = NULL;
    size_t begin = 0;
    int status = n_bytes > 0 && machine.bytes[0] == 0x80 ? 0 : machine_refuse(&machine, "it is no pickle");
    while (status == 0 && !machine.stopped) {
        begin = machine.at;
        status = step(&machine);
    }
    if (status == 0)
        root = result(&machine);
    if (!root)
        error_prefix(error, "data.pkl byte %zu", begin);
    mem_free(machine.stack.values);
    mem_free(machine.memo.values);
    return root;
}
