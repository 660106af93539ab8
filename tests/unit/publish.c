// Publishing: a path that exists is whole, whatever happens to the writer.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/passage.h"
#include "cache/publish.h"
#include "damage.h"

enum { SKIPPED = 77, LARGE_BYTES = 1 << 20 };

static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_create();
    path = path_join(folder, "x.json");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    mem_free(path);
    return 0;
}

static void assert_content_of(const char *file, const char *expected)
{
    char *data;
    size_t n_bytes;
    assert_int_equal(file_read(file, &data, &n_bytes, NULL), 0);
    assert_string_equal(data, expected);
    mem_free(data);
}

static void assert_content(const char *expected)
{
    assert_content_of(path, expected);
}

// A path in the scratch folder, freed at the next call but seven.
static const char *in_folder(const char *name)
{
    static char *kept[8];
    static int next;
    next = (next + 1) % 8;
    mem_free(kept[next]);
    return kept[next] = path_join(folder, name);
}

static void assert_refused(const char *file, const char *reason)
{
    Error error = {0};
    assert_int_equal(publish_text(file, "text", &error), -1);
    if (!strstr(error.text, reason) || !strstr(error.text, file))
        fail_msg("\"%s\" does not name %s and say \"%s\"", error.text, file, reason);
}

// Temporaries begin with a dot, so folder_walk() would not show them.
static int count_entries(void)
{
    char *command = mem_printf("exit $(ls -A %s | wc -l)", folder);
    int status = system(command);
    mem_free(command);
    return WEXITSTATUS(status);
}

static int run_in_child(int (*work)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(work());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_appears_only_on_commit(void **state)
{
    (void)state;
    Error error = {0};
    PublishFile *file = publish_open(path, &error);
    fputs("one", publish_stream(file));
    fflush(publish_stream(file));
    assert_false(file_exists(path));
    assert_int_equal(publish_commit(file, &error), 0);
    assert_content("one");
    assert_int_equal(publish_text(path, "two", &error), 0);
    assert_content("two");
    publish_abandon(publish_open(path, &error));
    publish_abandon(NULL);
    assert_content("two");
    assert_int_equal(count_entries(), 1);
}

static int write_and_die(void)
{
    PublishFile *file = publish_open(path, NULL);
    fputs("half", publish_stream(file));
    fflush(publish_stream(file));
    raise(SIGKILL);
    return 0;
}

static void test_killed_writer(void **state)
{
    (void)state;
    assert_int_equal(publish_text(path, "old", NULL), 0);
    assert_int_equal(run_in_child(write_and_die), -SIGKILL);
    assert_content("old");
    assert_int_equal(count_entries(), 2);
    assert_int_equal(publish_text(path, "new", NULL), 0); // removes what the dead one left
    assert_content("new");
    assert_int_equal(count_entries(), 1);
}

// 0: the failure is one clear line and leaves nothing behind
static int write_too_much(const char *reason)
{
    Error error = {0};
    char *large = mem_zero(LARGE_BYTES, 1);
    if (publish_bytes(path, large, LARGE_BYTES, &error) == 0)
        return 1;
    mem_free(large);
    return strstr(error.text, path) && strstr(error.text, reason) && !strchr(error.text, '\n') ? 0 : 2;
}

static int write_beyond_limit(void)
{
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 16, 1 << 16});
    return write_too_much("File too large");
}

static void test_file_size_limit(void **state)
{
    (void)state;
    assert_int_equal(publish_text(path, "old", NULL), 0);
    assert_int_equal(run_in_child(write_beyond_limit), 0);
    assert_content("old");
    assert_int_equal(count_entries(), 1);
}

static int write_to_full_disk(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=64k") != 0)
        return SKIPPED;
    Error error = {0};
    int status = write_too_much("No space left on device");
    if (status == 0 && (publish_check(path, &error) != 0 || count_entries() != 0))
        return 3;
    char *most = mem_zero(1 << 15, 1);
    if (status == 0 && publish_bytes(in_folder("pad"), most, 1 << 15, &error) != 0)
        return 4;
    if (status == 0 && (publish_check(path, &error) != -1 || !strstr(error.text, "No space left")))
        return 5; // said before the work
    return status ? status : count_entries() - 1;
}

