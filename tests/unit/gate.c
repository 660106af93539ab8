// The loss gate from epoch to epoch: two modes give a threshold between them; one mode leaves it where it is;
// where the lower mode is the smaller one, it opens.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/gate.h"

enum { N = 1000 };

// An epoch of one step: `n_low` log losses around -3, the others around 1.
static void run_epoch(Gate *gate, int64_t epoch, int n_low, double deviation)
{
    int64_t utts[N];
    float losses[N];
    Rng rng = rng_stream(5, "gate", (uint64_t)epoch, 0);
    gate_begin_step(gate, epoch - 1);
    for (int i = 0; i < N; i++) {
        utts[i] = i;
        losses[i] = (float)exp((i < n_low ? -3 : 1) + deviation * rng_normal(&rng));
    }
    gate_record(gate, utts, losses, N);
}

static bool is_open(const Gate *gate)
{
    LossGate loss_gate;
    return gate_now(gate, NULL, &loss_gate) == NULL;
}

static void test_gate(void **state)
{
    (void)state;
    Gate gate;
    gate_init(&gate, &(GateOptions){2, 4, 0.1, 0.5, N, 1});
    run_epoch(&gate, 1, 800, 0.5);
    assert_true(is_open(&gate)); // before gate_epoch
    run_epoch(&gate, 2, 0, 0);
    assert_false(is_open(&gate)); // from epoch 1's losses
    float threshold = gate.threshold;
    assert_true(threshold > -2.5f && threshold < 0.5f);
    gate_begin_step(&gate, 2); // epoch 3: all of epoch 2's losses were the same
    assert_true(gate.threshold == threshold);
    assert_false(gate_corrects(&gate, 2));
    run_epoch(&gate, 4, 300, 0.5);
    assert_true(gate_corrects(&gate, 3));
    run_epoch(&gate, 5, 800, 0.5); // of epoch 4's losses 30 % lie low
    assert_true(is_open(&gate));
    assert_false(gate_corrects(&gate, 4));
    run_epoch(&gate, 6, 800, 0.5);
    assert_false(is_open(&gate));
    gate_release(&gate);
}

// Without a gate nothing is kept, and no epoch is asked for.
static void test_no_gate(void **state)
{
    (void)state;
    Gate gate;
    gate_init(&gate, &(GateOptions){0});
    gate_begin_step(&gate, 0);
    gate_record(&gate, (int64_t[]){3}, (float[]){1}, 1);
    assert_true(is_open(&gate));
    assert_false(gate_corrects(&gate, 5));
    gate_release(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gate), cmocka_unit_test(test_no_gate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
