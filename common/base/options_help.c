#include "base/options_help.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINE_WIDTH = 100, MAX_NAME_WIDTH = 30 };

const char *options_range(const Option *option, char text[64])
{
    text[0] = '\0';
    bool is_number = option->type == OPTION_INTEGER || option->type == OPTION_REAL;
    if (!is_number || (isinf(option->minimum) && isinf(option->maximum)))
        return text;
    if (isinf(option->maximum))
        snprintf(text, 64, "at least %.12g", option->minimum);
    else if (isinf(option->minimum))
        snprintf(text, 64, "at most %.12g", option->maximum);
    else
        snprintf(text, 64, "%.12g to %.12g", option->minimum, option->maximum);
    return text;
}

static const char *argument_name(const Option *option)
{
    if (option->argument)
        return option->argument;
    switch (option->type) {
    case OPTION_INTEGER:
        return "N";
    case OPTION_REAL:
        return "X";
    case OPTION_CHOICE:
        return strlen(option->choices) <= 16 ? option->choices : "NAME";
    default:
        return "TEXT";
    }
}

// "--learning-rate X" or "--[no-]quiet"
static void left_column(const Option *option, char text[128])
{
    if (option->type == OPTION_FLAG)
        snprintf(text, 128, option->value ? "--[no-]%s" : "--%s", option->name);
    else
        snprintf(text, 128, "--%s %s", option->name, argument_name(option));
}

static void append(char *text, size_t size, const char *separator, const char *more)
{
    size_t length = strlen(text);
    if (*more)
        snprintf(text + length, size - length, "%s%s", length ? separator : "", more);
}

static void default_text(const Option *option, char text[256])
{
    text[0] = '\0';
    if (!option->value || option->required)
        return;
    if (option->type == OPTION_FLAG)
        snprintf(text, 256, "default %s", *(bool *)option->value ? "yes" : "no");
    else if (option->type == OPTION_INTEGER)
        snprintf(text, 256, "default %" PRId64, *(int64_t *)option->value);
    else if (option->type == OPTION_REAL && !isnan(*(double *)option->value)) // NaN: not given
        snprintf(text, 256, "default %.12g", *(double *)option->value);
    else if (option->type != OPTION_REAL && *(const char **)option->value && **(const char **)option->value)
        snprintf(text, 256, "default %s", *(const char **)option->value);
}

// "Step size at the peak (default 0.2; 0 to 1)"
static void right_column(const Option *option, char text[1024])
{
    char facts[768] = "", part[256], range[64];
    if (option->required)
        append(facts, sizeof facts, "; ", "required");
    default_text(option, part);
    append(facts, sizeof facts, "; ", part);
    append(facts, sizeof facts, "; ", options_range(option, range));
    if (option->type == OPTION_CHOICE && argument_name(option) != option->choices) {
        snprintf(part, sizeof part, "one of %s", option->choices);
        append(facts, sizeof facts, "; ", part);
    }
    snprintf(text, 1024, facts[0] ? "%s (%s)" : "%s", option->help ? option->help : "", facts);
}

// Prints text from column `indent` on (where the cursor stands), broken between words.
static void print_wrapped(const char *text, int indent)
{
    int column = indent;
    for (const char *word = text; *word;) {
        int length = (int)strcspn(word, " ");
        if (column > indent && column + 1 + length > LINE_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        column += printf(column > indent ? " %.*s" : "%.*s", length, word);
        word += length;
        word += strspn(word, " ");
    }
    putchar('\n');
}

static int column_width(const Option *options, int width)
{
    char left[128];
    for (const Option *option = options; option && option->name; option++) {
        left_column(option, left);
        int length = (int)strlen(left);
        if (option->type != OPTION_HEADING && length > width && length <= MAX_NAME_WIDTH)
            width = length;
    }
    return width;
}

static void print_options(const Option *options, int width)
{
    char left[128], right[1024];
    for (const Option *option = options; option && option->name; option++) {
        if (option->type == OPTION_HEADING) {
            printf("\n%s:\n", option->name);
            continue;
        }
        left_column(option, left);
        right_column(option, right);
        if ((int)strlen(left) > width)
            printf("  %s\n%*s", left, width + 4, "");
        else
            printf("  %-*s  ", width, left);
        print_wrapped(right, width + 4);
    }
}

void options_print_help(const Program *program)
{
    char command[64];
    printf("%s: ", program_command(program, command));
    print_wrapped(program->summary, 0);
    printf("\nusage: %s %s\n", command, program->usage ? program->usage : "[options]");
    const Option *options = program->options, *common = program->common;
    int width = column_width(common, column_width(options, 0));
    if (options && options->name && options->type != OPTION_HEADING)
        printf("\nOptions:\n");
    print_options(options, width);
    print_options(common, width);
    if (program->details) {
        putchar('\n');
        print_wrapped(program->details, 0);
    }
}
