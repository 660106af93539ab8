// What counts as one session, by file, by folder and by pattern.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "score/session.h"

static char *utts[] = {"a/1/x.wav", "a/1/y.wav#1", "a/1/y.wav#2", "a/2/z.wav",
                       "b/1/x.wav", "flat.wav",    "flat.wav#1"};
enum { N = sizeof utts / sizeof utts[0] };

static void find(const char *rule_text, Sessions *sessions)
{
    Error error = {0};
    SessionRule *rule = session_rule_create(rule_text, &error);
    if (!rule || sessions_find(rule, utts, N, sessions, &error) != 0)
        fail_msg("%s", error.text);
    assert_string_equal(session_rule_text(rule), rule_text);
    session_rule_destroy(rule);
}

// groups: a letter for each utterance, equal ones for one session.
static void assert_groups(const int64_t *of, const char *groups)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if ((of[i] == of[j]) != (groups[i] == groups[j]))
                fail_msg("%s: %s and %s", groups, utts[i], utts[j]);
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *groups, *apart;
        int64_t n_sessions, n_unmatched;
    } cases[] = {
        {"file", "abbcdee", "aaabcdd", 5, 0},           {"folder", "aaabcdd", "aaabcdd", 4, 0},
        {"^([^/]+)/", "aaaabcc", "aaaabcc", 3, 2},      {"/([0-9])/", "aaabacc", "aaabacc", 3, 2},
        {"([a-z])\\.wav$", "abbcadd", "abbcadd", 4, 0}, // the mark of a half does not count
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Sessions sessions;
        find(cases[i].rule, &sessions);
        assert_groups(sessions.of, cases[i].groups);
        assert_groups(sessions.apart, cases[i].apart);
        assert_int_equal(sessions.n_sessions, cases[i].n_sessions);
        assert_int_equal(sessions.n_unmatched, cases[i].n_unmatched);
        sessions_release(&sessions);
    }
}

static void test_one_folder_is_no_reason_to_part(void **state)
{
    (void)state;
    char *halves[] = {"a/x#1", "a/x#2", "a/y#1"};
    Error error = {0};
    Sessions sessions;
    SessionRule *rule = session_rule_create("file", &error);
    assert_int_equal(sessions_find(rule, halves, 3, &sessions, &error), 0);
    assert_true(sessions.apart[0] == sessions.apart[1] && sessions.apart[0] != sessions.apart[2]);
    sessions_release(&sessions);
    session_rule_destroy(rule);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const RULES[] = {"a(b", "files", "[z"};
    static const char *const REASONS[] = {"session `a(b`: ", "session `files` has no group",
                                          "session `[z`: "};
    for (int i = 0; i < 3; i++) {
        Error error = {0};
        assert_null(session_rule_create(RULES[i], &error));
        assert_non_null(strstr(error.text, REASONS[i]));
    }
    static const char *const NOWHERE[] = {"(q)", "(q*)x?"}; // an empty name is none
    for (int i = 0; i < 2; i++) {
        Error error = {0};
        Sessions sessions;
        SessionRule *rule = session_rule_create(NOWHERE[i], &error);
        assert_int_equal(sessions_find(rule, utts, N, &sessions, &error), -1);
        assert_non_null(strstr(error.text, "is found in none of the 7 ids; the first is a/1/x.wav"));
        session_rule_destroy(rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules),
                                       cmocka_unit_test(test_one_folder_is_no_reason_to_part),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
