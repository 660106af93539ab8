#include "cache/outputs.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "cache/publish.h"
#include "cache/publish_target.h"

// A file or folder, whatever it is called: the one with this number, or `rest` below the folder with it.
typedef struct Place {
    const char *option; // NULL: an operand
    char *path;
    dev_t device;
    ino_t inode;
    char *rest;     // NULL: it is there
    bool is_device; // there is nothing in it that could be lost
    bool is_output, is_folder;
} Place;

typedef struct Places {
    Place *items;
    int64_t n;
} Places;

// "a/./b//c/../d" -> "a/b/d", in place
static void tidy(char *path)
{
    char *out = path, *rest = NULL, *copy = mem_strdup(path);
    *out = '\0';
    for (char *part = strtok_r(copy, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            char *slash = strrchr(path, '/');
            out = slash ? slash : path;
            *out = '\0';
            continue;
        }
        if (out > path)
            *out++ = '/';
        out = stpcpy(out, part);
    }
    mem_free(copy);
}

static void take_identity(Place *place, const struct stat *info)
{
    place->device = info->st_dev;
    place->inode = info->st_ino;
    place->is_device = S_ISCHR(info->st_mode);
}

// Where a path leads that is not there yet; links in it are followed as far as there are any.
static void take_missing(Place *place)
{
    PublishTarget target;
    struct stat info;
    char *path = mem_strdup(place->path);
    if (!place->is_folder && publish_target_find(place->path, &target, NULL) == 0 && target.name) {
        mem_free(path);
        path = path_join(target.folder, target.name);
        publish_target_release(&target);
    }
    char *there = publish_folder_there(path);
    size_t skip = strncmp(path, there, strlen(there)) == 0 ? strlen(there) : 0;
    place->rest = mem_strdup(path + skip);
    tidy(place->rest);
    if (stat(there, &info) == 0)
        take_identity(place, &info);
    mem_free(there);
    mem_free(path);
}

static void add(Places *places, const char *option, const char *path, bool is_output, bool is_folder)
{
    struct stat info;
    places->items = mem_grow(places->items, (size_t)places->n + 1, sizeof(Place));
    Place *place = &places->items[places->n];
    *place =
        (Place){.option = option, .path = mem_strdup(path), .is_output = is_output, .is_folder = is_folder};
    if (stat(path, &info) == 0)
        take_identity(place, &info);
    else if (is_output)
        take_missing(place);
    if (place->inode)
        places->n++;
    else
        mem_free(place->path); // an input that is not there is for the stage to say
}

// An output, and what is kept beside it.
static void add_output(Places *places, const Option *option, const char *path, bool is_folder)
{
    static const char *const BESIDE[] = {".json", ".resume"};
    add(places, option->name, path, true, is_folder);
    for (int i = 0; i < 2 && !is_folder && !publish_is_through(path); i++) {
        char *beside = mem_printf("%s%s", path, BESIDE[i]);
        add(places, option->name, beside, true, false);
        mem_free(beside);
    }
}

static bool names_folder(const Option *option, const char *folder_option)
{
    const char *argument = option->argument ? option->argument : "";
    return strcmp(argument, "DIR") == 0 || strcmp(argument, "FOLDER") == 0 ||
           (folder_option && strcmp(option->name, folder_option) == 0);
}

static const char *path_of(const Option *option, OptionRole role)
{
    return option->type == OPTION_TEXT && option->role == role ? *(const char **)option->value : NULL;
}

static void gather(const Program *program, const char *folder_option, Places *places)
{
    const char *path;
    for (const Option *o = program->options; o && o->name; o++) {
        if ((path = path_of(o, OPTION_OUTPUT)))
            add_output(places, o, path, names_folder(o, folder_option));
        if ((path = path_of(o, OPTION_INPUT)))
            add(places, o->name, path, false, folder_exists(path));
    }
    for (int64_t i = 0; i < program->n_files; i++)
        add(places, NULL, program->files[i], false, folder_exists(program->files[i]));
    if (program->config_file)
        add(places, "config", program->config_file, false, false);
}

static bool is_same(const Place *a, const Place *b)
{
    if (a->device != b->device || a->inode != b->inode || a->is_device)
        return false;
    return a->rest ? b->rest && strcmp(a->rest, b->rest) == 0 : !b->rest;
}

// Whether the output is a file by whose name a folder of ours or of a peer's is known.
static bool is_part_of(const Place *output, const Place *input)
{
    static const char *const PARTS[] = {"utts.tsv",        "rejects.tsv",       "names.tsv",
                                        "audio-*.tar.zst", "model.safetensors", "pytorch_model.bin",
                                        "config.json"};
    struct stat info;
    if (!input->is_folder || output->is_folder || output->rest)
        return false;
    char *folder = path_folder(output->path);
    bool inside = stat(folder, &info) == 0 && info.st_dev == input->device && info.st_ino == input->inode,
         part = false;
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++)
        part |= fnmatch(PARTS[i], path_name(output->path), 0) == 0;
    mem_free(folder);
    return inside && part;
}

static void refuse_twins(const Program *program, const Places *places)
{
    for (int64_t i = 0; i < places->n; i++) {
        const Place *a = &places->items[i];
        for (int64_t j = 0; a->is_output && j < places->n; j++) {
            const Place *b = &places->items[j];
            if ((j <= i && b->is_output) || a->option == b->option)
                continue;
            if (is_same(a, b) && b->is_output)
                program_misuse(program, "--%s and --%s would write the same file, %s", a->option, b->option,
                               a->path);
            if (!b->is_output && (is_same(a, b) || is_part_of(a, b)))
                program_misuse(program, "--%s would replace %s, which %s%s reads; choose another name",
                               a->option, a->path, b->option ? "--" : "this", b->option ? b->option : " run");
        }
    }
}

static int check_folder(const char *path, Error *error)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        return error_set(error, "cannot write into %s: it is no folder", path);
    char *probe = path_join(path, "x");
    int status = publish_check(probe, error);
    mem_free(probe);
    return status;
}

static int check_possible(const Program *program, const char *folder_option, Error *error)
{
    const char *path;
    for (const Option *o = program->options; o && o->name; o++)
        if ((path = path_of(o, OPTION_OUTPUT)) &&
            (names_folder(o, folder_option) ? check_folder : publish_check)(path, error) < 0)
            return error_prefix(error, "--%s", o->name);
    return 0;
}

void outputs_check(const Program *program, const char *folder_option)
{
    Places places = {0};
    Error error = {0};
    gather(program, folder_option, &places);
    refuse_twins(program, &places);
    if (check_possible(program, folder_option, &error) < 0)
        exit(program_fail(program, &error));
    for (int64_t i = 0; i < places.n; i++) {
        mem_free(places.items[i].path);
        mem_free(places.items[i].rest);
    }
    mem_free(places.items);
}
