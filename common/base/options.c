#include "base/options.h"

#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options_help.h"
#include "base/process.h"
#include "base/text.h"
#include "base/threads.h"

enum { MAX_NAME = 128, MAX_LINE = 4096, N_COMMON = 11 };

// One parse: the program, and which of its options were given.
typedef struct Parser {
    Program *program;
    bool *given; // [options in the program's table]
} Parser;

// --- The tables ---

// The options that all programs have; a verb of the front program writes nothing that could be up to date.
static const Option *common_options(Program *program)
{
    static Option common[N_COMMON]; // lives as long as the program
    const Option table[N_COMMON] = {
        option_heading("Common"),
        option_text("config", NULL, "FILE", "read options from an INI file"),
        option_text("set", NULL, "KEY=VALUE", "override one key of --config; repeatable"),
        option_neutral(
            option_integer("threads", &program->threads, 0, 1024, "threads that compute, 0 for every core")),
        option_integer("seed", &program->seed, 0, INFINITY, "seed of every random choice"),
        option_neutral(option_flag("quiet", &program->quiet, "say nothing but warnings and errors")),
        option_neutral(option_flag("if-changed", &program->if_changed,
                                   "do nothing where the outputs are there and would come out the same")),
        option_neutral(option_flag("check", &program->check,
                                   "only say whether the options can be obeyed; with --if-changed: whether "
                                   "there is anything to do (exit status 3)")),
        option_flag("help", NULL, "print this and exit"),
        option_flag("version", NULL, "print the version and exit"),
    };
    memset(common, 0, sizeof common);
    for (int i = 0, n = 0; i < N_COMMON; i++)
        if (!program->is_verb ||
            (table[i].value != &program->if_changed && table[i].value != &program->check))
            common[n++] = table[i];
    return common;
}

