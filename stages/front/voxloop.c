// voxloop VERB: a model in the hands of people with plain audio files (front.h).
#include <stdio.h>
#include <string.h>

#include "base/process.h"
#include "base/text.h"
#include "front.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} VERBS[] = {
    {"embed", verb_embed, "embeddings of recordings, as text, npy or Kaldi ark"},
    {"compare", verb_compare, "how alike the voices of two recordings are"},
    {"verify", verb_verify, "whether two recordings are of one voice (exit status 0 yes, 3 no)"},
    {"enrol", verb_enrol, "puts a voice under a name into a file of speakers"},
    {"identify", verb_identify, "who of the enrolled speakers is heard, or none of them"},
    {"search", verb_search, "ranks recordings by their likeness to one"},
    {"group", verb_group, "recordings into groups of one voice each"},
    {"calibrate", verb_calibrate, "teaches a model what its scores mean, from scored trials"},
};
enum { N_VERBS = sizeof VERBS / sizeof VERBS[0] };

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: voxloop VERB [options] [FILE...]\n\n");
    for (int i = 0; i < N_VERBS; i++)
        fprintf(stream, "  %-10s  %s\n", VERBS[i].name, VERBS[i].summary);
    fprintf(
        stream,
        "\n`voxloop VERB --help` says more. Recordings may be in any format and rate that libsndfile reads. "
        "A\n"
        "folder stands for all recordings in it, `-` for a list on standard input. Models are trained by\n"
        "make -f Makefile.pipeline; each stage of that is a program voxloop-STAGE of its own.\n");
}

int main(int argc, char **argv)
{
    process_settle(argv);
    for (int i = 0; argc > 1 && i < N_VERBS; i++)
        if (strcmp(argv[1], VERBS[i].name) == 0)
            return VERBS[i].run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("voxloop %s\n", VOXLOOP_VERSION);
        return 0;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    if (argc > 1)
        text_print_line(stderr, "voxloop: error: unknown verb \"%s\"; voxloop --help lists them", argv[1]);
    else
        print_usage(stderr);
    return 2;
}
