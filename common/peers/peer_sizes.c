#include "peers/peer_sizes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "models/wavlm_encoder.h"

// --- shapes

// dim[axis] of the tensor for one of our parameters, 0 when it is not there.
static int64_t extent(const PeerWeights *weights, const char *own, int axis)
{
    const SafeTensor *tensor = peer_find(weights, own);
    return tensor && axis < tensor->n_dims ? tensor->dim[axis] : 0;
}

// How many of `format` (one %d) are there, from 0 up.
static int count(const PeerWeights *weights, const char *format, int most)
{
    char own[128];
    int n = 0;
    while (n < most && snprintf(own, sizeof own, format, n) > 0 && peer_find(weights, own))
        n++;
    return n;
}

static void set_size(cJSON *architecture, const char *key, int64_t value)
{
    if (value > 0)
        cJSON_AddNumberToObject(architecture, key, (double)value);
}

static void add_convolutions(const PeerWeights *weights, cJSON *architecture)
{
    static const int STRIDES[WAVLM_MAX_CONVS] = {5, 2, 2, 2, 2, 2, 2, 2};
    static const char WEIGHT[] = "model.feature_extractor.conv_layers.%d.0.weight";
    cJSON *list = cJSON_AddArrayToObject(architecture, "conv_feature_layers");
    int n = count(weights, WEIGHT, WAVLM_MAX_CONVS);
    for (int i = 0; i < n; i++) {
        char own[128];
        snprintf(own, sizeof own, WEIGHT, i);
        const int conv[3] = {(int)extent(weights, own, 0), (int)extent(weights, own, 2), STRIDES[i]};
        cJSON_AddItemToArray(list, cJSON_CreateIntArray(conv, 3));
    }
}

static cJSON *wavlm_from_shapes(const PeerWeights *weights)
{
    cJSON *a = cJSON_CreateObject();
    cJSON_AddStringToObject(a, "encoder", "wavlm");
    bool large = peer_find(weights, "model.feature_extractor.conv_layers.1.2.1.weight");
    int64_t dim = extent(weights, "model.post_extract_proj.weight", 0);
    int64_t pos_inputs = extent(weights, "model.encoder.pos_conv.0.weight_v", 1);
    int64_t heads = extent(weights, "backend.att_head.weight", 0);
    cJSON_AddStringToObject(a, "extractor_mode", large ? "layer_norm" : "default");
    cJSON_AddBoolToObject(a, "normalize", large);
    cJSON_AddBoolToObject(a, "layer_norm_first", large);
    cJSON_AddBoolToObject(a, "conv_bias",
                          peer_find(weights, "model.feature_extractor.conv_layers.0.0.bias") != NULL);
    add_convolutions(weights, a);
    set_size(a, "encoder_layers", count(weights, "model.encoder.layers.%d.fc1.weight", WAVLM_MAX_LAYERS));
    set_size(a, "encoder_embed_dim", dim);
    set_size(a, "encoder_ffn_embed_dim", extent(weights, "model.encoder.layers.0.fc1.weight", 0));
    set_size(a, "encoder_attention_heads", extent(weights, "model.encoder.layers.0.self_attn.grep_a", 1));
    set_size(a, "conv_pos", extent(weights, "model.encoder.pos_conv.0.weight_v", 2));
    set_size(a, "conv_pos_groups", pos_inputs ? dim / pos_inputs : 0);
    set_size(a, "num_buckets",
             extent(weights, "model.encoder.layers.0.self_attn.relative_attention_bias.weight", 0));
    set_size(a, "head_nb", heads);
    set_size(a, "compression_dim", extent(weights, "backend.cmp_linear_k.weight", 0));
    set_size(a, "outputs_dim", extent(weights, "backend.pooling_fc.weight", 0));
    return a;
}

static cJSON *ecapa_from_shapes(const PeerWeights *weights)
{
    cJSON *a = cJSON_CreateObject();
    int64_t pooled = extent(weights, "conv.weight", 0);
    cJSON_AddStringToObject(a, "encoder", "ecapa");
    set_size(a, "channels", extent(weights, "layer1.conv.weight", 0));
    set_size(a, "feat_dim", extent(weights, "layer1.conv.weight", 1));
    set_size(a, "embed_dim", extent(weights, "linear.weight", 0));
    set_size(a, "pre_pool_channels", pooled);
    set_size(a, "astp_bottleneck_dim", extent(weights, "pool.linear1.weight", 0));
    set_size(a, "se_bottleneck_dim", extent(weights, "layer2.se_res2block.3.linear1.weight", 0));
    set_size(a, "res2net_scale", count(weights, "layer2.se_res2block.1.convs.%d.weight", 64) + 1);
    cJSON_AddBoolToObject(a, "global_context_att", extent(weights, "pool.linear1.weight", 1) == 3 * pooled);
    cJSON_AddBoolToObject(a, "emb_bn", peer_find(weights, "bn2.weight") != NULL);
    return a;
}

