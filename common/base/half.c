#include "base/half.h"

#include <string.h>

float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    float value;
    if (rest < 0x400) // below 2^-14: a fraction without exponent
        value = (float)rest * 0x1p-24f;
    else {
        uint32_t bits = (rest << 13) + (rest < 0x7c00 ? 112u << 23 : 224u << 23);
        memcpy(&value, &bits, sizeof value);
    }
    return sign ? -value : value;
}

float bfloat16_to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
