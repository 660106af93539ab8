// Numbers of 16 bits, as weights are often kept: IEEE 754 binary16 (1 sign, 5 exponent and 10 fraction bits)
// and bfloat16 (the upper half of a float32). Every one of them is a float32 exactly.
#pragma once
#include <stdint.h>

float half_to_float(uint16_t half);
float bfloat16_to_float(uint16_t half);
