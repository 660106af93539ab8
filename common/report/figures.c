#include "report/figures.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "report/descent.h"
#include "report/svg.h"

enum { FIGURE_WIDTH = 520, FIGURE_HEIGHT = 310, SMALL_WIDTH = 340, SMALL_HEIGHT = 200 }; // pixels

static void missing(FILE *out, const char *sentence)
{
    fprintf(out, "<p class=\"missing\">%s</p>\n", sentence);
}

static void figure_open(FILE *out, const char *caption)
{
    fputs("<figure><figcaption>", out);
    svg_write_text(out, caption);
    fputs("</figcaption>\n", out);
}

static void figure_close(FILE *out, const char *note)
{
    if (note) {
        fputs("<p class=\"note\">", out);
        svg_write_text(out, note);
        fputs("</p>", out);
    }
    fputs("</figure>\n", out);
}

// --- measures per round

typedef struct RoundSeries {
    double *x, *y;      // [n_rounds]
    const char **names; // [n_rounds]
    int64_t n, n_measured;
} RoundSeries;

static RoundSeries series_of(const Work *work, int measure)
{
    size_t n = (size_t)work->n_rounds;
    RoundSeries series = {mem_alloc(n, sizeof(double)), mem_alloc(n, sizeof(double)),
                          mem_alloc(n, sizeof(char *)), work->n_rounds, 0};
    for (int64_t i = 0; i < series.n; i++) {
        series.x[i] = (double)i;
        series.y[i] = work->rounds[i].measures[measure];
        series.names[i] = work->rounds[i].name;
        series.n_measured += isfinite(series.y[i]);
    }
    return series;
}

static void series_release(RoundSeries *series)
{
    mem_free(series->x);
    mem_free(series->y);
    mem_free(series->names);
}

static SvgAxis axis_of_rounds(const RoundSeries *series)
{
    return (SvgAxis){
        .scale = SVG_NAMES, .low = -0.5, .high = (double)series->n - 0.5, .names = series->names};
}

// Points, and lines from each round to those that come from it; rates also need the same trials for that.
static void draw_descent(const SvgPlot *plot, const Work *work, const RoundSeries *series, bool are_rates,
                         const SvgStyle *style)
{
    SvgStyle line = *style;
    line.marker = SVG_NONE;
    for (int64_t i = 0; i < series->n; i++) {
        int64_t from = work->rounds[i].parent;
        if (from < 0 || (are_rates && !descent_same_trials(&work->rounds[i], &work->rounds[from])))
            continue;
        svg_polyline(plot, (double[]){series->x[from], series->x[i]},
                     (double[]){series->y[from], series->y[i]}, 2, &line);
    }
    for (int64_t i = 0; i < series->n && style->marker != SVG_NONE; i++)
        svg_point(plot, series->x[i], series->y[i], style, NULL);
}

static void draw_values(const SvgPlot *plot, const RoundSeries *series, int decimals)
{
    for (int64_t i = 0; i < series->n; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.*f", decimals, series->y[i]);
        svg_label(plot, series->x[i], series->y[i], text);
    }
}

static const char *eer_note(const Work *work)
{
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (work->rounds[i].label_free)
            return "Label-free trials: same session against different sessions, so the channel helps; "
                   "compare "
                   "rounds, not papers.";
    }
    return NULL;
}

void figure_eer(FILE *out, const Work *work)
{
    RoundSeries eer = series_of(work, MEASURE_EER), baseline = series_of(work, MEASURE_BASELINE);
    double most = 0;
    for (int64_t i = 0; i < eer.n; i++)
        most = fmax(most, fmax(eer.y[i], baseline.y[i])); // fmax passes over NAN
    if (eer.n_measured == 0) {
        missing(out, "No round has an eval.json yet, so there is no EER to draw.");
    } else {
        const SvgKey keys[] = {{"model", {svg_colour(0), false, SVG_CIRCLE}},
                               {"statistics baseline (untrained)", {svg_colour(1), true, SVG_NONE}}};
        SvgPlot plot = {.out = out,
                        .title = "EER per round",
                        .width = FIGURE_WIDTH,
                        .height = FIGURE_HEIGHT,
                        .x = axis_of_rounds(&eer),
                        .y = {.label = "EER (%)"}};
        svg_axis_fit(&plot.y, (double[]){0, 1.12 * most}, 2);
        figure_open(out, "Equal error rate per round (lower is better)");
        svg_begin(&plot, keys, baseline.n_measured ? 2 : 1);
        for (int64_t i = 0; i < baseline.n; i++) // a stroke for each round, and lines between
            svg_polyline(&plot, (double[]){baseline.x[i] - 0.2, baseline.x[i] + 0.2},
                         (double[]){baseline.y[i], baseline.y[i]}, 2, &keys[1].style);
        draw_descent(&plot, work, &baseline, true, &keys[1].style);
        draw_descent(&plot, work, &eer, true, &keys[0].style);
        draw_values(&plot, &eer, 2);
        svg_end(&plot);
        figure_close(out, eer_note(work));
    }
    series_release(&eer);
    series_release(&baseline);
}

