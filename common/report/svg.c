#include "report/svg.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "score/metrics.h"

// --- numbers

// A step of 1, 2 or 5 times a power of ten that gives about `n` intervals.
static double round_step(double span, double n)
{
    double raw = span / n;
    double power = pow(10, floor(log10(raw)));
    double digit = raw / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

void svg_axis_fit(SvgAxis *axis, const double *values, int64_t n)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            low = fmin(low, values[i]);
            high = fmax(high, values[i]);
        }
    }
    if (low > high)
        low = 0, high = 1;
    if (low > 0 && low < 0.5 * high)
        low = 0;
    if (high - low <= 1e-9 * fmax(fabs(low), fabs(high)))
        low -= 0.5, high += 0.5;
    double step = round_step(high - low, 5);
    axis->low = step * floor(low / step + 1e-9);
    axis->high = step * ceil(high / step - 1e-9);
}

// 0 .. 1 along the axis.
static double axis_place(const SvgAxis *axis, double value)
{
    if (axis->scale != SVG_DEVIATE)
        return (value - axis->low) / (axis->high - axis->low);
    double low = probit(axis->low), high = probit(axis->high);
    return (probit(value) - low) / (high - low);
}

static double pixel_x(const SvgPlot *plot, double value)
{
    return plot->left + axis_place(&plot->x, value) * (plot->right - plot->left);
}

static double pixel_y(const SvgPlot *plot, double value)
{
    return plot->bottom - axis_place(&plot->y, value) * (plot->bottom - plot->top);
}

// --- text

void svg_write_text(FILE *out, const char *text)
{
    static const char *const ENTITIES[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};
    char *visible = text_visible(text);
    for (const unsigned char *c = (const unsigned char *)visible; *c; c++) {
        const char *entity = *c <= '>' ? ENTITIES[*c] : NULL;
        if (entity)
            fputs(entity, out);
        else
            fputc(*c, out);
    }
    mem_free(visible);
}

// anchor: start, middle or end, as SVG names it.
static void write_label(FILE *out, double x, double y, const char *anchor, const char *colour,
                        const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
    svg_write_text(out, text);
    fputs("</text>\n", out);
}

static void write_hint(FILE *out, const char *hint)
{
    if (!hint)
        return;
    fputs("<title>", out);
    svg_write_text(out, hint);
    fputs("</title>", out);
}

// --- axes

static const char *const INK = "#333", *const GRID = "#e4e4e4";

typedef struct Ticks {
    int n;
    double at[64];
    char text[64][32];
} Ticks;

static void ticks_add(Ticks *ticks, double at, const char *text)
{
    if (ticks->n == 64)
        return;
    ticks->at[ticks->n] = at;
    snprintf(ticks->text[ticks->n++], sizeof ticks->text[0], "%s", text);
}

static void ticks_of_names(const SvgAxis *axis, Ticks *ticks)
{
    int64_t n = (int64_t)floor(axis->high) + 1;
    int64_t every = (n + 15) / 16; // more names than that would overlap
    for (int64_t i = 0; i < n; i += every)
        ticks_add(ticks, (double)i, axis->names[i]);
}

static void ticks_of_probabilities(const SvgAxis *axis, Ticks *ticks)
{
    static const double PERCENT[] = {0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 99};
    for (size_t i = 0; i < sizeof PERCENT / sizeof PERCENT[0]; i++) {
        if (PERCENT[i] < 99.999 * axis->low || PERCENT[i] > 100.001 * axis->high)
            continue;
        char text[32];
        snprintf(text, sizeof text, "%g", PERCENT[i]);
        ticks_add(ticks, PERCENT[i] / 100, text);
    }
}

static void ticks_of_numbers(const SvgAxis *axis, Ticks *ticks)
{
    double step = round_step(axis->high - axis->low, 5);
    int64_t first = (int64_t)ceil(axis->low / step - 1e-9);
    int64_t last = (int64_t)floor(axis->high / step + 1e-9);
    for (int64_t i = first; i <= last; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.6g", (double)i * step);
        ticks_add(ticks, (double)i * step, text);
    }
}