// The strides of the stages leave an eighth of the filter banks.
static cJSON *resnet_from_shapes(const PeerWeights *weights)
{
    cJSON *a = cJSON_CreateObject();
    cJSON_AddStringToObject(a, "encoder", "resnet");
    bool bottleneck = peer_find(weights, "layer1.0.conv3.weight"),
         astp = peer_find(weights, "pool.linear1.weight");
    int64_t channels = extent(weights, bottleneck ? "layer4.0.conv3.weight" : "layer4.0.conv2.weight", 0);
    int64_t pooled = extent(weights, "seg_1.weight", 1) / 2;
    for (int stage = 1; stage <= 4; stage++) {
        char format[64], key[16];
        snprintf(format, sizeof format, "layer%d.%%d.conv1.weight", stage);
        snprintf(key, sizeof key, "blocks%d", stage);
        set_size(a, key, count(weights, format, 64));
    }
    cJSON_AddStringToObject(a, "block", bottleneck ? "bottleneck" : "basic");
    set_size(a, "m_channels", extent(weights, "conv1.weight", 0));
    set_size(a, "feat_dim", channels ? pooled / channels * 8 : 0);
    set_size(a, "embed_dim", extent(weights, "seg_1.weight", 0));
    cJSON_AddStringToObject(a, "pooling", astp ? "ASTP" : "TSTP");
    set_size(a, "astp_bottleneck_dim", extent(weights, "pool.linear1.weight", 0));
    cJSON_AddBoolToObject(a, "global_context_att",
                          astp && extent(weights, "pool.linear1.weight", 1) == 3 * pooled);
    cJSON_AddBoolToObject(a, "two_emb_layer", peer_find(weights, "seg_2.weight") != NULL);
    return a;
}

// The filter banks are those, of the even numbers, that subsampling makes as many bins of.
static cJSON *conformer_from_shapes(const PeerWeights *weights)
{
    cJSON *a = cJSON_CreateObject();
    static const char EMBED[] = "conformer.embed.out.0.weight";
    bool by_four = peer_find(weights, "conformer.embed.conv.2.weight");
    int64_t dim = extent(weights, EMBED, 0), bins = dim ? extent(weights, EMBED, 1) / dim : 0;
    cJSON_AddStringToObject(a, "encoder", "mfa_conformer");
    set_size(a, "num_blocks", count(weights, "conformer.encoders.%d.norm_final.weight", 64));
    set_size(a, "output_size", dim);
    set_size(a, "attention_heads", extent(weights, "conformer.encoders.0.self_attn.pos_bias_u", 0));
    set_size(a, "linear_units", extent(weights, "conformer.encoders.0.feed_forward.w_1.weight", 0));
    set_size(a, "cnn_module_kernel",
             extent(weights, "conformer.encoders.0.conv_module.depthwise_conv.weight", 2));
    set_size(a, "feat_dim", by_four ? 4 * bins + 4 : 2 * bins + 2);
    set_size(a, "embedding_dim", extent(weights, "fc.weight", 0));
    set_size(a, "attention_channels", extent(weights, "pooling.conv.conv.weight", 1));
    cJSON_AddStringToObject(a, "input_layer", by_four ? "conv2d" : "conv2d2");
    return a;
}

// --- configurations

static void replace(cJSON *architecture, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(architecture, key);
    cJSON_AddItemToObject(architecture, key, value);
}

// Microsoft writes the convolutions as Python: "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2".
static cJSON *parse_convolutions(const char *text)
{
    cJSON *list = cJSON_CreateArray();
    while (text) {
        int conv[3], times = 1, used = 0;
        if (sscanf(text, " [ (%d ,%d ,%d ) ]%n", &conv[0], &conv[1], &conv[2], &used) != 3 || used == 0)
            break;
        text += used;
        used = 0;
        if (sscanf(text, " * %d%n", &times, &used) == 1)
            text += used;
        if (times < 1 || times > WAVLM_MAX_CONVS)
            break;
        for (int i = 0; i < times && cJSON_GetArraySize(list) <= WAVLM_MAX_CONVS; i++)
            cJSON_AddItemToArray(list, cJSON_CreateIntArray(conv, 3));
        text += strspn(text, " ");
        if (!*text)
            return list;
        text = *text == '+' ? text + 1 : NULL;
    }
    cJSON_Delete(list);
    return NULL;
}

