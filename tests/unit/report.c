// The report's parts: escaping, axes, curves from logs and scores, the projection, and whole pages made from
// small WORK folders.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cache/embeddings.h"
#include "cache/shard.h"
#include "damage.h"
#include "report/curves.h"
#include "report/page.h"
#include "report/projection.h"
#include "report/svg.h"

static void write_text(const char *folder, const char *name, const char *text)
{
    char *path = path_join(folder, name);
    scratch_write(path, text, strlen(text));
    mem_free(path);
}

static int64_t count_of(const char *text, const char *part)
{
    int64_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

// --- SVG

static void escapes_every_text(void **state)
{
    (void)state;
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    svg_write_text(out, "<a href=\"x\">Zoë & 'co'\x01\xFF</a>");
    fclose(out);
    assert_string_equal(text, "&lt;a href=&quot;x&quot;&gt;Zoë &amp; &#39;co&#39;\\x01\\xff&lt;/a&gt;");
    free(text);
}

static void fits_axes_to_round_numbers(void **state)
{
    (void)state;
    SvgAxis axis = {0};
    svg_axis_fit(&axis, (double[]){3.7, NAN, 15.4}, 3);
    assert_float_equal(axis.low, 0, 1e-12); // zero is near
    assert_float_equal(axis.high, 16, 1e-12);
    svg_axis_fit(&axis, (double[]){0.71, 1}, 2);
    assert_float_equal(axis.low, 0.7, 1e-12);
    assert_float_equal(axis.high, 1, 1e-12);
    svg_axis_fit(&axis, (double[]){-7, -7}, 2); // one value: room on both sides
    assert_true(axis.low < -7 && axis.high > -7);
    svg_axis_fit(&axis, (double[]){INFINITY}, 1);
    assert_true(axis.low == 0 && axis.high == 1);
}

static char *draw_line(const double *x, const double *y, int64_t n)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    SvgPlot plot = {
        .out = out, .title = "t", .width = 200, .height = 100, .x = {.high = 10}, .y = {.high = 1}};
    svg_begin(&plot, NULL, 0);
    assert_true(plot.left == 60 && plot.right == 186); // what the expected pixels below come from
    svg_polyline(&plot, x, y, n, &(SvgStyle){"#000", false, SVG_CIRCLE});
    svg_end(&plot);
    fclose(out);
    return text;
}

static void draws_where_values_fall_and_breaks_at_nan(void **state)
{
    (void)state;
    char *text = draw_line((double[]){0, 5, 7, 10}, (double[]){0, 1, NAN, 1}, 4);
    assert_non_null(strstr(text, "M60.0 74.0L123.0 12.0M186.0 12.0"));
    assert_int_equal(count_of(text, "<circle"), 3);
    assert_null(strstr(text, "nan"));
    free(text);
}

// --- curves

static void reads_losses_and_drops_steps_that_were_run_again(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "finetune.log");
    write_text(folder, "finetune.log",
               "finetune: 2 threads\nstep 10 loss 3.5 grad 1.9\nstep 20 loss 3.0 grad 1.9\n"
               "finetune: step 20 loss 2.5 grad 1.9\nstep 30 loss nan grad 1.9\nstep x loss 1\n");
    Curve curve;
    Error error = {0};
    assert_int_equal(curve_of_losses(path, &curve, &error), 0);
    assert_int_equal(curve.n, 3);
    assert_true(curve.x[1] == 20 && curve.y[1] == 2.5);
    assert_true(isnan(curve.y[2]));
    curve_release(&curve);
    mem_free(path);
    scratch_remove(folder);
}

static void thins_long_logs_to_means(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "pretrain.log"), *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    for (int step = 1; step <= 1200; step++)
        fprintf(out, "step %d loss %d grad 1\n", step, 2 * step);
    fclose(out);
    write_text(folder, "pretrain.log", text);
    Curve curve;
    Error error = {0};
    assert_int_equal(curve_of_losses(path, &curve, &error), 0);
    assert_int_equal(curve.n, 400);
    assert_true(curve.x[0] == 2 && curve.y[0] == 4 && curve.x[399] == 1199);
    curve_release(&curve);
    free(text);
    mem_free(path);
    scratch_remove(folder);
}

