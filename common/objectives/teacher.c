// A teacher's embeddings to come near to (Rong et al. 2023, whose teacher are i-vectors): squared distance
// between the teacher's vector and the student's, both of length 1; the student's passes a linear map without
// bias, "classifier.teacher.weight", where the sizes differ. Lengths of 1 keep the term's size the same for
// any teacher.
#include "base/memory.h"
#include "losses/plain.h"
#include "losses/unit_rows.h"
#include "nn/layers.h"
#include "objectives/kinds.h"

typedef struct Teacher {
    Objective base;
    Affine map; // weight NULL: the sizes are the same
    int64_t dim;
} Teacher;

static Objective *teacher_create(const ObjectiveOptions *options, const Scope *scope, Error *error)
{
    (void)error;
    Teacher *teacher = mem_zero(1, sizeof *teacher);
    teacher->dim = options->teacher_dim;
    if (teacher->dim != options->embedding_dim)
        teacher->map = affine_declare(scope_enter(scope, "teacher"), 2,
                                      (int64_t[]){teacher->dim, options->embedding_dim}, false);
    return &teacher->base;
}

static Tensor *teacher_loss(Objective *objective, Tape *tape, const ObjectiveBatch *batch,
                            ObjectiveReport *report)
{
    (void)report;
    const Teacher *teacher = (const Teacher *)objective;
    Tensor *x = batch->embeddings;
    if (teacher->map.weight)
        x = affine_linear(tape, x, &teacher->map);
    float *target = tape_scratch(tape, (size_t)tensor_size(x) * sizeof(float));
    float *norm = tape_scratch(tape, (size_t)x->dim[0] * sizeof(float));
    unit_rows(batch->teacher, x->dim[0], teacher->dim, target, norm);
    return squared_distance_loss(tape, op_l2_normalize(tape, x, 1e-12f), target);
}

const ObjectiveKind teacher_objective = {
    .name = "teacher", .uses_teacher = true, .create = teacher_create, .loss = teacher_loss};
