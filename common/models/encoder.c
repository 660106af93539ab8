#include "models/encoder.h"

#include <string.h>

#include "models/ecapa_tdnn.h"
#include "models/wavlm_encoder.h"

static const EncoderKind *const KINDS[] = {&ecapa_kind, &wavlm_encoder_kind};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

const char *encoder_names(void)
{
    return "ecapa, wavlm";
}

Encoder *encoder_create(const cJSON *architecture, Parameters *parameters, Error *error)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(architecture, "encoder");
    for (int i = 0; cJSON_IsString(name) && i < N_KINDS; i++)
        if (strcmp(name->valuestring, KINDS[i]->name) == 0)
            return KINDS[i]->create(architecture, parameters, error);
    error_set(error, "encoder %s is not known; there are %s",
              cJSON_IsString(name) ? name->valuestring : "(none named)", encoder_names());
    return NULL;
}

void encoder_destroy(Encoder *encoder)
{
    if (encoder)
        encoder->kind->destroy(encoder);
}

Tensor *encoder_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    return encoder->kind->forward(encoder, tape, input, mode);
}
