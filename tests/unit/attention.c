// The operators of tensor/attention.h: each against a plain reference in double, and its gradients against
// central differences of sum(out * r) for a random r.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "base/rng.h"
#include "tensor/attention.h"

enum { MAX_LEAVES = 6, SAMPLES = 24 };
static const uint64_t seed = 20240611;

// An operator under test: its leaves, and how to call it.
typedef struct Case {
    Tensor leaf[MAX_LEAVES];
    int n_leaves;
    Attention attention;
    Tensor *(*call)(Tape *tape, struct Case *self);
} Case;

static void fill(float *values, int64_t n, Rng *rng)
{
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)rng_normal(rng);
}

static Tensor *add_leaf(Case *self, Rng *rng, int64_t d0, int64_t d1, int64_t d2)
{
    Tensor *x = &self->leaf[self->n_leaves++];
    *x = (Tensor){.dim = {d0, d1 ? d1 : 1, d2 ? d2 : 1, 1},
                  .n_dims = d2   ? 3
                            : d1 ? 2
                                 : 1,
                  .needs_grad = true};
    int64_t n = tensor_size(x);
    x->data = mem_zero((size_t)n, sizeof(float));
    x->grad = mem_zero((size_t)n, sizeof(float));
    fill(x->data, n, rng);
    return x;
}

static void free_leaves(Case *self)
{
    for (int i = 0; i < self->n_leaves; i++) {
        mem_free(self->leaf[i].data);
        mem_free(self->leaf[i].grad);
    }
}

static double loss_of(Tape *tape, Case *self, const float *r)
{
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *out = self->call(tape, self);
    double sum = 0.0;
    for (int64_t i = 0; i < tensor_size(out); i++)
        sum += (double)out->data[i] * (double)r[i];
    return sum;
}

// Central difference at one place; the step is large because outputs are float32.
static double difference(Tape *tape, Case *self, Tensor *x, int64_t i, const float *r)
{
    const float step = 0x1p-6f;
    float before = x->data[i];
    x->data[i] = before + step;
    double above = loss_of(tape, self, r);
    x->data[i] = before - step;
    double below = loss_of(tape, self, r);
    x->data[i] = before;
    return (above - below) / (2.0 * (double)step);
}

// At SAMPLES places of each leaf. Rounding over the step leaves about 1e-3 of the largest gradient.
static void check_gradients(Case *self)
{
    Tape *tape = tape_create();
    Rng rng = rng_stream(seed, "finite differences", 0, 0);
    tape_begin(tape, TAPE_RECORD);
    Tensor *out = self->call(tape, self);
    int64_t n = tensor_size(out);
    float *r = mem_alloc((size_t)n, sizeof *r);
    fill(r, n, &rng);
    tape_backward_from(tape, out, r);
    for (int l = 0; l < self->n_leaves; l++) {
        Tensor *x = &self->leaf[l];
        double largest = 1e-3;
        for (int64_t i = 0; i < tensor_size(x); i++)
            largest = fmax(largest, fabs((double)x->grad[i]));
        for (int s = 0; s < SAMPLES; s++) {
            int64_t i = (int64_t)rng_below(&rng, (uint64_t)tensor_size(x));
            double numeric = difference(tape, self, x, i, r);
            if (!(fabs(numeric - (double)x->grad[i]) <= 4e-3 * largest))
                fail_msg("leaf %d element %lld: backward %g, difference %g", l, (long long)i,
                         (double)x->grad[i], numeric);
        }
    }
    mem_free(r);
    tape_destroy(tape);
}

static void check_forward(Case *self, const double *expected, double tolerance)
{
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *out = self->call(tape, self);
    double largest = 0.0;
    for (int64_t i = 0; i < tensor_size(out); i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < tensor_size(out); i++)
        if (!(fabs((double)out->data[i] - expected[i]) <= tolerance * largest))
            fail_msg("element %lld: %g, expected %g", (long long)i, (double)out->data[i], expected[i]);
    tape_destroy(tape);
}

// --- self-attention

static Tensor *call_attention(Tape *tape, Case *self)
{
    Tensor *x = self->leaf;
    return op_attention(tape, &x[0], &x[1], &x[2], self->n_leaves > 3 ? &x[3] : NULL,
                        self->n_leaves > 4 ? &x[4] : NULL, &self->attention);
}

