#include "base/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

Option option_heading(const char *text)
{
    return (Option){.name = text, .type = OPTION_HEADING, .role = OPTION_NEUTRAL};
}

Option option_flag(const char *name, bool *value, const char *help)
{
    return (Option){.name = name, .type = OPTION_FLAG, .value = value, .help = help};
}

Option option_integer(const char *name, int64_t *value, double minimum, double maximum, const char *help)
{
    return (Option){.name = name,
                    .type = OPTION_INTEGER,
                    .value = value,
                    .minimum = minimum,
                    .maximum = maximum,
                    .help = help};
}

Option option_real(const char *name, double *value, double minimum, double maximum, const char *help)
{
    return (Option){.name = name,
                    .type = OPTION_REAL,
                    .value = value,
                    .minimum = minimum,
                    .maximum = maximum,
                    .help = help};
}

Option option_choice(const char *name, const char **value, const char *choices, const char *help)
{
    return (Option){.name = name, .type = OPTION_CHOICE, .value = value, .choices = choices, .help = help};
}

Option option_text(const char *name, const char **value, const char *argument, const char *help)
{
    return (Option){.name = name, .type = OPTION_TEXT, .value = value, .argument = argument, .help = help};
}

static Option with_role(Option option, OptionRole role)
{
    option.role = role;
    return option;
}

Option option_input(const char *name, const char **value, const char *argument, const char *help)
{
    return with_role(option_text(name, value, argument, help), OPTION_INPUT);
}

Option option_output(const char *name, const char **value, const char *argument, const char *help)
{
    return with_role(option_text(name, value, argument, help), OPTION_OUTPUT);
}

Option option_neutral(Option option)
{
    return with_role(option, OPTION_NEUTRAL);
}

Option option_required(Option option)
{
    option.required = true;
    return option;
}

void options_append(Option *table, const Option *rows)
{
    while (table->name)
        table++;
    do
        *table++ = *rows;
    while ((rows++)->name);
}

// The shortest of two forms that reads back as the same number.
static char *real_text(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    return strtod(text, NULL) == value ? mem_strdup(text) : mem_printf("%.17g", value);
}

char *option_value(const Option *option)
{
    const char *text;
    switch (option->type) {
    case OPTION_FLAG:
        return mem_strdup(*(bool *)option->value ? "yes" : "no");
    case OPTION_INTEGER:
        return mem_printf("%" PRId64, *(int64_t *)option->value);
    case OPTION_REAL:
        return real_text(*(double *)option->value);
    default:
        text = *(const char **)option->value;
        return text ? mem_strdup(text) : NULL;
    }
}

// The i-th option of a table that has a value; *i loses those passed over.
static const Option *option_at(const Option *table, int64_t *i)
{
    for (; table && table->name; table++)
        if (table->value && (*i)-- == 0)
            return table;
    return NULL;
}

const Option *program_option(const Program *program, int64_t i)
{
    const Option *option = option_at(program->options, &i);
    return option ? option : option_at(program->common, &i);
}
