#include "audio/sound.h"

#include <sndfile.h>

#include "audio/mpeg.h"
#include "base/memory.h"
#include "base/strange_file.h"

struct Decoder {
    const ByteView *view;
    SNDFILE *file; // or
    Mpeg *mpeg;
    int64_t position; // libsndfile's in the view
    bool remembers;   // what comes out depends on what came before
    int damage;       // libsndfile's first error while reading, which its next call would forget
};

// ---- the view as libsndfile's file ---------------------------------------------------------------------

static sf_count_t view_length(void *context)
{
    return ((const struct Decoder *)context)->view->n;
}

static sf_count_t view_seek(sf_count_t offset, int whence, void *context)
{
    struct Decoder *decoder = context;
    sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? decoder->position : decoder->view->n;
    if (base + offset < 0)
        return -1;
    return decoder->position = base + offset;
}

static sf_count_t view_read(void *bytes, sf_count_t n, void *context)
{
    struct Decoder *decoder = context;
    int64_t got = byte_view_read(decoder->view, decoder->position, bytes, n);
    decoder->position += got;
    return got;
}

static sf_count_t view_write(const void *bytes, sf_count_t n, void *context)
{
    (void)bytes, (void)n, (void)context;
    return 0;
}

static sf_count_t view_tell(void *context)
{
    return ((const struct Decoder *)context)->position;
}

// Formats from which any frame can be read exactly; FLAC counts as PCM.
static bool stands_alone(int subformat)
{
    static const int KINDS[] = {SF_FORMAT_PCM_S8, SF_FORMAT_PCM_U8, SF_FORMAT_PCM_16, SF_FORMAT_PCM_24,
                                SF_FORMAT_PCM_32, SF_FORMAT_FLOAT,  SF_FORMAT_DOUBLE, SF_FORMAT_ULAW,
                                SF_FORMAT_ALAW,   SF_FORMAT_VORBIS};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (subformat == KINDS[i])
            return true;
    return false;
}

static int refuse_content(const ByteView *view, Error *error)
{
    char head[STRANGE_HEAD_BYTES];
    int64_t n = byte_view_read(view, 0, head, sizeof head);
    const char *what = n > 0 ? strange_content(head, (size_t)n, view->n) : NULL;
    if (what)
        return error_set(error, "unreadable: it %s", what);
    return error_set(error,
                     "unreadable: damaged, or a format that libsndfile does not know (convert it to FLAC)");
}

// libsndfile keeps the reason why it cannot open a file in a global that other threads overwrite, so it is
// not asked: the same file must get the same reason in every run.
static int open_sndfile(struct Decoder *decoder, Sound *sound, Error *error)
{
    SF_VIRTUAL_IO io = {view_length, view_seek, view_read, view_write, view_tell};
    SF_INFO info = {0};
    decoder->file = sf_open_virtual(&io, SFM_READ, &info, decoder);
    if (!decoder->file)
        return refuse_content(decoder->view, error);
    sound->rate_hz = info.samplerate;
    sound->channels = info.channels;
    decoder->remembers = !stands_alone(info.format & SF_FORMAT_SUBMASK);
    if (sound->n_frames < 0 && info.frames != SF_COUNT_MAX)
        sound->n_frames = info.frames;
    return 0;
}

static int open_mpeg(struct Decoder *decoder, Sound *sound, Error *error)
{
    if (!(decoder->mpeg = mpeg_open(decoder->view, error)))
        return -1;
    decoder->remembers = true;
    sound->rate_hz = mpeg_rate_hz(decoder->mpeg);
    sound->channels = mpeg_channels(decoder->mpeg);
    return 0;
}

int sound_open(const AudioStream *stream, Sound *sound, Error *error)
{
    struct Decoder *decoder = mem_zero(1, sizeof *decoder);
    decoder->view = &stream->view;
    *sound = (Sound){.n_frames = stream->stated_frames, .decoder = decoder};
    int status = stream->mpeg ? open_mpeg(decoder, sound, error) : open_sndfile(decoder, sound, error);
    if (status == 0 && (sound->channels < 1 || sound->channels > SOUND_MAX_CHANNELS ||
                        sound->rate_hz < SOUND_MIN_HZ || sound->rate_hz > SOUND_MAX_HZ))
        status = error_set(error, "unreadable: %d channels at %d Hz", sound->channels, sound->rate_hz);
    if (status < 0)
        sound_close(sound);
    return status;
}

void sound_close(Sound *sound)
{
    if (sound->decoder->file)
        sf_close(sound->decoder->file);
    mpeg_close(sound->decoder->mpeg);
    mem_free(sound->decoder);
    sound->decoder = NULL;
}

int64_t sound_count(Sound *sound)
{
    if (sound->decoder->mpeg)
        sound->n_frames = mpeg_count_frames(sound->decoder->mpeg);
    return sound->n_frames;
}

int64_t sound_read(Sound *sound, float *frames, int64_t n)
{
    if (sound->decoder->mpeg)
        return mpeg_read(sound->decoder->mpeg, frames, n);
    int64_t got = sf_readf_float(sound->decoder->file, frames, n);
    if (sound->decoder->damage == SF_ERR_NO_ERROR)
        sound->decoder->damage = sf_error(sound->decoder->file);
    return got;
}

// Packed formats remember what came before: a decoder that starts a second earlier has converged (MPEG's bit
// reservoir, Opus's 80 ms).
bool sound_seek(Sound *sound, int64_t frame)
{
    struct Decoder *decoder = sound->decoder;
    int64_t early = !decoder->remembers ? frame : frame > sound->rate_hz ? frame - sound->rate_hz : 0;
    if (decoder->mpeg ? !mpeg_seek(decoder->mpeg, early) : sf_seek(decoder->file, early, SEEK_SET) != early)
        return false;
    enum { BLOCK = 4096 };
    float *dropped = mem_alloc(BLOCK, (size_t)sound->channels * sizeof(float));
    int64_t left = frame - early;
    for (int64_t got = 1; left > 0 && got > 0; left -= got)
        got = sound_read(sound, dropped, left < BLOCK ? left : BLOCK);
    mem_free(dropped);
    return left == 0;
}

const char *sound_damage(const Sound *sound)
{
    return sound->decoder->damage == SF_ERR_NO_ERROR ? NULL : sf_error_number(sound->decoder->damage);
}
