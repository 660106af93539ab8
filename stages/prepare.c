// voxloop-prepare: recordings of any kind -> shards of 16 kHz mono WAVs, utts.tsv and rejects.tsv.
//
// Threads decode, one at a time appends in the sources' order, so the shards do not depend on the number of
// threads and no more than one recording per thread is in memory. utts.tsv is removed first and written last:
// a folder that has one is whole.
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
#include "cache/lock.h"
#include "cache/provenance.h"
#include "cache/publish.h"
#include "cache/shard.h"

enum { WAV_HEADER_BYTES = 44 };

typedef struct Settings {
    const char *audio, *out;
    DecodeLimits limits;
    int64_t shard_mib, compression;
} Settings;

typedef struct Preparation {
    const Settings *settings;
    AudioSources sources;
    ShardWriter *shard; // the present one; NULL: none is open
    int64_t n_shards, n_accepted, n_samples;
    PublishFile *utts, *rejects;
} Preparation;

static char *shard_name(int64_t index)
{
    return mem_printf("audio-%05" PRId64 ".tar.zst", index);
}

static void put_number(char *bytes, uint32_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        bytes[i] = (char)(value >> (8 * i));
}

// A canonical WAV: 44 bytes of header, then the samples, little-endian. The caller frees.
static char *wav_encode(const int16_t *samples, int64_t n, size_t *n_bytes)
{
    uint32_t n_data = (uint32_t)(2 * n);
    char *wav = mem_alloc(WAV_HEADER_BYTES + (size_t)n_data, 1);
    memcpy(wav, "RIFF    WAVEfmt ", 16);
    put_number(wav + 4, WAV_HEADER_BYTES - 8 + n_data, 4);
    put_number(wav + 16, 16, 4); // bytes of the format chunk
    put_number(wav + 20, 1, 2);  // PCM
    put_number(wav + 22, 1, 2);  // channels
    put_number(wav + 24, DECODE_RATE_HZ, 4);
    put_number(wav + 28, 2 * DECODE_RATE_HZ, 4); // bytes per second
    put_number(wav + 32, 2, 2);                  // bytes per frame
    put_number(wav + 34, 16, 2);                 // bits per sample
    memcpy(wav + 36, "data", 4);
    put_number(wav + 40, n_data, 4);
    for (int64_t i = 0; i < n; i++)
        put_number(wav + WAV_HEADER_BYTES + 2 * i, (uint16_t)samples[i], 2);
    *n_bytes = WAV_HEADER_BYTES + (size_t)n_data;
    return wav;
}

static int close_shard(Preparation *p, Error *error)
{
    ShardWriter *shard = p->shard;
    p->shard = NULL;
    return shard ? shard_writer_commit(shard, error) : 0;
}

static int open_shard(Preparation *p, Error *error)
{
    char *name = shard_name(p->n_shards++), *path = path_join(p->settings->out, name);
    p->shard = shard_writer_create(path, (int)p->settings->compression, error);
    mem_free(path);
    mem_free(name);
    return p->shard ? 0 : -1;
}

static int accept(Preparation *p, const char *utt, const int16_t *samples, int64_t n, Error *error)
{
    if (p->shard && shard_writer_bytes(p->shard) >= p->settings->shard_mib << 20 && close_shard(p, error) < 0)
        return -1;
    if (!p->shard && open_shard(p, error) < 0)
        return -1;
    size_t n_bytes;
    char *wav = wav_encode(samples, n, &n_bytes), *member = mem_printf("%s.wav", utt),
         *name = shard_name(p->n_shards - 1);
    int status = shard_writer_add(p->shard, member, wav, n_bytes, error);
    if (status == 0) {
        fprintf(publish_stream(p->utts), "%s\t%s\t%" PRId64 "\n", utt, name, n);
        p->n_accepted++;
        p->n_samples += n;
    }
    mem_free(name);
    mem_free(member);
    mem_free(wav);
    return status;
}

// Tabs and line breaks in a file's name would break the table.
static void reject(Preparation *p, const char *utt, const char *reason)
{
    FILE *out = publish_stream(p->rejects);
    for (const char *c = utt; *c; c++)
        fputc((unsigned char)*c < ' ' ? '?' : *c, out);
    fprintf(out, "\t%s\n", reason);
}

static int decode_source(const Preparation *p, int64_t i, int16_t **samples, int64_t *n, Error *reason)
{
    const char *utt = p->sources.utts[i];
    for (const char *c = utt; *c; c++)
        if ((unsigned char)*c < ' ')
            return error_set(reason, "its name holds a control character");
    if (audio_decode(p->sources.paths[i], &p->settings->limits, samples, n, reason) < 0)
        return -1;
    if (*n > (INT32_MAX - WAV_HEADER_BYTES) / 2) {
        mem_free(*samples);
        return error_set(reason, "too long: more than a WAV file can hold");
    }
    return 0;
}

