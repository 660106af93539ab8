#include "base/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t received; // the signal's number, 0: none

// SA_RESETHAND puts the default action back, so the second signal kills.
static void remember(int number)
{
    received = number;
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_requested(void)
{
    return received != 0;
}

int interrupt_status(void)
{
    return received ? 128 + received : 0;
}

int interrupt_fail(Error *error)
{
    return error_set(error, "interrupted; run the same command again to continue");
}