void figure_quality(FILE *out, const Work *work)
{
    static const struct {
        int measure;
        SvgKey key;
    } LINES[] = {{MEASURE_PURITY, {"purity", {"#0072B2", false, SVG_CIRCLE}}},
                 {MEASURE_NMI, {"NMI with the speakers", {"#009E73", false, SVG_SQUARE}}},
                 {MEASURE_AGREEMENT_NMI, {"NMI with the round before", {"#D55E00", true, SVG_DIAMOND}}}};
    enum { N_LINES = sizeof LINES / sizeof LINES[0] };
    RoundSeries series[N_LINES];
    SvgKey keys[N_LINES];
    int64_t n_keys = 0;
    double least = 1;
    for (int line = 0; line < N_LINES; line++) {
        series[line] = series_of(work, LINES[line].measure);
        if (series[line].n_measured)
            keys[n_keys++] = LINES[line].key;
        for (int64_t i = 0; i < series[line].n; i++)
            least = fmin(least, series[line].y[i]);
    }
    if (n_keys == 0) {
        missing(out, "No clusters.json has purity, NMI or agreement: give TRUTH, or run a second round.");
    } else {
        SvgPlot plot = {.out = out,
                        .title = "Cluster quality per round",
                        .width = FIGURE_WIDTH,
                        .height = FIGURE_HEIGHT,
                        .x = axis_of_rounds(&series[0]),
                        .y = {.label = "share or NMI"}};
        svg_axis_fit(&plot.y, (double[]){least, 1}, 2);
        figure_open(out, "Pseudo-labels per round (1 is perfect)");
        svg_begin(&plot, keys, n_keys);
        for (int line = 0; line < N_LINES; line++) {
            if (series[line].n_measured)
                draw_descent(&plot, work, &series[line], false, &LINES[line].key.style);
        }
        svg_end(&plot);
        figure_close(out, NULL);
    }
    for (int line = 0; line < N_LINES; line++)
        series_release(&series[line]);
}

// --- one curve per round

typedef const Curve *(*CurveOf)(const Round *round);

static const Curve *pretrain_loss_of(const Round *round)
{
    return &round->pretrain_loss;
}

static const Curve *finetune_loss_of(const Round *round)
{
    return &round->finetune_loss;
}

static const Curve *det_of(const Round *round)
{
    return &round->det;
}

static int64_t count_curves(const Work *work, CurveOf curve_of)
{
    int64_t n = 0;
    for (int64_t i = 0; i < work->n_rounds; i++)
        n += curve_of(&work->rounds[i])->n > 0;
    return n;
}

static SvgStyle style_of_round(int64_t index)
{
    return (SvgStyle){svg_colour(index), index >= SVG_COLOURS, SVG_NONE};
}

// The frame, a legend entry per round that has a curve, and the curves. The caller ends the plot.
static void draw_curves(SvgPlot *plot, const Work *work, CurveOf curve_of)
{
    SvgKey *keys = mem_alloc((size_t)work->n_rounds, sizeof *keys);
    int64_t n_keys = 0;
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (curve_of(&work->rounds[i])->n > 0)
            keys[n_keys++] = (SvgKey){work->rounds[i].name, style_of_round(i)};
    }
    svg_begin(plot, keys, n_keys);
    for (int64_t i = 0; i < work->n_rounds; i++) {
        const Curve *curve = curve_of(&work->rounds[i]);
        SvgStyle style = style_of_round(i);
        if (curve->n > 0)
            svg_polyline(plot, curve->x, curve->y, curve->n, &style);
    }
    mem_free(keys);
}