static Case attention_case_of(int64_t batch, int64_t frames, int64_t heads, int64_t head_dim,
                              int64_t value_dim, int n_leaves)
{
    Rng rng = rng_stream(seed, "attention", (uint64_t)frames, (uint64_t)heads);
    Case self = {.call = call_attention, .attention = {.heads = heads}};
    for (int i = 0; i < 3; i++)
        add_leaf(&self, &rng, batch, frames, heads * (i < 2 ? head_dim : value_dim));
    if (n_leaves > 3)
        add_leaf(&self, &rng, heads, 2 * frames - 1, 0);
    if (n_leaves > 4)
        add_leaf(&self, &rng, batch, heads, frames);
    return self;
}

static Case attention_case(int64_t batch, int64_t frames, int64_t heads, int64_t head_dim, int n_leaves)
{
    return attention_case_of(batch, frames, heads, head_dim, head_dim, n_leaves);
}

// softmax over j of s[b,h,i,j], as the formula says
static void plain_weights(const Case *self, int64_t b, int64_t h, int64_t i, double *weight)
{
    const Tensor *q = &self->leaf[0], *k = &self->leaf[1];
    int64_t frames = q->dim[1], channels = q->dim[2], heads = self->attention.heads, dim = channels / heads;
    double sum = 0.0;
    for (int64_t j = 0; j < frames; j++) {
        double dot = 0.0, gate = 1.0, bias = 0.0;
        for (int64_t c = h * dim; c < (h + 1) * dim; c++)
            dot += (double)q->data[(b * frames + i) * channels + c] *
                   (double)k->data[(b * frames + j) * channels + c];
        if (self->n_leaves > 3)
            bias = (double)self->leaf[3].data[h * (2 * frames - 1) + frames - 1 + j - i];
        if (self->n_leaves > 4)
            gate = (double)self->leaf[4].data[(b * heads + h) * frames + i];
        weight[j] = exp(dot / sqrt((double)dim) + gate * bias);
        sum += weight[j];
    }
    for (int64_t j = 0; j < frames; j++)
        weight[j] /= sum;
}

static void check_attention(int64_t batch, int64_t frames, int64_t heads, int64_t head_dim, int64_t value_dim,
                            int n_leaves)
{
    Case self = attention_case_of(batch, frames, heads, head_dim, value_dim, n_leaves);
    int64_t channels = heads * value_dim;
    double *expected = mem_zero((size_t)(batch * frames * channels), sizeof *expected);
    double *weight = mem_alloc((size_t)frames, sizeof *weight);
    for (int64_t bi = 0; bi < batch * frames; bi++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t b = bi / frames;
            if (c % value_dim == 0)
                plain_weights(&self, b, c / value_dim, bi % frames, weight);
            for (int64_t j = 0; j < frames; j++)
                expected[bi * channels + c] +=
                    weight[j] * (double)self.leaf[2].data[(b * frames + j) * channels + c];
        }
    check_forward(&self, expected, 5e-6);
    mem_free(weight);
    mem_free(expected);
    free_leaves(&self);
}

static void test_attention_equals_plain(void **state)
{
    (void)state;
    check_attention(1, 1, 1, 4, 4, 5);
    check_attention(2, 7, 2, 3, 3, 3);
    check_attention(2, 33, 4, 8, 8, 4);
    check_attention(3, 33, 4, 8, 8, 5);
    check_attention(1, 300, 2, 16, 16, 5); // three blocks of queries
    check_attention(2, 33, 4, 8, 3, 5);    // values of another width
    check_attention(2, 150, 3, 4, 11, 3);
}

static void test_attention_gradients(void **state)
{
    (void)state;
    for (int n_leaves = 3; n_leaves <= 5; n_leaves++) {
        Case self = attention_case(2, 9, 2, 4, n_leaves);
        check_gradients(&self);
        free_leaves(&self);
    }
    Case others[3] = {attention_case(2, 150, 1, 4, 5), // two blocks of queries
                      attention_case_of(2, 9, 2, 4, 3, 5), attention_case_of(2, 150, 2, 3, 7, 4)};
    for (int i = 0; i < 3; i++) {
        check_gradients(&others[i]);
        free_leaves(&others[i]);
    }
}

