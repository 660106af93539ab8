#include "train/pair_scorer.h"

#include <string.h>

#include "models/pair_head.h"
#include "objectives/kinds.h"
#include "train/checkpoint.h"

enum { BLOCK = 1024 }; // trials at a time

static int check_head(const char *model, int64_t dim, Error *error)
{
    SafeReader *reader = safe_open(model, error);
    if (!reader)
        return -1;
    const SafeTensor *enrol = safe_find(reader, PAIR_HEAD_PREFIX "enrol.weight");
    bool fits = enrol && enrol->n_dims == 2 && enrol->dim[1] == dim;
    safe_close(reader);
    return fits ? 0
                : error_set(error,
                            "%s has no pair head for embeddings of %lld dimensions; train one with "
                            "voxloop-finetune --objectives aam,pair",
                            model, (long long)dim);
}

static int load_head(const char *model, int64_t dim, Parameters *parameters, PairHead *head, Error *error)
{
    WarmStart found;
    *head = pair_head_declare(scope_of(parameters, PAIR_HEAD_PREFIX), dim);
    if (check_head(model, dim, error) < 0 || parameters_allocate(parameters, 0, false, error) < 0 ||
        model_warm_start(model, parameters, NULL, &found, error) < 0)
        return -1;
    if (found.n_missing > 0)
        return error_set(error, "%s: the pair head lacks %s", model, found.missing);
    return 0;
}

// Rows of the trials' first or second utterances [n, dim].
static Tensor *take(Tape *tape, const float *rows, int64_t dim, const Trial *trials, int64_t n, bool second)
{
    Tensor *x = tape_tensor(tape, 2, (int64_t[]){n, dim});
    for (int64_t t = 0; t < n; t++) {
        int64_t row = second ? trials[t].test : trials[t].enroll;
        memcpy(x->data + t * dim, rows + row * dim, (size_t)dim * sizeof(float));
    }
    return x;
}

int pair_head_score(const char *model, const float *rows, int64_t dim, const Trials *trials, double *scores,
                    Error *error)
{
    Parameters parameters;
    PairHead head;
    parameters_init(&parameters);
    int status = load_head(model, dim, &parameters, &head, error);
    Tape *tape = tape_create();
    for (int64_t start = 0; status == 0 && start < trials->n; start += BLOCK) {
        int64_t n = trials->n - start < BLOCK ? trials->n - start : BLOCK;
        tape_begin(tape, TAPE_NO_GRAD);
        Tensor *enrol = take(tape, rows, dim, trials->trials + start, n, false);
        Tensor *test = take(tape, rows, dim, trials->trials + start, n, true);
        const float *one = pair_head_forward(&head, tape, enrol, test)->data;
        const float *other = pair_head_forward(&head, tape, test, enrol)->data;
        for (int64_t t = 0; t < n; t++)
            scores[start + t] = 0.5 * ((double)one[2 * t + 1] - one[2 * t] + other[2 * t + 1] - other[2 * t]);
    }
    tape_destroy(tape);
    parameters_release(&parameters);
    return status;
}
