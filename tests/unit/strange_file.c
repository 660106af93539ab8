// Files that are not what their name says are called what they are, by every reader that a user's file meets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/decode.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/strange_file.h"
#include "base/text.h"
#include "cache/embeddings.h"
#include "cache/lists.h"
#include "cache/npy.h"
#include "cache/safetensors.h"
#include "cache/shard.h"
#include "cache/torch_file.h"
#include "damage.h"
#include "peers/peer_file.h"
#include "train/checkpoint.h"

static const struct {
    const char *content, *what;
} STRANGE[] = {
    {"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 378000000\n", "Git LFS pointer"},
    {"/annex/objects/SHA256E-s1--00.pt\n", "git-annex pointer"},
    {"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>", "web page"},
    {"\xef\xbb\xbf \n<HTML>not found</HTML>", "web page"},
    {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "web page"},
};
enum { N_STRANGE = sizeof STRANGE / sizeof STRANGE[0] };

static void test_contents(void **state)
{
    (void)state;
    for (int i = 0; i < N_STRANGE; i++) {
        const char *what = strange_content(STRANGE[i].content, strlen(STRANGE[i].content), 500);
        assert_non_null(what);
        assert_non_null(strstr(what, STRANGE[i].what));
    }
    assert_non_null(strstr(strange_content("", 0, 0), "empty"));
    assert_non_null(strstr(strange_content("PK\3\4xxxx", 8, 8), "zip"));
    assert_non_null(strstr(strange_content("\x1f\x8bxxxx", 6, 6), "gzip"));
    assert_null(strange_content("utt spk\n", 8, 8));
    assert_null(strange_content("<unk> 1\n", 8, 8));
    assert_null(strange_content("v", 1, 1));
    assert_null(strange_text("PK\3\4xxxx", 8));
}

// ---- readers ---------------------------------------------------------------------------------------------

static int read_safetensors(const char *path, Error *error)
{
    SafeReader *reader = safe_open(path, error);
    safe_close(reader);
    return reader ? 0 : -1;
}

static int read_model(const char *path, Error *error)
{
    LoadedEncoder loaded;
    return encoder_load(path, &loaded, error);
}

static int read_torch(const char *path, Error *error)
{
    TorchFile *file = torch_open(path, error);
    torch_close(file);
    return file ? 0 : -1;
}

static int read_peer(const char *path, Error *error)
{
    PeerFile *file = peer_open(path, error);
    peer_close(file);
    return file ? 0 : -1;
}

static int read_shard(const char *path, Error *error)
{
    ShardReader *reader = shard_reader_open(path, error);
    shard_reader_close(reader);
    return reader ? 0 : -1;
}

static int read_embeddings(const char *path, Error *error)
{
    Embeddings loaded;
    return embeddings_load(path, NULL, &loaded, error);
}

static int read_labels(const char *path, Error *error)
{
    LabelList list;
    const char *form;
    return labels_load(path, NULL, 0, &list, &form, error);
}

static int read_scp(const char *path, Error *error)
{
    WavScp scp;
    return wav_scp_load(path, &scp, error);
}

static int read_text(const char *path, Error *error)
{
    char *text;
    return text_read(path, &text, error);
}

static const struct {
    const char *name;
    int (*read)(const char *path, Error *error);
    bool binary;
} READERS[] = {
    {"x.safetensors", read_safetensors, true},
    {"y.safetensors", read_model, true},
    {"x.pt", read_torch, true},
    {"x.bin", read_peer, true},
    {"x.tar.zst", read_shard, true},
    {"y.tar.zst", read_embeddings, true},
    {"x.npy", read_embeddings, true},
    {"x.ark", read_embeddings, false},
    {"x.scp", read_embeddings, false},
    {"utt2spk", read_labels, false},
    {"wav.scp", read_scp, false},
    {"list", read_text, false},
};
enum { N_READERS = sizeof READERS / sizeof READERS[0] };

static void expect_sentence(const char *path, int reader, const char *what)
{
    Error error = {0};
    assert_int_equal(READERS[reader].read(path, &error), -1);
    if (!strstr(error.text, what) || !strstr(error.text, path))
        fail_msg("%s should be called \"%s\": %s", READERS[reader].name, what, error.text);
}

static void test_readers(void **state)
{
    (void)state;
    char *folder = scratch_create();
    for (int r = 0; r < N_READERS; r++) {
        char *path = path_join(folder, READERS[r].name);
        for (int i = 0; i < N_STRANGE; i++) {
            scratch_write(path, STRANGE[i].content, strlen(STRANGE[i].content));
            expect_sentence(path, r, STRANGE[i].what);
        }
        if (READERS[r].binary) {
            scratch_write(path, "Entry not found, and nothing else in here either", 48);
            expect_sentence(path, r, "Entry not found");
        }
        scratch_write(path, "", 0);
        if (READERS[r].binary)
            expect_sentence(path, r, "is empty");
        mem_free(path);
    }
    scratch_remove(folder);
}

// A reject's reason; the path stands beside it in the table.
static void test_recordings(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "x.wav");
    DecodeLimits limits = {.min_seconds = 1, .max_seconds = 10, .silence_db = -70};
    for (int i = 0; i < N_STRANGE; i++) {
        Error error = {0};
        int16_t *samples;
        int64_t n;
        scratch_write(path, STRANGE[i].content, strlen(STRANGE[i].content));
        assert_int_equal(audio_decode(path, &limits, &samples, &n, &error), -1);
        if (!strstr(error.text, STRANGE[i].what) || !strstr(error.text, "unreadable"))
            fail_msg("%s", error.text);
    }
    mem_free(path);
    scratch_remove(folder);
}

// Devices and pipes end in a sentence, too.
static void test_endless(void **state)
{
    (void)state;
    Error error = {0};
    char *folder = scratch_create(), *pipe = path_join(folder, "pipe.ark");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    static int (*const MAPPED[])(const char *, Error *) = {read_safetensors, read_shard, read_torch};
    for (int i = 0; i < 3; i++) {
        error_clear(&error);
        assert_int_equal(MAPPED[i]("/dev/zero", &error), -1);
        assert_non_null(strstr(error.text, "not a file"));
        error_clear(&error);
        assert_int_equal(MAPPED[i](pipe, &error), -1);
        assert_non_null(strstr(error.text, "not a file"));
    }
    error_clear(&error);
    assert_int_equal(read_embeddings(pipe, &error), -1);
    assert_non_null(strstr(error.text, "not a file"));
    mem_free(pipe);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_contents), cmocka_unit_test(test_readers),
                                       cmocka_unit_test(test_recordings), cmocka_unit_test(test_endless)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
