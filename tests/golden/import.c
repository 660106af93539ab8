// Checkpoints in the forms that users own, imported, give the hidden states or the embedding that their own
// code gives; exported and imported again they are the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "audio/front_end.h"
#include "base/files.h"
#include "base/memory.h"
#include "damage.h"
#include "golden.h"
#include "models/wavlm_encoder.h"
#include "peers/peer_load.h"
#include "tensor/attention.h"
#include "tensor/ops.h"

enum { N_SAMPLES_PER_UNIT = 32768 };
static const double TOLERANCE = 1e-4;

static PeerEncoder import_file(const char *path)
{
    Error error = {0};
    PeerEncoder loaded;
    PeerFile *file = peer_open(path, &error);
    if (!file || peer_load(file, NULL, NULL, &loaded, &error) < 0)
        fail_msg("%s", error.text);
    peer_close(file);
    return loaded;
}

static PeerEncoder import(const char *file_name)
{
    char *path = golden_path(file_name);
    if (!path)
        skip();
    PeerEncoder loaded = import_file(path);
    mem_free(path);
    return loaded;
}

// The recording as the encoder takes it.
static Tensor *input_of(const Golden *golden, const PeerEncoder *loaded, Tape *tape)
{
    const SafeTensor *pcm = golden_tensor(golden, "in.pcm");
    int64_t n = pcm->n_elements;
    float *samples = mem_alloc((size_t)n, sizeof(float));
    for (int64_t i = 0; i < n; i++)
        samples[i] = (float)((const int16_t *)pcm->data)[i] / N_SAMPLES_PER_UNIT;
    InputShape shape = front_end_shape(loaded->encoder->input, n);
    FrontEnd *front_end = front_end_create(loaded->encoder->input);
    float *row = mem_alloc((size_t)input_floats(shape), sizeof(float));
    front_end_compute(front_end, samples, n, NULL, row);
    Tensor *input = encoder_input(loaded->encoder, tape, row, 1, shape);
    mem_free(row);
    front_end_destroy(front_end);
    mem_free(samples);
    return input;
}

static const ForwardMode evaluation = {.training = false};

static void check_embedding(const char *file_name, const char *expected)
{
    PeerEncoder loaded = import(file_name);
    Golden *golden = golden_open("import/expected.safetensors");
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    assert_false(loaded.without_pooling);
    Tensor *embedding = encoder_forward(loaded.encoder, tape, input_of(golden, &loaded, tape), &evaluation);
    golden_check(golden, expected, embedding->data, tensor_size(embedding), TOLERANCE, 0);
    tape_destroy(tape);
    golden_close(golden);
    peer_encoder_release(&loaded);
}

static void check_hidden(const char *file_name, const char *expected)
{
    PeerEncoder loaded = import(file_name);
    Golden *golden = golden_open("import/expected.safetensors");
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    WavlmArchitecture architecture;
    assert_int_equal(wavlm_architecture_parse(loaded.architecture, &architecture, NULL), 0);
    Tensor *input = input_of(golden, &loaded, tape), *hidden[WAVLM_MAX_LAYERS + 1];
    if (architecture.normalize)
        input = op_standardize_rows(tape, input, 1e-5f);
    assert_true(loaded.without_pooling);
    wavlm_hidden(wavlm_encoder_model(loaded.encoder), tape, input, NULL, &evaluation, hidden);
    Tensor *all = op_concat_first(tape, hidden, (int)architecture.wavlm.layers + 1);
    golden_check(golden, expected, all->data, tensor_size(all), TOLERANCE, 0);
    tape_destroy(tape);
    golden_close(golden);
    peer_encoder_release(&loaded);
}

static void microsoft(void **state)
{
    (void)state;
    check_hidden("import/microsoft_base.pt", "microsoft_base.hidden");
    check_hidden("import/microsoft_large.pt", "microsoft_large.hidden");
}

static void hugging_face(void **state)
{
    (void)state;
    check_hidden("import/hf_base/model.safetensors", "microsoft_base.hidden");
    check_hidden("import/hf_base/pytorch_model.bin", "microsoft_base.hidden");
    check_hidden("import/hf_large/model.safetensors", "microsoft_large.hidden");
}

static void wavlm_ssl_sv(void **state)
{
    (void)state;
    check_embedding("import/wavlm_ssl_sv.pt", "wavlm_ssl_sv.embedding");
}

static void wespeaker_ecapa(void **state)
{
    (void)state;
    check_embedding("import/wespeaker_ecapa.pt", "wespeaker_ecapa.embedding");
}

static void wespeaker_resnet(void **state)
{
    (void)state;
    check_embedding("import/wespeaker_resnet34.pt", "wespeaker_resnet34.embedding");
}

// The reference's weights as its training saves them: under "encoder.", beside a classifier.
static void save_as_authors(const Golden *golden, const char *path)
{
    enum { MOST = 512 };
    SafeTensor tensors[MOST];
    int64_t n = 0;
    const SafeTensor *tensor;
    for (int64_t i = 0; (tensor = golden_at(golden, i)); i++) {
        const char *name = strchr(tensor->name, '.');
        bool kept = strncmp(tensor->name, "param.", 6) == 0 || strncmp(tensor->name, "buffer.", 7) == 0;
        if (!kept)
            continue;
        assert_true(n < MOST - 1);
        tensors[n] = *tensor;
        tensors[n++].name = mem_printf("encoder%s", name);
    }
    tensors[n] = *golden_tensor(golden, "param.fc.weight");
    tensors[n++].name = mem_strdup("loss_fun.fc.weight");
    Error error = {0};
    if (safe_publish(path, tensors, n, NULL, 0, &error) < 0)
        fail_msg("%s", error.text);
    for (int64_t i = 0; i < n; i++)
        mem_free((char *)tensors[i].name);
}

static void check_conformer(const char *file_name)
{
    Golden *golden = golden_open(file_name);
    char *folder = scratch_create(), *path = path_join(folder, "saved.safetensors");
    save_as_authors(golden, path);
    PeerEncoder loaded = import_file(path);
    assert_int_equal(loaded.left_out.n, 1);
    assert_string_equal(loaded.left_out.text, "loss_fun.fc.weight");
    assert_false(loaded.without_pooling);
    const SafeTensor *x = golden_tensor(golden, "in.x");
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *input = tape_input(tape, 3, x->dim, golden_float(golden, "in.x"));
    Tensor *embedding = encoder_forward(loaded.encoder, tape, input, &evaluation);
    golden_check_group(golden, "out.eval.emb", embedding->data, tensor_size(embedding));
    tape_destroy(tape);
    peer_encoder_release(&loaded);
    scratch_remove(folder);
    mem_free(path);
    golden_close(golden);
}

static void mfa_conformer(void **state)
{
    (void)state;
    check_conformer("mfa_conformer.safetensors");
    check_conformer("mfa_conformer_sub4.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(microsoft),        cmocka_unit_test(hugging_face),
                                       cmocka_unit_test(wavlm_ssl_sv),     cmocka_unit_test(wespeaker_ecapa),
                                       cmocka_unit_test(wespeaker_resnet), cmocka_unit_test(mfa_conformer)};
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