static void test_full_disk(void **state)
{
    (void)state;
    int status = run_in_child(write_to_full_disk);
    if (status == SKIPPED) {
        print_message("SKIPPED: no right to mount a small tmpfs here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_missing_folder(void **state)
{
    (void)state;
    Error error = {0};
    assert_null(publish_open("/dev/null/x.json", &error));
    assert_string_equal(error.text, "cannot write /dev/null/x.json: Not a directory");
    const char *deep = in_folder("new/deeper/x.json");
    assert_int_equal(publish_check(deep, &error), 0);
    assert_false(folder_exists(in_folder("new"))); // a look beforehand leaves nothing
    assert_int_equal(publish_text(deep, "deep", &error), 0);
    assert_content_of(deep, "deep");
    assert_refused(in_folder("new/deeper/x.json/y"), "x.json");
    assert_refused(in_folder("new/deeper/"), "folder");
    assert_refused(in_folder("new/deeper"), "it is a folder; name a file");
    assert_int_equal(publish_check(in_folder("new/deeper"), &error), -1);
}

// ---- what is not a file ----------------------------------------------------------------------------------

// What may be written only as another user than root.
static int as_nobody(int (*work)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0) ? SKIPPED : work());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static int check_is_refused(void)
{
    Error error = {0};
    bool checked = publish_check(path, &error) == -1 && strstr(error.text, path);
    error_clear(&error);
    return checked && publish_text(path, "no", &error) == -1 && strstr(error.text, path) ? 0 : 1;
}

static void test_folder_not_ours(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0555), 0);
    int status = as_nobody(check_is_refused);
    assert_int_equal(chmod(folder, 0755), 0);
    if (status == SKIPPED)
        skip();
    assert_int_equal(status, 0);
}

static void test_link(void **state)
{
    (void)state;
    Error error = {0};
    const char *target = in_folder("store/kept.json"), *link = in_folder("link.json");
    assert_int_equal(publish_text(target, "old", &error), 0);
    assert_int_equal(symlink("store/kept.json", link), 0);
    assert_int_equal(publish_text(link, "new", &error), 0);
    struct stat info;
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode)); // the link stays
    assert_content_of(target, "new");
    assert_int_equal(unlink(target), 0); // it may point to what is not there yet
    assert_int_equal(publish_text(link, "again", &error), 0);
    assert_content_of(target, "again");
    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    assert_refused(in_folder("loop"), "link that leads to itself");
    assert_int_equal(symlink("store", in_folder("to-folder")), 0);
    assert_refused(in_folder("to-folder"), "it is a folder");
}

