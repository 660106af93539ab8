#include "models/wavlm_encoder.h"
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/memory.h"
#include "models/architecture_keys.h"
#include "tensor/attention.h"

typedef struct WavlmEncoder {
    Encoder encoder;
    WavlmArchitecture architecture;
    Wavlm *wavlm;
    Mhfa *mhfa;
} WavlmEncoder;

// --- architecture

#define AT(field) offsetof(WavlmArchitecture, field)
static const ArchitectureKey KEYS[] = {
    {.name = "frontend", KEY_OTHER},
    {.name = "conv_feature_layers", KEY_OTHER},
    {.name = "extractor_mode",
     KEY_CHOICE,
     AT(wavlm.front_end.layer_norm),
     .choice = {"default", "layer_norm"}},
    {.name = "normalize", KEY_BOOL, AT(normalize)},
    {.name = "layer_norm_first", KEY_BOOL, AT(wavlm.layer_norm_first)},
    {.name = "conv_bias", KEY_BOOL, AT(wavlm.front_end.conv_bias)},
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
enum { N_KEYS = sizeof KEYS / sizeof KEYS[0] };

static int parse_front_end(const cJSON *item, WavlmFrontEndConfig *config, Error *error)
{
    const char *word = cJSON_IsString(item) ? item->valuestring : "";
    bool fbank = strcmp(word, "fbank") == 0;
    if (!fbank && strcmp(word, "conv") != 0)
        return error_set(error, "wavlm: frontend must be conv or fbank");
    config->input = fbank ? ENCODER_FBANK : ENCODER_WAVEFORM;
    return 0;
}

static int parse_convs(const cJSON *list, WavlmFrontEndConfig *config, Error *error)
{
    int n = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n < 1 || n > WAVLM_MAX_CONVS)
        return error_set(error, "wavlm: conv_feature_layers must list 1 to %d convolutions", WAVLM_MAX_CONVS);
    for (int i = 0; i < n; i++) {
        const cJSON *conv = cJSON_GetArrayItem(list, i);
        int64_t value[3];
        for (int j = 0; j < 3; j++) {
            const cJSON *number = cJSON_GetArrayItem(conv, j);
            if (cJSON_GetArraySize(conv) != 3 || !architecture_is_whole(number, 1, 1 << 16))
                return error_set(error, "wavlm: conv_feature_layers[%d] must be [channels, kernel, stride]",
                                 i);
            value[j] = (int64_t)number->valuedouble;
        }
        config->convs[i] = (WavlmConv){value[0], value[1], value[2]};
    }
    config->n_convs = n;
    return 0;
}

int wavlm_architecture_parse(const cJSON *json, WavlmArchitecture *architecture, Error *error)
{
    WavlmArchitecture parsed = {.wavlm = wavlm_default_config(), .mhfa = mhfa_default_config()};
    const cJSON *front_end = cJSON_GetObjectItemCaseSensitive(json, "frontend");
    const cJSON *convs = cJSON_GetObjectItemCaseSensitive(json, "conv_feature_layers");
    if (architecture_read("wavlm", json, KEYS, N_KEYS, &parsed, error) < 0 ||
        (front_end && parse_front_end(front_end, &parsed.wavlm.front_end, error) < 0) ||
        (convs && parse_convs(convs, &parsed.wavlm.front_end, error) < 0))
        return -1;
    WavlmFrontEndConfig *made = &parsed.wavlm.front_end;
    for (int64_t i = 0; parsed.conv_channels && i < made->n_convs; i++)
        made->convs[i].channels = parsed.conv_channels;
    if (wavlm_check_config(&parsed.wavlm, error))
        return -1;
    *architecture = parsed;
    return 0;
}

cJSON *wavlm_architecture_json(const WavlmArchitecture *architecture)
{
    const WavlmFrontEndConfig *config = &architecture->wavlm.front_end;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "encoder", "wavlm");
    cJSON_AddStringToObject(json, "frontend", config->input == ENCODER_FBANK ? "fbank" : "conv");
    for (int i = 0; i < N_KEYS; i++)
        if (KEYS[i].type != KEY_OTHER && KEYS[i].offset != offsetof(WavlmArchitecture, conv_channels))
            cJSON_AddItemToObject(json, KEYS[i].name, architecture_value(&KEYS[i], architecture));
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
    Scope back_end = scope_of(parameters, "backend.");
    back_end.group = 1;
    self->wavlm = wavlm_create(config, scope_of(parameters, "model."));
    self->mhfa = mhfa_create(&architecture.mhfa, config->layers + 1, config->dim, back_end);
    self->encoder = (Encoder){.kind = &wavlm_encoder_kind,
                              .input = config->front_end.input,
                              .input_width = config->front_end.input == ENCODER_FBANK ? WAVLM_N_MELS : 1,
                              .embedding_dim = architecture.mhfa.outputs_dim,
                              .min_input = wavlm_front_end_min_input(&config->front_end),
                              .n_maps = (int)config->layers};
    for (int64_t i = 0; i < config->layers; i++)
        self->encoder.map_dim[i] = config->dim;
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

void wavlm_encoder_hidden(Encoder *encoder, Tape *tape, Tensor *input, const bool *mask,
                          const ForwardMode *mode, Tensor **hidden)
{
    WavlmEncoder *self = (WavlmEncoder *)encoder;
    if (self->architecture.normalize && encoder->input == ENCODER_WAVEFORM)
        input = op_standardize_rows(tape, input, 1e-5f); // the reference's layer norm without weights
    wavlm_hidden(self->wavlm, tape, input, mask, mode, hidden);
}

static Tensor *wavlm_encoder_forward(Encoder *encoder, Tape *tape, Tensor *input, const ForwardMode *mode)
{
    WavlmEncoder *self = (WavlmEncoder *)encoder;
    Tensor *hidden[WAVLM_MAX_LAYERS + 1];
    wavlm_encoder_hidden(encoder, tape, input, NULL, mode, hidden);
    for (int i = 0; mode->maps && i < encoder->n_maps; i++)
        mode->maps[i] = hidden[i + 1];
    return mhfa_forward(self->mhfa, tape, hidden);
}

const WavlmArchitecture *wavlm_encoder_architecture(const Encoder *encoder)
{
    return &((const WavlmEncoder *)encoder)->architecture;
}

Wavlm *wavlm_encoder_model(Encoder *encoder)
{
    return ((WavlmEncoder *)encoder)->wavlm;
}

// The published sizes, wavlm-base-plus among them, are the defaults.
const EncoderKind wavlm_encoder_kind = {
    .name = "wavlm",
    .architectures =
        {{"wavlm", .small = "frontend=fbank,encoder_layers=4,encoder_embed_dim=192,encoder_ffn_embed_dim=768,"
                            "encoder_attention_heads=4,conv_pos=31,conv_pos_groups=8,head_nb=8,"
                            "compression_dim=64,outputs_dim=192,encoder_layerdrop=0,dropout=0.1"},
         {"wavlm-base"},
         {"wavlm-base-plus"},
         {"wavlm-large",
          .fixed = "extractor_mode=layer_norm,normalize=true,layer_norm_first=true,encoder_layers=24,"
                   "encoder_embed_dim=1024,encoder_ffn_embed_dim=4096,encoder_attention_heads=16"}},
    .create = wavlm_encoder_create,
    .destroy = wavlm_encoder_destroy,
    .forward = wavlm_encoder_forward};
