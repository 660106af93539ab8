// voxloop enrol and voxloop identify: a small file of voices under names, and who of them is heard.
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "front.h"
#include "infer/speakers.h"
#include "score/cosine.h"

typedef struct Settings {
    const char *model, *speakers;
    double threshold;
    Table table;
} Settings;

// --- enrol

// recordings: the operands behind the name.
static int enrol(const Settings *s, const char *name, const char *const *files, int64_t n_files, int64_t *n,
                 Error *error)
{
    Recordings r = {0};
    Speakers speakers = {0};
    Embedder *embedder = front_open_model(s->model, error);
    if (!embedder)
        return -1;
    int64_t dim = embedder_dim(embedder);
    float *rows = NULL;
    int status = speakers_open(s->speakers, embedder_digest(embedder), dim, &speakers, error);
    if (status == 0)
        status = recordings_find(files, n_files, &r, error);
    if (status == 0 && !(rows = recordings_embed(&r, embedder, error)))
        status = -1;
    for (int64_t i = 0; status == 0 && i < r.n; i++)
        speakers_add(&speakers, name, rows + i * dim);
    if (status == 0)
        status = speakers_publish(s->speakers, &speakers, error);
    *n = speakers.n;
    mem_free(rows);
    recordings_release(&r);
    speakers_release(&speakers);
    embedder_close(embedder);
    return status;
}

int verb_enrol(int argc, char **argv)
{
    Settings s = {0};
    const Option options[] = {
        front_model_option(&s.model),
        option_required(option_text("speakers", &s.speakers, "FILE",
                                    "the file of speakers; made where there is none, else added to")),
        {0}};
    Program program = {
        .name = "enrol",
        .is_verb = true,
        .summary = "Puts a voice under a name into a file of speakers.",
        .usage = "--model FILE --speakers FILE NAME RECORDING|FOLDER|-...",
        .details =
            "A name that is there already is known better afterwards: its voice is the mean of all its "
            "recordings.",
        .operands = "NAME RECORDING..."};
    program_begin(&program, options, argc, argv);
    if (program.n_files < 2)
        program_misuse(&program, "a name and at least one recording are needed");
    Error error = {0};
    int64_t n = 0;
    if (enrol(&s, program.files[0], program.files + 1, program.n_files - 1, &n, &error) < 0)
        return program_fail(&program, &error);
    return program_done(&program, "%s, speaker of %lld in %s", program.files[0], (long long)n, s.speakers);
}

// --- identify

typedef struct Nearest {
    const char *name;
    double score,
        second; // cosines of the nearest and of the one behind; second NAN: there is one speaker only
} Nearest;

static Nearest nearest_of(const Speakers *s, const float *row)
{
    Nearest nearest = {NULL, -INFINITY, NAN};
    for (int64_t i = 0; i < s->n; i++) {
        double score = 0;
        for (int64_t d = 0; d < s->dim; d++)
            score += (double)s->means[i * s->dim + d] * row[d];
        if (score > nearest.score) {
            nearest.second = nearest.name ? nearest.score : NAN;
            nearest.score = score;
            nearest.name = s->names[i];
        } else if (!(score <= nearest.second)) {
            nearest.second = score;
        }
    }
    return nearest;
}

static int threshold_of(const Settings *s, const Embedder *embedder, double *threshold, Error *error)
{
    const OperatingPoint *point = embedder_operating_point(embedder);
    *threshold = point ? point->eer_threshold : NAN;
    if (!isnan(s->threshold))
        *threshold = s->threshold;
    return isnan(*threshold) ? error_set(error,
                                         "%s does not say which score is enough; give --threshold, or teach "
                                         "it with `voxloop calibrate`",
                                         s->model)
                             : 0;
}

static void print_all(Settings *s, const Speakers *speakers, const Recordings *r, const float *rows,
                      double threshold, int64_t *n_known)
{
    for (int64_t i = 0; i < r->n; i++) {
        Nearest nearest = nearest_of(speakers, rows + i * speakers->dim);
        bool known = nearest.score >= threshold;
        const Field fields[] = {{"recording", FIELD_TEXT, r->names[i], 0, 0},
                                {"speaker", FIELD_TEXT, known ? nearest.name : "unknown", 0, 0},
                                {"cosine", FIELD_NUMBER, NULL, nearest.score, 5},
                                {"second", FIELD_NUMBER, NULL, nearest.second, 5},
                                {"nearest", FIELD_TEXT, nearest.name, 0, 0}};
        table_row(&s->table, fields, 5);
        *n_known += known;
    }
}

static int identify(const Program *program, Settings *s, int64_t *n_known, Error *error)
{
    Recordings r = {0};
    Speakers speakers = {0};
    double threshold;
    Embedder *embedder = front_open_model(s->model, error);
    if (!embedder)
        return -1;
    float *rows = NULL;
    int status =
        speakers_load(s->speakers, embedder_digest(embedder), embedder_dim(embedder), &speakers, error);
    if (status == 0 && speakers.n == 0)
        status = error_set(error, "%s holds no speakers yet", s->speakers);
    int64_t bad = status == 0 ? rows_normalise(speakers.means, speakers.n, speakers.dim) : -1;
    if (bad >= 0)
        status =
            error_set(error, "%s: the mean of %s is zero; enrol again", s->speakers, speakers.names[bad]);
    if (status == 0 && (status = threshold_of(s, embedder, &threshold, error)) == 0 &&
        (status = recordings_find(program->files, program->n_files, &r, error)) == 0) {
        rows = recordings_embed(&r, embedder, error);
        status = rows ? 0 : -1;
    }
    if (status == 0)
        print_all(s, &speakers, &r, rows, threshold, n_known);
    mem_free(rows);
    recordings_release(&r);
    speakers_release(&speakers);
    embedder_close(embedder);
    return status;
}

int verb_identify(int argc, char **argv)
{
    Settings s = {.threshold = NAN};
    const Option options[] = {
        front_model_option(&s.model),
        option_required(
            option_input("speakers", &s.speakers, "FILE", "what `voxloop enrol` made with the same model")),
        option_real("threshold", &s.threshold, -1, 1,
                    "cosine from which on it is an enrolled voice; default: the model's, at its EER"),
        option_flag("json", &s.table.json, "print JSON objects, one a line, instead of text"),
        option_flag("csv", &s.table.csv, "print CSV with a header instead of text"),
        {0}};
    Program program = {
        .name = "identify",
        .is_verb = true,
        .quiet = true,
        .summary = "Says who of the enrolled speakers is heard, or none of them.",
        .usage = "--model FILE --speakers FILE RECORDING|FOLDER|-...",
        .details =
            "A line for each recording: its name, the speaker or `unknown`, the cosine, that of the second "
            "nearest, and the nearest. Exit status 0 where at least one is known, 3 where none is.",
        .operands = "RECORDING..."};
    program_begin(&program, options, argc, argv);
    if (program.n_files == 0)
        program_misuse(&program, "which recordings? --help says how to name them");
    Error error = {0};
    int64_t n_known = 0;
    if (identify(&program, &s, &n_known, &error) < 0)
        return program_fail(&program, &error);
    return n_known > 0 ? 0 : FRONT_NO;
}
