// An encoder turns audio into one embedding per utterance. Encoders are chosen by name from one table
// (encoder.c); adding one is a file and a row. An architecture is a JSON object, {"encoder": "ecapa",
// "channels": 512, ...}: it is what checkpoints carry in their metadata and what stages make from their
// options. Absent keys take the defaults of the encoder's own header; unknown keys are an error. Every
// encoder of filter banks knows the key "features" ("fbank" | "floored", audio/front_end.h).
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <cjson/cJSON.h>
#include "audio/front_end.h"
#include "base/error.h"
#include "base/rng.h"
#include "nn/parameters.h"
#include "nn/pass.h"
#include "tensor/tape.h"

typedef struct Encoder Encoder;

enum { ENCODER_MAX_MAPS = 32, ENCODER_MAX_ARCHITECTURES = 6 };

// An architecture that options can name. `small` holds where the user gives no sizes, so that an hour of
// audio on two cores is enough to learn from; `fixed` always, under what the user says. Both are
// `key=value,...` or NULL.
typedef struct NamedArchitecture {
    const char *name, *small, *fixed;
} NamedArchitecture;

typedef struct EncoderKind {
    const char *name;
    NamedArchitecture architectures[ENCODER_MAX_ARCHITECTURES]; // name NULL behind the last
    bool no_gradient; // made in another way than by training on a loss
    Encoder *(*create)(const cJSON *architecture, Parameters *parameters, Error *error);
    void (*destroy)(Encoder *encoder);
    Tensor *(*forward)(Encoder *encoder, Tape *tape, Tensor *input,
                       const ForwardMode *mode); // [B, embedding_dim]
} EncoderKind;

struct Encoder { // the first member of every encoder
    const EncoderKind *kind;
    EncoderInput input;  // set by create: an encoder kind may offer several front ends
    int64_t input_width; // values of a frame (filter banks), or of a sample: 1
    int64_t embedding_dim;
    int64_t min_input; // the shortest input (frames or samples) that gives an embedding
    int n_maps;        // what its blocks give in turn: map i is [B, frames of its own, map_dim[i]]
    int64_t map_dim[ENCODER_MAX_MAPS];
};

// Declares the parameters under their reference names; the caller allocates afterwards. An architecture that
// takes another input than the front end makes is an error.
Encoder *encoder_create(const cJSON *architecture, Parameters *parameters, Error *error);
// The same for any input, for who does not feed it from the front end, or calls encoder_check_input()
// himself.
Encoder *encoder_create_any(const cJSON *architecture, Parameters *parameters, Error *error);
int encoder_check_input(const Encoder *encoder, Error *error);
void encoder_destroy(Encoder *encoder);
// rows [count, input_floats(shape)] as the front end makes them, as encoder_forward() takes them.
Tensor *encoder_input(const Encoder *encoder, Tape *tape, const float *rows, int64_t count, InputShape shape);
Tensor *encoder_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode);
// The table, in order; NULL behind the last.
const EncoderKind *encoder_kind(int index);
