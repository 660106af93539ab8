// The 2-D view of the last round's embeddings (figures.h).
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "report/svg.h"
#include "cache/embeddings.h"
#include "report/figures.h"
#include "report/labels.h"
#include "report/projection.h"

// Colour and shape together tell this many groups apart; smaller groups are drawn in grey.
enum { MOST_POINTS = 2000, MOST_GROUPS = SVG_COLOURS * (SVG_SHAPES - 1) };

// --- which groups get a colour

typedef struct Group {
    int64_t label, size; // size: points that are drawn
} Group;

static int compare_groups(const void *a, const void *b) // large ones first, then by label
{
    const Group *left = a, *right = b;
    if (left->size != right->size)
        return left->size < right->size ? 1 : -1;
    return (left->label > right->label) - (left->label < right->label);
}

// rank[label]: 0 for the label with most points.
static int64_t *rank_groups(const int64_t *label_of, int64_t n, int64_t n_labels)
{
    Group *groups = mem_zero((size_t)n_labels, sizeof *groups);
    int64_t *rank = mem_alloc((size_t)n_labels, sizeof *rank);
    for (int64_t label = 0; label < n_labels; label++)
        groups[label].label = label;
    for (int64_t i = 0; i < n; i++) {
        if (label_of[i] >= 0)
            groups[label_of[i]].size++;
    }
    qsort(groups, (size_t)n_labels, sizeof *groups, compare_groups);
    for (int64_t place = 0; place < n_labels; place++)
        rank[groups[place].label] = place;
    mem_free(groups);
    return rank;
}

static SvgStyle style_of_rank(int64_t rank)
{
    if (rank < 0 || rank >= MOST_GROUPS)
        return (SvgStyle){"#b5b5b5", false, SVG_CIRCLE};
    return (SvgStyle){svg_colour(rank), false, (SvgShape)(SVG_CIRCLE + rank / SVG_COLOURS)};
}

// --- drawing

static void draw_points(FILE *out, const Projection *view, const Embeddings *embeddings,
                        const LabelList *labels, const int64_t *label_of, const int64_t *rank)
{
    char x_label[64], y_label[64];
    snprintf(x_label, sizeof x_label, "first component (%.0f %% of the variance)", 100 * view->share_x);
    snprintf(y_label, sizeof y_label, "second component (%.0f %%)", 100 * view->share_y);
    SvgPlot plot = {.out = out,
                    .title = "Embeddings in two dimensions",
                    .width = 500,
                    .height = 440,
                    .x = {.scale = SVG_BARE, .label = x_label},
                    .y = {.scale = SVG_BARE, .label = y_label}};
    svg_axis_fit(&plot.x, view->x, view->n);
    svg_axis_fit(&plot.y, view->y, view->n);
    svg_begin(&plot, NULL, 0);
    for (int64_t i = 0; i < view->n; i++) {
        SvgStyle style = style_of_rank(label_of[i] < 0 ? -1 : rank[label_of[i]]);
        char *hint = label_of[i] < 0
                         ? mem_strdup(embeddings->utts[view->rows[i]])
                         : mem_printf("%s: %s", labels->names[label_of[i]], embeddings->utts[view->rows[i]]);
        svg_point(&plot, view->x[i], view->y[i], &style, hint);
        mem_free(hint);
    }
    svg_end(&plot);
}

// what: "cluster" or "speaker".
static void draw_view(FILE *out, const Round *round, const Projection *view, const Embeddings *embeddings,
                      const LabelList *labels, const char *what)
{
    int64_t *label_of = mem_alloc((size_t)view->n, sizeof *label_of); // [n] -1: not in the list
    for (int64_t i = 0; i < view->n; i++) {
        int64_t index = labels_find(labels, embeddings->utts[view->rows[i]]);
        label_of[i] = index < 0 ? -1 : labels->labels[index];
    }
    int64_t *rank = rank_groups(label_of, view->n, labels->n_labels);
    fputs("<figure><figcaption>", out);
    svg_write_text(out, round->name);
    fprintf(out, " by %s: %lld of %lld utterances, %lld %ss</figcaption>\n", what, (long long)view->n,
            (long long)embeddings->n, (long long)labels->n_labels, what);
    draw_points(out, view, embeddings, labels, label_of, rank);
    if (labels->n_labels > MOST_GROUPS)
        fprintf(out, "<p class=\"note\">Colour and shape mark the %d largest %ss; the others are grey.</p>",
                MOST_GROUPS, what);
    fputs("</figure>\n", out);
    mem_free(rank);
    mem_free(label_of);
}

static int draw_views(FILE *out, const Round *round, const Embeddings *embeddings, const LabelList *truth,
                      Error *error)
{
    LabelList clusters;
    if (round_labels(round, &clusters, error) != 0)
        return -1;
    Projection view;
    projection_compute(embeddings->matrix, embeddings->n, embeddings->dim, MOST_POINTS, &view);
    draw_view(out, round, &view, embeddings, &clusters, "cluster");
    if (truth)
        draw_view(out, round, &view, embeddings, truth, "speaker");
    projection_release(&view);
    labels_release(&clusters);
    return 0;
}

int figure_embeddings(FILE *out, const Work *work, const LabelList *truth, Error *error)
{
    const Round *round = &work->rounds[work->n_rounds - 1];
    char *path = path_join(round->folder, "embeddings.tar.zst");
    Embeddings embeddings = {0};
    int status = 0;
    if (!file_exists(path)) {
        fputs("<p class=\"missing\">", out);
        svg_write_text(out, round->name);
        fputs(" has no embeddings.tar.zst, so there is no view of them.</p>\n", out);
    } else {
        status = embeddings_load(path, NULL, &embeddings, error);
        if (status == 0 && embeddings.n > 0)
            status = draw_views(out, round, &embeddings, truth, error);
        embeddings_release(&embeddings);
    }
    mem_free(path);
    return status;
}
