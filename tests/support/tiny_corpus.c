#include "tiny_corpus.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/publish.h"
#include "cache/shard.h"

enum { WAV_HEADER_BYTES = 44, RATE_HZ = 16000, HARMONICS = 12 };

static void speak(int speaker, int utt, int16_t *samples, int64_t n)
{
    Rng rng = rng_stream(1, "tiny corpus", (uint64_t)speaker, (uint64_t)utt);
    double pitch_hz = 90 + 25 * speaker + rng_range(&rng, -2, 2);
    for (int64_t t = 0; t < n; t++) {
        double x = 0.01 * rng_normal(&rng);
        for (int h = 1; h <= HARMONICS; h++)
            x += 0.2 / h * sin(2 * M_PI * h * pitch_hz * (double)t / RATE_HZ);
        samples[t] = (int16_t)(8000 * x);
    }
}

void tiny_corpus_create(const char *folder, int n_speakers, int utts_per_speaker)
{
    char *path = path_join(folder, "audio-00000.tar.zst"), *table = NULL;
    size_t table_size;
    FILE *rows = open_memstream(&table, &table_size);
    ShardWriter *writer = shard_writer_create(path, 1, NULL);
    fputs("utt\tshard\tsamples\n", rows);
    for (int s = 0; s < n_speakers; s++)
        for (int u = 0; u < utts_per_speaker; u++) {
            int64_t n = u == 0 ? TINY_CORPUS_SAMPLES / 2 : TINY_CORPUS_SAMPLES;
            size_t n_bytes = WAV_HEADER_BYTES + 2 * (size_t)n;
            char *wav = mem_zero(n_bytes, 1), *name = mem_printf("s%d/u%d.wav", s, u);
            speak(s, u, (int16_t *)(void *)(wav + WAV_HEADER_BYTES), n);
            if (shard_writer_add(writer, name, wav, n_bytes, NULL) < 0)
                abort();
            fprintf(rows, "s%d/u%d\taudio-00000.tar.zst\t%lld\n", s, u, (long long)n);
            mem_free(name);
            mem_free(wav);
        }
    fclose(rows);
    char *table_path = path_join(folder, "utts.tsv");
    if (shard_writer_commit(writer, NULL) < 0 || publish_text(table_path, table, NULL) < 0)
        abort();
    mem_free(table_path);
    mem_free(path);
    free(table);
}
