#include "score/trials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/pieces.h"

bool *trials_targets(const Trials *trials)
{
    bool *targets = mem_alloc((size_t)trials->n, sizeof(bool));
    for (int64_t t = 0; t < trials->n; t++)
        targets[t] = trials->trials[t].target;
    return targets;
}

int trials_det_curve(const Trials *trials, const double *scores, DetCurve *curve, Error *error)
{
    bool *targets = trials_targets(trials);
    int status = det_curve_create(scores, targets, trials->n, curve, error);
    mem_free(targets);
    return status;
}

void trials_release(Trials *trials)
{
    mem_free(trials->trials);
    *trials = (Trials){0};
}

// --- label-free

// How much of a name tells the recording: the folder, or without folders the utterance.
static size_t recording_length(const char *utt, bool by_folder)
{
    int half;
    const char *slash = strrchr(utt, '/');
    return by_folder && slash ? (size_t)(slash - utt) : piece_parse(utt, &half);
}

static bool same_recording(const char *a, const char *b, bool by_folder)
{
    size_t length = recording_length(a, by_folder);
    return length == recording_length(b, by_folder) && memcmp(a, b, length) == 0;
}

typedef struct Named {
    const char *utt;
    size_t length; // of the recording's part
    int64_t index;
} Named;

// By recording, then by index: "a/b" and "a/b/c" interleave in the list's own order.
static int compare_recordings(const void *a, const void *b)
{
    const Named *x = a, *y = b;
    size_t nx = x->length, ny = y->length;
    int order = memcmp(x->utt, y->utt, nx < ny ? nx : ny);
    if (order == 0)
        order = (nx > ny) - (nx < ny);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

// The recording of the sorted utterances [first, first + n), and how many pairs stand before its own.
typedef struct Recording {
    int64_t first, n;
    double n_pairs_before;
} Recording;

static void add_pair(const Named *sorted, int64_t i, int64_t j, Trials *made)
{
    made->trials[made->n_target++] = (Trial){sorted[i].index, sorted[j].index, true};
}

static void take_every_pair(const Named *sorted, const Recording *recordings, int64_t n, Trials *made)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < recordings[r].n; i++)
            for (int64_t j = i + 1; j < recordings[r].n; j++)
                add_pair(sorted, recordings[r].first + i, recordings[r].first + j, made);
}

// With replacement, each pair as likely.
static void draw_pairs_of(const Named *sorted, const Recording *recordings, int64_t n, double n_pairs,
                          int64_t most, Rng *rng, Trials *made)
{
    while (made->n_target < most) {
        double place = rng_uniform(rng) * n_pairs;
        int64_t low = 0, high = n; // the last recording whose pairs begin at or before the place
        while (high - low > 1) {
            int64_t middle = (low + high) / 2;
            if (recordings[middle].n_pairs_before <= place)
                low = middle;
            else
                high = middle;
        }
        const Recording *r = &recordings[low];
        int64_t i = (int64_t)rng_below(rng, (uint64_t)r->n), j = (int64_t)rng_below(rng, (uint64_t)r->n - 1);
        j += j >= i;
        add_pair(sorted, r->first + (i < j ? i : j), r->first + (i < j ? j : i), made);
    }
}

// At most `most` pairs of one recording; none where there is but one recording.
static void draw_same(const Named *sorted, int64_t n, int64_t most, bool by_folder, Rng *rng, Trials *made)
{
    Recording *recordings = mem_alloc((size_t)n, sizeof(Recording));
    int64_t n_recordings = 0;
    double n_pairs = 0;
    bool several = n > 0 && !same_recording(sorted[0].utt, sorted[n - 1].utt, by_folder);
    for (int64_t first = 0, end; several && first < n; first = end) {
        end = first + 1;
        while (end < n && same_recording(sorted[first].utt, sorted[end].utt, by_folder))
            end++;
        double size = (double)(end - first);
        if (end - first < 2)
            continue;
        recordings[n_recordings++] = (Recording){first, end - first, n_pairs};
        n_pairs += size * (size - 1) / 2;
    }
    if (n_pairs <= (double)most)
        take_every_pair(sorted, recordings, n_recordings, made);
    else
        draw_pairs_of(sorted, recordings, n_recordings, n_pairs, most, rng, made);
    mem_free(recordings);
}

