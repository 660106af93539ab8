// Writes the recordings that strangers bring, for tests of prepare and of the pipeline:
//
//     strange_audio DIR
//
// DIR/fine holds one voice-like sound in every format that must be read, DIR/bad what must be rejected with a
// reason; DIR/lying.flac claims to be a million times longer than it is.
#include <math.h>
#include <sndfile.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECONDS = 3 };

static const char *folder;

static const char *in_folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void give_up(const char *name, const char *reason)
{
    fprintf(stderr, "strange_audio: %s: %s\n", name, reason);
    exit(1);
}

// A harmonic sound whose pitch and loudness wander, so that it is neither silent nor constant.
static float sound(double seconds, double gain)
{
    double phase = 2 * M_PI * (120 * seconds + 3 * sin(5 * seconds)), sum = 0;
    for (int harmonic = 1; harmonic <= 12; harmonic++)
        sum += sin(harmonic * phase) / harmonic;
    return (float)(gain * 0.2 * (1 + sin(9 * seconds)) * sum);
}

static void write_sound(const char *name, int format, int rate_hz, int channels, double seconds, double gain)
{
    SF_INFO info = {.samplerate = rate_hz, .channels = channels, .format = format};
    SNDFILE *file = sf_open(in_folder(name), SFM_WRITE, &info);
    if (!file)
        give_up(name, sf_strerror(NULL));
    for (int64_t i = 0; i < (int64_t)(seconds * rate_hz); i++) {
        float frame[8];
        for (int c = 0; c < channels; c++)
            frame[c] = sound((double)i / rate_hz, gain);
        sf_writef_float(file, frame, 1);
    }
    sf_close(file);
}

static void write_nan(const char *name)
{
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *file = sf_open(in_folder(name), SFM_WRITE, &info);
    for (int i = 0; i < SECONDS * 16000; i++) {
        float sample = i == 20000 ? NAN : sound(i / 16000.0, 1);
        sf_writef_float(file, &sample, 1);
    }
    sf_close(file);
}

static void write_bytes(const char *name, const void *bytes, size_t n_bytes)
{
    FILE *file = fopen(in_folder(name), "wb");
    if (!file || (n_bytes && fwrite(bytes, 1, n_bytes, file) != n_bytes) || fclose(file) != 0)
        give_up(name, "cannot be written");
}

static unsigned char *read_bytes(const char *name, size_t *n_bytes)
{
    FILE *file = fopen(in_folder(name), "rb");
    if (!file)
        give_up(name, "cannot be read");
    fseek(file, 0, SEEK_END);
    *n_bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*n_bytes);
    if (fread(bytes, 1, *n_bytes, file) != *n_bytes)
        give_up(name, "cannot be read");
    fclose(file);
    return bytes;
}

// STREAMINFO, the first block of a FLAC file, has the number of samples in 36 bits from byte 21's low half
// on.
static void write_lying_flac(const char *from, const char *name)
{
    size_t n_bytes;
    unsigned char *bytes = read_bytes(from, &n_bytes);
    bytes[21] |= 0x0f;
    write_bytes(name, bytes, n_bytes);
    free(bytes);
}

static void write_broken(const char *from, const char *truncated, const char *header_only)
{
    size_t n_bytes;
    unsigned char *bytes = read_bytes(from, &n_bytes);
    memset(bytes + n_bytes / 3, 0x55, n_bytes / 3);
    write_bytes(truncated, bytes, n_bytes / 2);
    write_bytes(header_only, bytes, 42);
    free(bytes);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    folder = argv[1];
    mkdir(folder, 0777);
    mkdir(in_folder("fine"), 0777);
    mkdir(in_folder("bad"), 0777);

    write_sound("fine/mono.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, SECONDS, 1);
    write_sound("fine/stereo-44100.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 44100, 2, SECONDS, 1);
    write_sound("fine/eight-bit.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 8000, 1, SECONDS, 1);
    write_sound("fine/float-96000.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 96000, 1, SECONDS, 1);
    write_sound("fine/24-bit.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 48000, 1, SECONDS, 1);
    write_sound("fine/vorbis.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 22050, 1, SECONDS, 1);
    write_sound("fine/speech.opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 1, SECONDS, 1);
    write_sound("fine/layer-3.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 44100, 1, SECONDS, 1);
    write_sound("fine/big-endian.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 16000, 1, SECONDS, 1);
    write_sound("fine/sphere.sph", SF_FORMAT_NIST | SF_FORMAT_PCM_16, 16000, 1, SECONDS, 1);

    write_sound("bad/silent.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, SECONDS, 0);
    write_sound("bad/short.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0.1, 1);
    write_sound("bad/no-samples.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16000, 1, 0, 1);
    write_nan("bad/not-a-number.wav");
    write_bytes("bad/zero-bytes.wav", NULL, 0);
    write_bytes("bad/text.wav", "this is no recording\n", 21);
    write_broken("fine/24-bit.flac", "bad/corrupt.flac", "bad/header-only.flac");
    write_lying_flac("fine/24-bit.flac", "lying.flac");
    return 0;
}
