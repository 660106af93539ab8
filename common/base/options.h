// One table is the truth about a program's options: parsing, types, ranges, defaults, the configuration
// file's keys and --help all come from it, and by the rows' roles what a run reads, what it writes and which
// values decide its bytes. The bound variable holds the default when parsing starts. Rows are made by the
// functions below, so the compiler checks that an option and its variable are of one type:
//
//     const Option options[] = {
//         option_required(option_input("audio", &s.audio, "DIR", "audio as voxloop-prepare leaves it")),
//         option_heading("Loss"),
//         option_real("margin", &s.margin, 0, 1.5, "of AAM-softmax at the end, radians"),
//         option_neutral(option_integer("log-every", &s.log_every, 1, 1e9, "steps between lines of the
//         log")), {0}};
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

// What a run has to do with the value.
typedef enum OptionRole {
    OPTION_SETTING, // it changes the bytes of the outputs
    OPTION_INPUT,   // a text: path of a file or folder that is read, whose content changes them
    OPTION_OUTPUT,  // a text: path of a file or folder that is written
    OPTION_NEUTRAL  // it does not: logging, when checkpoints are written, how many threads load
} OptionRole;

typedef struct Option {
    const char *name;
    OptionType type;
    OptionRole role;
    void *value;             // bool *, int64_t *, double * or const char **; holds the default before parsing
    double minimum, maximum; // of numbers, either may be infinite
    const char *choices;     // "wavlm|ecapa"
    const char *argument;    // what --help calls the value, e.g. "FILE"; NULL: from the type
    const char *help;        // one sentence
    bool required;
} Option; // a table ends with {0}

// A row of each type, a setting unless said otherwise. argument: what --help calls the value ("FILE"); help:
// one sentence. Texts live as long as the table, values as long as the program.
Option option_heading(const char *text);
Option option_flag(const char *name, bool *value, const char *help);
Option option_integer(const char *name, int64_t *value, double minimum, double maximum, const char *help);
Option option_real(const char *name, double *value, double minimum, double maximum, const char *help);
Option option_choice(const char *name, const char **value, const char *choices, const char *help);
Option option_text(const char *name, const char **value, const char *argument, const char *help);
Option option_input(const char *name, const char **value, const char *argument, const char *help);
Option option_output(const char *name, const char **value, const char *argument, const char *help);

// Puts rows, up to their {0}, behind those of a table that has room for them and ends with {0} itself.
void options_append(Option *table, const Option *rows);

// The same row, but ...
Option option_neutral(Option option);
Option option_required(Option option); // misuse when it is left out

typedef struct Program {
    const char *name;     // "pretrain": the executable is voxloop-pretrain, the section [pretrain]
    bool is_verb;         // of the front program: the command is `voxloop NAME`
    const char *summary;  // one sentence for --help
    const char *usage;    // "[options] --audio DIR --out FILE"
    const char *details;  // a paragraph under the options, or NULL
    const char *operands; // what arguments that are no options are called, e.g. "FILE..."; NULL: refused
    // filled in by program_begin():
    int64_t threads, seed;   // --threads (0: all cores), --seed
    bool quiet;              // --quiet
    bool if_changed;         // --if-changed (cache/up_to_date.h)
    bool check;              // --check (the same)
    const char *config_file; // --config, or NULL
    int argc;
    char **argv;
    const Option *options; // the table, which lives as long as the program
    const Option *common;  // the options that every program has, a table too
    const char **files;    // [n_files], the operands in their order
    int64_t n_files;
    const bool *given; // [rows of the table], see program_given()
    double start_seconds;
} Program;

// First of all settles the process (base/process.h), which may start the program again; parses the command
// line; on
// --help or --version prints and exits 0, on misuse prints one line and exits 2. Then sets the threads, opens
// the log (name, quiet), installs the interrupt handler and announces the program. With --if-changed,
// settling and announcing wait until there is something to do. Texts live until the program ends.
void program_begin(Program *program, const Option *options, int argc, char **argv);

// What --if-changed has put off: settles the process, then logs one line about threads, BLAS build and
// instruction set, and warns of a BLAS that slows everything.
void program_announce(const Program *program);

// All options that have a value, the table's, then the common ones: i from 0 until NULL comes.
const Option *program_option(const Program *program, int64_t i);
// The value in force, written the same for the same value: "0.1", "7", "yes". NULL: a text that is not given.
// The caller frees with mem_free().
char *option_value(const Option *option);

// Whether some source gave the option that is bound to this variable, be it its default.
bool program_given(const Program *program, const void *value);

// "voxloop-extract", or "voxloop embed" for a verb of the front program.
const char *program_command(const Program *program, char text[64]);

// Misuse found after parsing (options that contradict each other): prints the line and exits 2.
void program_misuse(const Program *program, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
