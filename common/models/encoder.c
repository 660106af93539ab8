#include "models/encoder.h"

#include <string.h>

#include "base/text.h"
#include "models/ecapa_tdnn.h"
#include "models/ivector_encoder.h"
#include "models/mfa_conformer.h"
#include "models/resnet.h"
#include "models/wavlm_encoder.h"

static const EncoderKind *const KINDS[] = {&ecapa_kind, &resnet_kind, &mfa_conformer_kind,
                                           &wavlm_encoder_kind, &ivector_kind};
static const char FEATURES_KEY[] = "features";
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

const EncoderKind *encoder_kind(int index)
{
    return index < N_KINDS ? KINDS[index] : NULL;
}

static Encoder *unknown(const char *name, Error *error)
{
    char known[256] = "";
    for (int i = 0; i < N_KINDS; i++)
        text_append(known, sizeof known, KINDS[i]->name);
    error_set(error, "encoder %s is not known; there are %s", name, known);
    return NULL;
}

// *floored: what the key "features" says; absent, the plain ones.
static int read_features(const cJSON *architecture, bool *floored, Error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(architecture, FEATURES_KEY);
    *floored = cJSON_IsString(item) && strcmp(item->valuestring, "floored") == 0;
    if (!item || *floored || (cJSON_IsString(item) && strcmp(item->valuestring, "fbank") == 0))
        return 0;
    return error_set(error, "architecture: features must be fbank or floored");
}

static Encoder *create_of_kind(const EncoderKind *kind, const cJSON *architecture, Parameters *parameters,
                               Error *error)
{
    bool floored;
    if (read_features(architecture, &floored, error) < 0)
        return NULL;
    cJSON *own = cJSON_Duplicate(architecture, true); // what the kind itself knows
    cJSON_DeleteItemFromObjectCaseSensitive(own, FEATURES_KEY);
    Encoder *encoder = kind->create(own, parameters, error);
    cJSON_Delete(own);
    if (!encoder || !floored)
        return encoder;
    if (encoder->input == ENCODER_FBANK) {
        encoder->input = ENCODER_FLOORED_FBANK;
        return encoder;
    }
    encoder_destroy(encoder);
    error_set(error,
              "architecture: features=floored is for encoders of filter banks, and this %s takes "
              "waveforms",
              kind->name);
    return NULL;
}

static const EncoderKind *find_kind(const char *name)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(name, KINDS[i]->name) == 0)
            return KINDS[i];
    return NULL;
}

Encoder *encoder_create_any(const cJSON *architecture, Parameters *parameters, Error *error)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(architecture, "encoder"));
    const EncoderKind *kind = name ? find_kind(name) : NULL;
    return kind ? create_of_kind(kind, architecture, parameters, error)
                : unknown(name ? name : "(none named)", error);
}

int encoder_check_input(const Encoder *encoder, Error *error)
{
    int64_t width = front_end_shape(encoder->input, 0).width;
    return encoder->input_width == width
               ? 0
               : error_set(error, "%s: feat_dim is %lld, and the front end makes %lld filter banks",
                           encoder->kind->name, (long long)encoder->input_width, (long long)width);
}

Encoder *encoder_create(const cJSON *architecture, Parameters *parameters, Error *error)
{
    Encoder *encoder = encoder_create_any(architecture, parameters, error);
    if (!encoder || encoder_check_input(encoder, error) == 0)
        return encoder;
    encoder_destroy(encoder);
    return NULL;
}

void encoder_destroy(Encoder *encoder)
{
    if (encoder)
        encoder->kind->destroy(encoder);
}

Tensor *encoder_input(const Encoder *encoder, Tape *tape, const float *rows, int64_t count, InputShape shape)
{
    int64_t dims[3] = {count, shape.length, shape.width};
    return tape_input(tape, front_end_has_bands(encoder->input) ? 3 : 2, dims, rows);
}

Tensor *encoder_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    return encoder->kind->forward(encoder, tape, input, mode);
}
