#include "score/label_free.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/corpus.h"
#include "cache/pieces.h"

// --- drawing pairs

// Utterances by session, then by index.
typedef struct Member {
    int64_t session, index;
} Member;

static int compare_members(const void *a, const void *b)
{
    const Member *x = a, *y = b;
    if (x->session != y->session)
        return x->session > y->session ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

// The session of the sorted utterances [first, first + n), and how many pairs stand before its own.
typedef struct Group {
    int64_t first, n;
    double n_pairs_before;
} Group;

static void add_pair(const Member *sorted, int64_t i, int64_t j, Trials *made)
{
    made->trials[made->n_target++] = (Trial){sorted[i].index, sorted[j].index, true};
}

static void take_every_pair(const Member *sorted, const Group *groups, int64_t n, Trials *made)
{
    for (int64_t g = 0; g < n; g++)
        for (int64_t i = 0; i < groups[g].n; i++)
            for (int64_t j = i + 1; j < groups[g].n; j++)
                add_pair(sorted, groups[g].first + i, groups[g].first + j, made);
}

// With replacement, each pair as likely.
static void draw_pairs_of(const Member *sorted, const Group *groups, int64_t n, double n_pairs, int64_t most,
                          Rng *rng, Trials *made)
{
    while (made->n_target < most) {
        double place = rng_uniform(rng) * n_pairs;
        int64_t low = 0, high = n; // the last session whose pairs begin at or before the place
        while (high - low > 1) {
            int64_t middle = (low + high) / 2;
            if (groups[middle].n_pairs_before <= place)
                low = middle;
            else
                high = middle;
        }
        const Group *g = &groups[low];
        int64_t i = (int64_t)rng_below(rng, (uint64_t)g->n), j = (int64_t)rng_below(rng, (uint64_t)g->n - 1);
        j += j >= i;
        add_pair(sorted, g->first + (i < j ? i : j), g->first + (i < j ? j : i), made);
    }
}

// At most `most` pairs of one session; none where there is but one session.
static void draw_same(const Member *sorted, int64_t n, int64_t most, Rng *rng, Trials *made)
{
    Group *groups = mem_alloc((size_t)n, sizeof(Group));
    int64_t n_groups = 0;
    double n_pairs = 0;
    bool several = n > 0 && sorted[0].session != sorted[n - 1].session;
    for (int64_t first = 0, end; several && first < n; first = end) {
        end = first + 1;
        while (end < n && sorted[end].session == sorted[first].session)
            end++;
        double size = (double)(end - first);
        if (end - first < 2)
            continue;
        groups[n_groups++] = (Group){first, end - first, n_pairs};
        n_pairs += size * (size - 1) / 2;
    }
    if (n_pairs <= (double)most)
        take_every_pair(sorted, groups, n_groups, made);
    else
        draw_pairs_of(sorted, groups, n_groups, n_pairs, most, rng, made);
    mem_free(groups);
}

static bool are_apart(const Sessions *sessions, int64_t i, int64_t j)
{
    return sessions->of[i] != sessions->of[j] && sessions->apart[i] != sessions->apart[j];
}

static void draw_different(const Sessions *sessions, int64_t most, Rng *rng, Trials *made)
{
    // Drawn with replacement. Where one session holds nearly everything, drawing stops after 20 misses each.
    uint64_t n = (uint64_t)sessions->n;
    for (int64_t tries = 0; tries < 20 * most && made->n_nontarget < most; tries++) {
        int64_t i = (int64_t)rng_below(rng, n), j = (int64_t)rng_below(rng, n);
        if (are_apart(sessions, i, j))
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
static void draw_as_long(const Sessions *sessions, const int64_t *durations, int64_t most, Rng *rng,
                         Trials *made)
{
    int64_t n = sessions->n, reach = n / 20 > 8 ? n / 20 : 8;
    Timed *order = mem_alloc((size_t)n, sizeof(Timed));
    int64_t *place = mem_alloc((size_t)n, sizeof(int64_t));
    for (int64_t i = 0; i < n; i++)
        order[i] = (Timed){durations[i], i};
    qsort(order, (size_t)n, sizeof(Timed), compare_durations);
    for (int64_t i = 0; i < n; i++)
        place[order[i].index] = i;
    for (int64_t tries = 0; tries < 20 * most && made->n_nontarget < most; tries++) {
        const Trial *same = &made->trials[rng_below(rng, (uint64_t)made->n_target)];
        int64_t at = place[same->test] - reach + (int64_t)rng_below(rng, (uint64_t)(2 * reach + 1));
        if (at < 0 || at >= n || !are_apart(sessions, same->enroll, order[at].index))
            continue;
        made->trials[made->n_target + made->n_nontarget++] = (Trial){same->enroll, order[at].index, false};
    }
    mem_free(place);
    mem_free(order);
}

void trials_label_free(const Sessions *sessions, const int64_t *durations, int64_t most, int64_t seed,
                       Trials *trials)
{
    int64_t n = sessions->n;
    Trials made = {.trials = mem_alloc((size_t)(2 * most), sizeof(Trial)),
                   .form = durations ? "label-free: same session against different sessions, as long as those"
                                     : "label-free: same session against different sessions"};
    Member *sorted = mem_alloc((size_t)n, sizeof(Member));
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (Member){sessions->of[i], i};
    qsort(sorted, (size_t)n, sizeof(Member), compare_members);
    Rng rng = rng_stream((uint64_t)seed, "label-free trials", 0, 0);
    draw_same(sorted, n, most, &rng, &made);
    if (made.n_target > 0 && durations)
        draw_as_long(sessions, durations, most, &rng, &made);
    else if (made.n_target > 0)
        draw_different(sessions, most, &rng, &made);
    if (made.n_nontarget == 0)
        made.n_target = 0;
    mem_free(sorted);
    made.n = made.n_target + made.n_nontarget;
    *trials = made;
}

// --- of embeddings

// Samples of each embedding's utterance or half; NULL where an utterance is not in the corpus, which is an
// error.
static int64_t *durations_of(const char *audio, const Embeddings *embeddings, Error *error)
{
    Corpus *corpus = corpus_open(audio, error);
    if (!corpus)
        return NULL;
    int64_t *durations = mem_alloc((size_t)embeddings->n, sizeof(int64_t)), i = 0;
    for (Piece piece; i < embeddings->n && piece_find(corpus, embeddings->utts[i], &piece) == 0; i++)
        durations[i] = piece.n_samples;
    if (i < embeddings->n) {
        error_set(error, "%s has an embedding but is not in the audio folder", embeddings->utts[i]);
        mem_free(durations);
        durations = NULL;
    }
    corpus_close(corpus);
    return durations;
}

static int find_sessions(const char *rule_text, const Embeddings *embeddings, Sessions *sessions,
                         Error *error)
{
    SessionRule *rule = session_rule_create(rule_text, error);
    int status = rule ? sessions_find(rule, embeddings->utts, embeddings->n, sessions, error) : -1;
    session_rule_destroy(rule);
    if (status < 0)
        return -1;
    log_info("sessions by %s: %lld among %lld utterances", rule_text, (long long)sessions->n_sessions,
             (long long)sessions->n);
    if (sessions->n_unmatched > 0)
        log_warn("%lld ids do not match the session pattern: each is a session of its own",
                 (long long)sessions->n_unmatched);
    return 0;
}

int label_free_make(const LabelFree *options, const Embeddings *embeddings, Trials *trials, Error *error)
{
    Sessions sessions;
    int64_t *durations = options->audio ? durations_of(options->audio, embeddings, error) : NULL;
    if ((options->audio && !durations) || find_sessions(options->session, embeddings, &sessions, error) < 0) {
        mem_free(durations);
        return -1;
    }
    trials_label_free(&sessions, durations, options->most, options->seed, trials);
    sessions_release(&sessions);
    mem_free(durations);
    return 0;
}
