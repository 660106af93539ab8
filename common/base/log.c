#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/memory.h"

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

// One fprintf() per line: stderr is locked for it, so the lines of parallel threads do not mix.
static void say(const char *prefix, const char *format, va_list arguments)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    fprintf(stderr, "%s: %s%s\n", stage_name, prefix, text);
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
    fprintf(stderr, "voxloop-%s: error: %s\n", program->name, error->text);
    int status = interrupt_status();
    return status ? status : 1;
}

int program_done(const Program *program, const char *format, ...)
{
    char text[4096], peak[32];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_info("done %s in %.1f s, peak %s", text, clock_seconds() - program->start_seconds,
             log_bytes(peak, (double)mem_peak_bytes()));
    return 0;
}