static void reads_scores_into_det_points(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "scores.txt");
    write_text(folder, "scores.txt", "a b 4 target\na f 3.5 target\na c 3 nontarget\na d 2 1\na e 1 0\n");
    Curve curve;
    Error error = {0};
    assert_int_equal(curve_of_scores(path, &curve, &error), 0);
    assert_int_equal(curve.n, 1); // above 2: one of two false, one of three missed
    assert_float_equal(curve.x[0], 0.5, 1e-12);
    assert_float_equal(curve.y[0], 1.0 / 3, 1e-12);
    curve_release(&curve);
    write_text(folder, "scores.txt", "a b 4 target\n\na c 3 perhaps\n");
    assert_int_equal(curve_of_scores(path, &curve, &error), -1);
    assert_non_null(strstr(error.text, "scores.txt:3:"));
    mem_free(path);
    scratch_remove(folder);
}

// --- projection

// The place along axis 3 once the row has length one.
static double place_of(const float *row)
{
    return row[3] / sqrt((double)row[0] * row[0] + (double)row[3] * row[3] + (double)row[7] * row[7]);
}

static void finds_the_directions_of_most_variance(void **state)
{
    (void)state;
    enum { N = 500, DIM = 16 };
    float *matrix = mem_zero(N * DIM, sizeof *matrix); // [N, DIM] spread along axis 3, less along axis 7
    Rng rng = rng_stream(11, "test", 0, 0);
    for (int i = 0; i < N; i++) {
        matrix[i * DIM] = 1;
        matrix[i * DIM + 3] = (float)rng_range(&rng, -1, 1);
        matrix[i * DIM + 7] = (float)(0.2 * rng_normal(&rng));
    }
    Projection view, again;
    projection_compute(matrix, N, DIM, N, &view);
    double sign = (view.x[1] > view.x[0]) == (place_of(matrix + DIM) > place_of(matrix)) ? 1 : -1;
    for (int i = 1; i < N; i++) {
        double expected = place_of(matrix + i * DIM) - place_of(matrix);
        assert_float_equal(sign * (view.x[i] - view.x[0]), expected, 0.05); // 0.05: the sample tilts the axis
    }
    assert_true(view.share_x > 0.7 && view.share_y > 0.02 && view.share_x + view.share_y <= 1 + 1e-9);
    projection_compute(matrix, N, DIM, 100, &again);
    assert_int_equal(again.n, 100);
    for (int i = 1; i < 100; i++)
        assert_true(again.rows[i] > again.rows[i - 1] && again.rows[i] < N);
    projection_release(&again);
    projection_release(&view);
    mem_free(matrix);
}

static void projects_identical_rows_to_one_point(void **state)
{
    (void)state;
    float matrix[3 * 4] = {1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}; // [3, 4]
    Projection view;
    projection_compute(matrix, 3, 4, 10, &view);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(view.x[i]) < 1e-9 && fabs(view.y[i]) < 1e-9);
    projection_release(&view);
}

// --- whole folders

static char *page_of(const char *folder, const LabelList *truth)
{
    Work work;
    Error error = {0};
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    int status = work_open(folder, &work, &error);
    if (status == 0)
        status = work_load_details(&work, truth, &error);
    if (status == 0)
        status = page_write(out, &work, truth, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, 0);
    work_release(&work);
    fclose(out);
    return text;
}

static void says_what_a_bare_round_lacks(void **state)
{
    (void)state;
    char *folder = scratch_create(), *round = path_join(folder, "iter0");
    Error error = {0};
    assert_int_equal(folder_create(round, &error), 0);
    write_text(round, "clusters.json", "{\"clusters\": 3}");
    char *page = page_of(folder, NULL);
    assert_int_equal(count_of(page, "class=\"missing\""), 9);
    assert_int_equal(count_of(page, "<svg"), 0);
    assert_null(strstr(page, ">nan"));
    free(page);
    mem_free(round);
    scratch_remove(folder);
}

