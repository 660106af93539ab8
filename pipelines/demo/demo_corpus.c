// voxloop-demo-corpus: speaks the demo corpus. Legend: v voices, u utterances per voice.
//
// OUT/train/<id>.wav and OUT/test/<id>.wav hold the audio; ids are random, so that neither name nor order
// tells the speaker. The truth lies beside the folders, never inside: train.utt2spk, test.utt2spk,
// test.trials (all pairs of the test part), and corpus.tsv (id, voice, text, digest), which is written last:
// a corpus that has one is whole. Every utterance depends on (seed, voice, sentence) only. Nothing is removed
// that an earlier run did not make (own_files.h).
#include <inttypes.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/files.h"
#include "base/folder_walk.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/threads.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "cache/publish.h"
#include "demo/own_files.h"
#include "demo/scene.h"
#include "demo/sentences.h"
#include "demo/speak.h"
#include "demo/voices.h"

enum { RATE_HZ = 16000 };

static const char *out_folder;
static int64_t n_train_voices = 60, n_test_voices = 20, n_utterances = 14;
static double spread = 1.0;
static SceneOptions scene = {.snr_db_min = 10, .snr_db_max = 25, .reverb_seconds_max = 0.4, .channel_db = 8};

typedef struct Utterance {
    uint64_t id; // 40 random bits
    int64_t voice;
    char *text;
    char digest[17];
} Utterance;

typedef struct DemoCorpus {
    uint64_t seed;
    Voice *voices;         // [n_train_voices + n_test_voices]
    Utterance *utterances; // [voices * n_utterances], sorted by part and id
    int64_t n_voices, n;
} DemoCorpus;

static bool is_test(int64_t voice)
{
    return voice >= n_train_voices;
}

static const char *part_of(const Utterance *utterance)
{
    return is_test(utterance->voice) ? "test" : "train";
}

static int compare_utterances(const void *left, const void *right)
{
    const Utterance *a = left, *b = right;
    if (is_test(a->voice) != is_test(b->voice))
        return is_test(a->voice) - is_test(b->voice);
    return a->id < b->id ? -1 : a->id > b->id;
}

// A sentence that this voice has not spoken yet: texts[0 .. n_before) are its earlier ones.
static char *new_sentence(Rng *rng, const Utterance *earlier, int64_t n_before)
{
    for (;;) {
        char *text = sentence_compose(rng);
        bool known = false;
        for (int64_t i = 0; i < n_before && !known; i++)
            known = strcmp(text, earlier[i].text) == 0;
        if (!known)
            return text;
        mem_free(text);
    }
}

static void corpus_plan(DemoCorpus *corpus, uint64_t seed)
{
    corpus->seed = seed;
    corpus->n_voices = n_train_voices + n_test_voices;
    corpus->n = corpus->n_voices * n_utterances;
    corpus->voices = mem_alloc((size_t)corpus->n_voices, sizeof(Voice));
    corpus->utterances = mem_zero((size_t)corpus->n, sizeof(Utterance));
    voices_draw(corpus->voices, corpus->n_voices, spread, seed);
    for (int64_t v = 0; v < corpus->n_voices; v++) {
        Rng rng = rng_stream(seed, "demo sentences", (uint64_t)v, 0);
        Utterance *own = corpus->utterances + v * n_utterances;
        for (int64_t u = 0; u < n_utterances; u++)
            own[u] = (Utterance){.id = rng_next(&rng) >> 24, .voice = v, .text = new_sentence(&rng, own, u)};
    }
    qsort(corpus->utterances, (size_t)corpus->n, sizeof(Utterance), compare_utterances);
}

static void corpus_release(DemoCorpus *corpus)
{
    for (int64_t i = 0; i < corpus->n; i++)
        mem_free(corpus->utterances[i].text);
    mem_free(corpus->utterances);
    mem_free(corpus->voices);
}

