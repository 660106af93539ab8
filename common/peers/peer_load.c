#include "peers/peer_load.h"

#include <string.h>

#include "base/memory.h"
#include "nn/mismatch.h"
#include "peers/peer_sizes.h"
#include "train/architecture.h"

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool begins_with_any(const char *name, const char *prefixes)
{
    char *copy = mem_strdup(prefixes ? prefixes : ""), *rest = NULL;
    bool found = false;
    for (char *prefix = strtok_r(copy, ",", &rest); prefix && !found; prefix = strtok_r(NULL, ",", &rest))
        found = begins(name, prefix);
    mem_free(copy);
    return found;
}

static bool same_shape(const Tensor *own, const SafeTensor *peer)
{
    return own->n_dims == peer->n_dims &&
           memcmp(own->dim, peer->dim, (size_t)own->n_dims * sizeof(int64_t)) == 0;
}

// Whether a tensor is no part of the encoder: by its form's rules, by `ignore`, or because all the encoder's
// names begin otherwise (a head beside it: "lm_head.weight" beside "wavlm.encoder...").
static bool is_left_out(const PeerWeights *weights, const char *name, const char *ignore)
{
    size_t length = (size_t)weights->prefix_length;
    bool inside = strncmp(name, weights->prefix, length) == 0;
    return !inside || peer_is_ignored(weights->form, name) || peer_is_ignored(weights->form, name + length) ||
           begins_with_any(name, ignore);
}

// Lists what does not fit, and what is left out, before the parameters have memory.
static int compare(const char *path, const PeerWeights *weights, const char *ignore, PeerEncoder *loaded,
                   Error *error)
{
    Mismatch mismatch = {0};
    bool *used = mem_zero((size_t)weights->n_tensors + 1, sizeof(bool));
    for (int64_t i = 0; i < loaded->parameters.n_items; i++) {
        const Parameter *own = loaded->parameters.items[i];
        const SafeTensor *peer = peer_find(weights, own->name);
        if (peer)
            used[peer - weights->tensors] = true;
        if (peer && !same_shape(&own->tensor, peer))
            list_name(&mismatch.misshapen, peer->name);
        else if (!peer && !(loaded->without_pooling && begins(own->name, PEER_POOLING_PREFIX)))
            list_name(&mismatch.missing, own->name);
    }
    for (int64_t i = 0; i < weights->n_tensors; i++) {
        const char *name = weights->tensors[i].name;
        if (!used[i] && !peer_is_count(name))
            list_name(is_left_out(weights, name, ignore) ? &loaded->left_out : &mismatch.surplus, name);
    }
    mem_free(used);
    Error misfit = {0};
    if (mismatch_check(&mismatch, path, &misfit) == 0)
        return 0;
    bool only_surplus = mismatch.missing.n + mismatch.misshapen.n == 0;
    return error_set(error, "%s%s", misfit.text,
                     only_surplus ? "; --ignore PREFIX,... leaves out what is no part of it" : "");
}

static int copy_tensors(const char *path, const PeerWeights *weights, Parameters *parameters, Error *error)
{
    for (int64_t i = 0; i < parameters->n_items; i++) {
        Parameter *own = parameters->items[i];
        const SafeTensor *peer = peer_find(weights, own->name);
        if (!peer)
            continue;
        if (check_finite(path, peer->name, peer->data, peer->n_elements, error) < 0)
            return -1;
        memcpy(own->tensor.data, peer->data, (size_t)peer->n_elements * sizeof(float));
    }
    return 0;
}

static int build(const PeerFile *file, const char *settings, const char *ignore, PeerEncoder *loaded,
                 Error *error)
{
    const PeerWeights *weights = peer_weights(file);
    if (!(loaded->architecture = peer_architecture(weights, error)) ||
        architecture_override(loaded->architecture, settings, error) < 0 ||
        !(loaded->encoder = encoder_create_any(loaded->architecture, &loaded->parameters, error)))
        return error_prefix(error, "%s", peer_path(file));
    loaded->without_pooling =
        peer_is_wavlm(weights->form) && !peer_find(weights, PEER_POOLING_PREFIX "weights_k");
    if (compare(peer_path(file), weights, ignore, loaded, error) < 0 ||
        parameters_allocate(&loaded->parameters, 0, false, error) < 0)
        return -1;
    return copy_tensors(peer_path(file), weights, &loaded->parameters, error);
}

int peer_load(const PeerFile *file, const char *settings, const char *ignore, PeerEncoder *loaded,
              Error *error)
{
    *loaded = (PeerEncoder){0};
    parameters_init(&loaded->parameters);
    if (build(file, settings, ignore, loaded, error) == 0)
        return 0;
    peer_encoder_release(loaded);
    return -1;
}

void peer_encoder_release(PeerEncoder *loaded)
{
    encoder_destroy(loaded->encoder);
    parameters_release(&loaded->parameters);
    cJSON_Delete(loaded->architecture);
    *loaded = (PeerEncoder){0};
}
