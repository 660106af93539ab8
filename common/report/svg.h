// Plain SVG plots written straight to a stream: a frame with grid, ticks and axis labels, then polylines,
// bars and points in data coordinates. No scripts, no style sheet, no fonts of its own: the SVG stands inside
// an HTML page or in a file alone.
//
//     SvgPlot plot = {.out = stream, .title = "EER per round", .width = 460, .height = 300,
//                     .x = {.scale = SVG_NAMES, .names = rounds, .low = -0.5, .high = n - 0.5},
//                     .y = {.label = "EER (%)"}};
//     svg_axis_fit(&plot.y, eer, n);
//     svg_begin(&plot, keys, n_keys);
//     svg_polyline(&plot, x, eer, n, &style);
//     svg_end(&plot);
//
// Values that are not finite are left out: a polyline breaks there. Everything else is drawn where it falls,
// clipped to the frame. Write errors are the stream's (ferror); every text is escaped.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum SvgScale {
    SVG_LINEAR,
    SVG_DEVIATE, // values are probabilities in (0, 1), drawn at their normal deviate, labelled in percent
    SVG_NAMES,   // value i stands for names[i]
    SVG_BARE     // linear, without ticks and numbers
} SvgScale;

typedef struct SvgAxis {
    SvgScale scale;
    double low, high;         // data units
    const char *label;        // "EER (%)"; NULL: none
    const char *const *names; // SVG_NAMES: a text for 0 .. floor(high)
} SvgAxis;

typedef enum SvgShape { SVG_NONE, SVG_CIRCLE, SVG_SQUARE, SVG_TRIANGLE, SVG_DIAMOND, SVG_SHAPES } SvgShape;

typedef struct SvgStyle {
    const char *colour;
    bool dashed;
    SvgShape marker;
} SvgStyle;

typedef struct SvgKey { // one entry of the legend above the frame
    const char *text;
    SvgStyle style;
} SvgKey;

typedef struct SvgPlot {
    FILE *out;
    const char *title;    // what a screen reader says
    double width, height; // pixels, labels included; the legend comes on top
    SvgAxis x, y;
    double left, top, right, bottom; // the frame in pixels; set by svg_begin()
} SvgPlot;

// Sets low and high to round numbers that hold all values; zero is included when it is near. Without finite
// values: 0 to 1.
void svg_axis_fit(SvgAxis *axis, const double *values, int64_t n);

void svg_begin(SvgPlot *plot, const SvgKey *keys, int64_t n_keys);
void svg_polyline(const SvgPlot *plot, const double *x, const double *y, int64_t n, const SvgStyle *style);
void svg_bar(const SvgPlot *plot, double x_low, double x_high, double y, const char *colour,
             const char *hint);
void svg_point(const SvgPlot *plot, double x, double y, const SvgStyle *style, const char *hint);
void svg_label(const SvgPlot *plot, double x, double y, const char *text); // centred above the point
void svg_end(const SvgPlot *plot);

// Okabe and Ito's colour-blind safe palette without its yellow and black, repeated.
enum { SVG_COLOURS = 6 };
const char *svg_colour(int64_t index);

// Text with & < > " ' as entities, for SVG and HTML, in elements and in quoted attributes. Control characters
// and what is not UTF-8 are made visible (base/text.h), so that the page is UTF-8 whatever the names are.
void svg_write_text(FILE *out, const char *text);
