#include "peers/peer_form.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

const char *const peer_form_names[PEER_FORMS] = {"microsoft", "hugging-face", "wavlm-ssl-sv", "wespeaker",
                                                 "mfa-conformer"};

static const char WAVLM_PREFIX[] = "model."; // of WavLM's parameters in our names and in wavlm-ssl-sv's

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

bool peer_is_wavlm(PeerForm form)
{
    return form == PEER_MICROSOFT || form == PEER_HUGGING_FACE || form == PEER_WAVLM_SSL_SV;
}

// --- recognising

// A tensor that only one form has, and what stands behind the prefix in it.
static const struct {
    const char *landmark;
    PeerForm form;
} LANDMARKS[] = {{"model.post_extract_proj.weight", PEER_WAVLM_SSL_SV},
                 {"post_extract_proj.weight", PEER_MICROSOFT},
                 {"feature_projection.projection.weight", PEER_HUGGING_FACE},
                 {"layer2.se_res2block.0.conv.weight", PEER_WESPEAKER},
                 {"layer1.0.conv1.weight", PEER_WESPEAKER},
                 {"conformer.after_norm.weight", PEER_MFA_CONFORMER}};

static bool has_ending(const PeerWeights *weights, const char *ending, const char **name)
{
    for (int64_t i = 0; i < weights->n_tensors; i++)
        if (ends(*name = weights->tensors[i].name, ending))
            return true;
    return false;
}

int peer_recognise(PeerWeights *weights, Error *error)
{
    const char *name;
    for (size_t l = 0; l < sizeof LANDMARKS / sizeof LANDMARKS[0]; l++)
        if (has_ending(weights, LANDMARKS[l].landmark, &name)) {
            weights->form = LANDMARKS[l].form;
            weights->prefix = name;
            weights->prefix_length = (int64_t)(strlen(name) - strlen(LANDMARKS[l].landmark));
            return 0;
        }
    return error_set(error, "of no known form: no tensor is named like those of WavLM (Microsoft, Hugging "
                            "Face, wavlm_ssl_sv), of wespeaker's ECAPA-TDNN and ResNet or of MFA-Conformer");
}

// --- names

// Hugging Face's words for Microsoft's, for the part of a name that follows `encoder.layers.N.` and for the
// rest. The first row that fits is taken.
typedef struct Rename {
    const char *microsoft, *hugging_face;
} Rename;

static const Rename IN_LAYER[] = {{"self_attn.grep_a", "attention.gru_rel_pos_const"},
                                  {"self_attn.grep_linear.", "attention.gru_rel_pos_linear."},
                                  {"self_attn.relative_attention_bias.", "attention.rel_attn_embed."},
                                  {"self_attn.", "attention."},
                                  {"self_attn_layer_norm.", "layer_norm."},
                                  {"fc1.", "feed_forward.intermediate_dense."},
                                  {"fc2.", "feed_forward.output_dense."},
                                  {"", ""}};
static const Rename OUTSIDE[] = {
    {"mask_emb", "masked_spec_embed"},
    {"post_extract_proj.", "feature_projection.projection."},
    {"layer_norm.", "feature_projection.layer_norm."},
    {"encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"},
    {"encoder.pos_conv.0.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"},
    {"encoder.pos_conv.0.", "encoder.pos_conv_embed.conv."},
    {"", ""}};
// Before transformers took up parametrised weight norm.
static const Rename OLDER[] = {{"encoder.pos_conv.0.", "encoder.pos_conv_embed.conv."}};

static char *renamed(const Rename *rename, const char *head, int64_t head_length, const char *name)
{
    while (!begins(name, rename->microsoft))
        rename++;
    return mem_printf("%.*s%s%s", (int)head_length, head, rename->hugging_face,
                      name + strlen(rename->microsoft));
}

// `feature_extractor.conv_layers.N.0.` is a convolution, `.2.` or, where it lies between two transposes,
// `.2.1.` its norm.
static char *convolution_name(const char *name)
{
    int layer = 0, used = 0;
    char part[64];
    if (sscanf(name, "feature_extractor.conv_layers.%d.%n%63s", &layer, &used, part) < 2)
        return NULL;
    const char *word = begins(part, "0.") ? "conv" : "layer_norm";
    return mem_printf("%.*s%s.%s", used, name, word, strrchr(part, '.') + 1);
}

static char *hugging_face_name(const char *name, int variant)
{
    int layer = 0, used = 0;
    if (variant == 1)
        return begins(name, OLDER[0].microsoft) ? renamed(OLDER, "", 0, name) : NULL;
    if (begins(name, "feature_extractor."))
        return convolution_name(name);
    if (sscanf(name, "encoder.layers.%d.%n", &layer, &used) == 1 && used > 0)
        return renamed(IN_LAYER, name, used, name + used);
    return renamed(OUTSIDE, "", 0, name);
}

char *peer_name(PeerForm form, const char *own, int variant)
{
    bool is_wavlm = begins(own, WAVLM_PREFIX);
    const char *bare = own + strlen(WAVLM_PREFIX);
    if (form == PEER_HUGGING_FACE)
        return is_wavlm ? hugging_face_name(bare, variant) : NULL;
    if (variant == 1 || (form == PEER_MICROSOFT && !is_wavlm))
        return NULL;
    return mem_strdup(form == PEER_MICROSOFT ? bare : own);
}

const char *peer_prefix(PeerForm form)
{
    return form == PEER_WAVLM_SSL_SV ? "module.__S__." : form == PEER_MFA_CONFORMER ? "encoder." : "";
}

const SafeTensor *peer_find(const PeerWeights *weights, const char *own)
{
    const SafeTensor *found = NULL;
    for (int variant = 0; variant < 2 && !found; variant++) {
        char *name = peer_name(weights->form, own, variant);
        for (int64_t i = 0; name && !found && i < weights->n_tensors; i++) {
            const char *whole = weights->tensors[i].name;
            if (strncmp(whole, weights->prefix, (size_t)weights->prefix_length) == 0 &&
                strcmp(whole + weights->prefix_length, name) == 0)
                found = &weights->tensors[i];
        }
        mem_free(name);
    }
    return found;
}

bool peer_is_count(const char *name)
{
    return ends(name, ".num_batches_tracked");
}

bool peer_is_ignored(PeerForm form, const char *name)
{
    if (form == PEER_WESPEAKER)
        return begins(name, "projection.");
    if (form == PEER_MFA_CONFORMER) // its classifier and its filter banks
        return begins(name, "loss_fun.") || begins(name, "mel_trans.");
    return form == PEER_WAVLM_SSL_SV && (begins(name, "module.__L__.") || begins(name, "__L__."));
}
