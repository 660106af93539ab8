#include "report/page.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/svg.h"
#include "report/figures.h"

static const char *const STYLE =
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1140px;margin:2em auto;"
    "padding:0 1em}\n"
    "h1{font-size:1.6em;margin-bottom:0}h2{font-size:1.15em;margin:2em 0 .6em;border-bottom:1px solid #ddd}\n"
    ".sub,.note,.missing{color:#666}.note{font-size:.85em;margin:.2em 0}.missing{font-style:italic}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.87em;font-variant-numeric:tabular-"
    "nums}"
    "\n"
    "th,td{padding:.3em "
    ".5em;text-align:right}td,th.text{white-space:nowrap}th{font-weight:600;vertical-align:bottom}\n"
    ".groups th{text-align:center;color:#666;font-weight:400;border-bottom:1px solid #ddd}\n"
    "tbody tr{border-top:1px solid #eee}th:first-child,.text{text-align:left}\n"
    "td.command{white-space:normal;overflow-wrap:anywhere;font:.85em/1.4 ui-monospace,monospace}\n"
    ".figures{display:flex;flex-wrap:wrap;gap:1.2em 2em}.figures .missing{width:100%}\n"
    "figure{margin:0}figcaption{font-weight:600;font-size:.92em;margin-bottom:.3em}\n"
    "svg{max-width:100%;height:auto}\n";

// A second wall behind the escaping of every text: no scripts, no images, nothing from anywhere.
static const char *const POLICY =
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'\">";

enum { MOST_CURVES = 12 }; // rounds, in one figure

// --- the table of rounds

static bool measured_anywhere(const Work *work, int measure)
{
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (isfinite(work->rounds[i].measures[measure]))
            return true;
    }
    return false;
}

static void write_group_headings(FILE *out, const Work *work)
{
    fputs("<tr class=\"groups\"><th></th><th></th>", out);
    for (int i = 0; i < MEASURES_COUNT;) {
        int first = i, n_columns = 0;
        for (; i < MEASURES_COUNT && strcmp(MEASURES[i].group, MEASURES[first].group) == 0; i++)
            n_columns += measured_anywhere(work, i);
        if (n_columns > 0)
            fprintf(out, "<th colspan=\"%d\">%s</th>", n_columns, MEASURES[first].group);
    }
    fputs("<th></th></tr>\n", out);
}

static void write_headings(FILE *out, const Work *work)
{
    fputs(
        "<tr><th>round</th><th class=\"text\" title=\"The round whose labels or model it was trained from.\">"
        "from</th>",
        out);
    for (int i = 0; i < MEASURES_COUNT; i++) {
        if (measured_anywhere(work, i))
            fprintf(out, "<th title=\"%s\">%s</th>", MEASURES[i].meaning, MEASURES[i].heading);
    }
    fputs("<th class=\"text\">trials are</th></tr>\n", out);
}

// "given", or "label-free, session: file".
static void write_trials_cell(FILE *out, const Round *round)
{
    fputs("<td class=\"text\">", out);
    if (!isnan(round->measures[MEASURE_EER]))
        fputs(round->label_free ? "label-free" : "given", out);
    if (!isnan(round->measures[MEASURE_EER]) && round->session) {
        fputs(", session: ", out);
        svg_write_text(out, round->session);
    }
    fputs("</td>", out);
}

static void write_round(FILE *out, const Work *work, const Round *round)
{
    fputs("<tr><th>", out);
    svg_write_text(out, round->name);
    fputs("</th><td class=\"text\">", out);
    svg_write_text(out, round->parent >= 0 ? work->rounds[round->parent].name : "");
    fputs("</td>", out);
    for (int j = 0; j < MEASURES_COUNT; j++) {
        char text[32];
        if (measured_anywhere(work, j))
            fprintf(out, "<td>%s</td>", measure_text(j, round->measures[j], text));
    }
    write_trials_cell(out, round);
    fputs("</tr>\n", out);
}