static int write_wav(const char *path, const float *samples, int64_t n, Error *error)
{
    SF_INFO info = {.samplerate = RATE_HZ, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    if (!file)
        return error_set(error, "%s: cannot be written: %s", path, sf_strerror(NULL));
    int64_t n_written = sf_writef_float(file, samples, n);
    if (sf_close(file) != 0 || n_written != n)
        return error_set(error, "%s: cannot be written whole; is the disk full?", path);
    return 0;
}

static int make_utterance(const DemoCorpus *corpus, Utterance *utterance, Error *error)
{
    Rng rng = rng_stream(corpus->seed, "demo utterance", (uint64_t)utterance->voice, utterance->id);
    float *dry = NULL;
    int64_t n_dry, n_wet;
    if (speak(&corpus->voices[utterance->voice], utterance->text, &rng, RATE_HZ, &dry, &n_dry, error) < 0)
        return -1;
    float *wet = scene_record(&scene, &rng, RATE_HZ, dry, n_dry, &n_wet);
    char *path = mem_printf("%s/%s/%010" PRIx64 ".wav", out_folder, part_of(utterance), utterance->id);
    int status = write_wav(path, wet, n_wet, error);
    if (status == 0)
        status = file_digest(path, utterance->digest, error);
    mem_free(path);
    mem_free(wet);
    mem_free(dry);
    return status;
}

static int make_utterances(DemoCorpus *corpus, Error *error)
{
    Progress *progress = progress_create("utt", corpus->n);
    bool failed = false;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < corpus->n; i++) {
        bool skip;
#pragma omp atomic read
        skip = failed;
        if (skip || interrupt_requested())
            continue;
        Error own = {0};
        if (make_utterance(corpus, &corpus->utterances[i], &own) < 0) {
#pragma omp critical(demo_error)
            {
                failed = true;
                error_set(error, "%s", own.text); // the first one stays
            }
        }
        progress_step(progress, 1);
    }
    progress_destroy(progress);
    if (failed)
        return -1;
    return interrupt_requested() ? interrupt_fail(error) : 0;
}

// All that is in OUT at the end: the caller frees.
static OwnFile *plan_files(const DemoCorpus *corpus, int64_t *n)
{
    static const char *const LISTS[] = {"train.utt2spk", "test.utt2spk", "test.trials", "corpus.tsv",
                                        "corpus.tsv.json"};
    const int64_t n_lists = sizeof LISTS / sizeof *LISTS;
    OwnFile *files = mem_zero((size_t)(corpus->n + n_lists), sizeof *files);
    for (int64_t i = 0; i < corpus->n; i++) {
        const Utterance *utterance = &corpus->utterances[i];
        files[i].name = mem_printf("%s/%010" PRIx64 ".wav", part_of(utterance), utterance->id);
        memcpy(files[i].digest, utterance->digest, sizeof files[i].digest);
    }
    for (int64_t i = 0; i < n_lists; i++)
        files[corpus->n + i].name = mem_strdup(LISTS[i]);
    *n = corpus->n + n_lists;
    return files;
}

static int clear_folder(const DemoCorpus *corpus, Error *error)
{
    int64_t n;
    OwnFile *files = plan_files(corpus, &n);
    int status = own_files_clear(out_folder, files, n, error);
    own_files_free(files, n);
    return status;
}

static int record_files(const DemoCorpus *corpus, Error *error)
{
    int64_t n;
    OwnFile *files = plan_files(corpus, &n);
    int status = own_files_record(out_folder, files, n, error);
    own_files_free(files, n);
    return status;
}

typedef void (*ListWriter)(const DemoCorpus *corpus, FILE *file);

static int publish_list(const DemoCorpus *corpus, const char *name, ListWriter write, Error *error)
{
    char *path = path_join(out_folder, name);
    PublishFile *file = publish_open(path, error);
    int status = -1;
    if (file) {
        write(corpus, publish_stream(file));
        status = publish_commit(file, error);
    }
    mem_free(path);
    return status;
}

static void write_utt2spk(const DemoCorpus *corpus, FILE *file, bool test)
{
    for (int64_t i = 0; i < corpus->n; i++)
        if (is_test(corpus->utterances[i].voice) == test)
            fprintf(file, "%010" PRIx64 ".wav voice%03" PRId64 "\n", corpus->utterances[i].id,
                    corpus->utterances[i].voice);
}

static void write_train_utt2spk(const DemoCorpus *corpus, FILE *file)
{
    write_utt2spk(corpus, file, false);
}

