// Ids of utterances: the rule that makes them of names, and which id a list means.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cache/names.h"

#define DECOMPOSED                                                                                           \
    "caf"                                                                                                    \
    "e\xCC\x81"                                                                                              \
    ".wav"
#define COMPOSED                                                                                             \
    "caf"                                                                                                    \
    "\xC3\xA9"                                                                                               \
    ".wav"

static void test_rule(void **state)
{
    (void)state;
    static const struct {
        const char *name, *id;
    } cases[] = {
        {"id1/x.wav", "id1/x.wav"},
        {"New Recording 1.flac", "New%20Recording%201.flac"},
        {" lead\t\"q\".wav", "%20lead%09%22q%22.wav"},
        {"a\nb\rc\x1b\x7f.wav", "a%0Ab%0Dc%1B%7F.wav"},
        {"100%.wav", "100%25.wav"},
        {"a%20b.wav", "a%2520b.wav"},
        {"latin\xE9.wav", "latin%E9.wav"},
        {"cut\xC3", "cut%C3"},
        {COMPOSED, COMPOSED},
        {DECOMPOSED, DECOMPOSED},
        {"-rf'&<script>;$(x)`|*.wav", "-rf'&<script>;$(x)`|*.wav"},
        {"a\xC2\xA0"
         "b\xE3\x80\x80"
         "c\xE2\x80\xA8"
         "d\xC2\x85"
         "e\xEF\xBB\xBF",
         "a%C2%A0b%E3%80%80c%E2%80%A8d%C2%85e%EF%BB%BF"},
        {"/abs/x.wav", "%2Fabs/x.wav"},
        {"//x", "%2F%2Fx"},
        {"../x", "%2E%2E/x"},
        {"a/../b/./c/..", "a/%2E%2E/b/%2E/c/%2E%2E"},
        {"a/...//..b/.c", "a/...//..b/.c"},
        {"./a.wav", "a.wav"},
        {".//././a.wav", "a.wav"},
        {"a.wav#1", "a.wav%231"},
        {"a.wav#2", "a.wav%232"},
        {"a#1.wav#3", "a#1.wav#3"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *id = name_to_id(cases[i].name), *again = name_as_id(id);
        assert_string_equal(id, cases[i].id);
        assert_int_equal(name_is_id(cases[i].name), strcmp(cases[i].name, id) == 0
                                                        ? id[0] != '\0'
                                                        : strchr(cases[i].name, '#') ||
                                                              strcmp(cases[i].name, "a%20b.wav") == 0 ||
                                                              strcmp(cases[i].name, "100%.wav") == 0);
        if (id[0])
            assert_string_equal(again, id);
        mem_free(again);
        mem_free(id);
    }
}

// Whatever bytes a name holds: its id is one, and %XX gives the name back.
static void test_ids_of_random_names(void **state)
{
    (void)state;
    Rng rng = rng_stream(7, "names", 0, 0);
    static const char PIECES[] =
        "aZ09 %\"./#12\t\n\x01\x7f\xC3\xA9\xE2\x80\xA8\xFF\xC0\xED\xA0\x80\xF0\x9F\x8E\xA4";
    for (int round = 0; round < 20000; round++) {
        char name[40], decoded[40];
        size_t n = 1 + rng_below(&rng, sizeof name - 1), used = 0;
        for (size_t i = 0; i < n - 1; i++)
            name[i] = PIECES[rng_below(&rng, sizeof PIECES - 1)];
        name[n - 1] = '\0';
        char *id = name_to_id(name);
        assert_true(id[0] == '\0' || name_is_id(id));
        for (const char *c = id; *c; c++) {
            unsigned byte = (unsigned char)*c;
            if (*c == '%')
                assert_int_equal(sscanf(c + 1, "%2X", &byte), 1), c += 2;
            decoded[used++] = (char)byte;
        }
        decoded[used] = '\0';
        assert_string_equal(decoded, name_without_here(name));
        mem_free(id);
    }
}

static void test_finding(void **state)
{
    (void)state;
    // Both spellings of one name, a name with a blank and one that looks like its id, one spelt in two alone.
    char *ids[] = {"Ame\xCC\x81lie.wav", "a%20b.wav", "a%2520b.wav", COMPOSED,
                   DECOMPOSED,           "c%20d.wav", "plain/x.wav"};
    enum { N = sizeof ids / sizeof ids[0] };
    for (int i = 1; i < N; i++) // sorted, as lists of ids are
        for (int j = i; j > 0 && strcmp(ids[j - 1], ids[j]) > 0; j--) {
            char *swap = ids[j];
            ids[j] = ids[j - 1], ids[j - 1] = swap;
        }
    static const struct {
        const char *text, *id; // NULL: unknown; "?": ambiguous
    } cases[] = {
        {"plain/x.wav", "plain/x.wav"},
        {"./plain/x.wav", "plain/x.wav"},
        {"x.wav", NULL},
        {"c d.wav", "c%20d.wav"},
        {"c%20d.wav", "c%20d.wav"},
        {"a b.wav", "a%20b.wav"},
        {"a%2520b.wav", "a%2520b.wav"},
        {"a%20b.wav", "?"}, // the id of "a b.wav", and a name
        {COMPOSED, COMPOSED},
        {DECOMPOSED, DECOMPOSED},
        {"Am\xC3\xA9lie.wav", "Ame\xCC\x81lie.wav"},
        {"Amelie.wav", NULL},
        {"\xFF", NULL},
        {"", NULL},
    };
    Names *names = names_create(ids, N);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t found = names_find(names, cases[i].text);
        if (!cases[i].id)
            assert_int_equal(found, NAME_UNKNOWN);
        else if (cases[i].id[0] == '?')
            assert_int_equal(found, NAME_AMBIGUOUS);
        else if (found < 0)
            fail_msg("%s is not found", cases[i].text);
        else
            assert_string_equal(ids[found], cases[i].id);
    }
    names_destroy(names);
}

