// The speakers of the demo corpus: what stays the same in all utterances of one voice.
//
// A voice is an espeak-ng variant (formants and glottal source) speaking with one language's phonemes, with a
// pitch, a rate, a vocal-tract length and breathiness of its own.
#pragma once
#include <stdint.h>

typedef struct Voice {
    const char *language;    // espeak-ng voice: "en-us"; foreign ones read English with an accent
    const char *variant;     // espeak-ng variant: "f2"
    double pitch;            // 0..99, espeak-ng's scale
    double words_per_minute; // before the tract's resampling
    double tract;            // formants are multiplied by this: above 1 a shorter vocal tract
    double breath_db;        // aspiration noise relative to the voice
    double brightness;       // first-order tilt of the source, -0.3 (dark) .. 0.3 (bright)
} Voice;

// Fills voices[n]: no two share both language and variant, until those pairs run out. spread in (0, 1]: how
// far apart pitch, rate, tract length and breath lie; small values make the voices hard to tell apart.
void voices_draw(Voice *voices, int64_t n, double spread, uint64_t seed);
