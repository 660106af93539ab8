// voxloop-evaluate: cosine scores of trials, EER and minDCF, beside those of untrained statistics.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/embeddings.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "cache/publish.h"
#include "report/eval_summary.h"
#include "score/calibration.h"
#include "score/label_free.h"
#include "score/scoring.h"
#include "score/session.h"
#include "score/statistics_baseline.h"
#include "score/trials.h"
#include "train/pair_scorer.h"

typedef struct Settings {
    const char *embeddings, *list, *trials, *scores, *report, *audio, *norm, *pair_head, *session, *domains;
    const char *calibrate, *calibration; // to write, to read
    Scoring scoring;                     // but for the domains; top is of norm as-norm
    bool label_free, domains_by_folder;
    int64_t label_free_pairs;
} Settings;

static int load_trials(const Settings *settings, int64_t seed, const Embeddings *embeddings, Trials *trials,
                       Error *error)
{
    int status = settings->label_free
                     ? label_free_make(
                           &(LabelFree){settings->session, settings->audio, settings->label_free_pairs, seed},
                           embeddings, trials, error)
                     : trials_load(settings->trials, embeddings->utts, embeddings->n, trials, error);
    if (status < 0)
        return -1;
    log_info("trials: %lld target, %lld nontarget; form %s", (long long)trials->n_target,
             (long long)trials->n_nontarget, trials->form);
    if (trials->n == 0)
        log_warn("no session (--session %s) has two utterances, or all are of one: there are no label-free "
                 "trials, and no EER; voxloop-extract --halves makes two of each recording",
                 settings->session);
    return 0;
}

// --- the pair head

// To mean 0 and standard deviation 1 over the trials, which takes no labels.
static void standardise(double *scores, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t t = 0; t < n; t++)
        sum += scores[t];
    for (int64_t t = 0; t < n; t++)
        squares += (scores[t] - sum / (double)n) * (scores[t] - sum / (double)n);
    double deviation = sqrt(squares / (double)n);
    for (int64_t t = 0; t < n; t++)
        scores[t] = (scores[t] - sum / (double)n) / (deviation > 0 ? deviation : 1);
}

static int measure_scores(const Trials *trials, const double *scores, double *eer, double *min_dcf_p01,
                          Error *error)
{
    DetCurve curve;
    if (trials_det_curve(trials, scores, &curve, error) < 0)
        return -1;
    *eer = det_eer(&curve, NULL);
    *min_dcf_p01 = det_min_dcf(&curve, 0.01);
    det_curve_release(&curve);
    return 0;
}

// The head alone, and the mean of its standardised scores and those that are there.
static int measure_pair_head(const char *model, const Embeddings *embeddings, const Trials *trials,
                             const double *scores, EvalSummary *result, Error *error)
{
    size_t n = (size_t)trials->n;
    double *fused = mem_alloc(2 * n, sizeof(double)), *others = fused + n;
    int status = pair_head_score(model, embeddings->matrix, embeddings->dim, trials, fused, error);
    if (status == 0)
        status = measure_scores(trials, fused, &result->pair_eer, &result->pair_min_dcf_p01, error);
    memcpy(others, scores, n * sizeof(double));
    standardise(fused, trials->n);
    standardise(others, trials->n);
    for (size_t t = 0; t < n; t++)
        fused[t] = (fused[t] + others[t]) / 2;
    if (status == 0)
        status = measure_scores(trials, fused, &result->fused_eer, &result->fused_min_dcf_p01, error);
    mem_free(fused);
    return status;
}

// --- calibration

// Turns scores into log-likelihood ratios, where the user asked for them.
static int calibrate(const Settings *s, const Trials *trials, double *scores, Error *error)
{
    Calibration calibration;
    if (s->calibration && calibration_load(s->calibration, &calibration, error) < 0)
        return -1;
    if (s->calibrate) {
        bool separable, *targets = trials_targets(trials);
        int status = calibration_fit(scores, targets, trials->n, &calibration, &separable, error);
        mem_free(targets);
        if (status < 0 || calibration_publish(s->calibrate, &calibration, error) < 0)
            return -1;
        if (separable)
            log_warn("no trial is on the wrong side: %s says too much of what it is sure of", s->calibrate);
    }
    if (s->calibration || s->calibrate)
        calibration_apply(&calibration, scores, trials->n);
    return 0;
}

