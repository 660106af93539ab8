// voxloop calibrate: a model learns what its scores mean.
#include <stdio.h>

#include "cache/outputs.h"
#include "front.h"

static int run(const char *model, const char *scores, const char *name, const char *out,
               OperatingPoint *point, Error *error)
{
    if (operating_point_learn(scores, point, error) < 0)
        return -1;
    if (name)
        snprintf(point->trials, sizeof point->trials, "%s", name);
    return operating_point_publish(model, point, out, error);
}

int verb_calibrate(int argc, char **argv)
{
    const char *model = NULL, *scores = NULL, *name = NULL, *out = NULL;
    const Option options[] = {
        option_required(option_input("model", &model, "FILE", "checkpoint of ours")),
        option_required(
            option_input("scores", &scores, "FILE",
                         "scored trials, as voxloop-evaluate writes them (plain cosines of this model)")),
        option_text("name", &name, "TEXT",
                    "what the trials are called from then on; default: the path of --scores"),
        option_required(
            option_output("out", &out, "FILE", "the model with thresholds and calibration in it")),
        {0}};
    Program program = {
        .name = "calibrate",
        .is_verb = true,
        .summary = "Teaches a model what its scores mean.",
        .usage = "--model FILE --scores FILE --out FILE",
        .details =
            "Learns the threshold at the equal error rate and those at false-alarm rates of 0.1, 0.01 and "
            "0.001, and a map from cosines to log-likelihood ratios (logistic regression)."};
    program_begin(&program, options, argc, argv);
    outputs_check(&program, NULL);
    Error error = {0};
    OperatingPoint point;
    if (run(model, scores, name, out, &point, &error) < 0)
        return program_fail(&program, &error);
    for (int i = 0; i < OPERATING_FALSE_ALARMS; i++)
        log_info("false alarms %g: cosine %.4f, misses %.1f %% of one voice", operating_false_alarms[i],
                 point.thresholds[i], 100 * point.misses[i]);
    return program_done(&program, "EER %.2f %% at cosine %.4f over %lld trials, in %s", 100 * point.eer,
                        point.eer_threshold, (long long)(point.n_target + point.n_nontarget), out);
}
