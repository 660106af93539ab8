#include "train/sampler.h"

#include <string.h>

#include "base/memory.h"
#include "base/rng.h"

struct Sampler {
    int64_t n, batch_size, n_classes, most_per_class;
    const int64_t *labels; // NULL: plain
    uint64_t seed;
    int64_t n_epoch; // utterances of an epoch
    int64_t epoch;   // whose order is in `order`; -1: none yet
    int64_t *order;  // plain [n]; balanced [steps_per_epoch * batch_size]
    // Balanced: utterances by class.
    int64_t *members;     // [n_labelled]
    int64_t *class_start; // [n_classes + 1], into members
    // Grouped.
    int64_t n_views; // 0: not grouped
    bool same;
    int64_t n_batches; // of an epoch
};

static int64_t batches_of(const Sampler *s)
{
    return s->n_views ? s->n_batches : (s->n_epoch + s->batch_size - 1) / s->batch_size;
}

Sampler *sampler_create_plain(int64_t n, int64_t batch_size, uint64_t seed)
{
    Sampler *s = mem_zero(1, sizeof *s);
    *s = (Sampler){.n = n, .n_epoch = n, .batch_size = batch_size, .seed = seed, .epoch = -1};
    s->order = mem_alloc((size_t)n, sizeof(int64_t));
    return s;
}

// Counting sort of the utterances by class.
static void group_by_class(Sampler *s)
{
    s->class_start = mem_zero((size_t)s->n_classes + 2, sizeof(int64_t));
    for (int64_t i = 0; i < s->n; i++)
        if (s->labels[i] >= 0)
            s->class_start[s->labels[i] + 2]++;
    for (int64_t c = 2; c < s->n_classes + 2; c++)
        s->class_start[c] += s->class_start[c - 1];
    s->members = mem_alloc((size_t)s->class_start[s->n_classes + 1], sizeof(int64_t));
    for (int64_t i = 0; i < s->n; i++)
        if (s->labels[i] >= 0)
            s->members[s->class_start[s->labels[i] + 1]++] = i;
}

static int64_t taken_of_class(const Sampler *s, int64_t c)
{
    int64_t size = s->class_start[c + 1] - s->class_start[c];
    return size < s->most_per_class ? size : s->most_per_class;
}

Sampler *sampler_create_balanced(const int64_t *labels, int64_t n, int64_t n_classes, int64_t most_per_class,
                                 int64_t batch_size, uint64_t seed)
{
    Sampler *s = mem_zero(1, sizeof *s);
    *s = (Sampler){.n = n,
                   .labels = labels,
                   .n_classes = n_classes,
                   .most_per_class = most_per_class,
                   .batch_size = batch_size,
                   .seed = seed,
                   .epoch = -1};
    group_by_class(s);
    for (int64_t c = 0; c < n_classes; c++)
        s->n_epoch += taken_of_class(s, c);
    s->order = mem_alloc((size_t)(batches_of(s) * batch_size), sizeof(int64_t));
    return s;
}

// Groups that a class gives to an epoch of n_batches.
static int64_t groups_of_class(const Sampler *s, int64_t c, int64_t n_batches)
{
    int64_t utts = taken_of_class(s, c), n = s->same ? utts : (utts + s->n_views - 1) / s->n_views;
    return n < n_batches ? n : n_batches;
}

static int64_t groups_of_epoch(const Sampler *s, int64_t n_batches)
{
    int64_t n = 0;
    for (int64_t c = 0; c < s->n_classes; c++)
        n += groups_of_class(s, c, n_batches);
    return n;
}

Sampler *sampler_create_grouped(const int64_t *labels, int64_t n, int64_t n_classes, int64_t most_per_class,
                                int64_t batch_size, int64_t n_views, bool same, uint64_t seed)
{
    Sampler *s = sampler_create_balanced(labels, n, n_classes, most_per_class, batch_size, seed);
    int64_t per_batch = batch_size / n_views, before;
    s->n_views = n_views;
    s->same = same;
    s->n_batches = INT64_MAX;
    do { // fewer batches take fewer groups of the largest classes, and so on
        before = s->n_batches;
        s->n_batches = (groups_of_epoch(s, before) + per_batch - 1) / per_batch;
    } while (s->n_batches < before);
    s->order = mem_grow(s->order, (size_t)(s->n_batches * batch_size), sizeof(int64_t));
    return s;
}

