// Chunked formats: each chunk states its size.
#include <string.h>

#include "audio/recording_parts.h"

// How a family of formats writes its chunks.
typedef struct Family {
    const char *magic;
    int first;      // offset of the first chunk
    int id_bytes;   // of a chunk's name: four letters, or Wave64's GUID that begins with them
    int size_bytes; // of its size
    bool big_endian;
    bool counts_header; // the size covers name and size
    int alignment;      // of a chunk's begin
    const char *audio;  // the chunk with the samples
    int prefix;         // bytes in it before the first sample
    bool states_whole;  // the size of all stands behind the magic
} Family;

static const Family FAMILIES[] = {{"RIFF", 12, 4, 4, false, false, 2, "data", 0, true},
                                  {"RIFX", 12, 4, 4, true, false, 2, "data", 0, true},
                                  {"RF64", 12, 4, 4, false, false, 2, "data", 0, true},
                                  {"FORM", 12, 4, 4, true, false, 2, "SSND", 8, true},
                                  {"riff", 40, 16, 8, false, true, 8, "data", 0, true},
                                  {"caff", 8, 4, 8, true, false, 1, "data", 4, false}};

enum { DS64_BODY = 20 }; // RF64's first chunk has the true sizes: of all, of the samples' bytes, their number

typedef struct Chunk {
    int64_t at, body;
    uint64_t size; // of the body
    unsigned char name[4];
} Chunk;

static bool is_name(const unsigned char name[4])
{
    for (int i = 0; i < 4; i++)
        if (name[i] < ' ' || name[i] > '~')
            return false;
    return true;
}

// False where no chunk can begin.
static bool read_chunk(const Family *family, const ByteView *view, int64_t at, Chunk *chunk)
{
    unsigned char head[24];
    int n = family->id_bytes + family->size_bytes;
    if (byte_view_read(view, at, head, n) < n || !is_name(head))
        return false;
    *chunk = (Chunk){.at = at, .body = at + n};
    memcpy(chunk->name, head, 4);
    chunk->size = get_number(head + family->id_bytes, family->size_bytes, family->big_endian);
    if (family->counts_header)
        chunk->size = chunk->size > (uint64_t)n ? chunk->size - (uint64_t)n : 0;
    return true;
}

static int64_t end_of(const Family *family, const Chunk *chunk)
{
    int64_t end = chunk->body + (int64_t)chunk->size, over = end % family->alignment;
    return over ? end + family->alignment - over : end;
}

static bool is_audio(const Family *family, const Chunk *chunk)
{
    return memcmp(chunk->name, family->audio, 4) == 0 || memcmp(chunk->name, "BODY", 4) == 0; // 8SVX
}

static bool is_rf64(const Family *family)
{
    return strcmp(family->magic, "RF64") == 0;
}

// The first chunk with samples; false: there is none.
static bool find_audio(const Family *family, const ByteView *view, Chunk *chunk)
{
    int64_t at = family->first;
    while (read_chunk(family, view, at, chunk)) {
        if (is_audio(family, chunk))
            return true;
        if (chunk->size > (uint64_t)(view->n - chunk->body))
            return false;
        at = end_of(family, chunk);
    }
    return false;
}

// RF64: all ones in the chunk stand for the size in ds64.
static uint64_t stated_size(const Family *family, const ByteView *view, const Chunk *audio)
{
    unsigned char sizes[24];
    if (is_rf64(family) && audio->size == UINT32_MAX &&
        byte_view_read(view, DS64_BODY, sizes, sizeof sizes) == (int64_t)sizeof sizes)
        return get_number(sizes + 8, 8, false);
    return audio->size;
}

// Nothing or next to nothing was stated, but what follows are samples, not a chunk.
static bool is_unwritten(const Family *family, const ByteView *view, const Chunk *audio, uint64_t size)
{
    Chunk next;
    if (size_is_placeholder(size, family->size_bytes == 8 || is_rf64(family), view->n - audio->body))
        return true;
    int64_t behind = audio->body + family->prefix;
    if (size > (uint64_t)family->prefix || behind >= view->n)
        return false;
    return !read_chunk(family, view, behind, &next) || next.size > (uint64_t)(view->n - next.body);
}

// Shows the decoder the size that the samples have.
static void write_sizes(const Family *family, ByteView *view, const Chunk *audio)
{
    uint64_t n_audio = (uint64_t)(view->n - audio->body), n_view = (uint64_t)view->n;
    int header = family->id_bytes + family->size_bytes;
    if (is_rf64(family)) {
        unsigned char sizes[24] = {0}; // the number of samples may stay 0
        for (int i = 0; i < 8; i++) {
            sizes[i] = (unsigned char)((n_view - 8) >> (8 * i));
            sizes[8 + i] = (unsigned char)(n_audio >> (8 * i));
        }
        byte_view_patch(view, DS64_BODY, sizes, sizeof sizes);
        n_audio = n_view = UINT64_MAX;
    }
    if (family->counts_header)
        patch_number(view, 16, n_view, 8, false);
    else if (family->states_whole)
        patch_number(view, 4, n_view - 8, 4, family->big_endian);
    patch_number(view, audio->at + family->id_bytes,
                 family->counts_header ? n_audio + (uint64_t)header : n_audio, family->size_bytes,
                 family->big_endian);
}

// Where the chunks behind the samples end.
static int64_t end_of_chunks(const Family *family, const ByteView *view, const Chunk *audio, Error *error)
{
    Chunk chunk;
    int64_t at = end_of(family, audio);
    while (at < view->n && read_chunk(family, view, at, &chunk)) {
        if (memcmp(chunk.name, family->magic, 4) == 0)
            break;
        if (is_audio(family, &chunk))
            return error_set(error, "damaged: samples in more than one chunk");
        if (chunk.size > (uint64_t)(view->n - chunk.body))
            break;
        at = end_of(family, &chunk);
    }
    return at < view->n ? at : view->n;
}

static int64_t find_stream(Recording *recording, const Family *family, const ByteView *file, int64_t start,
                           Error *error)
{
    ByteView view = byte_view_part(file, start, file->n - start);
    AudioStream *stream = recording_add(recording, &view);
    Chunk audio;
    if (!find_audio(family, &view, &audio))
        return file->n; // the decoder will say what is wrong
    uint64_t size = stated_size(family, &view, &audio), there = (uint64_t)(view.n - audio.body);
    bool unwritten = is_unwritten(family, &view, &audio, size);
    if (!unwritten && check_cut_off(size >> 62 ? INT64_MAX >> 1 : (int64_t)size, (int64_t)there, error) < 0)
        return -1;
    if (unwritten || size >= there) {
        if (size != there)
            write_sizes(family, &stream->view, &audio);
        return file->n;
    }
    audio.size = size;
    int64_t end = end_of_chunks(family, &view, &audio, error);
    if (end < 0)
        return -1;
    int more = check_leftover(&view, end, (int64_t)audio.size, family->magic, 4, error);
    if (more <= 0)
        return more < 0 ? -1 : file->n;
    stream->view.n = end;
    return start + end + more - 1;
}

int64_t chunks_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    unsigned char magic[4] = {0};
    byte_view_read(file, start, magic, sizeof magic);
    const Family *family = FAMILIES;
    while (memcmp(family->magic, magic, 4) != 0)
        family++; // recording.c knows only these
    return find_stream(recording, family, file, start, error);
}
