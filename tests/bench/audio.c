// Microseconds per second of audio on one thread: filter banks with and without dither, augmentation by kind
// of work. `bench_audio [ROUNDS]`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/augment.h"
#include "audio/convolve.h"
#include "audio/fbank.h"
#include "audio/room.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/process.h"

enum { SECONDS = 3, CROP = 16000 * SECONDS, TAIL = 5600 };
static const double TAIL_SECONDS = TAIL / 16000.0; // the middle of the range

typedef struct Bench {
    Fbank *fbank;
    Augmenter *augmenter;
    Convolver *convolver;
    float *crop, *features, *taps, *wet;
    Rng rng;
} Bench;

static void plain_fbank(Bench *b)
{
    fbank_compute(b->fbank, b->crop, CROP, NULL, b->features);
}

static void dithered_fbank(Bench *b)
{
    fbank_compute(b->fbank, b->crop, CROP, &b->rng, b->features);
}

static void noise(Bench *b)
{
    room_noise(&b->rng, 16000, b->crop, CROP);
}

static void microphone(Bench *b)
{
    room_microphone(&b->rng, 10, 16000, b->crop, CROP);
}

static void made_room(Bench *b)
{
    memset(b->wet, 0, (CROP + TAIL) * sizeof *b->wet);
    room_reverberate(&b->rng, TAIL_SECONDS, 5, 16000, b->crop, CROP, b->wet, TAIL);
}

static void measured_room(Bench *b)
{
    convolver_apply(b->convolver, b->taps, TAIL, b->crop, CROP);
}

static void augmentation(Bench *b)
{
    augmenter_apply(b->augmenter, &b->rng, b->crop, CROP, NULL);
}

int main(int argc, char **argv)
{
    process_settle(argv);
    static const struct {
        const char *name;
        void (*run)(Bench *b);
    } cases[] = {{"fbank", plain_fbank},
                 {"fbank, dither", dithered_fbank},
                 {"noise", noise},
                 {"microphone", microphone},
                 {"room made, 0.35 s", made_room},
                 {"room measured, 0.35 s", measured_room},
                 {"augment 5/6, no babble", augmentation}};
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    FbankOptions options = fbank_defaults();
    options.dither = 1;
    Bench b = {.fbank = fbank_create(&options),
               .augmenter = augmenter_create(&(AugmentOptions){.probability = 5.0 / 6}, NULL),
               .convolver = convolver_create(),
               .crop = mem_alloc(CROP, sizeof(float)),
               .features = mem_alloc((size_t)(fbank_frames(CROP) * options.n_mels), sizeof(float)),
               .taps = mem_zero(TAIL, sizeof(float)),
               .wet = mem_alloc(CROP + TAIL, sizeof(float)),
               .rng = rng_stream(1, "bench audio", 0, 0)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        room_noise(&b.rng, 16000, b.crop, CROP);
        double start = clock_seconds();
        for (int round = 0; round < rounds; round++)
            cases[i].run(&b);
        printf("%-24s %7.0f us per second of audio\n", cases[i].name,
               1e6 * (clock_seconds() - start) / (rounds * SECONDS));
    }
    fbank_destroy(b.fbank);
    augmenter_destroy(b.augmenter);
    convolver_destroy(b.convolver);
    mem_free(b.crop);
    mem_free(b.features);
    mem_free(b.taps);
    mem_free(b.wet);
    return 0;
}