static Ticks ticks_of(const SvgAxis *axis)
{
    Ticks ticks = {0};
    if (axis->scale == SVG_NAMES)
        ticks_of_names(axis, &ticks);
    else if (axis->scale == SVG_DEVIATE)
        ticks_of_probabilities(axis, &ticks);
    else if (axis->scale == SVG_LINEAR)
        ticks_of_numbers(axis, &ticks);
    return ticks;
}

static void draw_axes(const SvgPlot *plot)
{
    FILE *out = plot->out;
    Ticks across = ticks_of(&plot->x), up = ticks_of(&plot->y);
    for (int i = 0; i < up.n; i++) {
        double y = pixel_y(plot, up.at[i]);
        fprintf(out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\"/>\n", plot->left, y, plot->right, GRID);
        write_label(out, plot->left - 6, y + 4, "end", INK, up.text[i]);
    }
    for (int i = 0; i < across.n; i++) {
        double x = pixel_x(plot, across.at[i]);
        if (plot->x.scale != SVG_NAMES)
            fprintf(out, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\"/>\n", x, plot->top, plot->bottom, GRID);
        write_label(out, x, plot->bottom + 17, "middle", INK, across.text[i]);
    }
    fprintf(out, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#888\"/>\n", plot->left, plot->top,
            plot->bottom, plot->right);
    if (plot->x.label)
        write_label(out, 0.5 * (plot->left + plot->right), plot->height - 6, "middle", INK, plot->x.label);
    if (plot->y.label) {
        fprintf(out, "<g transform=\"translate(13 %.1f) rotate(-90)\">", 0.5 * (plot->top + plot->bottom));
        write_label(out, 0, 0, "middle", INK, plot->y.label);
        fputs("</g>\n", out);
    }
}

// --- marks

const char *svg_colour(int64_t index)
{
    static const char *const PALETTE[SVG_COLOURS] = {"#0072B2", "#D55E00", "#009E73",
                                                     "#CC79A7", "#56B4E9", "#E69F00"};
    return PALETTE[index % SVG_COLOURS];
}

static void write_stroke(FILE *out, const SvgStyle *style)
{
    fprintf(out, "fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" stroke-linejoin=\"round\"%s",
            style->colour, style->dashed ? " stroke-dasharray=\"6 4\"" : "");
}

// A mark of about 7 pixels with its centre at (x, y), in pixels.
static void draw_mark(FILE *out, double x, double y, double size, const SvgStyle *style, const char *hint)
{
    static const char *const OUTLINE[SVG_SHAPES] = {
        [SVG_SQUARE] = "M-.9-.9H.9V.9H-.9Z",
        [SVG_TRIANGLE] = "M0-1.2L1.1.8H-1.1Z",
        [SVG_DIAMOND] = "M0-1.3L1.2 0L0 1.3L-1.2 0Z",
    };
    if (style->marker == SVG_CIRCLE)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\">", x, y, size, style->colour);
    else
        fprintf(out, "<path transform=\"translate(%.1f %.1f) scale(%.1f)\" d=\"%s\" fill=\"%s\">", x, y, size,
                OUTLINE[style->marker], style->colour);
    write_hint(out, hint);
    fputs(style->marker == SVG_CIRCLE ? "</circle>\n" : "</path>\n", out);
}

