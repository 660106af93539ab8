// voxloop-prepare: recordings of any kind -> shards of 16 kHz mono WAVs, utts.tsv and rejects.tsv.
//
// Threads decode, one at a time appends in the sources' order, so the shards do not depend on the number of
// threads and no more than one recording per thread is in memory. cache/corpus_writer.h says how an
// interrupted run goes on.
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audio/decode.h"
#include "audio/sources.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/progress.h"
#include "cache/copies.h"
#include "cache/corpus_writer.h"
#include "cache/lock.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"

typedef struct Settings {
    const char *audio, *segments, *out;
    DecodeLimits limits;
    int64_t shard_mib, compression;
    const char *copies;
} Settings;

typedef struct Preparation {
    const Settings *settings;
    AudioSources sources;
    CorpusWriter *writer;
    Copies *copies;
    int64_t n_accepted, n_samples;
    int64_t n_copies, n_joined, n_one_channel, n_held; // recordings of this run
} Preparation;

// What became of one source.
typedef struct Decoded {
    int16_t *samples; // [n]; NULL: refused, for this reason
    int64_t n;
    uint64_t digest;
    DecodeNotes notes;
    Error reason;
} Decoded;

// What the shards' bytes depend on, beside the options: the utterances, the parts of recordings that they
// are, and the recordings themselves.
static void look_at_sources(const Program *program, const char *list, const AudioSources *sources)
{
    char **names = mem_alloc((size_t)sources->n, sizeof(char *)),
         **paths = mem_zero((size_t)sources->n, sizeof(char *));
    for (int64_t i = 0; i < sources->n; i++) {
        bool is_next_part = i > 0 && strcmp(sources->paths[i], sources->paths[i - 1]) == 0;
        names[i] = audio_source_describe(sources, i);
        paths[i] = is_next_part ? NULL : sources->paths[i];
    }
    Content content;
    content_of_files(list, names, paths, sources->n, &content);
    provenance_stands_for(program, "audio", &content);
    strings_free(names, sources->n);
    mem_free(paths);
}

static void decode_source(const Preparation *p, AudioDecoder *decoder, int64_t i, Decoded *decoded)
{
    const AudioSources *sources = &p->sources;
    const DecodeCut all = {.end = -1, .channel = DECODE_ALL_CHANNELS};
    Error *reason = &decoded->reason;
    if (strlen(sources->utts[i]) > CORPUS_MAX_UTT_BYTES) {
        error_set(reason, "its name is longer than %d bytes", CORPUS_MAX_UTT_BYTES);
        return;
    }
    if (audio_decoder_cut(decoder, sources->paths[i], sources->cuts ? &sources->cuts[i] : &all,
                          &p->settings->limits, &decoded->samples, &decoded->n, &decoded->notes,
                          reason) < 0) {
        if (sources->named)
            error_prefix(reason, "%s", sources->paths[i]);
        return;
    }
    decoded->digest = copies_digest(decoded->samples, decoded->n);
    if (decoded->n > CORPUS_MAX_SAMPLES) {
        error_set(reason, "too long: more than a WAV file can hold");
        mem_free(decoded->samples);
        decoded->samples = NULL;
    }
}

// In the sources' order, so the first of several copies is the same in every run.
static int append(Preparation *p, int64_t i, const Decoded *decoded, Error *error)
{
    if (interrupt_requested())
        return interrupt_fail(error);
    const char *utt = p->sources.utts[i];
    if (!decoded->samples) {
        corpus_writer_reject(p->writer, utt, decoded->reason.text);
        return 0;
    }
    p->n_joined += decoded->notes.n_streams > 1;
    p->n_one_channel += decoded->notes.one_channel;
    p->n_held += decoded->notes.n_held > 0;
    int64_t first = copies_find(p->copies, decoded->digest, decoded->n, i);
    p->n_copies += first >= 0;
    if (first < 0 || strcmp(p->settings->copies, "keep") == 0)
        return corpus_writer_add(p->writer, utt, decoded->samples, decoded->n, error);
    char *reason = mem_printf("%s%s", COPY_REASON, p->sources.utts[first]);
    corpus_writer_reject(p->writer, utt, reason);
    mem_free(reason);
    return 0;
}

static int prepare_from(Preparation *p, int64_t first, Error *error)
{
    Progress *progress = progress_create("utt", p->sources.n - first);
    int status = 0;
#pragma omp parallel
    {
        AudioDecoder *decoder = audio_decoder_create();
#pragma omp for ordered schedule(dynamic, 1)
        for (int64_t i = first; i < p->sources.n; i++) {
            Decoded decoded = {0};
            int stopped;
#pragma omp atomic read
            stopped = status;
            if (!stopped && !interrupt_requested())
                decode_source(p, decoder, i, &decoded);
#pragma omp ordered
            if (status == 0 && append(p, i, &decoded, error) < 0) {
#pragma omp atomic write
                status = -1;
            }
            mem_free(decoded.samples);
            progress_step(progress, 1);
        }
        audio_decoder_destroy(decoder);
    }
    progress_destroy(progress);
    return status;
}

