// What a program settles about its own process before it computes. program_begin() and the front program's
// main() call it first of all; libraries do nothing behind anybody's back.
//
// Numbers below 1e-38 count as 0, in this thread and in those that it starts: processors take many times as
// long for them. A small WavLM's 20th fine-tuning step took three times as long with them (18 against 55
// utterances a second), with the same loss.
//
// Two more things are read from the environment when libraries are loaded, before main, and never again:
//
// GOMP_SPINCOUNT: how long a thread that waits at the end of a parallel loop spins before it sleeps. By
// default some milliseconds: where anything else wants the cores, the spinning keeps from them the very
// thread that is waited for. Twelve fine-tuning steps beside other programs took 34-57 s by default, 9-12 s
// with 10 000 spins, 1.4-3.6 s with 1000; with the machine to themselves 0.9-1.0 s by default and with 1000.
// The OpenMP runtime has no call for it.
//
// OPENBLAS_CORETYPE: OpenBLAS chooses its kernels by CPU model and falls back to SSE3 ones for a model
// younger than itself. Debian's 0.3.21 takes a 2023 Xeon for a "Prescott" of 2004, at a fifth of the speed
// (73 against 337 GFLOP/s on two cores).
//
// So a program whose environment is silent on them sets them and starts itself once more: the same file, the
// same arguments, the same process number. Whoever sets these variables, or OMP_WAIT_POLICY, is left alone.
#pragma once

// Call it before any thread is started and before any input is read. Returns in the program that goes on;
// where it cannot start itself again, that is this one, and it goes on slowly.
void process_settle(char **argv);

// What ps and pkill call the process, cut at 15 bytes.
void process_set_name(const char *name);