static void write_family(FILE *out, const Work *work, int64_t family)
{
    fputs("<div class=\"scroll\"><table><thead>", out);
    write_group_headings(out, work);
    write_headings(out, work);
    fputs("</thead><tbody>\n", out);
    for (int64_t i = 0; i < work->n_rounds; i++)
        if (work->rounds[i].family == family)
            write_round(out, work, &work->rounds[i]);
    fputs("</tbody></table></div>\n", out);
}

static bool is_first_of_family(const Work *work, int64_t index)
{
    for (int64_t i = 0; i < index; i++)
        if (work->rounds[i].family == work->rounds[index].family)
            return false;
    return true;
}

// A table for the rounds that come from each other; where not all do, one for each such family, and why.
static void write_rounds_tables(FILE *out, const Work *work)
{
    int64_t n_families = 0;
    for (int64_t i = 0; i < work->n_rounds; i++)
        n_families += is_first_of_family(work, i);
    if (n_families > 1)
        fputs("<p class=\"sub\">Not all rounds come from each other: those that do share a table and a "
              "line.</p>\n",
              out);
    for (int64_t i = 0; i < work->n_rounds; i++)
        if (is_first_of_family(work, i))
            write_family(out, work, work->rounds[i].family);
    for (int64_t i = 0; i < work->n_rounds; i++) {
        if (!work->rounds[i].remark)
            continue;
        fputs("<p class=\"note\">", out);
        svg_write_text(out, work->rounds[i].name);
        fputs(": ", out);
        svg_write_text(out, work->rounds[i].remark);
        fputs(".</p>\n", out);
    }
}

static void write_table_notes(FILE *out, const Work *work)
{
    if (!measured_anywhere(work, MEASURE_PURITY))
        fputs("<p class=\"missing\">Purity, NMI, ARI, V and pair F1 need true speakers (TRUTH); none were "
              "given.</p>\n",
              out);
    if (!measured_anywhere(work, MEASURE_EER))
        fputs("<p class=\"missing\">No round has been evaluated on trials.</p>\n", out);
}

// --- provenance

static void write_origin(FILE *out, const Origin *origin)
{
    char bytes[32];
    fputs("<tr><td class=\"text\">", out);
    svg_write_text(out, origin->artefact);
    fputs("</td><td>", out);
    if (isfinite(origin->seconds))
        fprintf(out, "%.1f", origin->seconds);
    fputs("</td><td>", out);
    if (isfinite(origin->cpu_seconds))
        fprintf(out, "%.1f", origin->cpu_seconds);
    fprintf(out, "</td><td>%s</td><td class=\"text command\">",
            isfinite(origin->peak_bytes) ? log_bytes(bytes, origin->peak_bytes) : "");
    svg_write_text(out, origin->command);
    fputs("</td></tr>\n", out);
}

static void write_origins(FILE *out, const Work *work)
{
    if (work->n_origins == 0) {
        fputs("<p class=\"missing\">No artefact has its provenance file beside it.</p>\n", out);
        return;
    }
    fputs("<div class=\"scroll\"><table><thead><tr><th class=\"text\">artefact</th><th>seconds</th><th>CPU "
          "seconds</th>"
          "<th>peak memory</th><th class=\"text\">command</th></tr></thead><tbody>\n",
          out);
    for (int64_t i = 0; i < work->n_origins; i++)
        write_origin(out, &work->origins[i]);
    fputs("</tbody></table></div>\n", out);
}

// --- the page

static void write_section(FILE *out, const char *heading)
{
    fprintf(out, "<h2>%s</h2>\n<div class=\"figures\">\n", heading);
}

