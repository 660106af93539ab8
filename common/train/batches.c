#include "train/batches.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "audio/degrade.h"
#include "audio/fbank.h"
#include "audio/front_end.h"
#include "audio/mix.h"
#include "audio/spec_augment.h"
#include "audio/speed.h"
#include "base/files.h"
#include "base/memory.h"

typedef struct Slot {
    Batch batch;
    int64_t ready_step; // the step whose batch is in it, -1: none
} Slot;

typedef struct Loader {
    Batches *batches;
    int number;
    pthread_t thread;
} Loader;

struct Batches {
    BatchOptions options;
    FrontEnd *front_end;
    Slot *slots; // [n_slots]; step s lies in slot (s - first_step) % n_slots
    int n_slots, n_loaders;
    Loader *loaders; // [n_loaders]; loader k makes the steps first_step + k + i options.n_loaders
    pthread_mutex_t lock, sampler_lock;
    pthread_cond_t changed;
    int64_t wanted; // the step that the consumer asks for next
    bool stop, failed;
    Error error;
    double waited_seconds;
};

int64_t crop_samples(const CropGroup *group)
{
    return fbank_samples(group->n_frames);
}

InputShape crop_shape(EncoderInput input, const CropGroup *group)
{
    return front_end_shape(input, crop_samples(group));
}

int64_t batch_recording(const Corpus *corpus, int64_t utt)
{
    return utt % corpus_count(corpus);
}

// --- one crop

// n samples from a random place of the utterance, the whole of a short one again and again.
static int read_crop(const Corpus *corpus, int64_t utt, Rng *rng, float *samples, int64_t n, Error *error)
{
    int64_t total = corpus_samples(corpus, utt);
    if (total <= 0)
        return error_set(error, "%s is empty; prepare the audio again", corpus_utt(corpus, utt));
    if (total >= n) {
        int64_t start = (int64_t)rng_below(rng, (uint64_t)(total - n + 1));
        return corpus_read(corpus, utt, start, n, samples, error);
    }
    if (corpus_read(corpus, utt, 0, total, samples, error) < 0)
        return -1;
    for (int64_t i = total; i < n; i++)
        samples[i] = samples[i - total];
    return 0;
}

// The same with speeds: see batches.h.
static int read_crop_at_speed(const Corpus *corpus, int64_t utt, Rng *rng, float *samples, int64_t n,
                              Error *error)
{
    static const double SPEEDS[BATCH_SPEEDS] = {1, 0.9, 1.1};
    double speed = SPEEDS[utt / corpus_count(corpus)];
    utt = batch_recording(corpus, utt);
    if (speed == 1)
        return read_crop(corpus, utt, rng, samples, n, error);
    int64_t n_read = llround((double)n * speed);
    float *stretch = mem_alloc((size_t)n_read, sizeof(float));
    int status = read_crop(corpus, utt, rng, stretch, n_read, error);
    if (status == 0 && (status = speed_change(stretch, n_read, samples, n, error)) < 0)
        error_prefix(error, "%s", corpus_utt(corpus, utt));
    mem_free(stretch);
    return status;
}

int corpus_babble(void *context, Rng *rng, float *samples, int64_t n, Error *error)
{
    const Corpus *corpus = context;
    int64_t utt = (int64_t)rng_below(rng, (uint64_t)corpus_count(corpus));
    return read_crop(corpus, utt, rng, samples, n, error);
}

static int mix_in(const BatchOptions *options, Rng *rng, float *samples, int64_t n, Error *error)
{
    MixPlace place = mix_draw(rng, n);
    float *other = mem_alloc((size_t)place.n, sizeof(float));
    int status = corpus_babble((void *)options->corpus, rng, other, place.n, error);
    if (status == 0)
        mix_apply(&place, other, samples, n);
    mem_free(other);
    return status;
}

