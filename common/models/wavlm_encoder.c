#include "models/wavlm_encoder.h"
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/memory.h"
#include "tensor/attention.h"

typedef struct WavlmEncoder {
    Encoder encoder;
    WavlmArchitecture architecture;
    Wavlm *wavlm;
    Mhfa *mhfa;
} WavlmEncoder;

// --- architecture

typedef enum KeyType { KEY_COUNT, KEY_PROBABILITY, KEY_BOOL, KEY_CHOICE } KeyType;

typedef struct Key {
    const char *name;
    KeyType type;
    size_t offset;
    int64_t most;          // KEY_COUNT: 1..most
    const char *choice[2]; // KEY_CHOICE: the words for 0 (false) and 1 (true)
} Key;

#define AT(field) offsetof(WavlmArchitecture, field)
static const Key keys[] = {
    {.name = "extractor_mode",
     KEY_CHOICE,
     AT(wavlm.extractor_layer_norm),
     .choice = {"default", "layer_norm"}},
    {.name = "normalize", KEY_BOOL, AT(normalize)},
    {.name = "layer_norm_first", KEY_BOOL, AT(wavlm.layer_norm_first)},
    {.name = "conv_bias", KEY_BOOL, AT(wavlm.conv_bias)},
    {.name = "conv_channels", KEY_COUNT, AT(conv_channels), 1 << 16},
    {.name = "encoder_layers", KEY_COUNT, AT(wavlm.layers), WAVLM_MAX_LAYERS},
    {.name = "encoder_embed_dim", KEY_COUNT, AT(wavlm.dim), 1 << 16},
    {.name = "encoder_ffn_embed_dim", KEY_COUNT, AT(wavlm.ffn), 1 << 18},
    {.name = "encoder_attention_heads", KEY_COUNT, AT(wavlm.heads), 1 << 10},
    {.name = "conv_pos", KEY_COUNT, AT(wavlm.pos_kernel), 1 << 12},
    {.name = "conv_pos_groups", KEY_COUNT, AT(wavlm.pos_groups), 1 << 12},
    {.name = "num_buckets", KEY_COUNT, AT(wavlm.n_buckets), 1 << 16},
    {.name = "max_distance", KEY_COUNT, AT(wavlm.max_distance), 1 << 20},
    {.name = "dropout", KEY_PROBABILITY, AT(wavlm.dropout)},
    {.name = "attention_dropout", KEY_PROBABILITY, AT(wavlm.attention_dropout)},
    {.name = "activation_dropout", KEY_PROBABILITY, AT(wavlm.activation_dropout)},
    {.name = "dropout_input", KEY_PROBABILITY, AT(wavlm.input_dropout)},
    {.name = "encoder_layerdrop", KEY_PROBABILITY, AT(wavlm.layer_drop)},
    {.name = "head_nb", KEY_COUNT, AT(mhfa.head_nb), 1 << 12},
    {.name = "compression_dim", KEY_COUNT, AT(mhfa.compression_dim), 1 << 16},
    {.name = "outputs_dim", KEY_COUNT, AT(mhfa.outputs_dim), 1 << 16},
};
#undef AT

static bool is_count(const cJSON *item, int64_t most)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 1 && item->valuedouble <= (double)most &&
           item->valuedouble == floor(item->valuedouble);
}

static int parse_choice(const cJSON *item, const Key *key, bool *value, Error *error)
{
    for (int i = 0; i < 2 && cJSON_IsString(item); i++)
        if (!strcmp(item->valuestring, key->choice[i])) {
            *value = i == 1;
            return 0;
        }
    return error_set(error, "wavlm: %s must be %s or %s", key->name, key->choice[0], key->choice[1]);
}

static int parse_key(const cJSON *item, const Key *key, WavlmArchitecture *architecture, Error *error)
{
    char *field = (char *)architecture + key->offset;
    switch (key->type) {
    case KEY_COUNT:
        if (!is_count(item, key->most))
            return error_set(error, "wavlm: %s must be a whole number from 1 to %lld", key->name,
                             (long long)key->most);
        *(int64_t *)field = (int64_t)item->valuedouble;
        return 0;
    case KEY_PROBABILITY:
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0 && item->valuedouble < 1.0))
            return error_set(error, "wavlm: %s must be at least 0 and less than 1", key->name);
        *(double *)field = item->valuedouble;
        return 0;
    case KEY_BOOL:
        if (!cJSON_IsBool(item))
            return error_set(error, "wavlm: %s must be true or false", key->name);
        *(bool *)field = cJSON_IsTrue(item);
        return 0;
    case KEY_CHOICE:
        return parse_choice(item, key, (bool *)field, error);
    }
    return -1;
}

static int parse_front_end(const cJSON *item, WavlmConfig *config, Error *error)
{
    static const Key key = {.name = "frontend", .type = KEY_CHOICE, .choice = {"conv", "fbank"}};
    bool fbank = false;
    if (parse_choice(item, &key, &fbank, error))
        return -1;
    config->input = fbank ? ENCODER_FBANK : ENCODER_WAVEFORM;
    return 0;
}

