// Lists of speakers as users and their tools write them: each form is read as it is meant, or refused with
// the line and what to do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/lists.h"
#include "damage.h"

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "list");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

// Sorted. The names are: " lead.wav", "New Recording 1.wav", "New Recording 2.wav", "a,b.wav", "a.wav",
// "b.wav", "q\"uote.wav", "tab\there.wav", "two\nlines.wav", "x/c.wav".
static char *KNOWN[] = {
    "%20lead.wav",  "New%20Recording%201.wav", "New%20Recording%202.wav", "a,b.wav", "a.wav", "b.wav",
    "q%22uote.wav", "tab%09here.wav",          "two%0Alines.wav",         "x/c.wav"};
enum { N_KNOWN = sizeof KNOWN / sizeof KNOWN[0] };

static int load(const char *text, bool known, LabelList *list, const char **form, Error *error)
{
    scratch_write(path, text, strlen(text));
    return labels_load(path, known ? KNOWN : NULL, known ? N_KNOWN : 0, list, form, error);
}

// "utt=label" of all, separated by blanks.
static char *text_of(const LabelList *list)
{
    char *text = mem_strdup("");
    for (int64_t i = 0; i < list->n; i++) {
        char *longer =
            mem_printf("%s%s%s=%s", text, i ? " " : "", list->utts[i], list->names[list->labels[i]]);
        mem_free(text);
        text = longer;
    }
    return text;
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *form, *read;
    } cases[] = {
        {"b.wav s2\na.wav s1\n", "utterance speaker", "a.wav=s1 b.wav=s2"},
        {"s2 b.wav\n\ns1 a.wav", "speaker utterance", "a.wav=s1 b.wav=s2"},
        {"\xEF\xBB\xBF"
         "a.wav s1\r\nb.wav\ts2\r\n",
         "utterance speaker", "a.wav=s1 b.wav=s2"},
        {"a.wav s1\rb.wav s2\r", "utterance speaker", "a.wav=s1 b.wav=s2"},
        // blanks in names, in both orders; a tab lets the speaker hold some too
        {"New Recording 1.wav spk1\nNew Recording 2.wav spk2\n", "utterance speaker",
         "New%20Recording%201.wav=spk1 New%20Recording%202.wav=spk2"},
        {"spk1 New Recording 1.wav\nspk2 b.wav\n", "speaker utterance",
         "New%20Recording%201.wav=spk1 b.wav=spk2"},
        {"New Recording 1.wav\tJane Doe\na.wav\tJohn\n", "utterance speaker",
         "New%20Recording%201.wav=Jane Doe a.wav=John"},
        {"Jane Doe\tNew Recording 1.wav\n", "speaker utterance", "New%20Recording%201.wav=Jane Doe"},
        {"New%20Recording%201.wav s\n", "utterance speaker", "New%20Recording%201.wav=s"},
        {" lead.wav s1\n  a.wav   s2  \n", "utterance speaker", "%20lead.wav=s1 a.wav=s2"},
        {"s1  lead.wav\ns2   a.wav\n", "speaker utterance", "%20lead.wav=s1 a.wav=s2"},
        {"tab\there.wav s1\nq\"uote.wav s2\n", "utterance speaker", "q%22uote.wav=s2 tab%09here.wav=s1"},
        {"\"New Recording 1.wav\" s1\n", "utterance speaker", "New%20Recording%201.wav=s1"},
        {"a.wav s1\nsome stranger 7.wav s2\n", "utterance speaker", "a.wav=s1 some%20stranger%207.wav=s2"},
        {"a,b.wav s1\nb.wav s2\n", "utterance speaker", "a,b.wav=s1 b.wav=s2"},
        // CSV and its relatives
        {"a.wav,s1\nb.wav,s2\n", "utterance,speaker", "a.wav=s1 b.wav=s2"},
        {"s1,a.wav\ns2,b.wav\n", "speaker,utterance", "a.wav=s1 b.wav=s2"},
        {"New Recording 1.wav,Jane Doe\na,b.wav,John\n", "utterance,speaker",
         "New%20Recording%201.wav=Jane Doe a,b.wav=John"},
        {"File,Speaker\nb.wav,s2\na.wav,s1\n", "File,Speaker", "a.wav=s1 b.wav=s2"},
        {"path,speaker_id\nb.wav,s2\n", "File,Speaker", "b.wav=s2"},
        {"speaker;duration;file\ns2;1,5;b.wav\n", "table", "b.wav=s2"},
        {"client_id\tpath\tsentence\ns 1\tNew Recording 1.wav\tsome, words\n", "table",
         "New%20Recording%201.wav=s 1"},
        {"ID,duration,wav,start,stop,spk_id\nx1,3.5,b.wav,0,100,s2\nx2,2.5,a.wav,0,9,s1\n", "File,Speaker",
         "a.wav=s1 b.wav=s2"},
        {"file,speaker\n\"a,b.wav\",\"O\"\"Neil\"\n\"two\nlines.wav\",x\r\n\"q\"\"uote.wav\",y\n",
         "File,Speaker", "a,b.wav=O\"Neil q%22uote.wav=y two%0Alines.wav=x"},
        {"{\"audio_filepath\": \"a.wav\", \"duration\": 3, \"label\": \"s1\"}\n\n{\"audio_filepath\": \"New "
         "Recording 1.wav\", \"duration\": 3, \"label\": 7}\n",
         "JSON lines", "New%20Recording%201.wav=7 a.wav=s1"},
        // a folder in front of every name
        {"/data/vox/x/c.wav s1\n/data/vox/a.wav s2\n/elsewhere/b.wav s3\n", "utterance speaker",
         "%2Felsewhere/b.wav=s3 a.wav=s2 x/c.wav=s1"},
        {"s1 ../audio/New Recording 1.wav\n", "speaker utterance", "New%20Recording%201.wav=s1"},
        {"{\"audio_filepath\": \"/d/x/c.wav\", \"label\": \"s\"}\n", "JSON lines", "x/c.wav=s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        LabelList list;
        const char *form = NULL;
        if (load(cases[i].text, true, &list, &form, &error) != 0)
            fail_msg("%s: %s", cases[i].text, error.text);
        char *read = text_of(&list);
        assert_string_equal(read, cases[i].read);
        assert_string_equal(form, cases[i].form);
        mem_free(read);
        labels_release(&list);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"a.wav s1 1.5\nb.wav s2 2.5\n", ":1: a third column in `a.wav s1 1.5`"},
        {"a.wav s1\nb.wav s2 2.5\n", ":2: a third column"},
        {"s1 a.wav 1.5\n", ":1: a third column"},
        {"New Recording 1.wav s1 1.5\n", ":1: a third column"},
        {"s1 New Recording 1.wav 1.5\n", ":1: a third column"},
        {"utt spk\na.wav s1\n", ":1: a header, `utt spk`"},
        {"speaker_id\tpath\na.wav s1\n", ":1: a header"},
        {"# made by me\na.wav s1\n", ":1: a comment"},
        {"a.wav s1\n#b.wav s2\n", ":2: a comment"},
        {"; a.wav s1\n", ":1: a comment"},
        {"a.wav\n", ":1: expected two columns"},
        {"a.wav s1\ns2 b.wav\n", ":2: `s2 b.wav` has its columns the other way round"},
        {"a.wav b.wav\nb.wav a.wav\n", ":1: in `a.wav b.wav` each column could be the utterance"},
        {"a.wav s1\nb.wav s2\n./a.wav s3\n", ":3: duplicate id a.wav (first on line 1)"},
        {"", "is empty"},
        {"\r\n \n", "is empty"},
        {"File,Speaker\n", "is empty"},
        {"File,Speaker\na.wav,\n", ":2: has no Speaker"},
        {"File,Speaker\na.wav,s1,x\n", ":2: 3 fields, where the header has 2"},
        {"File,Speaker\n\"a.wav,s1\n", ":2: a quote is opened and never closed"},
        {"file,age\na.wav,30\n", "none is called like speakers"},
        {"speaker,age\ns1,30\n", "none is called like utterances"},
        {"VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000001 ,m ,dev \n",
         "VoxCeleb's table of speakers"},
        {"VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10001\tA\tm\tIreland\tdev\n",
         "VoxCeleb's table of speakers"},
        {"{\"a.wav\":\n{\"wav\": \"a.wav\", \"spk_id\": \"s1\"}}\n",
         ":1: is no JSON object on a line of its own"},
        {"[{\"file\": \"a.wav\", \"label\": \"s1\"}]", "is no JSON object on a line of its own"},
        {"{\"file\": \"a.wav\", \"label\": \"s1\"}\nb.wav s2\n", ":2: is no JSON object"},
        {"{\"file\": \"a.wav\", \"label\": \"s1\"}\n{\"file\": \"b.wav\"}\n", ":2: has no label"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Error error = {0};
        LabelList list;
        if (load(cases[i].text, true, &list, NULL, &error) == 0)
            fail_msg("%s was read", cases[i].text);
        if (!strstr(error.text, cases[i].reason) || !strstr(error.text, path))
            fail_msg("%s: wanted \"%s\", got: %s", cases[i].text, cases[i].reason, error.text);
    }
}

