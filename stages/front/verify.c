// voxloop compare and voxloop verify: two recordings, one voice?
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "front.h"

typedef struct Settings {
    const char *model;
    double threshold, false_alarm;
    Table table;
} Settings;

typedef struct Comparison {
    double score, llr, threshold; // llr and threshold NAN: the model does not say
    OperatingPoint point;
    bool has_point;
} Comparison;

static int measure(const Program *program, const Settings *s, Comparison *c, Error *error)
{
    Recordings r = {0};
    Embedder *embedder = front_open_model(s->model, error);
    if (!embedder)
        return -1;
    int64_t dim = embedder_dim(embedder);
    float *rows = NULL;
    int status = recordings_find(program->files, program->n_files, &r, error);
    if (status == 0 && r.n != 2)
        status = error_set(error, "two recordings are compared, and %lld are named", (long long)r.n);
    if (status == 0 && !(rows = recordings_embed(&r, embedder, error)))
        status = -1;
    const OperatingPoint *point = embedder_operating_point(embedder);
    *c = (Comparison){.llr = NAN, .threshold = NAN, .has_point = point != NULL};
    for (int64_t d = 0; status == 0 && d < dim; d++)
        c->score += (double)rows[d] * rows[dim + d];
    if (point) {
        c->point = *point;
        c->threshold = point->eer_threshold;
        c->llr = point->calibration.scale * c->score + point->calibration.offset;
    }
    mem_free(rows);
    recordings_release(&r);
    embedder_close(embedder);
    return status;
}

static int choose_threshold(const Settings *s, Comparison *c, Error *error)
{
    if (!isnan(s->threshold)) {
        c->threshold = s->threshold;
        return 0;
    }
    if (!c->has_point)
        return error_set(
            error,
            "%s does not say which score is enough; give --threshold, or teach it with `voxloop calibrate`",
            s->model);
    return isnan(s->false_alarm) ? 0 : operating_point_at(&c->point, s->false_alarm, &c->threshold, error);
}

static void describe(const Program *program, const Comparison *c)
{
    if (c->has_point)
        log_info("%s: the model's threshold and likelihood ratio are from %s (%lld target, %lld nontarget "
                 "trials, EER %.2f %%)",
                 program->name, c->point.trials, (long long)c->point.n_target,
                 (long long)c->point.n_nontarget, 100 * c->point.eer);
}

static void begin(Program *program, const Option *options, int argc, char **argv, const Table *table)
{
    program->is_verb = program->quiet = true;
    program->operands = "RECORDING RECORDING";
    program_begin(program, options, argc, argv);
    if (program->n_files != 2)
        program_misuse(program, "two recordings are compared, and %lld are named",
                       (long long)program->n_files);
    if (table->json && table->csv)
        program_misuse(program, "--json and --csv exclude each other");
}

int verb_compare(int argc, char **argv)
{
    Settings s = {0};
    const Option options[] = {front_model_option(&s.model),
                              option_flag("json", &s.table.json, "print a JSON object instead of text"),
                              option_flag("csv", &s.table.csv, "print CSV with a header instead of text"),
                              {0}};
    Program program = {
        .name = "compare",
        .summary = "Says how alike the voices of two recordings are.",
        .usage = "--model FILE RECORDING RECORDING",
        .details =
            "Prints the cosine of the embeddings, -1 to 1, and the natural logarithm of the likelihood "
            "ratio (one voice : two voices) where the model was calibrated, else `-`."};
    begin(&program, options, argc, argv, &s.table);
    Error error = {0};
    Comparison c;
    if (measure(&program, &s, &c, &error) < 0)
        return program_fail(&program, &error);
    describe(&program, &c);
    const Field fields[] = {{"first", FIELD_TEXT, program.files[0], 0, 0},
                            {"second", FIELD_TEXT, program.files[1], 0, 0},
                            {"cosine", FIELD_NUMBER, NULL, c.score, 5},
                            {"log_likelihood_ratio", FIELD_NUMBER, NULL, c.llr, 3}};
    table_row(&s.table, fields, 4);
    return 0;
}

int verb_verify(int argc, char **argv)
{
    Settings s = {.threshold = NAN, .false_alarm = NAN};
    const Option options[] = {
        front_model_option(&s.model),
        option_real("threshold", &s.threshold, -1, 1,
                    "cosine from which on it is one voice; default: the model's, at its EER"),
        option_real("false-alarm", &s.false_alarm, 0, 1,
                    "take the model's threshold for this share of false alarms instead: 0.1, 0.01 or 0.001"),
        option_flag("json", &s.table.json, "print a JSON object instead of text"),
        option_flag("csv", &s.table.csv, "print CSV with a header instead of text"),
        {0}};
    Program program = {
        .name = "verify",
        .summary = "Decides whether two recordings are of one voice.",
        .usage = "--model FILE [--threshold COSINE | --false-alarm SHARE] RECORDING RECORDING",
        .details =
            "Prints accept or reject with cosine and threshold; exit status 0 accept, 3 reject, 1 failed, "
            "2 misuse."};
    begin(&program, options, argc, argv, &s.table);
    if (!isnan(s.threshold) && !isnan(s.false_alarm))
        program_misuse(&program, "--threshold and --false-alarm exclude each other");
    Error error = {0};
    Comparison c;
    if (measure(&program, &s, &c, &error) < 0 || choose_threshold(&s, &c, &error) < 0)
        return program_fail(&program, &error);
    describe(&program, &c);
    bool accepted = c.score >= c.threshold;
    const Field fields[] = {{"decision", FIELD_TEXT, accepted ? "accept" : "reject", 0, 0},
                            {"cosine", FIELD_NUMBER, NULL, c.score, 5},
                            {"threshold", FIELD_NUMBER, NULL, c.threshold, 5},
                            {"log_likelihood_ratio", FIELD_NUMBER, NULL, c.llr, 3}};
    table_row(&s.table, fields, 4);
    return accepted ? 0 : FRONT_NO;
}