void sampler_destroy(Sampler *s)
{
    if (!s)
        return;
    mem_free(s->order);
    mem_free(s->members);
    mem_free(s->class_start);
    mem_free(s);
}

double sampler_steps_per_epoch(const Sampler *s)
{
    return s->labels ? (double)batches_of(s) : (double)s->n / (double)s->batch_size;
}

// --- plain

static void shuffle_epoch(Sampler *s, int64_t epoch)
{
    Rng rng = rng_stream(s->seed, "epoch order", (uint64_t)epoch, 0);
    for (int64_t i = 0; i < s->n; i++)
        s->order[i] = i;
    rng_shuffle(&rng, s->order, s->n);
    s->epoch = epoch;
}

static void pick_plain(Sampler *s, int64_t step, int64_t *utts)
{
    for (int64_t b = 0; b < s->batch_size; b++) {
        int64_t position = step * s->batch_size + b;
        if (position / s->n != s->epoch)
            shuffle_epoch(s, position / s->n);
        utts[b] = s->order[position % s->n];
    }
}

// --- balanced

// The utterances by class, in random order within each class.
static void shuffle_members(const Sampler *s, Rng *rng, int64_t *shuffled)
{
    memcpy(shuffled, s->members, (size_t)s->class_start[s->n_classes] * sizeof(int64_t));
    for (int64_t c = 0; c < s->n_classes; c++)
        rng_shuffle(rng, shuffled + s->class_start[c], s->class_start[c + 1] - s->class_start[c]);
}

// The epoch's utterances in `chosen` [n_epoch]: a random part of each large class, all of a small one.
static void choose_utterances(const Sampler *s, Rng *rng, int64_t *chosen)
{
    int64_t *shuffled = mem_alloc((size_t)s->class_start[s->n_classes], sizeof(int64_t)), n = 0;
    shuffle_members(s, rng, shuffled);
    for (int64_t c = 0; c < s->n_classes; c++) {
        memcpy(chosen + n, shuffled + s->class_start[c], (size_t)taken_of_class(s, c) * sizeof(int64_t));
        n += taken_of_class(s, c);
    }
    rng_shuffle(rng, chosen, n);
    mem_free(shuffled);
}

// Fills one batch from the queue [*n_queue] in order, passing over classes that the batch has; what is passed
// over stays, in order, for the next batch. `used` [n_classes]: the last batch that each class was put into.
static void fill_batch(const Sampler *s, int64_t batch, int64_t *queue, int64_t *n_queue, int64_t *used,
                       int64_t *order)
{
    int64_t n_taken = 0, n_kept = 0, read = 0;
    for (; read < *n_queue && n_taken < s->batch_size; read++) {
        int64_t c = s->labels[queue[read]];
        if (used[c] == batch) {
            queue[n_kept++] = queue[read];
        } else {
            used[c] = batch;
            order[n_taken++] = queue[read];
        }
    }
    for (; read < *n_queue; read++)
        queue[n_kept++] = queue[read];
    int64_t n_forced = 0; // only classes that the batch has already are left
    while (n_taken < s->batch_size && n_forced < n_kept)
        order[n_taken++] = queue[n_forced++];
    memmove(queue, queue + n_forced, (size_t)(n_kept - n_forced) * sizeof(int64_t));
    *n_queue = n_kept - n_forced;
}

