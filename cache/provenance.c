#include "cache/provenance_run.h"

#include <string.h>

#include "base/digest.h"
#include "base/memory.h"

static Provenance *runs; // one, but for tests that play several programs

const char *provenance_path(const Option *option, OptionRole role)
{
    return option->role == role ? *(const char **)option->value : NULL;
}

Provenance *provenance_of(const Program *program)
{
    Provenance *run = runs;
    while (run && run->program != program)
        run = run->next;
    if (run)
        return run;
    run = mem_zero(1, sizeof *run);
    *run = (Provenance){.program = program, .next = runs};
    const Option *option;
    for (int64_t i = 0; (option = program_option(program, i)); i++) {
        const char *path = provenance_path(option, OPTION_INPUT);
        if (!path)
            continue;
        run->inputs = mem_grow(run->inputs, (size_t)run->n_inputs + 1, sizeof *run->inputs);
        ProvenanceInput *input = &run->inputs[run->n_inputs++];
        *input = (ProvenanceInput){.option = option, .path = path};
        content_look(path, NULL, &input->content, NULL); // whoever reads it says what is wrong
    }
    return runs = run;
}

void provenance_begin(const Program *program)
{
    provenance_of(program);
}

void provenance_stands_for(const Program *program, const char *option, Content *content)
{
    Provenance *run = provenance_of(program);
    for (int64_t i = 0; i < run->n_inputs; i++)
        if (strcmp(run->inputs[i].option->name, option) == 0) {
            content_release(&run->inputs[i].content);
            run->inputs[i].content = *content;
            *content = (Content){0};
        }
}

void provenance_also_wrote(const Program *program, const char *path)
{
    Provenance *run = provenance_of(program);
    run->also_wrote = mem_grow(run->also_wrote, (size_t)run->n_also_wrote + 1, sizeof(char *));
    run->also_wrote[run->n_also_wrote++] = mem_strdup(path);
}

char *provenance_record_path(const char *artefact)
{
    return mem_printf("%s.json", artefact);
}

// --- the recipe

static void add_line(Digest *digest, const char *name, const char *what, const char *value)
{
    char *line = mem_printf("%s %s %s", name, what, value ? value : "");
    digest_add(digest, line, strlen(line) + 1);
    mem_free(line);
}

int provenance_digest(ProvenanceInput *input, Error *error)
{
    if (!input->content.path && content_look(input->path, NULL, &input->content, error) < 0)
        return -1;
    return content_digest(&input->content, error);
}

static void add_option(Digest *digest, const Option *option)
{
    char *value = option_value(option);
    if (option->role == OPTION_SETTING)
        add_line(digest, option->name, value ? "is" : "is not given", value);
    else if (provenance_path(option, OPTION_OUTPUT))
        add_line(digest, option->name, "is written", NULL);
    mem_free(value);
}

int provenance_recipe(const Program *program, char recipe[17], Error *error)
{
    Provenance *run = provenance_of(program);
    Digest *digest = digest_create();
    char *version =
        mem_printf("%.*s", (int)(strrchr(VOXLOOP_VERSION, '.') - VOXLOOP_VERSION), VOXLOOP_VERSION);
    add_line(digest, program->name, "version", version);
    mem_free(version);
    const Option *option;
    for (int64_t i = 0; (option = program_option(program, i)); i++)
        add_option(digest, option);
    int status = 0;
    for (int64_t i = 0; i < run->n_inputs && status == 0; i++) {
        status = provenance_digest(&run->inputs[i], error);
        add_line(digest, run->inputs[i].option->name, "holds", run->inputs[i].content.digest);
    }
    digest_finish(digest, recipe);
    return status;
}
