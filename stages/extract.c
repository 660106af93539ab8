// voxloop-extract: one embedding per utterance, by any model (train/extraction.h).
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cache/kaldi_ark.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/up_to_date.h"
#include "train/extraction.h"

static int publish(const Program *program, const ExtractionOptions *s, const char *format,
                   const Embeddings *embeddings, Error *error)
{
    int (*write)(const char *, const Embeddings *, Error *) = embeddings_publish_shard;
    if (strcmp(format, "npy") == 0)
        write = embeddings_publish_npy;
    else if (strcmp(format, "ark") == 0)
        write = ark_publish;
    if (write(s->out, embeddings, error) < 0)
        return -1;
    if (write == ark_publish) {
        char *scp = ark_scp_path(s->out);
        provenance_also_wrote(program, scp);
        mem_free(scp);
    }
    return provenance_publish(program, s->out, error);
}

int main(int argc, char **argv)
{
    const char *format = "shard";
    ExtractionOptions s = {.batch = 64, .longest_seconds = 60, .crop_frames = 400, .pace = {.minutes = 5}};
    const Option options[] = {
        option_required(option_input("audio", &s.audio, "DIR", "audio as voxloop-prepare leaves it")),
        option_required(option_input("model", &s.model, "FILE", "checkpoint (safetensors)")),
        option_required(option_output("out", &s.out, "FILE", "the embeddings")),
        option_choice("format", &format, "shard|npy|ark", "file format of the embeddings"),
        option_neutral(option_integer("batch", &s.batch, 1, 4096,
                                      "utterances that the threads share between two looks at the clock")),
        option_real("longest-seconds", &s.longest_seconds, 0, 1e6,
                    "seconds of an utterance that are used, from its middle; 0: all of it"),
        option_integer(
            "halves", &s.halves, 0, 1e12,
            "both halves (UTT#1, UTT#2) of at most so many utterances instead, for label-free trials"),
        option_integer("crops", &s.crops, 0, 1e6,
                       "the mean of the unit-length embeddings of so many crops instead, evenly spaced (the "
                       "recipe: 15)"),
        option_integer("crop-frames", &s.crop_frames, 10, 100000,
                       "length of each of the --crops, 10 ms each"),
        option_neutral(option_integer("checkpoint-every", &s.pace.every, 0, 1e9,
                                      "batches between checkpoints; 0: by time only")),
        option_neutral(option_real("checkpoint-minutes", &s.pace.minutes, 0, 1e6,
                                   "minutes between checkpoints; 0: by batches only")),
        {0}};
    Program program = {.name = "extract",
                       .summary = "Computes one embedding per utterance.",
                       .usage = "[options] --audio DIR --model FILE --out FILE",
                       .details =
                           "Interrupted, the same command goes on from its last checkpoint, FILE.resume."};
    program_begin(&program, options, argc, argv);
    if (s.halves > 0 && s.crops > 0)
        program_misuse(&program, "--halves and --crops exclude each other");
    if (up_to_date(&program, s.out))
        return 0;
    outputs_check(&program, NULL);
    Error error = {0};
    Embeddings embeddings = {0};
    char recipe[17];
    s.recipe = recipe;
    int status = provenance_recipe(&program, recipe, &error);
    if (status == 0)
        status = extract_embeddings(&s, &embeddings, &error);
    if (status == 0)
        status = publish(&program, &s, format, &embeddings, &error);
    int64_t n = embeddings.n, dim = embeddings.dim;
    embeddings_release(&embeddings);
    if (status < 0)
        return program_fail(&program, &error);
    resume_finish(s.out);
    return program_done(&program, "%" PRId64 " embeddings of %" PRId64 " dimensions", n, dim);
}