// The other end of a terminal, which is a device that any user can have.
static void test_device(void **state)
{
    (void)state;
    Error error = {0};
    char text[64] = "", name[64];
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0 ||
        ptsname_r(terminal, name, sizeof name) != 0)
        skip();
    int slave = open(name, O_RDWR | O_NOCTTY); // or the text would be lost at our close
    assert_int_equal(symlink(name, in_folder("device")), 0);
    assert_int_equal(publish_check(in_folder("device"), &error), 0);
    PublishFile *file = publish_open(in_folder("device"), &error);
    assert_non_null(file);
    fputs("over", publish_stream(file));
    fseek(publish_stream(file), 0, SEEK_SET); // may be sought in, whatever it goes to
    fputs("thro", publish_stream(file));
    assert_int_equal(publish_commit(file, &error), 0);
    struct stat info;
    assert_int_equal(stat(name, &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_int_equal(read(terminal, text, sizeof text), 4);
    assert_string_equal(text, "thro");
    close(slave);
    close(terminal);
    assert_refused("/dev/full", "No space left on device");
}

static void test_pipe(void **state)
{
    (void)state;
    Error error = {0};
    const char *pipe = in_folder("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    passage_set_patience(0.1);
    assert_refused(pipe, "nobody reads this pipe");
    passage_set_patience(60);
    enum { MANY = 300000 }; // more than a pipe holds
    pid_t reader = fork();
    if (reader == 0) {
        char *data;
        size_t n_bytes;
        _exit(file_read(pipe, &data, &n_bytes, NULL) == 0 && n_bytes == MANY && data[MANY - 1] == 'x' ? 0
                                                                                                      : 1);
    }
    char *text = mem_alloc(MANY, 1);
    memset(text, 'x', MANY);
    assert_int_equal(publish_bytes(pipe, text, MANY, &error), 0);
    int status;
    waitpid(reader, &status, 0);
    assert_int_equal(status, 0);

    if ((reader = fork()) == 0)
        _exit(open(pipe, O_RDONLY) < 0); // goes away before it has read
    assert_int_equal(publish_bytes(pipe, text, MANY, &error), -1);
    assert_non_null(strstr(error.text, "Broken pipe"));
    waitpid(reader, &status, 0);
    mem_free(text);
}

// /dev/stdout goes where the caller's output goes, behind what is there.
static int write_to_stdout(void)
{
    const char *out = in_folder("stdout");
    int descriptor = open(out, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (dup2(descriptor, STDOUT_FILENO) < 0 || write(descriptor, "one ", 4) != 4)
        return 2;
    struct stat before, after;
    fstat(descriptor, &before);
    if (publish_text("/dev/stdout", "two", NULL) != 0 || stat(out, &after) != 0)
        return 3;
    return before.st_ino == after.st_ino ? 0 : 4;
}

static void test_standard_output(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(write_to_stdout), 0);
    assert_content_of(in_folder("stdout"), "one two");
}

// ---- temporaries -----------------------------------------------------------------------------------------

// Whatever stands where a temporary could be is neither followed nor removed, unless a dead process of ours
// left it.
static void test_planted(void **state)
{
    (void)state;
    Error error = {0};
    const char *victim = in_folder("victim");
    assert_int_equal(publish_text(victim, "precious", &error), 0);
    char *guess = mem_printf("%s/.x.json.tmp-%ld", folder, (long)getpid());
    assert_int_equal(symlink(victim, guess), 0);
    const char *digits = in_folder(".x.json.tmp-0123456789abcdef");
    assert_int_equal(symlink(victim, digits), 0);
    const char *notes = in_folder(".x.json.tmp-my-notes"), *busy = in_folder(".x.json.tmp-00112233445566ff"),
               *dead = in_folder(".x.json.tmp-ffffffff00000000");
    scratch_write(notes, "notes", 5);
    scratch_write(busy, "busy", 4);
    scratch_write(dead, "dead", 4);
    int lock = open(busy, O_RDONLY);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(publish_text(path, "new", &error), 0);
    assert_content("new");
    assert_content_of(victim, "precious");
    struct stat info;
    assert_int_equal(lstat(guess, &info), 0);
    assert_int_equal(lstat(digits, &info), 0);
    assert_content_of(notes, "notes");
    assert_content_of(busy, "busy");
    assert_int_equal(lstat(dead, &info), -1);
    close(lock);
    unlink(guess);
    unlink(digits);
    unlink(notes);
    unlink(busy);
    mem_free(guess);
}

// As two containers with one process number are to each other.
static void test_two_writers(void **state)
{
    (void)state;
    Error error = {0};
    PublishFile *first = publish_open(path, &error), *second = publish_open(path, &error);
    assert_non_null(first);
    assert_non_null(second);
    fputs("first", publish_stream(first));
    fputs("second", publish_stream(second));
    assert_int_equal(publish_commit(second, &error), 0);
    assert_content("second");
    assert_int_equal(publish_commit(first, &error), 0);
    assert_content("first");
}

// Somebody has taken the temporary away or put another file in its place.
static void test_swapped_temporary(void **state)
{
    (void)state;
    Error error = {0};
    assert_int_equal(publish_text(path, "old", &error), 0);
    PublishFile *file = publish_open(path, &error);
    char *command = mem_printf("cd %s && mv .x.json.tmp-* moved && echo no >moved.2 && mv moved.2 "
                               "$(basename .x.json.tmp-0000000000000000)",
                               folder);
    assert_int_equal(system(command), 0);
    fputs("new", publish_stream(file));
    assert_int_equal(publish_commit(file, &error), -1);
    assert_content("old");
    assert_content_of(in_folder(".x.json.tmp-0000000000000000"), "no\n");
    mem_free(command);
}

static void test_names_and_modes(void **state)
{
    (void)state;
    Error error = {0};
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(publish_text(in_folder(name), "long", &error), 0);
    assert_content_of(in_folder(name), "long");
    struct stat info;
    mode_t before = umask(027);
    assert_int_equal(publish_text(in_folder("moded"), "x", &error), 0);
    umask(before);
    assert_int_equal(stat(in_folder("moded"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appears_only_on_commit),
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_missing_folder),
        cmocka_unit_test(test_folder_not_ours),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_standard_output),
        cmocka_unit_test(test_planted),
        cmocka_unit_test(test_two_writers),
        cmocka_unit_test(test_swapped_temporary),
        cmocka_unit_test(test_names_and_modes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