static void arrange_epoch(Sampler *s, int64_t epoch)
{
    Rng rng = rng_stream(s->seed, "balanced epoch", (uint64_t)epoch, 0);
    int64_t *chosen = mem_alloc((size_t)s->n_epoch, sizeof(int64_t));
    int64_t *queue = mem_alloc((size_t)s->n_epoch, sizeof(int64_t)), n_queue = s->n_epoch;
    int64_t *used = mem_alloc((size_t)s->n_classes, sizeof(int64_t));
    memset(used, 0xff, (size_t)s->n_classes * sizeof(int64_t)); // -1
    choose_utterances(s, &rng, chosen);
    memcpy(queue, chosen, (size_t)s->n_epoch * sizeof(int64_t));
    for (int64_t batch = 0; batch < batches_of(s); batch++)
        fill_batch(s, batch, queue, &n_queue, used, s->order + batch * s->batch_size);
    for (int64_t i = s->n_epoch; i < batches_of(s) * s->batch_size; i++)
        s->order[i] = chosen[rng_below(&rng, (uint64_t)s->n_epoch)];
    mem_free(chosen);
    mem_free(queue);
    mem_free(used);
    s->epoch = epoch;
}

// --- grouped

typedef struct Group { // utterances members[at], at + 1, ... of class c, going round
    int64_t c, at;
} Group;

// Writes the group to a batch's column `column` of per_batch.
static void place_group(const Sampler *s, const int64_t *members, Group group, int64_t column, int64_t *batch)
{
    int64_t first = s->class_start[group.c], size = s->class_start[group.c + 1] - first;
    int64_t per_batch = s->batch_size / s->n_views;
    for (int64_t v = 0; v < s->n_views; v++)
        batch[v * per_batch + column] = members[first + (group.at + (s->same ? 0 : v)) % size];
}

// Groups by class, the classes in random order, dealt to the batches in turn: as no class has more groups
// than there are batches, no batch gets two of one class.
static int64_t deal_groups(const Sampler *s, Rng *rng, Group *groups)
{
    int64_t *classes = mem_alloc((size_t)s->n_classes, sizeof(int64_t)), n = 0;
    for (int64_t c = 0; c < s->n_classes; c++)
        classes[c] = c;
    rng_shuffle(rng, classes, s->n_classes);
    for (int64_t i = 0; i < s->n_classes; i++)
        for (int64_t g = 0; g < groups_of_class(s, classes[i], s->n_batches); g++)
            groups[n++] = (Group){classes[i], s->same ? g : g * s->n_views};
    mem_free(classes);
    return n;
}

static bool batch_has(const Sampler *s, const Group *groups, int64_t n, int64_t batch, int64_t c)
{
    for (int64_t i = batch; i < n; i += s->n_batches)
        if (groups[i].c == c)
            return true;
    return false;
}

static void arrange_groups(Sampler *s, int64_t epoch)
{
    Rng rng = rng_stream(s->seed, "grouped epoch", (uint64_t)epoch, 0);
    int64_t per_batch = s->batch_size / s->n_views, n_places = s->n_batches * per_batch;
    int64_t *members = mem_alloc((size_t)s->class_start[s->n_classes], sizeof(int64_t));
    int64_t *batches = mem_alloc((size_t)s->n_batches, sizeof(int64_t));
    Group *groups = mem_alloc((size_t)n_places, sizeof *groups);
    shuffle_members(s, &rng, members);
    int64_t n_dealt = deal_groups(s, &rng, groups), n = n_dealt;
    for (; n < n_places; n++) // of any class that the batch lacks
        do {
            groups[n] = groups[rng_below(&rng, (uint64_t)n_dealt)];
        } while (batch_has(s, groups, n, n % s->n_batches, groups[n].c));
    for (int64_t b = 0; b < s->n_batches; b++)
        batches[b] = b;
    rng_shuffle(&rng, batches, s->n_batches);
    for (int64_t i = 0; i < n; i++)
        place_group(s, members, groups[i], i / s->n_batches,
                    s->order + batches[i % s->n_batches] * s->batch_size);
    mem_free(members);
    mem_free(batches);
    mem_free(groups);
    s->epoch = epoch;
}

void sampler_pick(Sampler *s, int64_t step, int64_t *utts)
{
    if (!s->labels) {
        pick_plain(s, step, utts);
        return;
    }
    int64_t epoch = step / batches_of(s), batch = step % batches_of(s);
    if (epoch != s->epoch)
        (s->n_views ? arrange_groups : arrange_epoch)(s, epoch);
    memcpy(utts, s->order + batch * s->batch_size, (size_t)s->batch_size * sizeof(int64_t));
}
