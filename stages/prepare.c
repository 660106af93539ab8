// voxloop-prepare: recordings of any kind -> shards of 16 kHz mono WAVs, utts.tsv and rejects.tsv.
//
// Threads decode, one at a time appends in the sources' order, so the shards do not depend on the number of
// threads and no more than one recording per thread is in memory. cache/corpus_writer.h says how an
// interrupted run goes on.
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/decode.h"
#include "audio/sources.h"
#include "base/digest.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/progress.h"
#include "cache/corpus_writer.h"
#include "cache/lock.h"
#include "cache/outputs.h"
#include "cache/provenance.h"

typedef struct Settings {
    const char *audio, *segments, *out;
    DecodeLimits limits;
    int64_t shard_mib, compression;
} Settings;

typedef struct Preparation {
    const Settings *settings;
    AudioSources sources;
    CorpusWriter *writer;
    int64_t n_accepted, n_samples;
} Preparation;

// What the shards' bytes depend on: the settings, and each source's id, place, size and time.
static void make_recipe(const Preparation *p, char recipe[17])
{
    const Settings *s = p->settings;
    Digest *digest = digest_create();
    char *text = mem_printf("prepare 1 %.17g %.17g %.17g %" PRId64 " %" PRId64, s->limits.min_seconds,
                            s->limits.max_seconds, s->limits.silence_db, s->shard_mib, s->compression);
    digest_add(digest, text, strlen(text) + 1);
    mem_free(text);
    for (int64_t i = 0; i < p->sources.n; i++) {
        struct stat status = {0};
        bool there = stat(p->sources.paths[i], &status) == 0;
        const int64_t facts[4] = {there, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
        digest_add(digest, p->sources.utts[i], strlen(p->sources.utts[i]) + 1);
        digest_add(digest, p->sources.paths[i], strlen(p->sources.paths[i]) + 1);
        digest_add(digest, facts, sizeof facts);
        if (p->sources.starts) {
            digest_add(digest, &p->sources.starts[i], sizeof(double));
            digest_add(digest, &p->sources.ends[i], sizeof(double));
        }
    }
    digest_finish(digest, recipe);
}

static int decode_source(const Preparation *p, int64_t i, int16_t **samples, int64_t *n, Error *reason)
{
    const AudioSources *sources = &p->sources;
    const char *utt = sources->utts[i];
    double start = sources->starts ? sources->starts[i] : 0, end = sources->ends ? sources->ends[i] : -1;
    for (const char *c = utt; *c; c++)
        if ((unsigned char)*c < ' ')
            return error_set(reason, "its name holds a control character");
    if (audio_decode_part(sources->paths[i], start, end, &p->settings->limits, samples, n, reason) < 0)
        return -1;
    if (*n > CORPUS_MAX_SAMPLES) {
        mem_free(*samples);
        return error_set(reason, "too long: more than a WAV file can hold");
    }
    return 0;
}

// samples NULL: refused, for this reason.
static int append(Preparation *p, int64_t i, const int16_t *samples, int64_t n, const Error *reason,
                  Error *error)
{
    if (interrupt_requested())
        return interrupt_fail(error);
    if (samples)
        return corpus_writer_add(p->writer, p->sources.utts[i], samples, n, error);
    corpus_writer_reject(p->writer, p->sources.utts[i], reason->text);
    return 0;
}

static int prepare_from(Preparation *p, int64_t first, Error *error)
{
    Progress *progress = progress_create("utt", p->sources.n - first);
    int status = 0;
#pragma omp parallel for ordered schedule(dynamic, 1)
    for (int64_t i = first; i < p->sources.n; i++) {
        int16_t *samples = NULL;
        int64_t n = 0;
        Error reason = {0};
        int stopped;
#pragma omp atomic read
        stopped = status;
        bool decoded = !stopped && !interrupt_requested() && decode_source(p, i, &samples, &n, &reason) == 0;
#pragma omp ordered
        if (status == 0 && append(p, i, decoded ? samples : NULL, n, &reason, error) < 0) {
#pragma omp atomic write
            status = -1;
        }
        mem_free(samples);
        progress_step(progress, 1);
    }
    progress_destroy(progress);
    return status;
}

static int prepare(Preparation *p, Error *error)
{
    const Settings *settings = p->settings;
    char recipe[17];
    make_recipe(p, recipe);
    int64_t n_done;
    p->writer = corpus_writer_open(
        &(CorpusWriterOptions){settings->out, recipe, settings->shard_mib << 20, (int)settings->compression},
        &n_done, error);
    if (!p->writer)
        return -1;
    if (n_done > 0)
        log_info("goes on behind the %" PRId64 " recordings in the shards of an interrupted run", n_done);
    int status = prepare_from(p, n_done, error);
    p->n_accepted = corpus_writer_accepted(p->writer);
    p->n_samples = corpus_writer_samples(p->writer);
    if (status < 0)
        corpus_writer_abandon(p->writer);
    else if (corpus_writer_commit(p->writer, error) < 0)
        status = error_prefix(error, "%s", settings->audio);
    return status;
}

// A folder that this run has made and that holds nothing goes away again, and with it the lock.
static void remove_if_empty(const char *folder, int lock)
{
    DIR *entries = opendir(folder);
    bool empty = entries != NULL;
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, ".lock") == 0);
    if (entries)
        closedir(entries);
    if (!empty)
        lock_release(lock);
    else if (lock_remove(folder, lock) == 0)
        rmdir(folder);
}