static int write_figures(FILE *out, const Work *work, const LabelList *truth, Error *error)
{
    write_section(out, "How good each round is");
    figure_eer(out, work);
    figure_quality(out, work);
    figure_det(out, work);
    fputs("</div>\n", out);
    write_section(out, "Training");
    figure_losses(out, work);
    figure_gates(out, work);
    fputs("</div>\n", out);
    write_section(out, "Cluster sizes");
    figure_sizes(out, work);
    fputs("</div>\n", out);
    write_section(out, "Embeddings of the last round");
    int status = figure_embeddings(out, work, truth, error);
    fputs("</div>\n", out);
    return status;
}

int page_write(FILE *out, const Work *work, const LabelList *truth, Error *error)
{
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n%s\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>voxloop report</title>\n"
            "<style>\n%s</style></head><body>\n<h1>voxloop report</h1>\n<p class=\"sub\">",
            POLICY, STYLE);
    svg_write_text(out, work->folder);
    fprintf(out, ", %lld round%s, voxloop %s</p>\n<h2>Rounds</h2>\n", (long long)work->n_rounds,
            work->n_rounds == 1 ? "" : "s", VOXLOOP_VERSION);
    write_rounds_tables(out, work);
    write_table_notes(out, work);
    int status = 0;
    if (work->n_rounds <= MOST_CURVES)
        status = write_figures(out, work, truth, error);
    else
        fputs("<p class=\"sub\">More rounds than curves could be told apart: the table has them all.</p>\n",
              out);
    fputs("<h2>How it came to be</h2>\n", out);
    write_origins(out, work);
    fputs("</body></html>\n", out);
    return status;
}

// --- the line

// Writes `separator`, then the value in the given format, when the measure is there.
static void write_part(FILE *out, const Round *round, const char **separator, int measure, const char *format)
{
    char text[48];
    double value = round->measures[measure];
    if (!isfinite(value))
        return;
    snprintf(text, sizeof text, format, value);
    fprintf(out, "%s%s", *separator, text);
    *separator = ", ";
}

// A round's name for a terminal or a Markdown table.
static void write_name(FILE *out, const char *name)
{
    char *visible = text_visible(name);
    for (const char *c = visible; *c; c++)
        fputs(*c == '|' ? "\\|" : (char[]){*c, '\0'}, out);
    mem_free(visible);
}

static void write_eer_part(FILE *out, const Round *round, const char **separator)
{
    write_part(out, round, separator, MEASURE_EER,
               round->label_free ? "label-free EER %.2f %%" : "EER %.2f %%");
    if (isfinite(round->measures[MEASURE_EER]) && isfinite(round->measures[MEASURE_BASELINE]))
        fprintf(out, " (statistics baseline %.1f %%)", round->measures[MEASURE_BASELINE]);
}

int page_write_line(FILE *out, const Work *work, const char *name, Error *error)
{
    for (int64_t i = 0; i < work->n_rounds; i++) {
        const Round *round = &work->rounds[i];
        if (strcmp(round->name, name) != 0)
            continue;
        const char *separator = ": ";
        write_name(out, round->name);
        write_part(out, round, &separator, MEASURE_CLUSTERS, "%.0f clusters");
        write_part(out, round, &separator, MEASURE_PURITY, "purity %.2f");
        write_part(out, round, &separator, MEASURE_NMI, "NMI %.2f");
        write_part(out, round, &separator, MEASURE_AGREEMENT_NMI, "agreement NMI %.2f");
        if (isfinite(round->measures[MEASURE_AGREEMENT_NMI])) {
            char *before = round_before(round);
            fputs(" with ", out);
            write_name(out, before);
            mem_free(before);
        }
        write_eer_part(out, round, &separator);
        write_part(out, round, &separator, MEASURE_DCF01,
                   round->label_free ? "label-free minDCF(0.01) %.3f" : "minDCF(0.01) %.3f");
        fputc('\n', out);
        return 0;
    }
    return error_set(error, "%s has no finished round %s", work->folder, name);
}

// --- the table

