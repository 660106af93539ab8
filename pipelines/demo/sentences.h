// Sentences for the demo corpus: grammatical, varied in sound, 7 to 12 words, composed from lists of phrases.
#pragma once
#include "base/rng.h"

// A new sentence; the caller frees it with mem_free. Draws from about 120 000, so a caller who needs distinct
// ones compares.
char *sentence_compose(Rng *rng);