typedef struct Bounds {
    double x_low, x_high, y_low, y_high;
} Bounds;

static Bounds bounds_of(const Work *work, CurveOf curve_of)
{
    Bounds bounds = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (int64_t i = 0; i < work->n_rounds; i++) {
        const Curve *curve = curve_of(&work->rounds[i]);
        for (int64_t j = 0; j < curve->n; j++) {
            if (!isfinite(curve->y[j]))
                continue;
            bounds.x_low = fmin(bounds.x_low, curve->x[j]);
            bounds.x_high = fmax(bounds.x_high, curve->x[j]);
            bounds.y_low = fmin(bounds.y_low, curve->y[j]);
            bounds.y_high = fmax(bounds.y_high, curve->y[j]);
        }
    }
    return bounds;
}

static void figure_loss(FILE *out, const Work *work, CurveOf curve_of, const char *title)
{
    Bounds bounds = bounds_of(work, curve_of);
    SvgPlot plot = {.out = out,
                    .title = title,
                    .width = FIGURE_WIDTH,
                    .height = FIGURE_HEIGHT,
                    .x = {.label = "step"},
                    .y = {.label = "loss"}};
    svg_axis_fit(&plot.x, (double[]){0, bounds.x_high}, 2);
    svg_axis_fit(&plot.y, (double[]){bounds.y_low, bounds.y_high}, 2);
    figure_open(out, title);
    draw_curves(&plot, work, curve_of);
    svg_end(&plot);
    figure_close(out, NULL);
}

void figure_losses(FILE *out, const Work *work)
{
    if (count_curves(work, pretrain_loss_of))
        figure_loss(out, work, pretrain_loss_of, "Pre-training loss");
    if (count_curves(work, finetune_loss_of))
        figure_loss(out, work, finetune_loss_of, "Fine-tuning loss");
    if (!count_curves(work, pretrain_loss_of) && !count_curves(work, finetune_loss_of))
        missing(out, "No training log (pretrain.log, finetune.log) was found, so there are no loss curves.");
}

void figure_det(FILE *out, const Work *work)
{
    if (!count_curves(work, det_of)) {
        missing(out, "No round has a scores.txt with errors of both kinds, so there is no DET curve.");
        return;
    }
    Bounds bounds = bounds_of(work, det_of);
    double low = fmax(0.0005, fmin(bounds.x_low, bounds.y_low)), high = 0.6;
    SvgPlot plot = {.out = out,
                    .title = "Detection error trade-off",
                    .width = 420,
                    .height = 400,
                    .x = {SVG_DEVIATE, low, high, "false alarms (%)", NULL},
                    .y = {SVG_DEVIATE, low, high, "misses (%)", NULL}};
    figure_open(out, "Detection error trade-off (normal-deviate axes)");
    draw_curves(&plot, work, det_of);
    svg_polyline(&plot, (double[]){low, high}, (double[]){low, high}, 2, &(SvgStyle){"#999", true, SVG_NONE});
    svg_end(&plot);
    figure_close(out, "Nearer to the lower left corner is better; on the grey diagonal lies the EER.");
}

// --- cluster sizes

enum { MOST_BINS = 25 };

// Bin i of a histogram counts clusters of i * width + 1 .. (i + 1) * width utterances.
static void count_sizes(const Round *round, int64_t width, double counts[MOST_BINS])
{
    memset(counts, 0, MOST_BINS * sizeof *counts);
    for (int64_t i = 0; i < round->n_clusters; i++)
        counts[(round->sizes[i] - 1) / width]++;
}

