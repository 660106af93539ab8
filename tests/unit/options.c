// The option table: values, their sources' precedence, --help, and one line of misuse for each mistake.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/options.h"
#include "damage.h"

enum { MAX_ARGUMENTS = 16 };

typedef struct Values {
    bool augment;
    int64_t epochs;
    double rate;
    const char *audio, *model;
} Values;

typedef struct Run {
    Values values;
    Program program;
} Run;

// Parses as a program of its own would: "--a b" is split at spaces.
static void parse(Run *run, const char *command, bool takes_files)
{
    static Values values;
    const Option rows[] = {option_heading("Data"),
                           option_required(option_input("audio", &values.audio, "DIR", "prepared audio")),
                           option_flag("augment", &values.augment, "add noise and reverberation"),
                           option_heading("Training"),
                           option_integer("epochs", &values.epochs, 1, 1000, "passes over the data"),
                           option_real("learning-rate", &values.rate, 0, 10,
                                       "step size at the peak of the schedule, before the cosine takes "
                                       "it down to the final learning rate"),
                           option_choice("model", &values.model, "ecapa|wavlm", "encoder"),
                           {0}};
    static Option options[sizeof rows / sizeof rows[0]]; // outlives this call, as the program does
    memcpy(options, rows, sizeof rows);
    static char text[4096], *argv[MAX_ARGUMENTS + 2];
    values = (Values){.augment = true, .epochs = 20, .rate = 0.2, .model = "ecapa"};
    snprintf(text, sizeof text, "voxloop-pretrain %s", command);
    int argc = 0;
    for (char *word = strtok(text, " "); word && argc <= MAX_ARGUMENTS; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    run->program = (Program){.name = "pretrain",
                             .summary = "learns from audio that nobody labelled.",
                             .usage = "[options] --audio DIR",
                             .seed = 7,
                             .details = "A paragraph at the end.",
                             .operands = takes_files ? "FILE..." : NULL};
    program_begin(&run->program, options, argc, argv);
    run->values = values;
}

// The same in a child, whose output and exit status come back.
static int parse_in_child(const char *command, char output[8192])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        Run run;
        parse(&run, command, false);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], output + length, 8191 - length)) > 0;)
        length += (size_t)got;
    output[length] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// Children of these tests end in the middle of a function that does not return and saves no registers of its
// callers, so what the callers hold looks lost to LeakSanitizer.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void test_defaults_and_forms(void **state)
{
    (void)state;
    Run run;
    parse(&run, "--quiet --audio a --learning-rate=1e-3 --no-augment --model wavlm --threads 1", false);
    assert_string_equal(run.values.audio, "a");
    assert_false(run.values.augment);
    assert_true(run.values.rate == 1e-3);
    assert_int_equal(run.values.epochs, 20);
    assert_string_equal(run.values.model, "wavlm");
    assert_int_equal(run.program.seed, 7);
    static const char *const VALUES[] = {"audio a",       "augment no", "epochs 20", "learning-rate 0.001",
                                         "model wavlm",   "threads 1",  "seed 7",    "quiet yes",
                                         "if-changed no", "check no"};
    const Option *option;
    int64_t n = 0;
    for (; (option = program_option(&run.program, n)); n++) {
        char *value = option_value(option), *line = mem_printf("%s %s", option->name, value);
        assert_string_equal(line, VALUES[n]);
        mem_free(line);
        mem_free(value);
    }
    assert_int_equal(n, sizeof VALUES / sizeof VALUES[0]);
}

static void test_files(void **state)
{
    (void)state;
    Run run;
    parse(&run, "--quiet x --audio a - -- --y", true);
    assert_int_equal(run.program.n_files, 3);
    assert_string_equal(run.program.files[0], "x");
    assert_string_equal(run.program.files[2], "--y");
    mem_free(run.program.files);
}

static void test_precedence(void **state)
{
    (void)state;
    char *folder = scratch_create(), *path = path_join(folder, "x.ini"), *command;
    const char *text =
        "; all stages\nseed = 3\n[pretrain]\nepochs = 5\nmodel = wavlm ; inline\naudio = from file\n"
        "learning-rate=0.5\n[finetune]\nmargin = 0.2\n";
    scratch_write(path, text, strlen(text));
    command = mem_printf("--epochs 7 --set epochs=6 --set learning-rate=0.25 --config %s --quiet", path);
    Run run;
    parse(&run, command, false);
    assert_int_equal(run.program.seed, 3);
    assert_int_equal(run.values.epochs, 7);
    assert_true(run.values.rate == 0.25);
    assert_string_equal(run.values.model, "wavlm");
    assert_string_equal(run.values.audio, "from file");
    mem_free(command);
    mem_free(path);
    scratch_remove(folder);
}

