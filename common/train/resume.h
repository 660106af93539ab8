// What a long run keeps while it runs: <output>.resume, a safetensors file of flat arrays that only the
// program which wrote it understands, published atomically, with the recipe (cache/provenance.h). Killed at
// any moment, the same command goes on from it and ends with the same bytes; a file of another recipe is no
// error: the log says so, and the run starts afresh.
//
//     Resume resume;
//     resume_init(&resume, output, recipe, pace);
//     resume_keep(&resume, state_count("done", &n_done, n));
//     if (resume_load(&resume, &found, error) == 0)
//         while (n_done < n && status == 0)
//             ... one more, n_done++ ...; status = resume_step(&resume, n_done == n, error);
//     ... publish the output ...
//     resume_finish(&resume);
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/safetensors.h"

typedef struct StateItem {
    const char *name;
    SafeType type; // SAFE_F32 or SAFE_I64
    int64_t n;
    void *data;          // [n], read by saving, written by loading
    int64_t least, most; // SAFE_I64: what a value can be; a file with another one is refused
} StateItem;
StateItem state_floats(const char *name, int64_t n, float *data);
StateItem state_numbers(const char *name, int64_t n, int64_t *data, int64_t least, int64_t most);
StateItem state_count(const char *name, int64_t *count, int64_t most); // one number, from 0

enum { STATE_MAX_ITEMS = 16 };

typedef struct ResumePace { // how often it is saved
    int64_t every;          // steps since it was saved last; 0: by time only
    double minutes;         // 0: by steps only
    bool at_end;            // after the last step, too: what follows may fail and is to be tried again
} ResumePace;

typedef struct Resume {
    char *path;
    const char *recipe; // 16 digits, of the caller
    ResumePace pace;
    StateItem items[STATE_MAX_ITEMS];
    int64_t n_items, n_steps; // n_steps: since it was saved last
    double saved_seconds;
} Resume;

void resume_init(Resume *resume, const char *output, const char *recipe, ResumePace pace);
void resume_release(Resume *resume); // the file stays; zeroed is fine
void resume_keep(Resume *resume, StateItem item);
// *found: the items hold what was saved. An error where the file is damaged; the items are untouched then.
int resume_load(Resume *resume, bool *found, Error *error);
// After each step: saves when it is time to, or when the run is interrupted, which is an error unless it was
// the last.
int resume_step(Resume *resume, bool is_last, Error *error);
void resume_finish(const char *output); // after publishing: the file goes
