// <artefact>.json beside each artefact, its record: how it came to be. Command line, options in force, inputs
// and outputs with their digests, version, threads and BLAS, wall and CPU seconds, peak memory, and the
// recipe.
//
// What a run reads and writes stands in its table of options (base/options.h) and nowhere else: no stage
// lists its inputs. The recipe is one digest of all that decides the outputs' bytes: the program and its
// version, the seed and all options that are settings, the content of the inputs (cache/content.h), and which
// outputs are asked for. Paths, threads and neutral options are no part of it. Of the version
// MAJOR.MINOR.PATCH the last number is none either: versions that differ in it alone give the same bytes.
//
//     program_begin(&program, options, argc, argv);
//     if (up_to_date(&program, s.out))                     // cache/up_to_date.h; looks at the inputs, too
//         return 0;
//     provenance_recipe(&program, recipe, error);          // where a checkpoint has to fit
//     ... run, publish the outputs ...
//     provenance_publish(&program, s.out, error);          // last: a record stands for whole outputs
//
// One record for a run, beside the output that is called the artefact, names all outputs. An input that
// changes while the run reads it is recorded without a digest or a recipe: that run is never up to date.
//
//     {"program": "cluster", "version": "0.1.0", "command": [...],
//      "options": {"clusters": "auto", ...},                          those that change bytes, and the seed
//      "neutral": {"threads": 0, ...},                                those that do not
//      "inputs": [{"option": "embeddings", "path": "iter0/embeddings.tar.zst", "size": 8123,
//                  "mtime": 1764264000.25, "stamp": "...", "xxh64": "..."}, ...],
//      "recipe": "...",
//      "outputs": [{"option": "out", ...}, {"option": "report", ...}],  the same of each
//      "threads": "2 threads, OpenBLAS ...", "finished": "2026-11-20T21:05:00Z",
//      "wall_seconds": 1.2, "cpu_seconds": 2.3, "peak_bytes": 12345678}
//
// Sizes in bytes, mtime in seconds since 1970 (for a folder: of all files, of the newest); a stamp or digest
// that is not known is empty or null. An output without an option lies beside the artefact, and its path is
// its name.
#pragma once
#include "base/error.h"
#include "base/options.h"
#include "cache/content.h"

// Looks at the inputs as they are before they are read. Later calls do nothing.
void provenance_begin(const Program *program);

// The input of this option stands for other files, e.g. a list for the recordings in it. content becomes the
// record's own. Before the recipe is asked for.
void provenance_stands_for(const Program *program, const char *option, Content *content);

// The run writes this file too, beside the artefact; no option names it.
void provenance_also_wrote(const Program *program, const char *path);

int provenance_recipe(const Program *program, char recipe[17], Error *error);

// artefact: an output, or a file in a folder that is one. All outputs must have been published.
int provenance_publish(const Program *program, const char *artefact, Error *error);