static void test_attention_dropout(void **state)
{
    (void)state;
    Case self = attention_case(2, 20, 2, 4, 5);
    self.attention.dropout = 0.3f;
    self.attention.rng = rng_stream(seed, "dropout", 0, 0);
    check_gradients(&self); // both passes draw the same
    for (int64_t i = 0; i < tensor_size(&self.leaf[2]); i++)
        self.leaf[2].data[i] = 1.0f; // then out is the sum of the weights: 1 on average
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *out = call_attention(tape, &self);
    double sum = 0.0;
    for (int64_t i = 0; i < tensor_size(out); i++)
        sum += (double)out->data[i];
    double mean = sum / (double)tensor_size(out); // of 80 sums: standard deviation about 0.03
    assert_true(fabs(mean - 1.0) < 0.15 && fabs(mean - 1.0) > 1e-6);
    tape_destroy(tape);
    free_leaves(&self);
}

// --- position bias

static void test_buckets(void **state)
{
    (void)state;
    assert_int_equal(relative_position_bucket(0, 320, 800), 0);
    assert_int_equal(relative_position_bucket(-79, 320, 800), 79);
    assert_int_equal(relative_position_bucket(79, 320, 800), 239);
    assert_int_equal(relative_position_bucket(-80, 320, 800), 80);
    assert_int_equal(relative_position_bucket(-252, 320, 800), 119); // 80 + 80 ln(252/80) / ln 10 = 119.87
    assert_int_equal(relative_position_bucket(-254, 320, 800), 120);
    assert_int_equal(relative_position_bucket(-5000, 320, 800), 159);
    assert_int_equal(relative_position_bucket(5000, 320, 800), 319);
}

static Tensor *call_position_bias(Tape *tape, Case *self)
{
    return op_position_bias(tape, &self->leaf[0], 21, 16);
}

static void test_position_bias(void **state)
{
    (void)state;
    Rng rng = rng_stream(seed, "position bias", 0, 0);
    Case self = {.call = call_position_bias};
    Tensor *table = add_leaf(&self, &rng, 16, 3, 0);
    double expected[3 * 41];
    for (int64_t h = 0; h < 3; h++)
        for (int64_t d = -20; d <= 20; d++)
            expected[h * 41 + d + 20] = (double)table->data[relative_position_bucket(d, 16, 16) * 3 + h];
    check_forward(&self, expected, 0.0);
    check_gradients(&self);
    free_leaves(&self);
}

static Tensor *call_gate(Tape *tape, Case *self)
{
    Tensor *x = self->leaf;
    return op_position_gate(tape, &x[0], &x[1], &x[2], &x[3]);
}

static double plain_gate(const Case *self, int64_t b, int64_t h, int64_t t)
{
    const Tensor *x = &self->leaf[0], *weight = &self->leaf[1];
    int64_t dim = weight->dim[1];
    double side[2] = {0.0, 0.0};
    for (int64_t o = 0; o < 8; o++) {
        side[o / 4] += (double)self->leaf[2].data[o];
        for (int64_t d = 0; d < dim; d++)
            side[o / 4] += (double)weight->data[o * dim + d] *
                           (double)x->data[(b * x->dim[1] + t) * x->dim[2] + h * dim + d];
    }
    double a = 1.0 / (1.0 + exp(-side[0])), c = 1.0 / (1.0 + exp(-side[1]));
    return a * (c * (double)self->leaf[3].data[h] - 1.0) + 2.0;
}

static void test_position_gate(void **state)
{
    (void)state;
    enum { B = 2, T = 5, H = 3, D = 4 };
    Rng rng = rng_stream(seed, "gate", 0, 0);
    Case self = {.call = call_gate};
    add_leaf(&self, &rng, B, T, H * D);
    add_leaf(&self, &rng, 8, D, 0);
    add_leaf(&self, &rng, 8, 0, 0);
    add_leaf(&self, &rng, H, 0, 0);
    double expected[B * H * T];
    for (int64_t i = 0; i < B * H * T; i++)
        expected[i] = plain_gate(&self, i / (H * T), i / T % H, i % T);
    check_forward(&self, expected, 2e-6);
    check_gradients(&self);
    free_leaves(&self);
}

// --- layers, pooling, frames

