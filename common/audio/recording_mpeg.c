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

// Frames of one format, one behind the other.
typedef struct Run {
    int64_t at; // in the view
    int64_t n;  // frames; 0: none yet
    uint32_t head;
    int samples; // of a frame
} Run;

// The stream that the walk is in: all its frames, and those since the last garbage. Garbage looks like frames
// now and then, and decoders stop there, so that what comes before and after it are read apart. Frames of
// another format are another stream once there are enough of them.
typedef struct Walk {
    Run stream, piece, other;
    int64_t stated; // frames; 0: unknown
    int64_t until;  // where the frame behind the stated ones begins; 0: not reached
} Walk;

enum { RUN_IS_STREAM = 8 };

static Run run_from(const MpegFrame *frame)
{
    return (Run){.at = frame->at, .head = frame->head, .samples = frame->samples};
}

static double seconds(const Run *run, int64_t n_frames)
{
    return (double)n_frames * run->samples / rate_of(run->head);
}

// n: frames in it, which the decoder has to find, too.
static void add_stream(Recording *recording, const ByteView *file, int64_t start, int64_t end,
                       int64_t n_samples)
{
    ByteView view = byte_view_part(file, start, end - start);
    AudioStream *stream = recording_add(recording, &view);
    stream->mpeg = true;
    stream->stated_frames = n_samples;
}

// Between garbage, a few frames are garbage, too.
static void add_piece(Recording *recording, const ByteView *file, const Walk *walk, const Run *piece,
                      int64_t end)
{
    bool is_all = piece->at == walk->stream.at && walk->other.n == 0;
    if (piece->n >= (is_all ? 1 : RUN_IS_STREAM))
        add_stream(recording, file, piece->at, end, piece->n * piece->samples);
}

// The stream ends here; what lies behind the frames that it stated is one of its own.
static int finish(Recording *recording, const ByteView *file, const Walk *walk, int64_t end, Error *error)
{
    const Run *stream = &walk->stream;
    int64_t n_more = stream->n - walk->stated;
    if (stream->head == 0)
        return 0;
    if (seconds(stream, -n_more) > SLACK_SECONDS)
        return error_set(error, "cut off: holds %.1f s of the %.1f s that its header promises",
                         seconds(stream, stream->n), seconds(stream, walk->stated));
    if (walk->until == 0 || seconds(stream, n_more) <= SLACK_SECONDS || walk->until <= walk->piece.at) {
        add_piece(recording, file, walk, &walk->piece, end);
        return 0;
    }
    Run first = walk->piece;
    first.n -= n_more;
    add_piece(recording, file, walk, &first, walk->until);
    add_stream(recording, file, walk->until, end, n_more * stream->samples);
    return 0;
}

// A frame of the stream.
static void count(Recording *recording, const ByteView *file, Walk *walk, const MpegFrame *frame)
{
    if (walk->other.n > 0) {
        add_piece(recording, file, walk, &walk->piece, walk->other.at);
        walk->piece = run_from(frame);
        walk->other.n = 0;
    }
    if (walk->stated > 0 && walk->stream.n == walk->stated)
        walk->until = frame->at;
    walk->stream.n++;
    walk->piece.n++;
}

static void begin(Walk *walk, const Run *run, int64_t stated)
{
    *walk = (Walk){.stream = *run, .piece = *run, .stated = stated};
}

static int step(Recording *recording, const ByteView *file, const MpegFrame *frame, Walk *walk, Error *error)
{
    int status = 0;
    Run own = run_from(frame);
    if (frame->info_frames >= 0) {
        status = finish(recording, file, walk, frame->at, error);
        begin(walk, &own, frame->info_frames);
        return status;
    }
    if (walk->stream.head != 0 && format_of(frame->head) == format_of(walk->stream.head)) {
        count(recording, file, walk, frame);
        return 0;
    }
    if (walk->other.n == 0 || format_of(frame->head) != format_of(walk->other.head))
        walk->other = own;
    if (++walk->other.n == RUN_IS_STREAM) {
        own = walk->other;
        status = finish(recording, file, walk, own.at, error);
        begin(walk, &own, 0);
    }
    return status;
}

// Near this place there are a few frames, each where the one before it ends: also behind
// padding, or in a stream that was cut out of another.
bool mpeg_is_near(const ByteView *file, int64_t at)
{
    enum { LOOKED_AT = 1 << 17, ENOUGH = 4 };
    ByteView view = byte_view_part(file, at, file->n - at < LOOKED_AT ? file->n - at : LOOKED_AT);
    Mpeg *mpeg = mpeg_open_frames(&view);
    MpegFrame frame, last = {0};
    int n = 0;
    while (mpeg && n < ENOUGH && mpeg_next_frame(mpeg, &frame)) {
        n = n > 0 && frame.at == last.at + last.size && format_of(frame.head) == format_of(last.head) ? n + 1
                                                                                                      : 1;
        last = frame;
    }
    mpeg_close(mpeg);
    return n >= ENOUGH;
}

int64_t mpeg_find(Recording *recording, const ByteView *file, int64_t start, Error *error)
{
    ByteView view = byte_view_part(file, start, file->n - start);
    if (!recording->whole) {
        add_stream(recording, file, start, file->n, -1);
        return file->n;
    }
    Mpeg *mpeg = mpeg_open_frames(&view);
    Walk walk = {0};
    MpegFrame frame;
    int status = 0;
    while (status == 0 && mpeg && mpeg_next_frame(mpeg, &frame))
        status = step(recording, &view, &frame, &walk, error);
    if (walk.stream.head == 0 && walk.other.n > 0)
        begin(&walk, &(Run){walk.other.at, walk.other.n, walk.other.head, walk.other.samples},
              0); // all there is
    if (status == 0)
        status = finish(recording, &view, &walk, view.n, error);
    mpeg_close(mpeg);
    if (status == 0 && recording->n == 0)
        status = error_set(error, "unreadable: no MPEG audio in it");
    return status < 0 ? -1 : file->n;
}