static const struct Column {
    int measure;
    const char *heading;
} COLUMNS[] = {{MEASURE_EER, "EER (%)"},
               {MEASURE_DCF01, "minDCF 0.01"},
               {MEASURE_DCF05, "minDCF 0.05"},
               {MEASURE_PAIR_EER, "pair head EER (%)"},
               {MEASURE_FUSED_EER, "fused EER (%)"},
               {MEASURE_CLUSTERS, "clusters"},
               {MEASURE_PURITY, "purity"},
               {MEASURE_NMI, "NMI"},
               {MEASURE_TRAINING, "training (s)"}};
enum { N_COLUMNS = sizeof COLUMNS / sizeof COLUMNS[0] };

// " | 3.40 ± 0.20": over the rounds that have the measure and whose names match.
static void write_cell(FILE *out, const Work *work, const char *pattern, int measure)
{
    double sum = 0, squares = 0, n = 0;
    for (int64_t i = 0; i < work->n_rounds; i++) {
        double value = work->rounds[i].measures[measure];
        if (fnmatch(pattern, work->rounds[i].name, 0) != 0 || !isfinite(value))
            continue;
        sum += value;
        squares += value * value;
        n++;
    }
    char mean[32], deviation[32];
    fprintf(out, " | %s", measure_text(measure, sum / n, mean));
    if (n > 1)
        fprintf(out, " ± %s",
                measure_text(measure, sqrt(fmax(squares - sum * sum / n, 0) / (n - 1)), deviation));
}

// A mean is taken over rounds that come from each other only.
static int check_pattern(const Work *work, const char *pattern, Error *error)
{
    const Round *first = NULL;
    for (int64_t i = 0; i < work->n_rounds; i++) {
        const Round *round = &work->rounds[i];
        if (fnmatch(pattern, round->name, 0) != 0)
            continue;
        if (first && first->family != round->family)
            return error_set(error, "%s: %s and %s do not come from each other, and have no mean (%s: %s)",
                             pattern, first->name, round->name, round->remark ? round->name : first->name,
                             round->remark   ? round->remark
                             : first->remark ? first->remark
                                             : "another start");
        first = round;
    }
    return first ? 0 : error_set(error, "%s has no finished round %s", work->folder, pattern);
}

static int check_patterns(const Work *work, char *const *patterns, int64_t n, Error *error)
{
    for (int64_t p = 0; p < n; p++)
        if (check_pattern(work, patterns[p], error) < 0)
            return -1;
    return 0;
}

// The columns that any round has something for; returns how many.
static int choose_columns(const Work *work, struct Column columns[N_COLUMNS])
{
    int n = 0;
    for (int c = 0; c < N_COLUMNS; c++)
        if (measured_anywhere(work, COLUMNS[c].measure))
            columns[n++] = COLUMNS[c];
    return n;
}

static void write_table(FILE *out, const Work *work, char *const *patterns, int64_t n)
{
    struct Column columns[N_COLUMNS];
    int n_columns = choose_columns(work, columns);
    fputs("| round", out);
    for (int c = 0; c < n_columns; c++)
        fprintf(out, " | %s", columns[c].heading);
    fputs(" |\n|---", out);
    for (int c = 0; c < n_columns; c++)
        fputs("|---", out);
    fputs("|\n", out);
    for (int64_t p = 0; p < n; p++) {
        fputs("| ", out);
        write_name(out, patterns[p]);
        for (int c = 0; c < n_columns; c++)
            write_cell(out, work, patterns[p], columns[c].measure);
        fputs(" |\n", out);
    }
}

int page_write_table(FILE *out, const Work *work, const char *list, Error *error)
{
    char *copy = mem_strdup(list), *rest = copy, **patterns = NULL;
    int64_t n = 0;
    for (char *pattern; (pattern = strsep(&rest, ","));) {
        patterns = mem_grow(patterns, (size_t)n + 1, sizeof *patterns);
        patterns[n++] = pattern;
    }
    int status = check_patterns(work, patterns, n, error);
    if (status == 0)
        write_table(out, work, patterns, n);
    mem_free(patterns);
    mem_free(copy);
    return status;
}
