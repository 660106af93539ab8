// Reference vectors of models that voxloop does not have yet: a skip for each says so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

static void wait_for_the_model(void **state)
{
    const char *file_name = *state;
    if (golden_available(file_name))
        print_message("SKIPPED: %s waits for its model\n", file_name);
    skip();
}

int main(void)
{
    static const char *const FILES[] = {"resnet.safetensors",
                                        "resnet_feat80.safetensors",
                                        "resnet_two_emb.safetensors",
                                        "resnet_astp.safetensors",
                                        "resnet_bottleneck.safetensors",
                                        "mfa_conformer.safetensors",
                                        "mfa_conformer_sub4.safetensors"};
    enum { N = sizeof FILES / sizeof FILES[0] };
    struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){FILES[i], wait_for_the_model, NULL, NULL, (void *)FILES[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
