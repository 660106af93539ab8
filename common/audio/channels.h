// The channels of a recording become one, by rules that need to have heard all of it. What is seen on the way
// may ask for a second reading with another plan:
//
//     ChannelPlan plan = {.take = CHANNELS_MEAN, .limit = INFINITY};
//     do {
//         channels_init(&seen, n_channels, &plan);
//         while (... frames come ...)
//             channels_mix(&seen, frames, n, mono);          // false: a sample is not finite
//     } while (channels_revise(&seen, &plan));               // at most twice
//     ... every sample of mono times channels_gain(&seen) ...
//     channels_release(&seen);                               // also before the next channels_init()
//
// 1. The mean of the channels that carry sound: those within 40 dB of the loudest.
// 2. Where that cancels, the loudest channel alone: one wire of a pair soldered the wrong way round leaves
//    silence, or nearly. A block cancels when its mean has less than half the energy that unrelated channels
//    would leave (for two of equal level: a correlation below -0.5); the recording does when blocks with more
//    than a quarter of its energy do.
// 3. Wild samples are held: a few (one in a thousand, at most 8000) that lie beyond full scale and more than
//    twice beyond what all the others keep within. They would scale the rest to nothing.
// Energies are those around the block's mean, so that an offset is no sound.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { CHANNELS_MEAN = -1, CHANNELS_EXPONENTS = 129 };

typedef struct ChannelPlan {
    int take;    // one channel, from 0, or CHANNELS_MEAN
    float limit; // samples are held within +-limit
} ChannelPlan;

typedef struct ChannelsSeen {
    int n_channels;
    ChannelPlan plan;
    double *energies;         // [n_channels]
    double energy, cancelled; // of all channels, in all blocks and in those that cancel
    double *sums;             // [2 * n_channels + 2] scratch of one block
    float peak;
    int64_t n_samples, n_held;
    int64_t n_beyond[CHANNELS_EXPONENTS]; // [e] samples in (2^e, 2^(e+1)]
} ChannelsSeen;

void channels_init(ChannelsSeen *seen, int n_channels, const ChannelPlan *plan);
void channels_release(ChannelsSeen *seen);
// frames [n, n_channels] -> mono [n]. False where a sample is not finite.
bool channels_mix(ChannelsSeen *seen, const float *frames, int64_t n, float *mono);
// True: read again with *plan, which has changed.
bool channels_revise(const ChannelsSeen *seen, ChannelPlan *plan);
float channels_gain(const ChannelsSeen *seen);