// The next source's samples, or NULL and the reason why there are none.
static int append(Preparation *p, int64_t i, const int16_t *samples, int64_t n, const Error *reason,
                  Error *error)
{
    if (interrupt_requested())
        return interrupt_fail(error);
    if (samples)
        return accept(p, p->sources.utts[i], samples, n, error);
    reject(p, p->sources.utts[i], reason->text);
    return 0;
}

static int prepare_all(Preparation *p, Error *error)
{
    Progress *progress = progress_create("utt", p->sources.n);
    int status = 0;
#pragma omp parallel for ordered schedule(dynamic, 1)
    for (int64_t i = 0; i < p->sources.n; i++) {
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
    return status == 0 ? close_shard(p, error) : -1;
}

// Shards of an earlier preparation that had more of them.
static void remove_surplus(const Preparation *p)
{
    for (int64_t index = p->n_shards;; index++) {
        char *name = shard_name(index), *path = path_join(p->settings->out, name);
        bool removed = unlink(path) == 0;
        mem_free(path);
        mem_free(name);
        if (!removed)
            return;
    }
}

static int publish_tables(Preparation *p, Error *error)
{
    PublishFile *rejects = p->rejects, *utts = p->utts;
    p->rejects = p->utts = NULL;
    int status = publish_commit(rejects, error);
    if (status == 0 && p->n_accepted == 0)
        status =
            error_set(error, "%s: none of its %" PRId64 " recordings can be used; %s/rejects.tsv says why",
                      p->settings->audio, p->sources.n, p->settings->out);
    if (status == 0)
        return publish_commit(utts, error);
    publish_abandon(utts);
    return status;
}

static int prepare(const Program *program, Preparation *p, const char *utts_path, const char *rejects_path,
                   Error *error)
{
    const Settings *settings = p->settings;
    if (p->sources.n_ignored > 0)
        log_info("%" PRId64 " files that are no recordings by their names are left out",
                 p->sources.n_ignored);
    if (unlink(utts_path) == 0)
        log_info("%s is made anew", settings->out);
    if (!(p->rejects = publish_open(rejects_path, error)) || !(p->utts = publish_open(utts_path, error)))
        return -1;
    fprintf(publish_stream(p->rejects), "path\treason\n");
    fprintf(publish_stream(p->utts), "utt\tshard\tsamples\n");
    if (prepare_all(p, error) < 0 || publish_tables(p, error) < 0)
        return -1;
    remove_surplus(p);
    const char *inputs[] = {folder_exists(settings->audio) ? NULL : settings->audio, NULL};
    return provenance_publish(program, utts_path, inputs, error);
}

static void preparation_release(Preparation *p)
{
    shard_writer_abandon(p->shard);
    publish_abandon(p->utts);
    publish_abandon(p->rejects);
    audio_sources_release(&p->sources);
}

int main(int argc, char **argv)
{
    Settings settings = {.limits = {.min_seconds = 1, .silence_db = -70}, .shard_mib = 256, .compression = 3};
    const Option options[] = {
        {"audio", OPTION_TEXT, &settings.audio, 0, 0, NULL, "PATH", "folder, wav.scp, or list of recordings",
         true},
        {"out", OPTION_TEXT, &settings.out, 0, 0, NULL, "DIR", "folder for shards, utts.tsv and rejects.tsv",
         true},
        {"min-seconds", OPTION_REAL, &settings.limits.min_seconds, 0.025, 3600, NULL, NULL,
         "reject what is shorter", false},
        {"silence-db", OPTION_REAL, &settings.limits.silence_db, -200, 0, NULL, NULL,
         "reject what is quieter, against full scale", false},
        {"shard-mib", OPTION_INTEGER, &settings.shard_mib, 1, 1 << 20, NULL, NULL,
         "begin a new shard after this much audio", false},
        {"compression", OPTION_INTEGER, &settings.compression, 1, 19, NULL, NULL, "zstd level", false},
        {0}};
    Program program = {.name = "prepare",
                       .summary = "Reads recordings in any format and rate into shards of 16 kHz mono audio.",
                       .usage = "[options] --audio PATH --out DIR"};
    program_begin(&program, options, argc, argv);

    Error error = {0};
    Preparation p = {.settings = &settings};
    char *utts_path = path_join(settings.out, "utts.tsv"),
         *rejects_path = path_join(settings.out, "rejects.tsv");
    int status = audio_sources_find(settings.audio, &p.sources, &error), lock = -1;
    if (status == 0)
        status = folder_create(settings.out, &error);
    if (status == 0)
        status = lock = lock_folder(settings.out, &error);
    if (status >= 0)
        status = prepare(&program, &p, utts_path, rejects_path, &error);
    int64_t n = p.sources.n;
    preparation_release(&p);
    lock_release(lock);
    mem_free(rejects_path);
    mem_free(utts_path);
    if (status < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%" PRId64 " of %" PRId64 " utterances, %.2f h (%" PRId64 " rejected%s)",
                        p.n_accepted, n, (double)p.n_samples / DECODE_RATE_HZ / 3600, n - p.n_accepted,
                        p.n_accepted < n ? ", see rejects.tsv" : "");
}