// An interrupted run goes on: what is in its shards has been seen.
static int remember_finished(Preparation *p, Error *error)
{
    int status = 0;
    for (int64_t s = 0; s < corpus_writer_shards(p->writer) && status == 0; s++) {
        char *shard = mem_printf("%s/audio-%05" PRId64 ".tar.zst", p->settings->out, s);
        status = copies_take_shard(p->copies, shard, p->sources.utts, p->sources.n, error);
        mem_free(shard);
    }
    return status;
}

static void log_notes(const Preparation *p)
{
    const struct {
        int64_t n;
        const char *what;
    } notes[] = {{p->n_joined, "of several streams joined in one file; all were read"},
                 {p->n_one_channel, "with channels that cancel each other; the loudest was taken"},
                 {p->n_held, "with a few samples far beyond all others; these were clipped"},
                 {p->n_copies, strcmp(p->settings->copies, "keep") == 0
                                   ? "with the same audio as another; kept"
                                   : "with the same audio as another; rejected (--copies keep keeps them)"}};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (notes[i].n > 0)
            log_info("%" PRId64 " recording%s %s", notes[i].n, notes[i].n == 1 ? "" : "s", notes[i].what);
}

static int prepare(const Program *program, Preparation *p, Error *error)
{
    const Settings *settings = p->settings;
    char recipe[17];
    int64_t n_done;
    if (provenance_recipe(program, recipe, error) < 0)
        return -1;
    p->writer = corpus_writer_open(
        &(CorpusWriterOptions){settings->out, recipe, settings->shard_mib << 20, (int)settings->compression},
        &n_done, error);
    if (!p->writer)
        return -1;
    for (int64_t i = 0; i < p->sources.n; i++)
        corpus_writer_name(p->writer, p->sources.utts[i], p->sources.names[i]);
    if (corpus_writer_renamed(p->writer) > 0)
        log_info("%" PRId64 " names hold what lists cannot: their ids stand in names.tsv",
                 corpus_writer_renamed(p->writer));
    if (n_done > 0)
        log_info("goes on behind the %" PRId64 " recordings in the shards of an interrupted run", n_done);
    p->copies = copies_create();
    int status = remember_finished(p, error);
    if (status == 0)
        status = prepare_from(p, n_done, error);
    copies_destroy(p->copies);
    log_notes(p);
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

static int publish_record(const Program *program, const char *folder, Error *error)
{
    char *utts = path_join(folder, "utts.tsv"), *rejects = path_join(folder, "rejects.tsv");
    provenance_also_wrote(program, rejects);
    int status = provenance_publish(program, utts, error);
    mem_free(utts);
    mem_free(rejects);
    return status;
}

// The same recordings, and the folder as this would leave it?
static bool is_up_to_date(const Program *program, const Preparation *p)
{
    char *utts = path_join(p->settings->out, "utts.tsv");
    look_at_sources(program, p->settings->audio, &p->sources);
    bool is = up_to_date(program, utts);
    mem_free(utts);
    return is;
}

static int run(const Program *program, Preparation *p, Error *error)
{
    const Settings *settings = p->settings;
    if (folder_create(settings->out, error) < 0)
        return -1;
    int lock = lock_folder(settings->out, error);
    if (lock < 0)
        return -1;
    int status = prepare(program, p, error);
    if (status == 0) {
        status = publish_record(program, settings->out, error);
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
                         .compression = 3,
                         .copies = "reject"};
    const Option options[] = {
        option_required(option_input("audio", &settings.audio, "PATH",
                                     "folder, Kaldi data directory, wav.scp, or list of recordings")),
        option_input(
            "segments", &settings.segments, "FILE",
            "Kaldi's utterances inside the recordings of a wav.scp (default: those in its data directory)"),
        option_required(
            option_output("out", &settings.out, "DIR", "folder for shards, utts.tsv and rejects.tsv")),
        option_real("min-seconds", &settings.limits.min_seconds, 0.025, 3600,
                    "reject recordings that are shorter"),
        option_real("max-seconds", &settings.limits.max_seconds, 1, 60000,
                    "reject recordings that are longer; a thread holds one recording, 100 KB a second"),
        option_real("silence-db", &settings.limits.silence_db, -200, 0,
                    "reject recordings that are quieter, against full scale"),
        option_choice("copies", &settings.copies, "reject|keep",
                      "recordings with the same audio as one before: reject or keep them"),
        option_integer("shard-mib", &settings.shard_mib, 1, 1 << 20,
                       "audio of a shard, in MiB, after which the next one begins"),
        option_integer("compression", &settings.compression, 1, 19, "zstd level of the shards"),
        {0}};
    Program program = {.name = "prepare",
                       .summary = "Reads recordings in any format and rate into shards of 16 kHz mono audio.",
                       .usage = "[options] --audio PATH --out DIR"};
    program_begin(&program, options, argc, argv);
    if (settings.limits.min_seconds > settings.limits.max_seconds)
        program_misuse(&program, "--min-seconds %g is more than --max-seconds %g",
                       settings.limits.min_seconds, settings.limits.max_seconds);
    options_checked(&program);
    Error error = {0};
    Preparation p = {.settings = &settings};
    int status = audio_sources_find(settings.audio, settings.segments, &p.sources, &error);
    if (status == 0 && is_up_to_date(&program, &p)) {
        audio_sources_release(&p.sources);
        return 0;
    }
    outputs_check(&program, NULL);
    if (status == 0)
        status = run(&program, &p, &error);
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
