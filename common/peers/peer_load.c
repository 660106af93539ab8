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

// used[i]: tensor i of the peer has found its parameter.
static void copy_tensors(const PeerWeights *weights, PeerEncoder *loaded, bool *used, Mismatch *mismatch)
{
    for (int64_t i = 0; i < loaded->parameters.n_items; i++) {
        Parameter *own = loaded->parameters.items[i];
        const SafeTensor *peer = peer_find(weights, own->name);
        if (!peer && loaded->without_pooling && begins(own->name, PEER_POOLING_PREFIX))
            continue;
        if (!peer) {
            list_name(&mismatch->missing, own->name);
            continue;
        }
        used[peer - weights->tensors] = true;
        if (same_shape(&own->tensor, peer))
            memcpy(own->tensor.data, peer->data, (size_t)peer->n_elements * sizeof(float));
        else
            list_name(&mismatch->misshapen, peer->name);
    }
}

static int transfer(const char *path, const PeerWeights *weights, const char *ignore, PeerEncoder *loaded,
                    Error *error)
{
    Mismatch mismatch = {0};
    bool *used = mem_zero((size_t)weights->n_tensors + 1, sizeof(bool));
    loaded->without_pooling =
        peer_is_wavlm(weights->form) && !peer_find(weights, PEER_POOLING_PREFIX "weights_k");
    copy_tensors(weights, loaded, used, &mismatch);
    for (int64_t i = 0; i < weights->n_tensors; i++) {
        const char *name = weights->tensors[i].name;
        if (used[i])
            continue;
        if (peer_is_ignored(weights->form, name) || begins_with_any(name, ignore))
            loaded->n_left_out++;
        else
            list_name(&mismatch.surplus, name);
    }
    mem_free(used);
    return mismatch_check(&mismatch, path, error);
}

static int build(const PeerFile *file, const char *settings, PeerEncoder *loaded, Error *error)
{
    if (!(loaded->architecture = peer_architecture(peer_weights(file), error)) ||
        architecture_override(loaded->architecture, settings, error) < 0 ||
        !(loaded->encoder = encoder_create(loaded->architecture, &loaded->parameters, error)))
        return error_prefix(error, "%s", peer_path(file));
    return parameters_allocate(&loaded->parameters, 0, false, error);
}

int peer_load(const PeerFile *file, const char *settings, const char *ignore, PeerEncoder *loaded,
              Error *error)
{
    *loaded = (PeerEncoder){0};
    parameters_init(&loaded->parameters);
    if (build(file, settings, loaded, error) == 0 &&
        transfer(peer_path(file), peer_weights(file), ignore, loaded, error) == 0)
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
