// --if-changed in every awkward case: what must run again does, what need not does not, and nothing is read
// twice.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/up_to_date.h"
#include "damage.h"
#include "played.h"

static char *folder;

static char *in_folder(const char *name)
{
    return path_join(folder, name);
}

static void write_file(const char *name, const char *text)
{
    char *path = in_folder(name);
    scratch_write(path, text, strlen(text));
    mem_free(path);
}

static void remove_file(const char *name)
{
    char *path = in_folder(name);
    assert_int_equal(unlink(path), 0);
    mem_free(path);
}

// Sets the time of the content, in seconds from now.
static void set_age(const char *name, int64_t seconds)
{
    char *path = in_folder(name);
    struct timespec times[2];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec += seconds;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    mem_free(path);
}

// labels, noise/a.wav, noise/b.wav; and a run that has read them and written model and report.
static Played *whole(void)
{
    char *noise = in_folder("noise");
    folder_create(noise, NULL);
    write_file("labels", "a s1\nb s2\n");
    write_file("noise/a.wav", "aaa");
    write_file("noise/b.wav", "bbb");
    Played *p = played_create(folder);
    p->noise = noise;
    p->report = in_folder("report");
    played_run(p, "weights");
    return p;
}

static Played *again(void)
{
    Played *p = played_create(folder);
    p->noise = in_folder("noise");
    p->report = in_folder("report");
    return p;
}

static bool answer(Played *p)
{
    return up_to_date(&p->program, p->out);
}

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    whole();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void test_nothing_changed(void **state)
{
    (void)state;
    assert_true(answer(again()));
    Played *p = again();
    p->program.if_changed = false; // it was not asked
    assert_false(answer(p));
    p = again();
    assert_false(up_to_date(&p->program, NULL)); // a plan
}

// --- outputs

static void test_outputs(void **state)
{
    (void)state;
    remove_file("report");
    assert_false(answer(again()));
    write_file("report", "{]"); // as long as it was
    assert_false(answer(again()));
    write_file("report", "{}");
    assert_true(answer(again()));
    write_file("model", "WEIGHTS");
    set_age("model", -1000);
    assert_false(answer(again()));
    write_file("model", "weights"); // another time, the same bytes
    assert_true(answer(again()));
}

static void test_record(void **state)
{
    (void)state;
    write_file("model.json", "{\"outputs\": ["); // damaged
    assert_false(answer(again()));
    write_file("model.json", "[]");
    assert_false(answer(again()));
    write_file("model.json", "{\"outputs\": [], \"inputs\": [], \"recipe\": null}");
    assert_false(answer(again()));
    remove_file("model.json");
    assert_false(answer(again()));
}

// Killed behind its first output: the record is of the run before.
static void test_interrupted(void **state)
{
    (void)state;
    Played *p = again();
    p->rate = 0.2;
    assert_false(answer(p));
    write_file("model", "other weights");
    assert_false(answer(again()));
    p = again();
    p->rate = 0.2;
    assert_false(answer(p));
    write_file("report", "{}");
    played_run(p, "other weights");
    p = again();
    p->rate = 0.2;
    assert_true(answer(p));
    assert_false(answer(again()));
}

// --- inputs

static void test_touched(void **state)
{
    (void)state;
    const char *const NAMES[] = {"labels", "noise/a.wav"};
    for (size_t i = 0; i < 2; i++) {
        set_age(NAMES[i], 100);
        assert_true(answer(again()));
        set_age(NAMES[i], -100000);
        assert_true(answer(again()));
    }
}

