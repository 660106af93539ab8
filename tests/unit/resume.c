// Resume files: what is loaded is what was saved, and a number that could not have been saved is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "damage.h"
#include "train/resume.h"

static char *folder, *output, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    output = mem_printf("%s/x", folder);
    path = mem_printf("%s.resume", output);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    mem_free(output);
    return 0;
}

static void save(int64_t step, const int64_t clusters[3])
{
    float values[2] = {1, -2};
    Resume resume;
    resume_init(&resume, output, "recipe", (ResumePace){.every = 1});
    resume_keep(&resume, state_floats("values", 2, values));
    resume_keep(&resume, state_count("step", &step, INT64_MAX));
    resume_keep(&resume, state_numbers("clusters", 3, (int64_t *)clusters, INT64_MIN, INT64_MAX));
    assert_int_equal(resume_step(&resume, false, NULL), 0);
    resume_release(&resume);
}

// 1: found, 0: nothing to go on from, -1
static int load(const char *recipe, int64_t *step, Error *error)
{
    float values[2] = {0};
    int64_t clusters[3] = {0};
    bool found;
    Resume resume;
    resume_init(&resume, output, recipe, (ResumePace){0});
    resume_keep(&resume, state_floats("values", 2, values));
    resume_keep(&resume, state_count("step", step, 100));
    resume_keep(&resume, state_numbers("clusters", 3, clusters, -1, 6));
    int status = resume_load(&resume, &found, error);
    resume_release(&resume);
    return status < 0 ? -1 : found;
}

static void test_numbers_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        int64_t step, clusters[3];
        const char *wrong; // NULL: nothing
    } cases[] = {
        {0, {-1, 0, 6}, NULL},          {100, {0, 0, 0}, NULL},
        {-1, {0, 0, 0}, "step"},        {101, {0, 0, 0}, "step"},
        {INT64_MIN, {0, 0, 0}, "step"}, {1, {0, 7, 0}, "clusters"},
        {1, {-2, 0, 0}, "clusters"},    {1, {0, 0, INT64_MAX}, "clusters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        int64_t step = 55;
        save(cases[i].step, cases[i].clusters);
        assert_int_equal(load("recipe", &step, &error), cases[i].wrong ? -1 : 1);
        assert_int_equal(step, cases[i].wrong ? 55 : cases[i].step); // nothing is written by halves
        if (cases[i].wrong && (!strstr(error.text, cases[i].wrong) || !strstr(error.text, path)))
            fail_msg("%s", error.text);
    }
}

static void test_other_files(void **state)
{
    (void)state;
    Error error = {0};
    int64_t step = 0;
    save(1, (int64_t[3]){0});
    assert_int_equal(load("another", &step, &error), 0);
    scratch_write(path, "words", 5);
    assert_int_equal(load("recipe", &step, &error), -1);
    assert_non_null(strstr(error.text, path));
    unlink(path);
    assert_int_equal(load("recipe", &step, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers_that_cannot_be),
                                       cmocka_unit_test(test_other_files)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
