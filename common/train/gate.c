#include "train/gate.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "base/log.h"
#include "base/memory.h"
#include "cache/publish.h"

enum { N_BINS = 50 };
static const float SMALLEST_LOSS = 1e-8f; // a loss of 0 has no logarithm
static const double LEAST_CLEAN = 0.5;    // a gate that fewer pass would starve the training, more each epoch

static void forget(Gate *gate)
{
    for (int64_t i = 0; i < gate->options.n_utts; i++)
        gate->log_losses[i] = NAN;
}

void gate_append_options(GateOptions *o, Option *table)
{
    const Option rows[] = {
        option_heading("Doubtful labels"),
        option_integer("gate-epoch", &o->gate_epoch, 0, 1e6,
                       "from this epoch on, utterances of a large loss are left out; 0: never"),
        option_integer("correct-epoch", &o->correct_epoch, 0, 1e6,
                       "from this epoch on, utterances left out by --gate-epoch get the class that the model "
                       "finds; 0: never"),
        option_real("confidence", &o->confidence, 0, 1,
                    "least confidence of the model in the class that --correct-epoch gives"),
        {0}};
    options_append(table, rows);
}

int gate_check(const GateOptions *options, Error *error)
{
    long long first = options->gate_epoch, correct = options->correct_epoch;
    if (correct == 0 || (first > 0 && first <= correct))
        return 0;
    return error_set(error, "--correct-epoch %lld needs a --gate-epoch from 1 to %lld", correct, correct);
}

void gate_init(Gate *gate, const GateOptions *options)
{
    *gate = (Gate){.options = *options, .threshold = INFINITY};
    if (options->gate_epoch == 0)
        gate->options.n_utts = 0; // nothing is kept
    gate->log_losses = mem_alloc((size_t)options->n_utts, sizeof(float));
    forget(gate);
}

void gate_release(Gate *gate)
{
    mem_free(gate->log_losses);
    *gate = (Gate){0};
}

static int64_t epoch_of(const Gate *gate, int64_t step)
{
    return step / gate->options.steps_per_epoch + 1;
}

// The losses seen in this epoch; the caller frees.
static float *seen_losses(const Gate *gate, int64_t *n)
{
    float *seen = mem_alloc((size_t)gate->options.n_utts, sizeof(float));
    *n = 0;
    for (int64_t i = 0; i < gate->options.n_utts; i++)
        if (!isnan(gate->log_losses[i]))
            seen[(*n)++] = gate->log_losses[i];
    return seen;
}

static void find_threshold(Gate *gate, int64_t epoch)
{
    int64_t n;
    float *seen = seen_losses(gate, &n);
    LossMixture mixture;
    double threshold;
    Error error = {0};
    if (loss_mixture_fit(seen, n, &mixture, &error) != 0 ||
        loss_mixture_crossing(&mixture, &threshold, &error) != 0) {
        log_warn("epoch %lld: %s; the gate stays %s", (long long)epoch, error.text,
                 isinf(gate->threshold) ? "open" : "where it was");
    } else if (mixture.weight[0] < LEAST_CLEAN) {
        gate->threshold = INFINITY;
        log_warn("epoch %lld: only %.0f %% of %lld losses lie below a gate at %.3f: too few labels are "
                 "learnt yet; "
                 "the gate stays open",
                 (long long)epoch, 100 * mixture.weight[0], (long long)n, threshold);
    } else {
        gate->threshold = (float)threshold;
        log_info("epoch %lld: gate at log loss %.3f, %.0f %% of %lld losses lie below", (long long)epoch,
                 threshold, 100 * mixture.weight[0], (long long)n);
    }
    mem_free(seen);
}

void gate_begin_step(Gate *gate, int64_t step)
{
    if (gate->options.gate_epoch == 0 || step % gate->options.steps_per_epoch != 0)
        return;
    int64_t epoch = epoch_of(gate, step);
    if (epoch >= gate->options.gate_epoch && epoch > 1)
        find_threshold(gate, epoch);
    forget(gate);
}

bool gate_corrects(const Gate *gate, int64_t step)
{
    return gate->options.correct_epoch > 0 && epoch_of(gate, step) >= gate->options.correct_epoch &&
           !isinf(gate->threshold);
}

const LossGate *gate_now(const Gate *gate, const float *clean, LossGate *loss_gate)
{
    if (isinf(gate->threshold))
        return NULL;
    *loss_gate = (LossGate){gate->threshold, clean, gate->options.sharpening, gate->options.confidence};
    return loss_gate;
}

void gate_record(Gate *gate, const int64_t *utts, const float *losses, int64_t n)
{
    for (int64_t i = 0; gate->options.gate_epoch > 0 && i < n; i++)
        gate->log_losses[utts[i]] = logf(fmaxf(losses[i], SMALLEST_LOSS));
}

static cJSON *histogram(const float *values, int64_t n)
{
    double low = INFINITY, high = -INFINITY, counts[N_BINS] = {0};
    for (int64_t i = 0; i < n; i++) {
        low = fmin(low, values[i]);
        high = fmax(high, values[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        int bin = high > low ? (int)(N_BINS * (values[i] - low) / (high - low)) : 0;
        counts[bin < N_BINS ? bin : N_BINS - 1]++;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "low", low);
    cJSON_AddNumberToObject(json, "high", high);
    cJSON_AddItemToObject(json, "counts", cJSON_CreateDoubleArray(counts, N_BINS));
    return json;
}

int gate_publish(const Gate *gate, const char *path, Error *error)
{
    int64_t n;
    float *seen = seen_losses(gate, &n);
    LossMixture mixture;
    cJSON *json = cJSON_CreateObject();
    if (!isinf(gate->threshold))
        cJSON_AddNumberToObject(json, "threshold", gate->threshold);
    if (loss_mixture_fit(seen, n, &mixture, NULL) == 0) {
        cJSON_AddItemToObject(json, "weights", cJSON_CreateDoubleArray(mixture.weight, 2));
        cJSON_AddItemToObject(json, "means", cJSON_CreateDoubleArray(mixture.mean, 2));
        cJSON_AddItemToObject(json, "variances", cJSON_CreateDoubleArray(mixture.variance, 2));
        cJSON_AddItemToObject(json, "log_losses", histogram(seen, n));
    }
    char *text = cJSON_Print(json);
    int status = publish_text(path, text, error);
    cJSON_free(text);
    cJSON_Delete(json);
    mem_free(seen);
    return status;
}