// What WavLM has and we assume: another value means another network.
static int check_fixed(const cJSON *config, const char *key, const char *value, Error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, key);
    bool fits = !item || (cJSON_IsString(item) ? strcmp(item->valuestring, value) == 0
                                               : cJSON_IsTrue(item) == (strcmp(value, "true") == 0));
    return fits ? 0 : error_set(error, "its configuration has another %s than %s", key, value);
}

// The keys of Microsoft's and MHFA's configurations, which are ours too.
static const char *const MICROSOFT_KEYS[] = {
    "extractor_mode",    "normalize",         "layer_norm_first",      "conv_bias",
    "encoder_layers",    "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads",
    "conv_pos",          "conv_pos_groups",   "num_buckets",           "max_distance",
    "dropout",           "attention_dropout", "activation_dropout",    "dropout_input",
    "encoder_layerdrop", "head_nb",           "compression_dim",       "outputs_dim"};

static int apply_microsoft(const cJSON *config, cJSON *architecture, Error *error)
{
    if (check_fixed(config, "activation_fn", "gelu", error) < 0 ||
        check_fixed(config, "relative_position_embedding", "true", error) < 0 ||
        check_fixed(config, "gru_rel_pos", "true", error) < 0)
        return -1;
    for (size_t i = 0; i < sizeof MICROSOFT_KEYS / sizeof MICROSOFT_KEYS[0]; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, MICROSOFT_KEYS[i]);
        if (item)
            replace(architecture, MICROSOFT_KEYS[i], cJSON_Duplicate(item, true));
    }
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "conv_feature_layers"));
    cJSON *list = text ? parse_convolutions(text) : NULL;
    if (text && !list)
        return error_set(error, "its configuration has conv_feature_layers that cannot be read: %.100s",
                         text);
    if (list)
        replace(architecture, "conv_feature_layers", list);
    return 0;
}

// Hugging Face's keys for Microsoft's, where the values are the same.
static const struct {
    const char *own, *hugging_face;
} SAME_VALUE[] = {{"layer_norm_first", "do_stable_layer_norm"},
                  {"conv_bias", "conv_bias"},
                  {"encoder_layers", "num_hidden_layers"},
                  {"encoder_embed_dim", "hidden_size"},
                  {"encoder_ffn_embed_dim", "intermediate_size"},
                  {"encoder_attention_heads", "num_attention_heads"},
                  {"conv_pos", "num_conv_pos_embeddings"},
                  {"conv_pos_groups", "num_conv_pos_embedding_groups"},
                  {"num_buckets", "num_buckets"},
                  {"max_distance", "max_bucket_distance"},
                  {"dropout", "hidden_dropout"},
                  {"attention_dropout", "attention_dropout"},
                  {"activation_dropout", "activation_dropout"},
                  {"dropout_input", "feat_proj_dropout"},
                  {"encoder_layerdrop", "layerdrop"}};
static const char *const CONV_KEYS[3] = {"conv_dim", "conv_kernel", "conv_stride"};

static int apply_hugging_face(const cJSON *config, cJSON *architecture, Error *error)
{
    if (check_fixed(config, "model_type", "wavlm", error) < 0 ||
        check_fixed(config, "hidden_act", "gelu", error) < 0 ||
        check_fixed(config, "feat_extract_activation", "gelu", error) < 0)
        return -1;
    for (size_t i = 0; i < sizeof SAME_VALUE / sizeof SAME_VALUE[0]; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, SAME_VALUE[i].hugging_face);
        if (item)
            replace(architecture, SAME_VALUE[i].own, cJSON_Duplicate(item, true));
    }
    const cJSON *part[3];
    for (int k = 0; k < 3; k++)
        if (!(part[k] = cJSON_GetObjectItemCaseSensitive(config, CONV_KEYS[k])))
            return 0;
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < cJSON_GetArraySize(part[0]); i++) {
        cJSON *conv = cJSON_CreateArray();
        for (int k = 0; k < 3; k++)
            if (cJSON_GetArrayItem(part[k], i))
                cJSON_AddItemToArray(conv, cJSON_Duplicate(cJSON_GetArrayItem(part[k], i), true));
        cJSON_AddItemToArray(list, conv); // a short one is refused by the encoder
    }
    replace(architecture, "conv_feature_layers", list);
    return 0;
}

