#include "objectives/objective.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "objectives/kinds.h"

static const ObjectiveKind *const KINDS[] = {&aam_objective,      &supcon_objective, &supcon_caa_objective,
                                             &in_batch_objective, &pair_objective,   &mfcon_objective,
                                             &teacher_objective};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

typedef struct Term { // of the sum
    const ObjectiveKind *kind;
    double weight;
} Term;

const char *objectives_known(void)
{
    static char known[512];
    known[0] = '\0';
    for (int i = 0; i < N_KINDS; i++)
        text_append(known, sizeof known, KINDS[i]->name);
    return known;
}

// Splits `item`, NAME or NAME=WEIGHT, in place.
static int parse_term(char *item, Term *term, Error *error)
{
    char *equals = strchr(item, '='), *end = "";
    *term = (Term){.weight = 1};
    if (equals) {
        *equals = '\0';
        term->weight = strtod(equals + 1, &end);
    }
    if (*end || end == equals + 1 || !(term->weight > 0 && term->weight <= 1e6))
        return error_set(error, "objective %s: its weight must be a number above 0", item);
    for (int i = 0; i < N_KINDS && !term->kind; i++)
        if (strcmp(item, KINDS[i]->name) == 0)
            term->kind = KINDS[i];
    if (!term->kind)
        return error_set(error, "objective %s is not known; there are %s", item, objectives_known());
    return 0;
}

// Returns the number of terms, or -1.
static int parse(const char *text, Term *terms, Error *error)
{
    char *copy = mem_strdup(text), *rest = NULL;
    int n = 0, status = 0;
    for (char *item = strtok_r(copy, ",", &rest); item && status == 0; item = strtok_r(NULL, ",", &rest)) {
        if (n == OBJECTIVES_MAX)
            status = error_set(error, "there can be no more than %d objectives", OBJECTIVES_MAX);
        else
            status = parse_term(item, &terms[n++], error);
        for (int i = 0; i < n - 1 && status == 0; i++)
            if (terms[i].kind == terms[n - 1].kind)
                status = error_set(error, "objective %s is named twice", item);
    }
    mem_free(copy);
    if (status == 0 && n == 0)
        status = error_set(error, "no objective is named");
    return status < 0 ? -1 : n;
}

int objectives_needs(const char *text, ObjectiveNeeds *needs, Error *error)
{
    Term terms[OBJECTIVES_MAX];
    int n = parse(text, terms, error);
    *needs = (ObjectiveNeeds){0};
    for (int i = 0; i < n; i++) {
        needs->aam |= terms[i].kind == &aam_objective;
        needs->pairs |= terms[i].kind->uses_pairs;
        needs->maps |= terms[i].kind->uses_maps;
        needs->teacher |= terms[i].kind->uses_teacher;
    }
    return n < 0 ? -1 : 0;
}

int objectives_create(const char *text, const ObjectiveOptions *options, Parameters *parameters,
                      Objectives *objectives, Error *error)
{
    Term terms[OBJECTIVES_MAX];
    int n = parse(text, terms, error);
    *objectives = (Objectives){0};
    Scope scope = scope_of(parameters, CLASSIFIER_PREFIX);
    scope.group = options->group;
    for (int i = 0; i < n; i++) {
        Objective *objective = terms[i].kind->create(options, &scope, error);
        if (!objective) {
            objectives_release(objectives);
            return -1;
        }
        objective->kind = terms[i].kind;
        objective->weight = terms[i].weight;
        objectives->items[objectives->n++] = objective;
    }
    return n < 0 ? -1 : 0;
}

void objectives_release(Objectives *objectives)
{
    for (int i = 0; i < objectives->n; i++)
        mem_free(objectives->items[i]);
    *objectives = (Objectives){0};
}
