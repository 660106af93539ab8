#include "demo/voices.h"

#include "base/memory.h"
#include "base/rng.h"

static const char *const LANGUAGES[] = {"en-us",
                                        "en-gb",
                                        "en-gb-scotland",
                                        "en-029",
                                        "en-gb-x-rp",
                                        "en-gb-x-gbclan",
                                        "en-us-nyc",
                                        "en-gb-x-gbcwmd",
                                        "de",
                                        "fr-fr",
                                        "it",
                                        "es",
                                        "nl",
                                        "sv",
                                        "pl",
                                        "pt-br",
                                        "cs",
                                        "ro"};
// Variants that sound human; the robots and whispers are left out.
static const char *const VARIANTS[] = {
    "f1",      "m1",     "f2",    "m2",      "f3",       "m3",     "f4",     "m4",    "f5",
    "m5",      "Alicia", "m6",    "Annie",   "m7",       "anika",  "m8",     "linda", "Alex",
    "steph",   "Diogo",  "aunty", "Gene",    "belinda",  "Marco",  "steph3", "Mario", "Andrea",
    "Michael", "steph2", "adam",  "grandma", "benjamin", "shelby", "david",  "paul",  "robert"};

enum {
    N_LANGUAGES = sizeof(LANGUAGES) / sizeof(LANGUAGES[0]),
    N_VARIANTS = sizeof(VARIANTS) / sizeof(VARIANTS[0])
};

// Around the middle of [low, high], over `spread` of its width.
static double around(Rng *rng, double low, double high, double spread)
{
    return 0.5 * (low + high) + spread * (high - low) * (rng_uniform(rng) - 0.5);
}

void voices_draw(Voice *voices, int64_t n, double spread, uint64_t seed)
{
    // Walking a shuffled list of all pairs gives each voice its own pair.
    int64_t n_pairs = (int64_t)N_LANGUAGES * N_VARIANTS;
    int64_t *pairs = mem_alloc((size_t)n_pairs, sizeof(int64_t));
    for (int64_t i = 0; i < n_pairs; i++)
        pairs[i] = i;
    Rng order = rng_stream(seed, "demo voices", 0, 0);
    rng_shuffle(&order, pairs, n_pairs);

    for (int64_t i = 0; i < n; i++) {
        Rng rng = rng_stream(seed, "demo voice", (uint64_t)i, 0);
        int64_t pair = pairs[i % n_pairs];
        voices[i] = (Voice){
            .language = LANGUAGES[pair % N_LANGUAGES],
            .variant = VARIANTS[pair / N_LANGUAGES],
            .pitch = around(&rng, 15, 85, spread),
            .words_per_minute = around(&rng, 145, 205, spread),
            .tract = around(&rng, 0.86, 1.16, spread),
            .breath_db = around(&rng, -45, -15, spread),
            .brightness = around(&rng, -0.3, 0.3, spread),
        };
    }
    mem_free(pairs);
}