static void draw_sizes(FILE *out, const Round *round, int64_t width, int64_t n_bins, double most)
{
    double counts[MOST_BINS];
    count_sizes(round, width, counts);
    SvgPlot plot = {.out = out,
                    .title = "Cluster sizes",
                    .width = SMALL_WIDTH,
                    .height = SMALL_HEIGHT,
                    .x = {SVG_LINEAR, 0, (double)(n_bins * width + 1), "utterances per cluster", NULL},
                    .y = {.label = "clusters"}};
    svg_axis_fit(&plot.y, (double[]){0, most}, 2);
    svg_begin(&plot, NULL, 0);
    for (int64_t i = 0; i < n_bins; i++) {
        char hint[80];
        snprintf(hint, sizeof hint, "%.0f clusters of %lld to %lld utterances", counts[i],
                 (long long)(i * width + 1), (long long)((i + 1) * width));
        if (counts[i] > 0)
            // A size stands in the middle of its bar.
            svg_bar(&plot, (double)(i * width) + 0.5, (double)((i + 1) * width) + 0.5, counts[i],
                    svg_colour(0), hint);
    }
    svg_end(&plot);
}

static void figure_sizes_of_round(FILE *out, const Round *round, int64_t width, int64_t n_bins, double most)
{
    char *caption = mem_printf("%s: %lld clusters, median %lld, largest %lld utterances", round->name,
                               (long long)round->n_clusters, (long long)round->sizes[round->n_clusters / 2],
                               (long long)round->sizes[0]);
    figure_open(out, caption);
    mem_free(caption);
    draw_sizes(out, round, width, n_bins, most);
    figure_close(out, NULL);
}

void figure_sizes(FILE *out, const Work *work)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (work->rounds[i].n_clusters > 0 && work->rounds[i].sizes[0] > largest)
            largest = work->rounds[i].sizes[0];
    }
    if (largest == 0) {
        missing(out, "No round has labels (labels.tar.zst) yet, so there are no cluster sizes.");
        return;
    }
    // The same bins and scales for all rounds, so that the eye can compare.
    int64_t width = (largest + MOST_BINS - 1) / MOST_BINS, n_bins = (largest + width - 1) / width;
    double most = 0;
    for (int64_t i = 0; i < work->n_rounds; i++) {
        double counts[MOST_BINS];
        count_sizes(&work->rounds[i], width, counts);
        for (int64_t bin = 0; bin < n_bins; bin++)
            most = fmax(most, counts[bin]);
    }
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (work->rounds[i].n_clusters > 0)
            figure_sizes_of_round(out, &work->rounds[i], width, n_bins, most);
    }
}

// --- the loss gate

static void draw_gate(FILE *out, const Round *round)
{
    static const SvgStyle line = {.colour = "#444", .dashed = true};
    static const SvgKey key = {"gate: what lies to its right is doubtful",
                               {.colour = "#444", .dashed = true}};
    const Curve *bins = &round->log_losses;
    double low = bins->x[0], high = bins->x[bins->n - 1] + round->log_loss_bin, gate = round->gate;
    SvgPlot plot = {.out = out,
                    .title = "Log losses of the last epoch",
                    .width = FIGURE_WIDTH,
                    .height = SMALL_HEIGHT,
                    .x = {.label = "log loss"},
                    .y = {.label = "utterances"}};
    svg_axis_fit(&plot.x, (double[]){low, high, gate}, 3);
    svg_axis_fit(&plot.y, bins->y, bins->n);
    plot.y.low = 0;
    svg_begin(&plot, &key, isfinite(gate) ? 1 : 0);
    for (int64_t i = 0; i < bins->n; i++) {
        char hint[80];
        snprintf(hint, sizeof hint, "%.0f utterances at about %.2f", bins->y[i],
                 bins->x[i] + round->log_loss_bin / 2);
        if (bins->y[i] > 0)
            svg_bar(&plot, bins->x[i], bins->x[i] + round->log_loss_bin, bins->y[i], svg_colour(0), hint);
    }
    svg_polyline(&plot, (double[]){gate, gate}, (double[]){0, plot.y.high}, 2, &line);
    svg_end(&plot);
}

void figure_gates(FILE *out, const Work *work)
{
    for (int64_t i = 0; i < work->n_rounds; i++) {
        const Round *round = &work->rounds[i];
        if (round->log_losses.n == 0)
            continue;
        char *caption = mem_printf("%s: losses of the last epoch, %s", round->name,
                                   isfinite(round->gate) ? "and the gate" : "no gate found");
        figure_open(out, caption);
        mem_free(caption);
        draw_gate(out, round);
        figure_close(out, NULL);
    }
}