static const Option *find_in(const Option *options, const char *name)
{
    for (const Option *option = options; option && option->name; option++)
        if (option->type != OPTION_HEADING && strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

static const Option *find_option(const Parser *parser, const char *name)
{
    const Option *option = find_in(parser->program->options, name);
    return option ? option : find_in(parser->program->common, name);
}

// A key of a file or of --set: every option that has a value to bind.
static const Option *find_key(const Parser *parser, const char *name)
{
    const Option *option = find_option(parser, name);
    return option && option->value ? option : NULL;
}

// Levenshtein's distance of two short names.
static int edit_distance(const char *a, const char *b)
{
    int row[MAX_NAME + 1], length = (int)strnlen(b, MAX_NAME);
    for (int j = 0; j <= length; j++)
        row[j] = j;
    for (int i = 1; *a && i <= MAX_NAME; i++, a++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= length; j++) {
            int change = diagonal + (*a != b[j - 1]), shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[length];
}

static const char *nearest_in(const Option *options, const char *name, int *distance, const char *nearest)
{
    for (const Option *option = options; option && option->name; option++) {
        int d = option->type == OPTION_HEADING ? *distance : edit_distance(name, option->name);
        if (d < *distance) {
            *distance = d;
            nearest = option->name;
        }
    }
    return nearest;
}

// " (did you mean --learning-rate?)", or nothing when no name is near. dashes: "--" or "".
static const char *suggestion(const Parser *parser, const char *dashes, const char *name,
                              char text[MAX_NAME + 32])
{
    int distance = 3 + (int)strlen(name) / 4;
    const char *nearest = nearest_in(parser->program->options, name, &distance, NULL);
    nearest = nearest_in(parser->program->common, name, &distance, nearest);
    text[0] = '\0';
    if (nearest)
        snprintf(text, MAX_NAME + 32, " (did you mean %s%s?)", dashes, nearest);
    return text;
}

// --- Values ---

// label: "--seed" or "small.ini:3: seed", for the sentence.
static int check_range(const Option *option, double value, const char *text, const char *label, Error *error)
{
    char range[64];
    if (value >= option->minimum && value <= option->maximum)
        return 0;
    return error_set(error, "%s must be %s, not %s", label, options_range(option, range), text);
}

static int assign_integer(const Option *option, const char *text, const char *label, Error *error)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return error_set(error, "%s needs a whole number, not \"%s\"", label, text);
    if (check_range(option, (double)value, text, label, error) != 0)
        return -1;
    *(int64_t *)option->value = value;
    return 0;
}

static int assign_real(const Option *option, const char *text, const char *label, Error *error)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return error_set(error, "%s needs a number, not \"%s\"", label, text);
    if (check_range(option, value, text, label, error) != 0)
        return -1;
    *(double *)option->value = value;
    return 0;
}

static int assign_flag(const Option *option, const char *text, const char *label, Error *error)
{
    static const char *const WORDS[] = {"no", "yes", "false", "true", "0", "1"};
    for (int i = 0; i < 6; i++)
        if (strcmp(text, WORDS[i]) == 0) {
            *(bool *)option->value = i % 2;
            return 0;
        }
    return error_set(error, "%s needs yes or no, not \"%s\"", label, text);
}

static int assign_choice(const Option *option, const char *text, const char *label, Error *error)
{
    size_t length = strlen(text);
    for (const char *choice = option->choices; length && choice; choice = strchr(choice, '|')) {
        choice += *choice == '|';
        if (strcspn(choice, "|") == length && strncmp(choice, text, length) == 0) {
            *(const char **)option->value = text;
            return 0;
        }
    }
    return error_set(error, "%s must be one of %s, not \"%s\"", label, option->choices, text);
}

// text must live until the program ends.
static int assign(const Parser *parser, const Option *option, const char *text, const char *label,
                  Error *error)
{
    const Option *common = parser->program->common;
    if (option < common || option >= common + N_COMMON)
        parser->given[option - parser->program->options] = true;
    switch (option->type) {
    case OPTION_FLAG:
        return assign_flag(option, text, label, error);
    case OPTION_INTEGER:
        return assign_integer(option, text, label, error);
    case OPTION_REAL:
        return assign_real(option, text, label, error);
    case OPTION_CHOICE:
        return assign_choice(option, text, label, error);
    default:
        *(const char **)option->value = text;
        return 0;
    }
}

// --- The configuration file ---

typedef struct Config {
    const Parser *parser;
    const char *path;
    char *rest; // of the text
    int line;
    Error *error;
} Config;

// inih reads lines through this, so the number of the present line is known when it calls take_key().
static char *next_line(char *line, int size, void *context)
{
    Config *config = context;
    const char *next = text_next_line(&config->rest);
    if (!next)
        return NULL;
    config->line++;
    if (snprintf(line, (size_t)size, "%s\n", next) >= size)
        error_set(config->error, "%s:%d: the line is longer than %d bytes", config->path, config->line,
                  size - 2);
    return line;
}

// Texts from files live in this list until the program ends.
static const char *keep(const char *text)
{
    static char **kept;
    static size_t n_kept;
    kept = mem_grow(kept, n_kept + 1, sizeof *kept);
    kept[n_kept] = mem_strdup(text);
    return kept[n_kept++];
}

static int take_key(void *context, const char *section, const char *name, const char *value)
{
    Config *config = context;
    if (*section && strcmp(section, config->parser->program->name) != 0)
        return 1;
    const Option *option = find_key(config->parser, name);
    char near[MAX_NAME + 32];
    if (!option) {
        error_set(config->error, "%s:%d: unknown key %s%s", config->path, config->line, name,
                  suggestion(config->parser, "", name, near));
        return 0;
    }
    char *label = mem_printf("%s:%d: %s", config->path, config->line, name);
    int status = assign(config->parser, option, keep(value), label, config->error);
    mem_free(label);
    return status == 0;
}

static int read_config(const Parser *parser, const char *path, Error *error)
{
    char *text;
    if (text_read(path, &text, error) < 0)
        return error_prefix(error, "--config");
    Config config = {.parser = parser, .path = path, .rest = text, .error = error};
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    ini_use_stack = false; // whose lines end at 200 bytes
    ini_max_line = ini_initial_alloc = MAX_LINE;
    int bad_line = ini_parse_stream(next_line, &config, take_key, &config);
    mem_free(text);
    if (bad_line && !error->text[0])
        error_set(error, "%s:%d: neither [section] nor key = value", path, config.line);
    return error->text[0] ? -1 : 0;
}

// --- The command line ---

static void print_version(void)
{
    printf("voxloop %s\n", VOXLOOP_VERSION);
}

static void take_file(Program *program, const char *text)
{
    static const char **files; // lives until the program ends, as the texts do
    files = mem_grow(files, (size_t)program->n_files + 1, sizeof *files);
    files[program->n_files++] = text;
    program->files = files;
}

typedef enum Pass { PASS_SCAN, PASS_SET, PASS_DIRECT } Pass;

static int apply_set(const Parser *parser, const char *text, Error *error)
{
    char name[MAX_NAME], near[MAX_NAME + 32], label[MAX_NAME + 16];
    size_t length = strcspn(text, "=");
    if (!text[length] || length >= sizeof name)
        return error_set(error, "--set needs key=value, not \"%s\"", text);
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    const Option *option = find_key(parser, name);
    if (!option)
        return error_set(error, "--set: unknown key %s%s", name, suggestion(parser, "", name, near));
    snprintf(label, sizeof label, "--set %s", name);
    return assign(parser, option, text + length + 1, label, error);
}

// What an option does in this pass: the scan answers --help and finds the file; later passes assign.
static int apply_option(const Parser *parser, Pass pass, const Option *option, const char *value,
                        Error *error)
{
    char label[MAX_NAME + 2];
    snprintf(label, sizeof label, "--%s", option->name);
    if (option->value)
        return pass == PASS_DIRECT ? assign(parser, option, value, label, error) : 0;
    if (strcmp(option->name, "set") == 0)
        return pass == PASS_SET ? apply_set(parser, value, error) : 0;
    if (strcmp(option->name, "config") == 0) {
        parser->program->config_file = value;
        return 0;
    }
    if (strcmp(option->name, "help") == 0)
        options_print_help(parser->program);
    else
        print_version();
    exit(0);
}

// One argument that begins with "--"; *next is the argument behind it and moves on when it is the value.
static int parse_option(const Parser *parser, Pass pass, const char *argument, char ***next, Error *error)
{
    char name[MAX_NAME], near[MAX_NAME + 32];
    const char *equals = strchr(argument, '='), *value = equals ? equals + 1 : NULL;
    snprintf(name, sizeof name, "%.*s", (int)(equals ? equals - argument : (long)strlen(argument)) - 2,
             argument + 2);
    const Option *option = find_option(parser, name);
    if (!option && strncmp(name, "no-", 3) == 0 && !value) {
        option = find_option(parser, name + 3);
        value = "no";
        if (option && (option->type != OPTION_FLAG || !option->value))
            option = NULL;
    }
    if (!option)
        return error_set(error, "unknown option --%s%s; --help lists all", name,
                         suggestion(parser, "--", name, near));
    if (!value && option->type == OPTION_FLAG)
        value = "yes";
    if (!value && !(value = **next))
        return error_set(error, "--%s needs a value", name);
    if (value == **next)
        (*next)++;
    return apply_option(parser, pass, option, value, error);
}

static int parse_arguments(const Parser *parser, Pass pass, Error *error)
{
    Program *program = parser->program;
    bool only_files = false;
    for (char **next = program->argv + 1; *next;) {
        const char *argument = *next++;
        if (!only_files && strcmp(argument, "--") == 0) {
            only_files = true;
        } else if (!only_files && strncmp(argument, "--", 2) == 0) {
            if (parse_option(parser, pass, argument, &next, error) != 0)
                return -1;
        } else if (!program->operands || (!only_files && argument[0] == '-' && argument[1])) {
            return error_set(error, "unexpected argument \"%s\"; --help lists the options", argument);
        } else if (pass == PASS_DIRECT) {
            take_file(program, argument);
        }
    }
    return 0;
}

static int check_required(const Parser *parser, Error *error)
{
    const Option *options = parser->program->options;
    for (int64_t i = 0; options && options[i].name; i++)
        if (options[i].required && !parser->given[i])
            return error_set(error, "--%s is required; --help lists the options", options[i].name);
    return 0;
}

// Later sources win, wherever they stand on the command line: the file, then --set, then the options.
static int parse_all(Parser *parser, Error *error)
{
    if (parse_arguments(parser, PASS_SCAN, error) != 0)
        return -1;
    const char *file = parser->program->config_file;
    if (file && read_config(parser, file, error) != 0)
        return -1;
    if (parse_arguments(parser, PASS_SET, error) != 0 || parse_arguments(parser, PASS_DIRECT, error) != 0)
        return -1;
    return check_required(parser, error);
}

// A run that may find nothing to do need not start again for speed, unless a second start would read another
// configuration, e.g. from a pipe.
static bool may_wait(char **argv)
{
    bool asked = false;
    for (char **next = argv + 1; *next && strcmp(*next, "--") != 0; next++) {
        const char *equals = strchr(*next, '=');
        size_t length = equals ? (size_t)(equals - *next) : strlen(*next);
        if (length == strlen("--if-changed") && strncmp(*next, "--if-changed", length) == 0)
            asked = true;
        const char *file = length == strlen("--config") && strncmp(*next, "--config", length) == 0
                               ? (equals ? equals + 1 : next[1])
                               : NULL;
        if (file && !file_is_regular(file))
            return false;
    }
    return asked;
}

void program_begin(Program *program, const Option *options, int argc, char **argv)
{
    char command[64];
    if (!may_wait(argv) && !program->is_verb)
        process_settle(argv);
    process_set_name(program->is_verb ? "voxloop" : program_command(program, command));
    program->options = options;
    program->argc = argc;
    program->argv = argv;
    program->start_seconds = clock_seconds();
    int64_t n_options = 0;
    while (options && options[n_options].name)
        n_options++;
    program->common = common_options(program);
    static bool *volatile given; // lives until the program ends, as the texts do
    given = mem_zero((size_t)n_options + 1, sizeof(bool));
    Parser parser = {.program = program, .given = given};
    Error error = {0};
    if (parse_all(&parser, &error) != 0)
        program_misuse(program, "%s", error.text);
    program->given = given;
    threads_set((int)program->threads);
    log_open(program->name, program->quiet);
    interrupt_install();
    if (!program->if_changed && !program->check)
        program_announce(program);
}

void program_announce(const Program *program)
{
    if (may_wait(program->argv)) {
        process_settle(program->argv);
        threads_set((int)program->threads);
    }
    log_info("%s", threads_describe());
    if (threads_complaint())
        log_warn("%s", threads_complaint());
}

bool program_given(const Program *program, const void *value)
{
    for (int64_t i = 0; program->options[i].name; i++)
        if (program->options[i].value == value && program->given[i])
            return true;
    return false;
}

void program_misuse(const Program *program, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char command[64];
    text_print_line(stderr, "%s: error: %s", program_command(program, command), text);
    exit(2);
}

const char *program_command(const Program *program, char text[64])
{
    snprintf(text, 64, program->is_verb ? "voxloop %s" : "voxloop-%s", program->name);
    return text;
}