static void measure_calibrated(const Trials *trials, const double *llrs, EvalSummary *result)
{
    bool *targets = trials_targets(trials);
    result->calibrated = true;
    result->cllr = cllr(llrs, targets, trials->n);
    result->cllr_min = cllr_min(&result->curve);
    result->actual_dcf_p01 = actual_dcf(llrs, targets, trials->n, 0.01);
    result->actual_dcf_p05 = actual_dcf(llrs, targets, trials->n, 0.05);
    mem_free(targets);
}

// --- outputs

static int publish_scores(const char *path, const Embeddings *embeddings, const Trials *trials,
                          const double *scores, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    for (int64_t t = 0; t < trials->n; t++) {
        const Trial *trial = &trials->trials[t];
        fprintf(publish_stream(file), "%s %s %.6f %s\n", embeddings->utts[trial->enroll],
                embeddings->utts[trial->test], scores[t], trial->target ? "target" : "nontarget");
    }
    return publish_commit(file, error);
}

typedef struct Evaluation {
    Embeddings embeddings;
    Trials trials;
    Domains domains;
    double *scores; // [trials.n]
    EvalSummary result;
} Evaluation;

static int measure_baseline(const char *audio, const Embeddings *embeddings, const Trials *trials,
                            double *eer, Error *error)
{
    double *scores = mem_alloc((size_t)trials->n, sizeof(double)), unused;
    int status = statistics_baseline_score(audio, embeddings->utts, embeddings->n, trials, scores, error);
    if (status == 0)
        status = measure_scores(trials, scores, eer, &unused, error);
    mem_free(scores);
    return status;
}

// The trials inside domain d alone.
static int measure_domain(const Domains *domains, int64_t d, const Trials *trials, const double *scores,
                          DomainEer *result, Error *error)
{
    double *inside = mem_alloc((size_t)trials->n, sizeof(double)), unused;
    Trials part = {.trials = mem_alloc((size_t)trials->n, sizeof(Trial))};
    for (int64_t t = 0; t < trials->n; t++) {
        const Trial *trial = &trials->trials[t];
        if (domains->of[trial->enroll] != d || domains->of[trial->test] != d)
            continue;
        inside[part.n] = scores[t];
        part.trials[part.n++] = *trial;
        *(trial->target ? &part.n_target : &part.n_nontarget) += 1;
    }
    *result = (DomainEer){domains->names[d], part.n_target, part.n_nontarget, NAN};
    int status = 0;
    if (part.n_target > 0 && part.n_nontarget > 0)
        status = measure_scores(&part, inside, &result->eer, &unused, error);
    mem_free(part.trials);
    mem_free(inside);
    return status;
}

static int measure_domains(const Domains *domains, const Trials *trials, const double *scores,
                           EvalSummary *result, Error *error)
{
    result->domains = mem_alloc((size_t)domains->n, sizeof *result->domains);
    int status = 0;
    for (int64_t d = 0; status == 0 && d < domains->n; d++, result->n_domains++)
        status = measure_domain(domains, d, trials, scores, &result->domains[d], error);
    return status;
}

static bool has_domains(const Settings *s)
{
    return s->domains || s->domains_by_folder;
}

