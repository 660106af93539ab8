#include "base/options.h"

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