static int parse_convs(const cJSON *list, WavlmConfig *config, Error *error)
{
    int n = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n < 1 || n > WAVLM_MAX_CONVS)
        return error_set(error, "wavlm: conv_feature_layers must list 1 to %d convolutions", WAVLM_MAX_CONVS);
    for (int i = 0; i < n; i++) {
        const cJSON *conv = cJSON_GetArrayItem(list, i);
        int64_t value[3];
        for (int j = 0; j < 3; j++) {
            const cJSON *number = cJSON_GetArrayItem(conv, j);
            if (cJSON_GetArraySize(conv) != 3 || !is_count(number, 1 << 16))
                return error_set(error, "wavlm: conv_feature_layers[%d] must be [channels, kernel, stride]",
                                 i);
            value[j] = (int64_t)number->valuedouble;
        }
        config->convs[i] = (WavlmConv){value[0], value[1], value[2]};
    }
    config->n_convs = n;
    return 0;
}

static int parse_item(const cJSON *item, WavlmArchitecture *architecture, Error *error)
{
    if (!strcmp(item->string, "encoder"))
        return 0;
    if (!strcmp(item->string, "frontend"))
        return parse_front_end(item, &architecture->wavlm, error);
    if (!strcmp(item->string, "conv_feature_layers"))
        return parse_convs(item, &architecture->wavlm, error);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!strcmp(item->string, keys[i].name))
            return parse_key(item, &keys[i], architecture, error);
    return error_set(error, "wavlm: unknown architecture key '%s'", item->string);
}

int wavlm_architecture_parse(const cJSON *json, WavlmArchitecture *architecture, Error *error)
{
    WavlmArchitecture parsed = {.wavlm = wavlm_default_config(), .mhfa = mhfa_default_config()};
    for (const cJSON *item = json ? json->child : NULL; item; item = item->next)
        if (parse_item(item, &parsed, error))
            return -1;
    for (int64_t i = 0; parsed.conv_channels && i < parsed.wavlm.n_convs; i++)
        parsed.wavlm.convs[i].channels = parsed.conv_channels;
    if (wavlm_check_config(&parsed.wavlm, error))
        return -1;
    *architecture = parsed;
    return 0;
}

static cJSON *key_json(const Key *key, const WavlmArchitecture *architecture)
{
    const char *field = (const char *)architecture + key->offset;
    switch (key->type) {
    case KEY_COUNT:
        return cJSON_CreateNumber((double)*(const int64_t *)field);
    case KEY_PROBABILITY:
        return cJSON_CreateNumber(*(const double *)field);
    case KEY_BOOL:
        return cJSON_CreateBool(*(const bool *)field);
    case KEY_CHOICE:
        return cJSON_CreateString(key->choice[*(const bool *)field]);
    }
    return NULL;
}

cJSON *wavlm_architecture_json(const WavlmArchitecture *architecture)
{
    const WavlmConfig *config = &architecture->wavlm;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "encoder", "wavlm");
    cJSON_AddStringToObject(json, "frontend", config->input == ENCODER_FBANK ? "fbank" : "conv");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].offset != offsetof(WavlmArchitecture, conv_channels))
            cJSON_AddItemToObject(json, keys[i].name, key_json(&keys[i], architecture));
    cJSON *convs = cJSON_AddArrayToObject(json, "conv_feature_layers");
    for (int64_t i = 0; i < config->n_convs; i++) {
        const WavlmConv *conv = &config->convs[i];
        const int numbers[3] = {(int)conv->channels, (int)conv->kernel, (int)conv->stride};
        cJSON_AddItemToArray(convs, cJSON_CreateIntArray(numbers, 3));
    }
    return json;
}

// --- encoder

static Encoder *wavlm_encoder_create(const cJSON *json, Parameters *parameters, Error *error)
{
    WavlmArchitecture architecture;
    if (wavlm_architecture_parse(json, &architecture, error))
        return NULL;
    const WavlmConfig *config = &architecture.wavlm;
    WavlmEncoder *self = mem_zero(1, sizeof *self);
    self->architecture = architecture;
    self->wavlm = wavlm_create(config, "model.", parameters);
    self->mhfa = mhfa_create(&architecture.mhfa, config->layers + 1, config->dim, 1, "backend.", parameters);
    self->encoder = (Encoder){.kind = &wavlm_encoder_kind,
                              .input = config->input,
                              .embedding_dim = architecture.mhfa.outputs_dim,
                              .min_input = wavlm_min_input(config)};
    return &self->encoder;
}

static void wavlm_encoder_destroy(Encoder *encoder)
{
    WavlmEncoder *self = (WavlmEncoder *)encoder;
    if (!self)
        return;
    wavlm_destroy(self->wavlm);
    mhfa_destroy(self->mhfa);
    mem_free(self);
}

static Tensor *wavlm_encoder_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    WavlmEncoder *self = (WavlmEncoder *)encoder;
    Tensor *hidden[WAVLM_MAX_LAYERS + 1];
    if (self->architecture.normalize && encoder->input == ENCODER_WAVEFORM)
        input = op_standardize_rows(tape, input, 1e-5f); // the reference's layer norm without weights
    wavlm_hidden(self->wavlm, tape, input, NULL, mode, hidden);
    return mhfa_forward(self->mhfa, tape, hidden);
}

Wavlm *wavlm_encoder_model(Encoder *encoder)
{
    return ((WavlmEncoder *)encoder)->wavlm;
}

const EncoderKind wavlm_encoder_kind = {.name = "wavlm",
                                        .create = wavlm_encoder_create,
                                        .destroy = wavlm_encoder_destroy,
                                        .forward = wavlm_encoder_forward};