static int run(const Program *program, Preparation *p, Error *error)
{
    const Settings *settings = p->settings;
    if (audio_sources_find(settings->audio, settings->segments, &p->sources, error) < 0 ||
        folder_create(settings->out, error) < 0)
        return -1;
    int lock = lock_folder(settings->out, error);
    if (lock < 0)
        return -1;
    int status = prepare(p, error);
    if (status == 0) {
        char *utts_path = path_join(settings->out, "utts.tsv");
        const char *inputs[] = {settings->audio, settings->segments, NULL};
        status = provenance_publish(program, utts_path, inputs, error);
        mem_free(utts_path);
        lock_release(lock);
    } else {
        remove_if_empty(settings->out, lock);
    }
    return status;
}

int main(int argc, char **argv)
{
    Settings settings = {.limits = {.min_seconds = 1, .max_seconds = 14400, .silence_db = -70},
                         .shard_mib = 256,
                         .compression = 3};
    const Option options[] = {
        option_required(option_input("audio", &settings.audio, "PATH",
                                     "folder, Kaldi data directory, wav.scp, or list of recordings")),
        option_input(
            "segments", &settings.segments, "FILE",
            "Kaldi's utterances inside the recordings of a wav.scp (default: those in its data directory)"),
        option_required(
            option_output("out", &settings.out, "DIR", "folder for shards, utts.tsv and rejects.tsv")),
        option_real("min-seconds", &settings.limits.min_seconds, 0.025, 3600, "reject what is shorter"),
        option_real("max-seconds", &settings.limits.max_seconds, 1, 60000,
                    "reject what is longer; a thread holds one recording, 100 KB a second"),
        option_real("silence-db", &settings.limits.silence_db, -200, 0,
                    "reject what is quieter, against full scale"),
        option_integer("shard-mib", &settings.shard_mib, 1, 1 << 20,
                       "begin a new shard after this much audio"),
        option_integer("compression", &settings.compression, 1, 19, "zstd level"),
        {0}};
    Program program = {.name = "prepare",
                       .summary = "Reads recordings in any format and rate into shards of 16 kHz mono audio.",
                       .usage = "[options] --audio PATH --out DIR"};
    program_begin(&program, options, argc, argv);
    outputs_check(&program, NULL);

    Error error = {0};
    Preparation p = {.settings = &settings};
    int status = run(&program, &p, &error);
    int64_t n = p.sources.n, n_ignored = p.sources.n_ignored;
    audio_sources_release(&p.sources);
    if (status < 0)
        return program_fail(&program, &error);
    if (n_ignored > 0)
        log_info("%" PRId64 " files that are no recordings by their names were left out", n_ignored);
    return program_done(&program, "%" PRId64 " of %" PRId64 " utterances, %.2f h (%" PRId64 " rejected%s)",
                        p.n_accepted, n, (double)p.n_samples / DECODE_RATE_HZ / 3600, n - p.n_accepted,
                        p.n_accepted < n ? ", see rejects.tsv" : "");
}