static void test_misuse(void **state)
{
    (void)state;
    static const struct {
        const char *command, *line;
    } cases[] = {
        {"", "--audio is required; --help lists the options"},
        {"--audio a --larning-rate 1",
         "unknown option --larning-rate (did you mean --learning-rate?); --help lists all"},
        {"--audio a --xyzzyplugh 1", "unknown option --xyzzyplugh; --help lists all"},
        {"--audio a --no-epochs", "unknown option --no-epochs (did you mean --epochs?); --help lists all"},
        {"--audio", "--audio needs a value"},
        {"--audio a --epochs 0", "--epochs must be 1 to 1000, not 0"},
        {"--audio a --epochs 1.5", "--epochs needs a whole number, not \"1.5\""},
        {"--audio a --epochs 99999999999999999999",
         "--epochs needs a whole number, not \"99999999999999999999\""},
        {"--audio a --learning-rate nan", "--learning-rate needs a number, not \"nan\""},
        {"--audio a --learning-rate=", "--learning-rate needs a number, not \"\""},
        {"--audio a --model ecap", "--model must be one of ecapa|wavlm, not \"ecap\""},
        {"--audio a --augment=maybe", "--augment needs yes or no, not \"maybe\""},
        {"--audio a --set epoch=2", "--set: unknown key epoch (did you mean epochs?)"},
        {"--audio a --set epochs", "--set needs key=value, not \"epochs\""},
        {"--audio a --set help=yes", "--set: unknown key help"},
        {"--audio a --config /nonexistent.ini",
         "--config: cannot open /nonexistent.ini: No such file or directory"},
        {"--audio a more", "unexpected argument \"more\"; --help lists the options"},
        {"--audio a -q", "unexpected argument \"-q\"; --help lists the options"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char output[8192], *expected = mem_printf("voxloop-pretrain: error: %s\n", cases[i].line);
        assert_int_equal(parse_in_child(cases[i].command, output), 2);
        if (strncmp(output, expected, strlen(expected) - 1) != 0 || strchr(output, '\n')[1])
            fail_msg("%s: wanted %sgot %s", cases[i].command, expected, output);
        mem_free(expected);
    }
}

static void test_misuse_in_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"[pretrain]\n\nepoch = 3\n", ":3: unknown key epoch (did you mean epochs?)\n"},
        {"epochs = many\n", ":1: epochs needs a whole number, not \"many\"\n"},
        {"[pretrain]\nepochs\n", ":2: neither [section] nor key = value\n"},
    };
    char *folder = scratch_create(), *path = path_join(folder, "x.ini"), output[8192];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scratch_write(path, cases[i].text, strlen(cases[i].text));
        char *command = mem_printf("--audio a --config %s", path);
        char *expected = mem_printf("voxloop-pretrain: error: %s%s", path, cases[i].line);
        assert_int_equal(parse_in_child(command, output), 2);
        assert_string_equal(output, expected);
        mem_free(expected);
        mem_free(command);
    }
    mem_free(path);
    scratch_remove(folder);
}

static const char HELP[] =
    "voxloop-pretrain: learns from audio that nobody labelled.\n"
    "\n"
    "usage: voxloop-pretrain [options] --audio DIR\n"
    "\n"
    "Data:\n"
    "  --audio DIR          prepared audio (required)\n"
    "  --[no-]augment       add noise and reverberation (default yes)\n"
    "\n"
    "Training:\n"
    "  --epochs N           passes over the data (default 20; 1 to 1000)\n"
    "  --learning-rate X    step size at the peak of the schedule, before the cosine takes it down to the\n"
    "                       final learning rate (default 0.2; 0 to 10)\n"
    "  --model ecapa|wavlm  encoder (default ecapa)\n"
    "\n"
    "Common:\n"
    "  --config FILE        read options from an INI file\n"
    "  --set KEY=VALUE      override one key of --config; repeatable\n"
    "  --threads N          threads that compute, 0 for every core (default 0; 0 to 1024)\n"
    "  --seed N             seed of every random choice (default 7; at least 0)\n"
    "  --[no-]quiet         say nothing but warnings and errors (default no)\n"
    "  --[no-]if-changed    do nothing where the outputs are there and would come out the same (default\n"
    "                       no)\n"
    "  --[no-]check         only say whether the options can be obeyed; with --if-changed: whether there\n"
    "                       is anything to do (exit status 3) (default no)\n"
    "  --help               print this and exit\n"
    "  --version            print the version and exit\n"
    "\n"
    "A paragraph at the end.\n";

static void test_help(void **state)
{
    (void)state;
    char output[8192];
    assert_int_equal(parse_in_child("--epochs 3 --help", output), 0);
    assert_string_equal(output, HELP);
    assert_int_equal(parse_in_child("--version", output), 0);
    assert_string_equal(output, "voxloop " VOXLOOP_VERSION "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_forms), cmocka_unit_test(test_files),
        cmocka_unit_test(test_precedence),         cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_misuse_in_files),    cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
