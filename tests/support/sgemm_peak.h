// The yardstick of the benchmarks: what the linked BLAS reaches on large square products.
#pragma once

// Floating-point operations per second of the fastest of a few products. Other programs slow a machine down
// from one second to the next: measure before and after what is compared with it, and take the larger.
double sgemm_peak(void);