static void write_test_utt2spk(const DemoCorpus *corpus, FILE *file)
{
    write_utt2spk(corpus, file, true);
}

static void write_trials(const DemoCorpus *corpus, FILE *file)
{
    for (int64_t i = n_train_voices * n_utterances; i < corpus->n; i++)
        for (int64_t j = i + 1; j < corpus->n; j++) {
            const Utterance *a = &corpus->utterances[i], *b = &corpus->utterances[j];
            fprintf(file, "%d %010" PRIx64 ".wav %010" PRIx64 ".wav\n", a->voice == b->voice, a->id, b->id);
        }
}

static void write_corpus(const DemoCorpus *corpus, FILE *file)
{
    fprintf(file, "utt\tvoice\tespeak\tpitch\ttract\twpm\tbreath_db\tdigest\ttext\n");
    for (int64_t i = 0; i < corpus->n; i++) {
        const Utterance *utterance = &corpus->utterances[i];
        const Voice *voice = &corpus->voices[utterance->voice];
        fprintf(file, "%s/%010" PRIx64 ".wav\tvoice%03" PRId64 "\t%s+%s\t%.0f\t%.3f\t%.0f\t%.0f\t%s\t%s\n",
                part_of(utterance), utterance->id, utterance->voice, voice->language, voice->variant,
                voice->pitch, voice->tract, voice->words_per_minute, voice->breath_db, utterance->digest,
                utterance->text);
    }
}

static int publish_lists(const Program *program, const DemoCorpus *corpus, Error *error)
{
    char *last = path_join(out_folder, "corpus.tsv");
    int status = publish_list(corpus, "train.utt2spk", write_train_utt2spk, error);
    if (status == 0)
        status = publish_list(corpus, "test.utt2spk", write_test_utt2spk, error);
    if (status == 0)
        status = publish_list(corpus, "test.trials", write_trials, error);
    if (status == 0)
        status = publish_list(corpus, "corpus.tsv", write_corpus, error);
    if (status == 0)
        status = provenance_publish(program, last, error);
    mem_free(last);
    return status;
}

int main(int argc, char **argv)
{
    const Option options[] = {
        option_required(option_output("out", &out_folder, "DIR",
                                      "folder to fill; what an earlier run made there is replaced")),
        option_integer("voices", &n_train_voices, 2, 10000, "voices to learn from"),
        option_integer("test-voices", &n_test_voices, 2, 10000, "other voices, for the trials"),
        option_integer("utterances", &n_utterances, 2, 1000, "sentences per voice"),
        option_real("spread", &spread, 0.01, 1, "how far apart the voices lie; less is harder"),
        option_real("snr-min", &scene.snr_db_min, -10, 60, "smallest signal-to-noise ratio, dB"),
        option_real("snr-max", &scene.snr_db_max, -10, 60, "largest signal-to-noise ratio, dB"),
        option_real("reverb", &scene.reverb_seconds_max, 0, 2, "longest reverberation time, seconds"),
        option_real("channel", &scene.channel_db, 0, 20, "largest peak or dip of a microphone, dB"),
        {0}};
    Program program = {
        .name = "demo-corpus",
        .summary = "Speaks a corpus of synthetic voices with espeak-ng, each utterance in its own room.",
        .usage = "[options] --out DIR"};
    program_begin(&program, options, argc, argv);
    if (scene.snr_db_min > scene.snr_db_max)
        program_misuse(&program, "--snr-min is above --snr-max");

    char *last = path_join(out_folder, "corpus.tsv");
    bool is_done = up_to_date(&program, last);
    mem_free(last);
    if (is_done)
        return 0;
    outputs_check(&program, NULL);
    Error error = {0};
    DemoCorpus corpus = {0};
    corpus_plan(&corpus, (uint64_t)program.seed);
    int status = clear_folder(&corpus, &error);
    if (status == 0)
        status = make_utterances(&corpus, &error);
    if (status == 0)
        status = publish_lists(&program, &corpus, &error);
    if (status == 0)
        status = record_files(&corpus, &error);
    int64_t n = corpus.n;
    corpus_release(&corpus);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%" PRId64 " utterances of %" PRId64 " voices", n,
                        n_train_voices + n_test_voices);
}
