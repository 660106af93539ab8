// What golden tests of whole models share: weights by name from a reference file, gradients by name against
// it.
#pragma once
#include "golden.h"
#include "nn/parameters.h"

// Copies every param.<name> of the file into the parameter <prefix><name>. A tensor of the file that is no
// parameter of ours, or has another size, fails the test.
void golden_load_parameters(const Golden *golden, Parameters *parameters, const char *prefix);

// Every grad.<name> whose name begins with `begin` against the gradient of <prefix><name>, with the tolerance
// and the floor of `group`. Returns how many were compared.
int golden_check_parameter_gradients(const Golden *golden, const Parameters *parameters, const char *prefix,
                                     const char *begin, const char *group);