cJSON *peer_architecture(const PeerWeights *weights, Error *error)
{
    if (weights->form == PEER_WESPEAKER)
        return peer_find(weights, "seg_1.weight") ? resnet_from_shapes(weights) : ecapa_from_shapes(weights);
    if (weights->form == PEER_MFA_CONFORMER)
        return conformer_from_shapes(weights);
    cJSON *architecture = wavlm_from_shapes(weights);
    int status = 0;
    if (weights->config && weights->form == PEER_HUGGING_FACE)
        status = apply_hugging_face(weights->config, architecture, error);
    else if (weights->config)
        status = apply_microsoft(weights->config, architecture, error);
    if (status == 0)
        return architecture;
    cJSON_Delete(architecture);
    return NULL;
}

// --- export

static cJSON *take(cJSON *full, const char *key)
{
    return cJSON_DetachItemFromObjectCaseSensitive(full, key);
}

static cJSON *microsoft_config(cJSON *full)
{
    char text[512] = "";
    const cJSON *conv;
    cJSON_ArrayForEach(conv, cJSON_GetObjectItemCaseSensitive(full, "conv_feature_layers"))
    {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s[(%d,%d,%d)]", used ? " + " : "",
                 cJSON_GetArrayItem(conv, 0)->valueint, cJSON_GetArrayItem(conv, 1)->valueint,
                 cJSON_GetArrayItem(conv, 2)->valueint);
    }
    cJSON *config = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof MICROSOFT_KEYS / sizeof MICROSOFT_KEYS[0]; i++)
        cJSON_AddItemToObject(config, MICROSOFT_KEYS[i], take(full, MICROSOFT_KEYS[i]));
    cJSON_AddStringToObject(config, "conv_feature_layers", text);
    cJSON_AddStringToObject(config, "activation_fn", "gelu");
    cJSON_AddBoolToObject(config, "relative_position_embedding", true);
    cJSON_AddBoolToObject(config, "gru_rel_pos", true);
    return config;
}

static cJSON *hugging_face_config(cJSON *full)
{
    cJSON *config = cJSON_CreateObject();
    cJSON_AddStringToObject(config, "model_type", "wavlm");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(config, "architectures"), cJSON_CreateString("WavLMModel"));
    for (size_t i = 0; i < sizeof SAME_VALUE / sizeof SAME_VALUE[0]; i++)
        cJSON_AddItemToObject(config, SAME_VALUE[i].hugging_face, take(full, SAME_VALUE[i].own));
    const cJSON *conv, *convs = cJSON_GetObjectItemCaseSensitive(full, "conv_feature_layers");
    for (int k = 0; k < 3; k++) {
        cJSON *list = cJSON_AddArrayToObject(config, CONV_KEYS[k]);
        cJSON_ArrayForEach(conv, convs)
            cJSON_AddItemToArray(list, cJSON_Duplicate(cJSON_GetArrayItem(conv, k), true));
    }
    const char *mode = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(full, "extractor_mode"));
    cJSON_AddStringToObject(config, "feat_extract_norm", strcmp(mode, "layer_norm") == 0 ? "layer" : "group");
    cJSON_AddStringToObject(config, "feat_extract_activation", "gelu");
    cJSON_AddStringToObject(config, "hidden_act", "gelu");
    cJSON_AddNumberToObject(config, "layer_norm_eps", 1e-5);
    return config;
}

int peer_config(PeerForm form, const cJSON *architecture, cJSON **config, Error *error)
{
    WavlmArchitecture parsed;
    const cJSON *features = cJSON_GetObjectItemCaseSensitive(architecture, "features");
    *config = NULL;
    if (features && strcmp(cJSON_GetStringValue(features), "floored") == 0)
        return error_set(error, "it takes floored filter banks, which no other toolkit makes");
    if (!peer_is_wavlm(form))
        return 0;
    if (wavlm_architecture_parse(architecture, &parsed, error) < 0)
        return -1;
    if (parsed.wavlm.front_end.input == ENCODER_FBANK)
        return error_set(error, "its front end works on fbank, which no other toolkit's WavLM has");
    cJSON *full = wavlm_architecture_json(&parsed);
    *config = form == PEER_HUGGING_FACE ? hugging_face_config(full) : microsoft_config(full);
    cJSON_Delete(full);
    return 0;
}
