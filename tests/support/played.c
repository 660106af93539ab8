#include "played.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "cache/provenance.h"
#include "damage.h"

// Children of these tests end in the middle of a function that does not return and saves no registers of its
// callers, so what the callers hold looks lost to LeakSanitizer.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

Played *played_create(const char *folder)
{
    Played *p = mem_zero(1, sizeof *p);
    p->labels = path_join(folder, "labels");
    p->out = path_join(folder, "model");
    p->encoder = "ecapa";
    p->rate = 0.1;
    p->epochs = 3;
    p->log_every = 10;
    const Option options[] = {option_required(option_input("labels", &p->labels, "FILE", "labels")),
                              option_input("init", &p->init, "FILE", "weights"),
                              option_input("noise", &p->noise, "DIR", "recordings"),
                              option_required(option_output("out", &p->out, "FILE", "the model")),
                              option_output("report", &p->report, "FILE", "the report"),
                              option_choice("encoder", &p->encoder, "ecapa|wavlm", "kind"),
                              option_real("rate", &p->rate, 0, 1, "step size"),
                              option_integer("epochs", &p->epochs, 1, 1e18, "passes"),
                              option_neutral(option_integer("log-every", &p->log_every, 1, 1e9, "steps")),
                              {0}};
    static char *argv[] = {"voxloop-played", NULL};
    memcpy(p->options, options, sizeof options);
    // What program_begin() would do, but for the command line.
    p->common[0] = option_integer("seed", &p->program.seed, 0, 1e18, "of every random choice");
    p->program = (Program){.name = "played",
                           .if_changed = true,
                           .argc = 1,
                           .argv = argv,
                           .options = p->options,
                           .common = p->common,
                           .start_seconds = clock_seconds()};
    log_open("played", true);
    return p;
}

void played_run(Played *p, const char *content)
{
    Error error = {0};
    provenance_begin(&p->program);
    scratch_write(p->out, content, strlen(content));
    if (p->report)
        scratch_write(p->report, "{}", 2);
    if (provenance_publish(&p->program, p->out, &error) < 0)
        fail_msg("%s", error.text);
}