// item: number of the crop in its step, over all groups; a clean one has that of the crop it repeats.
static int make_crop(const Batches *b, int64_t step, int64_t item, int64_t utt, const CropGroup *group,
                     float *samples, float *input, Error *error)
{
    const BatchOptions *options = &b->options;
    int64_t n = crop_samples(group);
    Rng place = rng_stream(options->seed, "crop", (uint64_t)step, (uint64_t)item);
    if (read_crop_at_speed(options->corpus, utt, &place, samples, n, error) < 0)
        return -1;
    Rng noise = rng_stream(options->seed, "augment", (uint64_t)step, (uint64_t)item);
    if (options->augmenter && !group->clean &&
        augmenter_apply(options->augmenter, &noise, samples, n, error) < 0)
        return error_prefix(error, "augmenting %s",
                            corpus_utt(options->corpus, batch_recording(options->corpus, utt)));
    Rng voice = rng_stream(options->seed, "mix", (uint64_t)step, (uint64_t)item);
    if (!group->clean && rng_uniform(&voice) < options->mix && mix_in(options, &voice, samples, n, error) < 0)
        return -1;
    Rng line = rng_stream(options->seed, "degrade", (uint64_t)step, (uint64_t)item);
    if (!group->clean && rng_uniform(&line) < options->degrade)
        degrade(&line, samples, n);
    Rng dither = rng_stream(options->seed, "dither", (uint64_t)step, (uint64_t)item);
    front_end_compute(b->front_end, samples, n, &dither, input);
    Rng mask = rng_stream(options->seed, "spec augment", (uint64_t)step, (uint64_t)item);
    InputShape shape = crop_shape(options->input, group);
    if (!group->clean && rng_uniform(&mask) < options->spec_augment)
        spec_augment(&mask, input, shape.length, shape.width);
    return 0;
}

static void pick_positives(const BatchOptions *options, Batch *batch)
{
    for (int64_t i = 0; i < options->batch_size; i++) {
        Rng rng = rng_stream(options->seed, "positive", (uint64_t)batch->step, (uint64_t)i);
        int64_t utt = batch->utts[i];
        batch->positives[i] = options->positives ? positives_pick(options->positives, utt, &rng) : utt;
    }
}

static int fill_batch(const Batches *b, Batch *batch, float *samples, Error *error)
{
    const BatchOptions *options = &b->options;
    int64_t item = 0;
    for (int g = 0; g < options->n_groups; g++) {
        const int64_t *utts = g == 0 ? batch->positives : batch->utts;
        const CropGroup *group = &options->groups[g];
        int64_t rows = group->n_views * options->batch_size,
                width = input_floats(crop_shape(options->input, group));
        for (int64_t row = 0; row < rows; row++, item++)
            if (make_crop(b, batch->step, group->clean ? row : item, utts[row % options->batch_size], group,
                          samples, batch->inputs[g] + row * width, error) < 0)
                return -1;
    }
    return 0;
}

// --- loaders

static int64_t longest_crop(const BatchOptions *options)
{
    int64_t longest = 0;
    for (int g = 0; g < options->n_groups; g++)
        if (crop_samples(&options->groups[g]) > longest)
            longest = crop_samples(&options->groups[g]);
    return longest;
}

// The step's slot once the consumer has let go of what was in it; NULL when asked to stop.
static Slot *wait_for_slot(Batches *b, int64_t step)
{
    pthread_mutex_lock(&b->lock);
    while (!b->stop && step >= b->wanted + b->n_slots - 1)
        pthread_cond_wait(&b->changed, &b->lock);
    bool stop = b->stop;
    pthread_mutex_unlock(&b->lock);
    return stop ? NULL : &b->slots[(step - b->options.first_step) % b->n_slots];
}

