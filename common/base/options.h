// One table is the truth about a program's options: parsing, types, ranges, defaults, the configuration
// file's keys and --help all come from it. The bound variable holds the default when parsing starts.
//
// Sources, later ones win: defaults, --config FILE (INI: keys before any section, then the section named like
// the stage, e.g. [pretrain]; other stages' sections are skipped), --set key=value, --key value /
// --key=value. A key is spelled as the option ("learning-rate"). Unknown keys and bad values are misuse: one
// line that names the option (or file:line), the nearest known name, and exit status 2.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef enum OptionType {
    OPTION_FLAG,    // bool: --name, --no-name; in a file yes/no/true/false/1/0
    OPTION_INTEGER, // int64_t
    OPTION_REAL,    // double
    OPTION_TEXT,    // const char *
    OPTION_CHOICE,  // const char *, one of `choices`
    OPTION_HEADING  // a line in --help; name is its text
} OptionType;

typedef struct Option {
    const char *name;
    OptionType type;
    void *value;             // bool *, int64_t *, double * or const char **; holds the default before parsing
    double minimum, maximum; // for numbers, when minimum < maximum
    const char *choices;     // "wavlm|ecapa"
    const char *argument;    // what --help calls the value, e.g. "FILE"; NULL: from the type
    const char *help;        // one sentence
    bool required;
} Option; // a table ends with {0}

typedef struct Program {
    const char *name;     // "pretrain": the executable is voxloop-pretrain, the section [pretrain]
    const char *summary;  // one sentence for --help
    const char *usage;    // "[options] --audio DIR --out FILE"
    const char *details;  // a paragraph under the options, or NULL
    const char *operands; // what arguments that are no options are called, e.g. "FILE..."; NULL: refused
    // filled in by program_begin():
    int64_t threads, seed;   // --threads (0: all cores), --seed
    bool quiet;              // --quiet
    const char *config_file; // --config, or NULL
    int argc;
    char **argv;
    const Option *options;
    const char **files; // [n_files], the operands in their order
    int64_t n_files;
    double start_seconds;
} Program;

// Parses the command line; on --help or --version prints and exits 0, on misuse prints one line and exits 2.
// Then sets the threads, opens the log (name, quiet), installs the interrupt handler and logs one line about
// threads, BLAS build and instruction set. Texts live until the program ends.
void program_begin(Program *program, const Option *options, int argc, char **argv);

// The values in force as a JSON object text (for provenance and recipe digests): the table's options and the
// seed, without the threads, --quiet and --config. The caller frees with mem_free().
char *program_options_json(const Program *program);

// Misuse found after parsing (options that contradict each other): prints the line and exits 2.
void program_misuse(const Program *program, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
