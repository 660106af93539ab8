// voxloop-report: what a WORK folder holds, as one self-contained page, as the line that ends a round
// (--line) or as a table (--table).
#include <stdio.h>

#include "base/files.h"
#include "base/log.h"
#include "base/options.h"
#include "cache/outputs.h"
#include "cache/provenance.h"
#include "cache/publish.h"
#include "cache/up_to_date.h"
#include "report/descent.h"
#include "report/labels.h"
#include "report/page.h"
#include "report/work_files.h"

typedef struct Arguments {
    const char *work, *out, *truth, *line, *table;
} Arguments;

static int print_texts(const Arguments *arguments, Work *work, Error *error)
{
    if (arguments->line && page_write_line(stdout, work, arguments->line, error) != 0)
        return -1;
    if (arguments->table && descent_trace(work, error) != 0)
        return -1;
    if (arguments->table && page_write_table(stdout, work, arguments->table, error) != 0)
        return -1;
    return fflush(stdout) == 0 ? 0 : error_set_errno(error, "cannot write to standard output");
}

static int publish_page(const char *path, const Work *work, const LabelList *truth, Error *error)
{
    PublishFile *file = publish_open(path, error);
    if (!file)
        return -1;
    if (page_write(publish_stream(file), work, truth, error) != 0) {
        publish_abandon(file);
        return -1;
    }
    return publish_commit(file, error);
}

// The last round's utterances tell which column of the list is the utterance.
static int load_truth(const char *path, const Work *work, LabelList *truth, Error *error)
{
    LabelList known;
    if (round_labels(&work->rounds[work->n_rounds - 1], &known, error) != 0)
        return -1;
    const char *form;
    int status = labels_load(path, known.n ? known.utts : NULL, known.n, truth, &form, error);
    if (status == 0)
        log_info("%s: %lld utterances of %lld speakers, %s", path, (long long)truth->n,
                 (long long)truth->n_labels, form);
    labels_release(&known);
    return status;
}

// Of WORK, the files that a page is made from count; where it cannot be read, opening it will say so.
static void look_at_work(const Program *program, const char *folder)
{
    char **names, **paths;
    int64_t n;
    Content content;
    if (work_files(folder, &names, &paths, &n, NULL) < 0)
        return;
    content_of_files(folder, names, paths, n, &content);
    provenance_stands_for(program, "work", &content);
    strings_free(names, n);
    strings_free(paths, n);
}

// What stands apart on the page is said, too.
static void say_remarks(const Work *work)
{
    for (int64_t i = 0; i < work->n_rounds; i++) {
        const Round *round = &work->rounds[i];
        if (round->remark && (round->mixed || round->parent >= 0))
            log_warn("%s: %s", round->name, round->remark);
        else if (round->remark)
            log_info("%s is not joined with other rounds: %s", round->name, round->remark);
    }
}

static int make_page(const Program *program, const Arguments *arguments, Work *work, Error *error)
{
    LabelList truth = {0};
    if (arguments->truth && load_truth(arguments->truth, work, &truth, error) != 0)
        return -1;
    const LabelList *given = arguments->truth ? &truth : NULL;
    int status = work_load_details(work, given, error);
    if (status == 0)
        say_remarks(work);
    if (status == 0)
        status = publish_page(arguments->out, work, given, error);
    if (status == 0)
        status = provenance_publish(program, arguments->out, error);
    labels_release(&truth);
    return status;
}

static int report(const Program *program, const Arguments *arguments, Work *work, Error *error)
{
    if (work_open(arguments->work, work, error) != 0)
        return -1;
    if (print_texts(arguments, work, error) != 0)
        return -1;
    return arguments->out ? make_page(program, arguments, work, error) : 0;
}

int main(int argc, char **argv)
{
    Arguments arguments = {0};
    const Option options[] = {
        option_required(option_input("work", &arguments.work, "DIR",
                                     "the pipeline's WORK folder, with iter0, iter1 ...")),
        option_output("out", &arguments.out, "FILE", "the page to write"),
        option_input("truth", &arguments.truth, "FILE",
                     "true speakers (utt2spk): a second view of the embeddings, and purity where it lacks"),
        option_neutral(
            option_text("line", &arguments.line, "ROUND", "print one line about iter0, iter1 ...")),
        option_neutral(
            option_text("table", &arguments.table, "ROUND,...",
                        "print a Markdown table; a shell pattern gives its rounds' mean and deviation")),
        {0}};
    Program program = {.name = "report",
                       .summary = "Shows what each round of the loop has reached.",
                       .usage = "--work DIR (--out FILE [--truth FILE] | --line ROUND | --table ROUND,...)"};
    program_begin(&program, options, argc, argv);
    if (!arguments.out && !arguments.line && !arguments.table)
        program_misuse(&program, "nothing to do: give --out FILE, --line ROUND or --table ROUND,...");
    if (arguments.truth && !arguments.out)
        program_misuse(&program, "--truth FILE is for the page; give --out FILE");
    look_at_work(&program, arguments.work);
    if (up_to_date(&program, arguments.line || arguments.table ? NULL : arguments.out))
        return 0;
    outputs_check(&program, NULL);
    Error error = {0};
    Work work = {0};
    int status = report(&program, &arguments, &work, &error);
    long long n_rounds = work.n_rounds;
    work_release(&work);
    if (status != 0)
        return program_fail(&program, &error);
    return arguments.out ? program_done(&program, "%lld rounds in %s", n_rounds, arguments.out) : 0;
}