void svg_polyline(const SvgPlot *plot, const double *x, const double *y, int64_t n, const SvgStyle *style)
{
    bool pen_down = false;
    // A nested viewport over the frame (2 pixels wider, for the stroke) clips without needing an id.
    double wide = plot->right - plot->left + 4, high = plot->bottom - plot->top + 4;
    fprintf(plot->out, "<svg x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" ", plot->left - 2,
            plot->top - 2, wide, high);
    fprintf(plot->out, "viewBox=\"%.1f %.1f %.1f %.1f\"><path d=\"", plot->left - 2, plot->top - 2, wide,
            high);
    for (int64_t i = 0; i < n; i++) {
        bool drawn = isfinite(x[i]) && isfinite(y[i]);
        if (drawn)
            fprintf(plot->out, "%c%.1f %.1f", pen_down ? 'L' : 'M', pixel_x(plot, x[i]), pixel_y(plot, y[i]));
        pen_down = drawn;
    }
    fputs("\" ", plot->out);
    write_stroke(plot->out, style);
    fputs("/></svg>\n", plot->out);
    for (int64_t i = 0; i < n && style->marker != SVG_NONE; i++)
        svg_point(plot, x[i], y[i], style, NULL);
}

void svg_point(const SvgPlot *plot, double x, double y, const SvgStyle *style, const char *hint)
{
    if (isfinite(x) && isfinite(y))
        draw_mark(plot->out, pixel_x(plot, x), pixel_y(plot, y), 3.5, style, hint);
}

void svg_bar(const SvgPlot *plot, double x_low, double x_high, double y, const char *colour, const char *hint)
{
    if (!isfinite(y))
        return;
    double left = pixel_x(plot, x_low), right = pixel_x(plot, x_high), top = pixel_y(plot, y);
    fprintf(plot->out, "<path d=\"M%.1f %.1fV%.1fH%.1fV%.1fZ\" fill=\"%s\">", left + 0.5, plot->bottom, top,
            right - 0.5, plot->bottom, colour);
    write_hint(plot->out, hint);
    fputs("</path>\n", plot->out);
}

void svg_label(const SvgPlot *plot, double x, double y, const char *text)
{
    if (isfinite(x) && isfinite(y))
        write_label(plot->out, pixel_x(plot, x), pixel_y(plot, y) - 9, "middle", INK, text);
}

// --- the whole

enum { LEGEND_ROW = 18, LETTER_WIDTH = 7 }; // pixels; the width is a safe guess for a 12-pixel sans serif

// Writes the entries row by row when draw is true; returns the number of rows.
static int lay_out_legend(const SvgPlot *plot, const SvgKey *keys, int64_t n_keys, bool draw)
{
    double x = plot->left;
    int row = 0;
    for (int64_t i = 0; i < n_keys; i++) {
        double width = 30 + LETTER_WIDTH * (double)strlen(keys[i].text) + 12;
        if (x > plot->left && x + width > plot->width) {
            x = plot->left;
            row++;
        }
        double y = LEGEND_ROW * (row + 0.5);
        if (draw) {
            fprintf(plot->out, "<path d=\"M%.1f %.1fh22\" ", x, y);
            write_stroke(plot->out, &keys[i].style);
            fputs("/>\n", plot->out);
            if (keys[i].style.marker != SVG_NONE)
                draw_mark(plot->out, x + 11, y, 3.5, &keys[i].style, NULL);
            write_label(plot->out, x + 28, y + 4, "start", INK, keys[i].text);
        }
        x += width;
    }
    return n_keys ? row + 1 : 0;
}

void svg_begin(SvgPlot *plot, const SvgKey *keys, int64_t n_keys)
{
    bool bare = plot->x.scale == SVG_BARE && plot->y.scale == SVG_BARE;
    plot->left = bare ? 24 : 60;
    plot->right = plot->width - 14;
    double legend = LEGEND_ROW * lay_out_legend(plot, keys, n_keys, false);
    plot->height += legend;
    plot->top = legend + 12;
    plot->bottom = plot->height - (bare ? 24 : plot->x.label ? 42 : 26);
    fprintf(
        plot->out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
        "height=\"%.0f\" font-family=\"system-ui,sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"",
        plot->width, plot->height, plot->width, plot->height);
    svg_write_text(plot->out, plot->title);
    fputs("\">\n", plot->out);
    lay_out_legend(plot, keys, n_keys, true);
    draw_axes(plot);
}

void svg_end(const SvgPlot *plot)
{
    fputs("</svg>\n", plot->out);
}
