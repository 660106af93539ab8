#include "score/domains.h"

#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "cache/label_shard.h"

static char *first_folder(const char *utt)
{
    const char *slash = strchr(utt, '/');
    return slash ? mem_printf("%.*s", (int)(slash - utt), utt) : mem_strdup(".");
}

// The names are sorted, so those of one folder are neighbours.
static void from_folders(char *const *utts, int64_t n_utts, Domains *domains)
{
    for (int64_t i = 0; i < n_utts; i++) {
        char *name = first_folder(utts[i]);
        if (domains->n == 0 || strcmp(domains->names[domains->n - 1], name) != 0) {
            domains->names = mem_grow(domains->names, (size_t)domains->n + 1, sizeof(char *));
            domains->names[domains->n++] = name;
        } else {
            mem_free(name);
        }
        domains->of[i] = domains->n - 1;
    }
}

static int from_list(const char *path, char *const *utts, int64_t n_utts, Domains *domains, Error *error)
{
    LabelList list;
    if (labels_load_any(path, utts, n_utts, &list, error) < 0)
        return -1;
    int status = labels_align(&list, path, utts, n_utts, domains->of, error);
    if (status == 0) {
        domains->names = list.names;
        domains->n = list.n_labels;
        list.names = NULL;
        list.n_labels = 0;
    }
    labels_release(&list);
    return status;
}

int domains_load(const char *path, char *const *utts, int64_t n_utts, Domains *domains, Error *error)
{
    *domains = (Domains){.of = mem_alloc((size_t)n_utts, sizeof(int64_t))};
    if (!path)
        from_folders(utts, n_utts, domains);
    else if (from_list(path, utts, n_utts, domains, error) < 0) {
        domains_release(domains);
        return -1;
    }
    return 0;
}

void domains_release(Domains *domains)
{
    for (int64_t d = 0; d < domains->n; d++)
        mem_free(domains->names[d]);
    mem_free(domains->names);
    mem_free(domains->of);
    *domains = (Domains){0};
}
