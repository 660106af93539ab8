// Any recording that libsndfile or libmpg123 reads, as 16 kHz mono PCM16: all streams of the file one after
// the other (recording.h says what that means for damaged ones), their channels as one (channels.h), other
// rates through libsoxr. Nothing in the file's header is believed: samples are counted as they come.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum { DECODE_RATE_HZ = 16000, DECODE_ALL_CHANNELS = -1 };

typedef struct DecodeLimits {
    double min_seconds; // shorter recordings are refused
    double max_seconds; // so are longer ones, which bounds the memory; 0: any length
    // So are those whose root mean square, against full scale, lies below this. It is measured on the samples
    // as they are returned, without the loudest 60 ms: a click is no sound.
    double silence_db;
} DecodeLimits;

// What of a recording.
typedef struct DecodeCut {
    double start, end; // seconds; end < 0: the recording's
    int channel;       // from 0, or DECODE_ALL_CHANNELS
    bool side_of_call; // a recording with a single channel is that side already; else it lacks the channel
} DecodeCut;

// What was done to it.
typedef struct DecodeNotes {
    int n_streams;    // above 1: joined files
    bool one_channel; // the channels cancel: the loudest was taken
    int64_t n_held;   // wild samples
} DecodeNotes;

// *samples [*n] is a new block, freed with mem_free. Refuses, with the reason alone as the error's text (the
// caller names the file), what is unreadable, empty, shorter than its header promises, too short, silent or
// not finite. Thread-safe. The memory is that of one recording.
int audio_decode(const char *path, const DecodeLimits *limits, int16_t **samples, int64_t *n, Error *error);

// A stretch or a channel of it, read without what lies before; one that ends more than half a second behind
// the recording is refused. notes NULL: not wanted.
int audio_decode_cut(const char *path, const DecodeCut *cut, const DecodeLimits *limits, int16_t **samples,
                     int64_t *n, DecodeNotes *notes, Error *error);

// The same for many stretches: the file of the last one stays open, so that the streams in it are not looked
// for again. One per thread.
typedef struct AudioDecoder AudioDecoder;
AudioDecoder *audio_decoder_create(void);
void audio_decoder_destroy(AudioDecoder *decoder); // NULL is fine
int audio_decoder_cut(AudioDecoder *decoder, const char *path, const DecodeCut *cut,
                      const DecodeLimits *limits, int16_t **samples, int64_t *n, DecodeNotes *notes,
                      Error *error);