// Another content, with an older time, the same time, or as if the clock had been set back.
static void test_replaced(void **state)
{
    (void)state;
    char *path = in_folder("labels");
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    write_file("labels", "a s1\nb s1\n");
    assert_false(answer(again()));
    set_age("labels", -1000000);
    assert_false(answer(again()));
    struct timespec times[2] = {before.st_mtim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_false(answer(again()));
    write_file("labels", "a s1\nb s2\n");
    assert_true(answer(again()));
    write_file("noise/c.wav", "");
    assert_false(answer(again()));
    remove_file("noise/c.wav");
    assert_true(answer(again()));
    remove_file("noise/b.wav");
    assert_false(answer(again()));
    assert_int_equal(unlink(path), 0);
    assert_false(answer(again()));
    mem_free(path);
}

static void test_other_inputs(void **state)
{
    (void)state;
    Played *p = again();
    p->noise = NULL;
    assert_false(answer(p));
    p = again();
    p->init = in_folder("labels");
    assert_false(answer(p));
    p = again();
    p->report = NULL;
    assert_false(answer(p));
    // Two files that were written at the same moment and are as long.
    write_file("labels2", "a s1\nb s3\n");
    write_file("labels", "a s1\nb s2\n");
    p = again();
    p->labels = in_folder("labels2");
    assert_false(answer(p));
    // What can be read only once.
    assert_int_equal(mkfifo(p->labels = in_folder("pipe"), 0600), 0);
    played_run(p, "weights");
    p = again();
    p->labels = in_folder("pipe");
    assert_false(answer(p));
}

static void test_moved(void **state)
{
    (void)state;
    Played *p = again();
    char here[4096], *up, *name = mem_printf("%s/../%s//labels", folder, path_name(folder));
    p->labels = name;
    assert_true(answer(p));
    // From another place, by other words.
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(folder), 0);
    p = played_create(".");
    p->noise = "noise/";
    p->report = "./report";
    assert_true(answer(p));
    assert_int_equal(chdir(here), 0);
    // Renamed as a whole.
    char *renamed = mem_printf("%s-renamed", folder);
    assert_int_equal(rename(folder, renamed), 0);
    up = folder;
    folder = renamed;
    assert_true(answer(again()));
    assert_int_equal(rename(renamed, up), 0);
    folder = up;
    mem_free(renamed);
    mem_free(name);
}

// --- options

static void test_options(void **state)
{
    (void)state;
    Played *p = again();
    p->log_every = 3;
    p->program.threads = 7;
    p->program.quiet = true;
    p->program.config_file = "elsewhere.ini";
    p->encoder = mem_strdup("ecapa"); // said, though it is the default
    assert_true(answer(p));
    p = again();
    p->epochs++;
    assert_false(answer(p));
    p = again();
    p->program.seed++;
    assert_false(answer(p));
    p = again();
    p->encoder = "wavlm";
    assert_false(answer(p));
    p = again();
    p->program.name = "another";
    assert_false(answer(p));
    p = again();
    p->options[0].name = "other-labels"; // the same file in another part
    assert_false(answer(p));
}

// --- nothing is read twice

static char *record_text(void)
{
    char *path = in_folder("model.json"), *text;
    size_t n_bytes;
    assert_int_equal(file_read(path, &text, &n_bytes, NULL), 0);
    mem_free(path);
    return text;
}

// Puts another digest into the first item of a list.
static void spoil_digest(const char *list)
{
    char *text = record_text();
    cJSON *record = cJSON_Parse(text);
    mem_free(text);
    cJSON *item = cJSON_GetObjectItemCaseSensitive(record, list)->child;
    cJSON_ReplaceItemInObjectCaseSensitive(item, "xxh64", cJSON_CreateString("0000000000000000"));
    text = cJSON_Print(record);
    write_file("model.json", text);
    cJSON_free(text);
    cJSON_Delete(record);
}

// A record that is renewed holds stamps that stand for the digests: a digest that is wrong there would be
// seen only by somebody who reads the files.
static void test_stamps(void **state)
{
    (void)state;
    char *text = record_text();
    assert_non_null(strstr(text, "\"stamp\":\t\"\"")); // the files were young
    mem_free(text);
    usleep(2200000);
    assert_true(answer(again()));
    text = record_text();
    assert_null(strstr(text, "\"stamp\":\t\"\""));
    assert_true(answer(again()));
    char *later = record_text();
    assert_string_equal(text, later); // not written again
    mem_free(later);
    mem_free(text);
    spoil_digest("outputs");
    assert_true(answer(again()));
    spoil_digest("inputs");
    assert_false(answer(again())); // taken from the record, not from the file
    // Touched: the files are read and the record is renewed once they are old enough.
    set_age("labels", -50);
    assert_true(answer(again()));
    // Where the record cannot be written, the answer stays.
    char *path = in_folder("model.json");
    assert_int_equal(chmod(path, 0444), 0);
    set_age("labels", -60);
    assert_true(answer(again()));
    mem_free(path);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_changed), TEST(test_outputs),  TEST(test_record),       TEST(test_interrupted),
        TEST(test_touched),         TEST(test_replaced), TEST(test_other_inputs), TEST(test_moved),
        TEST(test_options),         TEST(test_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