static int evaluate(const Settings *settings, int64_t seed, const Domains *domains, Embeddings *embeddings,
                    const Trials *trials, double *scores, EvalSummary *result, Error *error)
{
    if (trials->n == 0)
        return 0;
    Scoring scoring = settings->scoring;
    scoring.domains = has_domains(settings) ? domains : NULL;
    if (strcmp(settings->norm, "as-norm") != 0)
        scoring.top = 0;
    bool normalised;
    if (score_trials(&scoring, settings->embeddings, embeddings, trials, scores, &normalised, error) < 0 ||
        calibrate(settings, trials, scores, error) < 0 ||
        trials_det_curve(trials, scores, &result->curve, error) < 0)
        return -1;
    result->measured = true;
    result->norm = normalised ? settings->norm : "none";
    result->eer = det_eer(&result->curve, &result->eer_threshold);
    result->interval = eer_interval(trials, scores, embeddings->n, seed);
    result->min_dcf_p01 = det_min_dcf(&result->curve, 0.01);
    result->min_dcf_p05 = det_min_dcf(&result->curve, 0.05);
    if (settings->calibrate || settings->calibration)
        measure_calibrated(trials, scores, result);
    if (has_domains(settings) && measure_domains(domains, trials, scores, result, error) < 0)
        return -1;
    if (settings->pair_head &&
        measure_pair_head(settings->pair_head, embeddings, trials, scores, result, error) < 0)
        return -1;
    if (!settings->audio)
        return 0;
    return measure_baseline(settings->audio, embeddings, trials, &result->baseline_eer, error);
}

static int run(const Program *program, const Settings *s, Evaluation *e, Error *error)
{
    if (embeddings_load(s->embeddings, s->list, &e->embeddings, error) < 0 ||
        load_trials(s, program->seed, &e->embeddings, &e->trials, error) < 0 ||
        (has_domains(s) &&
         domains_load(s->domains, e->embeddings.utts, e->embeddings.n, &e->domains, error) < 0))
        return -1;
    e->result.n_target = e->trials.n_target;
    e->result.n_nontarget = e->trials.n_nontarget;
    e->result.trial_form = e->trials.form;
    e->scores = mem_alloc((size_t)e->trials.n + 1, sizeof(double));
    if (evaluate(s, program->seed, &e->domains, &e->embeddings, &e->trials, e->scores, &e->result, error) <
            0 ||
        publish_scores(s->scores, &e->embeddings, &e->trials, e->scores, error) < 0 ||
        eval_summary_publish(s->report, &e->result, error) < 0 ||
        provenance_publish(program, s->scores, error) < 0)
        return -1;
    eval_summary_print(s->scores, &e->result);
    return 0;
}

static void release(Evaluation *e)
{
    det_curve_release(&e->result.curve);
    mem_free(e->result.domains);
    domains_release(&e->domains);
    mem_free(e->scores);
    trials_release(&e->trials);
    embeddings_release(&e->embeddings);
}

static void check_settings(const Program *program, const Settings *s)
{
    const Scoring *scoring = &s->scoring;
    if (s->domains && s->domains_by_folder)
        program_misuse(program, "--domains and --domains-by-folder exclude each other");
    if (has_domains(s) && (scoring->center || scoring->cohort || scoring->crops || s->pair_head))
        program_misuse(program, "--domains goes without --center, --norm, --crop-embeddings and --pair-head");
    if (!s->trials == !s->label_free)
        program_misuse(program, "give either --trials FILE or --label-free");
    if (scoring->crops && (scoring->center || scoring->cohort))
        program_misuse(program, "--crop-embeddings goes without --center and --norm");
    if (s->pair_head && scoring->center)
        program_misuse(program, "--pair-head goes without --center");
    if (s->calibrate && s->calibration)
        program_misuse(program, "--calibrate and --calibration exclude each other");
    bool normalises = strcmp(s->norm, "none") != 0;
    if (normalises == !scoring->cohort)
        program_misuse(program, "--norm s-norm or as-norm and --cohort FILE belong together");
    if (scoring->cohort_labels && !scoring->cohort)
        program_misuse(program, "--cohort-labels FILE names the speakers of --cohort FILE, which is missing");
    if (s->list && !embeddings_take_list(s->embeddings))
        program_misuse(program, "--list names the rows of a .npy, and %s is none", s->embeddings);
    Error error = {0};
    SessionRule *rule = session_rule_create(s->session, &error);
    if (!rule)
        program_misuse(program, "--session: %s", error.text);
    session_rule_destroy(rule);
}