static void draw_different(char *const *utts, int64_t n, int64_t most, bool by_folder, Rng *rng, Trials *made)
{
    // Drawn with replacement. Where one recording holds nearly everything, drawing stops after 20 misses
    // each.
    for (int64_t tries = 0; tries < 20 * most && made->n_nontarget < most; tries++) {
        int64_t i = (int64_t)rng_below(rng, (uint64_t)n), j = (int64_t)rng_below(rng, (uint64_t)n);
        if (i != j && !same_recording(utts[i], utts[j], by_folder))
            made->trials[made->n_target + made->n_nontarget++] = (Trial){i, j, false};
    }
}

typedef struct Timed {
    int64_t duration, index;
} Timed;

static int compare_durations(const void *a, const void *b)
{
    const Timed *x = a, *y = b;
    if (x->duration != y->duration)
        return x->duration > y->duration ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

// The same, of like durations: see trials.h.
static void draw_as_long(char *const *utts, int64_t n, const int64_t *durations, int64_t most, bool by_folder,
                         Rng *rng, Trials *made)
{
    Timed *order = mem_alloc((size_t)n, sizeof(Timed));
    int64_t *place = mem_alloc((size_t)n, sizeof(int64_t)), reach = n / 20 > 8 ? n / 20 : 8;
    for (int64_t i = 0; i < n; i++)
        order[i] = (Timed){durations[i], i};
    qsort(order, (size_t)n, sizeof(Timed), compare_durations);
    for (int64_t i = 0; i < n; i++)
        place[order[i].index] = i;
    for (int64_t tries = 0; tries < 20 * most && made->n_nontarget < most; tries++) {
        const Trial *same = &made->trials[rng_below(rng, (uint64_t)made->n_target)];
        int64_t at = place[same->test] - reach + (int64_t)rng_below(rng, (uint64_t)(2 * reach + 1));
        if (at < 0 || at >= n || same_recording(utts[same->enroll], utts[order[at].index], by_folder))
            continue;
        made->trials[made->n_target + made->n_nontarget++] = (Trial){same->enroll, order[at].index, false};
    }
    mem_free(place);
    mem_free(order);
}

// made->n_target and n_nontarget are both 0 where there are no pairs of one kind.
static void draw_pairs(char *const *utts, int64_t n, const int64_t *durations, int64_t most, bool by_folder,
                       int64_t seed, Trials *made)
{
    Named *sorted = mem_alloc((size_t)n, sizeof(Named));
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (Named){utts[i], recording_length(utts[i], by_folder), i};
    qsort(sorted, (size_t)n, sizeof(Named), compare_recordings);
    Rng rng = rng_stream((uint64_t)seed, "label-free trials", 0, 0);
    draw_same(sorted, n, most, by_folder, &rng, made);
    if (made->n_target > 0 && durations)
        draw_as_long(utts, n, durations, most, by_folder, &rng, made);
    else if (made->n_target > 0)
        draw_different(utts, n, most, by_folder, &rng, made);
    if (made->n_nontarget == 0)
        made->n_target = 0;
    mem_free(sorted);
}

void trials_label_free(char *const *utts, int64_t n_utts, const int64_t *durations, int64_t most,
                       int64_t seed, Trials *trials)
{
    Trials made = {
        .trials = mem_alloc((size_t)(2 * most), sizeof(Trial)),
        .form = durations ? "label-free: same recording (folder or file) against different recordings, as "
                            "long as those"
                          : "label-free: same recording (folder or file) against different recordings"};
    draw_pairs(utts, n_utts, durations, most, true, seed, &made);
    if (made.n_target == 0)
        draw_pairs(utts, n_utts, durations, most, false, seed, &made);
    made.n = made.n_target + made.n_nontarget;
    *trials = made;
}