// gate.json: bars for the bins that hold something, a line where the gate stood.
static void draws_the_gate(void **state)
{
    (void)state;
    char *folder = scratch_create(), *round = path_join(folder, "iter1");
    assert_int_equal(folder_create(round, NULL), 0);
    write_text(round, "clusters.json", "{\"clusters\": 3}");
    write_text(round, "gate.json",
               "{\"threshold\": 0.5, \"log_losses\": {\"low\": -2, \"high\": 2, \"counts\": [5, 0, 1, 2]}}");
    char *page = page_of(folder, NULL);
    assert_non_null(strstr(page, "iter1: losses of the last epoch, and the gate"));
    assert_non_null(strstr(page, "5 utterances at about -1.50"));
    assert_null(strstr(page, "0 utterances at about -0.50"));
    assert_int_equal(count_of(page, " utterances at about "), 3);
    free(page);
    mem_free(round);
    scratch_remove(folder);
}

// Four utterances of two speakers in two clusters, with a name that would be markup.
static void publish_round(const char *round)
{
    Error error = {0};
    float matrix[4 * 3] = {1, 0, 0, 1, 0.1f, 0, 0, 1, 0, 0, 1, 0.1f}; // [4, 3]
    char *utts[4] = {"<b>/1.wav", "<b>/2.wav", "c/1.wav", "c/2.wav"};
    char *path = path_join(round, "embeddings.tar.zst");
    assert_int_equal(embeddings_publish_shard(path, &(Embeddings){matrix, utts, 4, 3}, &error), 0);
    mem_free(path);
    const char *labels = "<b>/1.wav 0\n<b>/2.wav 0\nc/1.wav 1\nc/2.wav 1\n";
    path = path_join(round, "labels.tar.zst");
    ShardWriter *shard = shard_writer_create(path, 3, &error);
    assert_non_null(shard);
    assert_int_equal(shard_writer_add(shard, "utt2spk", labels, strlen(labels), &error), 0);
    assert_int_equal(shard_writer_commit(shard, &error), 0);
    mem_free(path);
}

static void draws_labels_and_embeddings_and_judges_by_the_truth(void **state)
{
    (void)state;
    char *folder = scratch_create(), *round = path_join(folder, "iter2");
    Error error = {0};
    assert_int_equal(folder_create(round, &error), 0);
    write_text(round, "clusters.json", "{\"clusters\": 2, \"singletons\": 0}");
    publish_round(round);
    LabelList truth;
    assert_int_equal(
        labels_parse("truth", "<b>/1.wav b\n<b>/2.wav b\nc/1.wav b\nc/2.wav c\n", &truth, &error), 0);
    char *page = page_of(folder, &truth);
    assert_non_null(strstr(page, "2 clusters, median 2, largest 2 utterances"));
    assert_non_null(strstr(page, "<td>0.750</td>")); // purity: (2 + 1) / 4
    assert_int_equal(count_of(page, "&lt;b&gt;/1.wav"), 2);
    assert_null(strstr(page, "<b>"));
    free(page);
    labels_release(&truth);
    mem_free(round);
    scratch_remove(folder);
}

static void refuses_a_folder_without_rounds_and_names_broken_files(void **state)
{
    (void)state;
    char *folder = scratch_create(), *round = path_join(folder, "iter1");
    Error error = {0};
    Work work;
    assert_int_equal(folder_create(round, &error), 0);
    assert_int_equal(work_open(folder, &work, &error), -1);
    assert_non_null(strstr(error.text, "holds no finished round"));
    work_release(&work);
    error_clear(&error);
    write_text(round, "eval.json", "{\"eer\": 6.1");
    assert_int_equal(work_open(folder, &work, &error), -1);
    assert_non_null(strstr(error.text, "iter1/eval.json is not a JSON object"));
    work_release(&work);
    mem_free(round);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_every_text),
        cmocka_unit_test(fits_axes_to_round_numbers),
        cmocka_unit_test(draws_where_values_fall_and_breaks_at_nan),
        cmocka_unit_test(reads_losses_and_drops_steps_that_were_run_again),
        cmocka_unit_test(thins_long_logs_to_means),
        cmocka_unit_test(reads_scores_into_det_points),
        cmocka_unit_test(finds_the_directions_of_most_variance),
        cmocka_unit_test(projects_identical_rows_to_one_point),
        cmocka_unit_test(says_what_a_bare_round_lacks),
        cmocka_unit_test(draws_the_gate),
        cmocka_unit_test(draws_labels_and_embeddings_and_judges_by_the_truth),
        cmocka_unit_test(refuses_a_folder_without_rounds_and_names_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
