#include "demo/sentences.h"

#include "base/memory.h"

static const char *const SUBJECTS[] = {"The old baker",       "My younger sister",   "A tired fisherman",
                                       "The village teacher", "Our new neighbour",   "Every good captain",
                                       "The choir of boys",   "A curious visitor",   "The night watchman",
                                       "Somebody's uncle",    "The quiet librarian", "Her faithful horse",
                                       "That young composer", "The river pilot",     "An honest judge",
                                       "The youngest nurse",  "A passing soldier",   "The greedy innkeeper"};
static const char *const VERBS[] = {
    "carried", "forgot", "painted", "looked for", "brought back", "measured", "described", "repaired",
    "admired", "hid",    "counted", "borrowed",   "polished",     "gave up",  "sketched",  "watched over"};
static const char *const OBJECTS[] = {
    "two heavy baskets",    "the broken clock",  "a jar of honey",         "seven yellow flowers",
    "the letters",          "an empty suitcase", "the shape of the stone", "a rather dull picture",
    "the blue fishing net", "his thick gloves",  "the keys to the tower",  "a cup of hot chocolate",
    "the fresh bread",      "her wooden flute",  "some very old maps",     "the queen's jewels",
    "a small white goat",   "the last candle"};
static const char *const PLACES[] = {
    "near the harbour",     "behind the church",     "in the narrow street", "at the top of the hill",
    "under the big bridge", "by the frozen lake",    "beside the railway",   "in front of the theatre",
    "among the oak trees",  "on the southern shore", "across the valley",    "outside the palace"};
static const char *const TIMES[] = {"before noon.",       "after the storm.",  "on a cold morning.",
                                    "last Thursday.",     "without a word.",   "once again.",
                                    "for his children.",  "all through June.", "with great care.",
                                    "to everyone's joy.", "as usual.",         "in vain."};

#define PICK(list, rng) (list)[rng_below((rng), sizeof(list) / sizeof((list)[0]))]

char *sentence_compose(Rng *rng)
{
    const char *subject = PICK(SUBJECTS, rng);
    const char *verb = PICK(VERBS, rng);
    const char *object = PICK(OBJECTS, rng);
    // A place or a time, not both: sentences stay under five seconds.
    if (rng_below(rng, 2))
        return mem_printf("%s %s %s %s.", subject, verb, object, PICK(PLACES, rng));
    return mem_printf("%s %s %s %s", subject, verb, object, PICK(TIMES, rng));
}
