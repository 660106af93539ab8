#include "audio/front_end.h"

#include <string.h>

#include "audio/fbank.h"
#include "base/memory.h"

enum { N_MELS = 80 };

struct FrontEnd {
    EncoderInput input;
    Fbank *fbank; // NULL for waveforms
};

InputShape front_end_shape(EncoderInput input, int64_t n_samples)
{
    return input == ENCODER_FBANK ? (InputShape){fbank_frames(n_samples), N_MELS}
                                  : (InputShape){n_samples, 1};
}

int64_t front_end_samples(EncoderInput input, int64_t length)
{
    return input == ENCODER_FBANK ? fbank_samples(length) : length;
}

const char *front_end_unit(EncoderInput input)
{
    return input == ENCODER_FBANK ? "frames" : "samples";
}

bool front_end_has_bands(EncoderInput input)
{
    return input == ENCODER_FBANK;
}

FrontEnd *front_end_create(EncoderInput input)
{
    FrontEnd *front_end = mem_zero(1, sizeof *front_end);
    front_end->input = input;
    if (input == ENCODER_FBANK) {
        FbankOptions options = fbank_defaults();
        options.n_mels = N_MELS;
        options.dither = 1; // where a stream is given
        front_end->fbank = fbank_create(&options);
    }
    return front_end;
}

void front_end_destroy(FrontEnd *front_end)
{
    if (!front_end)
        return;
    fbank_destroy(front_end->fbank);
    mem_free(front_end);
}

void front_end_compute(const FrontEnd *front_end, const float *samples, int64_t n_samples, Rng *dither,
                       float *row)
{
    if (!front_end->fbank) {
        memcpy(row, samples, (size_t)n_samples * sizeof(float));
        return;
    }
    fbank_compute(front_end->fbank, samples, n_samples, dither, row);
    fbank_subtract_mean(row, fbank_frames(n_samples), N_MELS);
}