static void test_two_spellings_of_one_text(void **state)
{
    (void)state;
    // e with acute and dot below: two orders of the marks, neither composed.
    char *ids[] = {"e\xCC\x81\xCC\xA3", "e\xCC\xA3\xCC\x81"};
    Names *names = names_create(ids, 2);
    assert_int_equal(names_find(names, ids[0]), 0);
    assert_int_equal(names_find(names, ids[1]), 1);
    assert_int_equal(names_find(names, "\xE1\xBA\xB9\xCC\x81"), NAME_AMBIGUOUS);
    names_destroy(names);
}

static void test_parts_and_prefixes(void **state)
{
    (void)state;
    char *ids[] = {"%20a.wav", "a.wav", "b/c.wav"};
    Names *names = names_create(ids, 3);
    int trims;
    assert_int_equal(names_find_part(names, " a.wav spk", 6, &trims), 0);
    assert_int_equal(trims, 0);
    assert_int_equal(names_find_part(names, "  a.wav ", 8, &trims), 1);
    assert_int_equal(trims, 1);
    assert_int_equal(names_find_part(names, "\" a.wav\" ", 9, &trims), 0);
    assert_int_equal(trims, 2);
    assert_int_equal(names_find_part(names, "\"\"", 2, &trims), NAME_UNKNOWN);
    assert_int_equal(names_find_part(names, "", 0, &trims), NAME_UNKNOWN);
    char *prefix = names_find_prefix(names, "/data/vox/b/c.wav");
    assert_string_equal(prefix, "/data/vox/");
    assert_null(names_find_prefix(names, "/data/vox/b/d.wav"));
    names_set_prefix(names, prefix);
    assert_int_equal(names_find(names, "/data/vox/a.wav"), 1);
    assert_int_equal(names_find(names, "/other/a.wav"), NAME_UNKNOWN);
    mem_free(prefix);
    names_destroy(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_ids_of_random_names),
        cmocka_unit_test(test_finding),
        cmocka_unit_test(test_two_spellings_of_one_text),
        cmocka_unit_test(test_parts_and_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
