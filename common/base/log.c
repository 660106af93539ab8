#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/text.h"

static const char *stage_name = "voxloop";
static bool quiet_mode;

void log_open(const char *stage, bool quiet)
{
    stage_name = stage;
    quiet_mode = quiet;
}

bool log_is_quiet(void)
{
    return quiet_mode;
}

// One write per line: stderr is locked for it, so the lines of parallel threads do not mix.
static void say(const char *prefix, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        return;
    text_print_line(stderr, "%s: %s%s", stage_name, prefix, text);
    free(text);
}

void log_info(const char *format, ...)
{
    if (quiet_mode)
        return;
    va_list arguments;
    va_start(arguments, format);
    say("", format, arguments);
    va_end(arguments);
}

void log_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("warning: ", format, arguments);
    va_end(arguments);
}

const char *log_bytes(char text[32], double n_bytes)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; n_bytes >= 1024 && unit < 4; unit++)
        n_bytes /= 1024;
    snprintf(text, 32, n_bytes < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", n_bytes, UNITS[unit]);
    return text;
}

int program_fail(const Program *program, const Error *error)
{
    char command[64];
    text_print_line(stderr, "%s: error: %s", program_command(program, command), error->text);
    int status = interrupt_status();
    return status ? status : 1;
}

int program_done(const Program *program, const char *format, ...)
{
    char *text = NULL, peak[32];
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length >= 0)
        log_info("done %s in %.1f s, peak %s", text, clock_seconds() - program->start_seconds,
                 log_bytes(peak, (double)mem_peak_bytes()));
    free(length >= 0 ? text : NULL);
    return 0;
}
