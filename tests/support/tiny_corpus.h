// A prepared audio folder for tests of training: n utterances of made voices (harmonics of a pitch of their
// own in a little noise), named s0/u0, s0/u1, ... with utts_per_speaker each.
#pragma once
#include <stdint.h>

enum { TINY_CORPUS_SAMPLES = 12000 }; // of every utterance but the first of each speaker, which has half

void tiny_corpus_create(const char *folder, int n_speakers, int utts_per_speaker);
