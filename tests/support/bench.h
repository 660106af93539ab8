// What every benchmark prints: one line per measurement.
#pragma once

// Runs it n_runs times and prints the fastest: seconds, GFLOP/s of its matrix products, their share of what
// the linked BLAS reaches on large square products, and the process's peak memory. That peak rate is measured
// between the runs and the largest counts, since other programs slow a machine down from one second to the
// next. Returns the seconds.
double bench_run(const char *name, int n_runs, void (*run)(void *context), void *context);