static Tensor *call_layer_mix(Tape *tape, Case *self)
{
    Tensor *xs[] = {&self->leaf[0], &self->leaf[1], &self->leaf[2]};
    return op_layer_mix(tape, xs, 3, &self->leaf[3]);
}

static void test_layer_mix(void **state)
{
    (void)state;
    enum { N = 2 * 700 * 5 }; // more than one block of the forward pass
    Rng rng = rng_stream(seed, "layer mix", 0, 0);
    Case self = {.call = call_layer_mix};
    for (int l = 0; l < 3; l++)
        add_leaf(&self, &rng, 2, 700, 5);
    const float *weights = add_leaf(&self, &rng, 3, 0, 0)->data;
    double *expected = mem_zero(N, sizeof *expected);
    double sum = exp((double)weights[0]) + exp((double)weights[1]) + exp((double)weights[2]);
    for (int l = 0; l < 3; l++)
        for (int64_t i = 0; i < N; i++)
            expected[i] += exp((double)weights[l]) / sum * (double)self.leaf[l].data[i];
    check_forward(&self, expected, 1e-6);
    mem_free(expected);
    check_gradients(&self);
    free_leaves(&self);
}

static Tensor *call_pool(Tape *tape, Case *self)
{
    return op_multi_head_pool(tape, &self->leaf[0], &self->leaf[1]);
}

static void test_multi_head_pool(void **state)
{
    (void)state;
    enum { B = 2, T = 11, C = 3, H = 4 };
    Rng rng = rng_stream(seed, "pool", 0, 0);
    Case self = {.call = call_pool};
    Tensor *x = add_leaf(&self, &rng, B, T, C), *weights = add_leaf(&self, &rng, B, T, H);
    double expected[B * H * C] = {0};
    for (int64_t bt = 0; bt < B * T; bt++)
        for (int64_t hc = 0; hc < H * C; hc++)
            expected[bt / T * H * C + hc] +=
                (double)weights->data[bt * H + hc / C] * (double)x->data[bt * C + hc % C];
    check_forward(&self, expected, 1e-6);
    check_gradients(&self);
    free_leaves(&self);
}

static Tensor *call_crop(Tape *tape, Case *self)
{
    return op_crop_time(tape, &self->leaf[0], 2);
}

static const bool mask[2 * 3] = {true, false, false, false, true, true};

static Tensor *call_mask(Tape *tape, Case *self)
{
    return op_mask_frames(tape, &self->leaf[0], mask, &self->leaf[1]);
}

static void test_frames(void **state)
{
    (void)state;
    Rng rng = rng_stream(seed, "frames", 0, 0);
    Case self = {.call = call_crop};
    const float *x = add_leaf(&self, &rng, 2, 3, 2)->data;
    double cropped[8], masked[12];
    for (int i = 0; i < 8; i++)
        cropped[i] = (double)x[i / 4 * 6 + i % 4];
    check_forward(&self, cropped, 0.0);
    check_gradients(&self);

    self.call = call_mask;
    memset(self.leaf[0].grad, 0, 12 * sizeof(float));
    const float *embedding = add_leaf(&self, &rng, 2, 0, 0)->data;
    for (int i = 0; i < 12; i++)
        masked[i] = (double)(mask[i / 2] ? embedding[i % 2] : x[i]);
    check_forward(&self, masked, 0.0);
    check_gradients(&self);
    free_leaves(&self);
}

static void test_standardize_rows(void **state)
{
    (void)state;
    Tape *tape = tape_create();
    tape_begin(tape, TAPE_NO_GRAD);
    Tensor *x = tape_input(tape, 2, (int64_t[]){2, 4}, (float[]){1, 3, 1, 3, 5, 5, 5, 5});
    Tensor *out = op_standardize_rows(tape, x, 1e-12f);
    const float expected[] = {-1, 1, -1, 1, 0, 0, 0, 0};
    for (int i = 0; i < 8; i++)
        assert_float_equal(out->data[i], expected[i], 1e-6f);
    tape_destroy(tape);
}

int main(void)
{
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_equals_plain),
        cmocka_unit_test(test_attention_gradients),
        cmocka_unit_test(test_attention_dropout),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_position_bias),
        cmocka_unit_test(test_position_gate),
        cmocka_unit_test(test_layer_mix),
        cmocka_unit_test(test_multi_head_pool),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_standardize_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