static void test_nul(void **state)
{
    (void)state;
    Error error = {0};
    LabelList list;
    scratch_write(path, "a.wav s1\nb\0.wav s2\n", 19);
    assert_int_equal(labels_load(path, KNOWN, N_KNOWN, &list, NULL, &error), -1);
    assert_non_null(strstr(error.text, ":2: holds a NUL byte"));
}

// An id that is the name of another utterance, and a line that two names share.
static void test_ambiguity(void **state)
{
    (void)state;
    char *ids[] = {"New%20Recording%201.wav", "New%2520Recording%25201.wav"};
    LabelList list;
    Error error = {0};
    scratch_write(path, "New Recording 1.wav s1\nNew%20Recording%201.wav s2\n", 49);
    assert_int_equal(labels_load(path, ids, 2, &list, NULL, &error), -1);
    assert_non_null(strstr(error.text, ":2: `New%20Recording%201.wav s2` can be read as two utterances"));
}

static void test_without_ids(void **state)
{
    (void)state;
    LabelList list;
    const char *form;
    Error error = {0};
    assert_int_equal(load("x.wav s1\ny.wav s2\n", false, &list, &form, &error), 0);
    assert_string_equal(form, "utterance speaker");
    labels_release(&list);
    assert_int_equal(load("New Recording 1.wav s1\n", false, &list, &form, &error), -1);
    assert_non_null(strstr(error.text, ":1: a third column"));
    error_clear(&error);
    assert_int_equal(load("utt spk\nx.wav s1\n", false, &list, &form, &error), -1);
    assert_non_null(strstr(error.text, ":1: a header"));
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Names with blanks, 64 KiB of words on one line, and as many lines as a large corpus has: near linear.
static void test_size(void **state)
{
    (void)state;
    enum { N = 200000, LONG = 65536 };
    char **ids = mem_alloc(N, sizeof *ids), *text = mem_alloc((size_t)N * 48 + 2 * LONG, 1), *at = text;
    for (int64_t i = 0; i < N; i++) {
        ids[i] = mem_printf("take%%20%lld%%20of.wav", (long long)i);
        at += snprintf(at, 48, "take %lld of.wav speaker%lld\n", (long long)i, (long long)(i / 10));
    }
    memset(at, 'x', LONG);
    for (int i = 1; i < LONG; i += 2)
        at[i] = ' ';
    at[LONG] = '\0';
    qsort(ids, N, sizeof *ids, compare_strings);
    scratch_write(path, text, strlen(text));
    LabelList list;
    Error error = {0};
    clock_t start = clock(); // of the processor: other programs may run
    if (labels_load(path, ids, N, &list, NULL, &error) != 0)
        fail_msg("%.200s", error.text);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(list.n, N + 1);
    if (seconds > 20)
        fail_msg("%d lines took %.1f s", N, seconds);
    labels_release(&list);
    strings_free(ids, N);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),     cmocka_unit_test(test_refusals),    cmocka_unit_test(test_nul),
        cmocka_unit_test(test_ambiguity), cmocka_unit_test(test_without_ids), cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
