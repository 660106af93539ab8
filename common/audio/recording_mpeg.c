// MPEG audio: one stream after the other, told apart by their info frames, by what those state, and by their
// format.
#include "audio/mpeg.h"
#include "audio/recording_parts.h"

// Encoders count their info frame and the last frames differently: fewer than this much is no stream.
static const double SLACK_SECONDS = 0.5;

bool mpeg_is_header(const unsigned char head[4])
{
    int version = head[1] >> 3 & 3, layer = head[1] >> 1 & 3, bitrate = head[2] >> 4, rate = head[2] >> 2 & 3;
    return head[0] == 0xff && head[1] >> 5 == 7 && version != 1 && layer != 0 && bitrate != 15 && rate != 3;
}

static int rate_of(uint32_t head)
{
    static const int RATES_HZ[3] = {44100, 48000, 32000};
    int version = (int)(head >> 19 & 3); // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    return RATES_HZ[(head >> 10 & 3) % 3] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
}

// What may not change within a stream: version, layer, rate, and whether it is mono.
static uint32_t format_of(uint32_t head)
{
    return (head & 0x001e0c00u) | ((head >> 6 & 3) == 3);
}

// The stream that the walk is in.
typedef struct Walk {
    int64_t start;   // in the view
    int64_t stated;  // frames; 0: unknown
    int64_t n;       // frames so far
    int64_t n_until; // the n-th frame begins at `until`, 0: not reached
    int64_t until;
    uint32_t head; // of its first frame; 0: none yet
    int samples;
} Walk;

static double seconds(const Walk *walk, int64_t n_frames)
{
    return (double)n_frames * walk->samples / rate_of(walk->head);
}

static void add_stream(Recording *recording, const ByteView *file, int64_t start, int64_t end)
{
    ByteView view = byte_view_part(file, start, end - start);
    recording_add(recording, &view)->mpeg = true;
}

// The stream ends here; what lies behind the frames that it stated is one of its own.
static int finish(Recording *recording, const ByteView *file, const Walk *walk, int64_t end, Error *error)
{
    if (walk->head == 0 || (walk->n == 0 && walk->stated == 0))
        return 0;
    if (seconds(walk, walk->stated - walk->n) > SLACK_SECONDS)
        return error_set(error, "cut off: holds %.1f s of the %.1f s that its header promises",
                         seconds(walk, walk->n), seconds(walk, walk->stated));
    bool more = walk->n_until > 0 && seconds(walk, walk->n - walk->n_until) > SLACK_SECONDS;
    add_stream(recording, file, walk->start, more ? walk->until : end);
    if (more)
        add_stream(recording, file, walk->until, end);
    return 0;
}

static int step(Recording *recording, const ByteView *file, const MpegFrame *frame, Walk *walk, Error *error)
{
    bool is_info = frame->info_frames >= 0;
    if (walk->head != 0 && (is_info || format_of(frame->head) != format_of(walk->head))) {
        if (finish(recording, file, walk, frame->at, error) < 0)
            return -1;
        *walk = (Walk){.start = frame->at};
    }
    if (walk->head == 0) {
        walk->head = frame->head;
        walk->samples = frame->samples;
        walk->stated = is_info ? frame->info_frames : 0;
    }
    if (is_info)
        return 0;
    if (walk->stated > 0 && walk->n == walk->stated) {
        walk->n_until = walk->n;
        walk->until = frame->at;
    }
    walk->n++;
    return 0;
}

int64_t mpeg_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    ByteView view = byte_view_part(file, start, file->n - start);
    if (!recording->whole) {
        add_stream(recording, file, start, file->n);
        return file->n;
    }
    Mpeg *mpeg = mpeg_open_frames(&view);
    Walk walk = {0};
    MpegFrame frame;
    int status = 0;
    while (status == 0 && mpeg && mpeg_next_frame(mpeg, &frame))
        status = step(recording, &view, &frame, &walk, error);
    if (status == 0)
        status = finish(recording, &view, &walk, view.n, error);
    mpeg_close(mpeg);
    if (status == 0 && recording->n == 0)
        status = error_set(error, "unreadable: no MPEG audio in it");
    return status < 0 ? -1 : file->n;
}