static void *run_loader(void *argument)
{
    const Loader *loader = argument;
    Batches *b = loader->batches;
    float *samples = mem_alloc((size_t)longest_crop(&b->options), sizeof(float));
    Slot *slot;
    int64_t step = b->options.first_step + loader->number;
    for (; step < b->options.end_step && (slot = wait_for_slot(b, step)); step += b->options.n_loaders) {
        Error error = {0};
        slot->batch.step = step;
        pthread_mutex_lock(&b->sampler_lock);
        sampler_pick(b->options.sampler, step, slot->batch.utts);
        pthread_mutex_unlock(&b->sampler_lock);
        pick_positives(&b->options, &slot->batch);
        int status = fill_batch(b, &slot->batch, samples, &error);
        pthread_mutex_lock(&b->lock);
        slot->ready_step = step;
        if (status < 0 && !b->failed) {
            b->failed = true;
            b->error = error;
        }
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
        if (status < 0)
            break;
    }
    mem_free(samples);
    return NULL;
}

// Each loader's steps are its own: without one of them the training would wait for ever.
static void start_loaders(Batches *b)
{
    int failed = 0;
    for (; b->n_loaders < b->options.n_loaders && !failed; b->n_loaders += !failed) {
        Loader *loader = &b->loaders[b->n_loaders];
        *loader = (Loader){.batches = b, .number = b->n_loaders};
        failed = pthread_create(&loader->thread, NULL, run_loader, loader);
    }
    if (!failed)
        return;
    pthread_mutex_lock(&b->lock);
    b->failed = true;
    error_clear(&b->error);
    error_set(&b->error, "loader thread %d of %" PRId64 " cannot be started (%s); give fewer --loaders",
              b->n_loaders + 1, b->options.n_loaders, strerror(failed));
    pthread_mutex_unlock(&b->lock);
}

Batches *batches_create(const BatchOptions *options)
{
    Batches *b = mem_zero(1, sizeof *b);
    b->options = *options;
    b->wanted = options->first_step;
    b->n_slots = options->n_loaders + 2; // one in use, one finished, one being made by each loader
    b->front_end = front_end_create(options->input);
    b->slots = mem_zero((size_t)b->n_slots, sizeof *b->slots);
    for (int s = 0; s < b->n_slots; s++) {
        Slot *slot = &b->slots[s];
        slot->ready_step = -1;
        slot->batch.utts = mem_alloc((size_t)options->batch_size, sizeof(int64_t));
        slot->batch.positives = mem_alloc((size_t)options->batch_size, sizeof(int64_t));
        for (int g = 0; g < options->n_groups; g++)
            slot->batch.inputs[g] = mem_alloc(
                (size_t)(options->groups[g].n_views * options->batch_size),
                (size_t)input_floats(crop_shape(options->input, &options->groups[g])) * sizeof(float));
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->sampler_lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->loaders = mem_zero((size_t)options->n_loaders, sizeof *b->loaders);
    start_loaders(b);
    return b;
}

void batches_destroy(Batches *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    for (int k = 0; k < b->n_loaders; k++)
        pthread_join(b->loaders[k].thread, NULL);
    for (int s = 0; s < b->n_slots; s++) {
        mem_free(b->slots[s].batch.utts);
        mem_free(b->slots[s].batch.positives);
        for (int g = 0; g < b->options.n_groups; g++)
            mem_free(b->slots[s].batch.inputs[g]);
    }
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->sampler_lock);
    pthread_mutex_destroy(&b->lock);
    front_end_destroy(b->front_end);
    mem_free(b->slots);
    mem_free(b->loaders);
    mem_free(b);
}

int batches_next(Batches *b, const Batch **batch, Error *error)
{
    if (b->wanted >= b->options.end_step)
        return 0;
    double start = clock_seconds();
    pthread_mutex_lock(&b->lock);
    Slot *slot = &b->slots[(b->wanted - b->options.first_step) % b->n_slots];
    while (!b->failed && slot->ready_step != b->wanted)
        pthread_cond_wait(&b->changed, &b->lock);
    bool failed = b->failed;
    b->wanted++; // from now on the slot of the batch before this one may be filled again
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    b->waited_seconds += clock_seconds() - start;
    if (failed)
        return error_set(error, "%s", b->error.text);
    *batch = &slot->batch;
    return 1;
}

double batches_waited_seconds(const Batches *b)
{
    return b->waited_seconds;
}
