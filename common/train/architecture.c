#include "train/architecture.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

// `small` holds where the user names no sizes, `fixed` always, under what the user says.
static const struct {
    const char *name, *encoder, *small, *fixed;
} ENCODERS[] = {
    {"ecapa", "ecapa", "channels=128,emb_bn=true", ""},
    {"wavlm", "wavlm",
     "frontend=fbank,encoder_layers=4,encoder_embed_dim=192,encoder_ffn_embed_dim=768,"
     "encoder_attention_heads=4,conv_pos=31,conv_pos_groups=8,head_nb=8,compression_dim=64,outputs_dim=192,"
     "encoder_layerdrop=0,dropout=0.1",
     ""},
    {"wavlm-base", "wavlm", "", ""}, // the encoder's own defaults
    {"wavlm-base-plus", "wavlm", "", ""},
    {"wavlm-large", "wavlm", "",
     "extractor_mode=layer_norm,normalize=true,layer_norm_first=true,encoder_layers=24,encoder_embed_dim="
     "1024,"
     "encoder_ffn_embed_dim=4096,encoder_attention_heads=16"},
};

static cJSON *value_of(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (*text && !*end)
        return cJSON_CreateNumber(number);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return cJSON_CreateBool(text[0] == 't');
    return cJSON_CreateString(text);
}

int architecture_override(cJSON *architecture, const char *settings, Error *error)
{
    char *copy = mem_strdup(settings ? settings : ""), *rest = NULL;
    int status = 0;
    for (char *item = strtok_r(copy, ",", &rest); item && status == 0; item = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(item, '=');
        if (!equals || equals == item) {
            status = error_set(error, "architecture: '%s' is not key=value", item);
            break;
        }
        *equals = '\0';
        cJSON_DeleteItemFromObjectCaseSensitive(architecture, item); // the last one wins
        cJSON_AddItemToObject(architecture, item, value_of(equals + 1));
    }
    mem_free(copy);
    return status;
}

cJSON *architecture_parse(const char *name, const char *settings, Error *error)
{
    for (size_t i = 0; i < sizeof ENCODERS / sizeof ENCODERS[0]; i++) {
        if (strcmp(name, ENCODERS[i].name) != 0)
            continue;
        cJSON *architecture = cJSON_CreateObject();
        cJSON_AddStringToObject(architecture, "encoder", ENCODERS[i].encoder);
        if (architecture_override(architecture, ENCODERS[i].fixed, error) == 0 &&
            architecture_override(architecture, settings ? settings : ENCODERS[i].small, error) == 0)
            return architecture;
        cJSON_Delete(architecture);
        return NULL;
    }
    error_set(error, "encoder %s is not known; there are " ARCHITECTURE_NAMES, name);
    return NULL;
}