static int evaluate_settings(const Program *program, const Settings *s)
{
    Error error = {0};
    Evaluation e = {.result = {.baseline_eer = NAN,
                               .norm = s->norm,
                               .label_free = s->label_free,
                               .session = s->label_free ? s->session : NULL,
                               .calibrated_here = s->calibrate != NULL,
                               .has_pair_head = s->pair_head != NULL}};
    int status = run(program, s, &e, &error);
    int64_t n_trials = e.trials.n;
    release(&e);
    if (status < 0)
        return program_fail(program, &error);
    return program_done(program, "%lld trials", (long long)n_trials);
}

int main(int argc, char **argv)
{
    Settings s = {.label_free_pairs = 20000, .session = "file", .norm = "none", .scoring = {.top = 300}};
    const Option options[] = {
        option_required(
            option_input("embeddings", &s.embeddings, "FILE", "embeddings: shard, .npy, Kaldi .ark or .scp")),
        option_input("list", &s.list, "FILE", "utterances of x.npy (default: x.utts.txt beside it)"),
        option_input("trials", &s.trials, "FILE",
                     "trials: `1|0 enroll test` or `enroll test target|nontarget`"),
        option_flag("label-free", &s.label_free,
                    "no trials: pairs of the same recording session against pairs of different ones"),
        option_text(
            "session", &s.session, "RULE",
            "a session of --label-free: file (pairs are its halves), folder, or a POSIX extended regular "
            "expression whose first group finds its name in the id, as ^([^/]+)/"),
        option_integer("label-free-pairs", &s.label_free_pairs, 1, 1e8,
                       "pairs of --label-free, of the same session and of different ones each, at most"),
        option_flag("center", &s.scoring.center,
                    "subtract the mean embedding first (of the cohort, where there is one)"),
        option_input("domains", &s.domains, "FILE",
                     "list `utt domain`: subtract each domain's mean embedding instead, and measure each "
                     "alone, too"),
        option_flag("domains-by-folder", &s.domains_by_folder,
                    "subtract the mean embedding of each domain, which is the first folder of a name"),
        option_choice("norm", &s.norm, "none|s-norm|as-norm", "how scores are normalised by --cohort"),
        option_input("cohort", &s.scoring.cohort, "FILE", "embeddings of other utterances, for --norm"),
        option_input("cohort-labels", &s.scoring.cohort_labels, "FILE",
                     "pseudo-speakers of the utterances of --cohort, which is then the mean of each one's"),
        option_integer("top", &s.scoring.top, 2, 1e9, "nearest of the cohort, which count in --norm as-norm"),
        option_input(
            "crop-embeddings", &s.scoring.crops, "FILE",
            "embeddings of voxloop-extract --crops: scores are averaged with the crops' mean cosine"),
        option_input("pair-head", &s.pair_head, "MODEL",
                     "also score with the pair head of a model (voxloop-finetune --objectives aam,pair)"),
        option_output("calibrate", &s.calibrate, "FILE",
                      "learn from these trials what makes scores log-likelihood ratios, and write it"),
        option_input("calibration", &s.calibration, "FILE",
                     "scores become log-likelihood ratios by what --calibrate wrote for other trials"),
        option_input("audio", &s.audio, "DIR",
                     "prepared audio: also measure untrained statistics on the same trials; label-free ones "
                     "match in length"),
        option_required(option_output("scores", &s.scores, "FILE", "score file: enroll test score label")),
        option_required(option_output("report", &s.report, "FILE", "measures as JSON (eval.json)")),
        {0}};
    Program program = {
        .name = "evaluate",
        .summary = "Scores trials with cosine and measures EER and minDCF.",
        .usage = "[options] --embeddings FILE (--trials FILE | --label-free) --scores FILE --report FILE",
        .details = "EER is interpolated on the ROC as wespeaker does; minDCF is divided by min(p, 1-p)."};
    program_begin(&program, options, argc, argv);
    check_settings(&program, &s);
    if (up_to_date(&program, s.scores))
        return 0;
    outputs_check(&program, NULL);
    return evaluate_settings(&program, &s);
}
