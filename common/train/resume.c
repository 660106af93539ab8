#include "train/resume.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/memory.h"

static const char *const FORMAT_KEY = "format", *const FORMAT = "voxloop training state 1";

static char *path_of(const char *output)
{
    return mem_printf("%s.resume", output);
}

StateItem state_floats(const char *name, int64_t n, float *data)
{
    return (StateItem){.name = name, .type = SAFE_F32, .n = n, .data = data};
}

StateItem state_numbers(const char *name, int64_t n, int64_t *data, int64_t least, int64_t most)
{
    return (StateItem){name, SAFE_I64, n, data, least, most};
}

StateItem state_count(const char *name, int64_t *count, int64_t most)
{
    return state_numbers(name, 1, count, 0, most);
}

void resume_init(Resume *resume, const char *output, const char *recipe, ResumePace pace)
{
    *resume =
        (Resume){.path = path_of(output), .recipe = recipe, .pace = pace, .saved_seconds = clock_seconds()};
}

void resume_release(Resume *resume)
{
    mem_free(resume->path);
    *resume = (Resume){0};
}

void resume_keep(Resume *resume, StateItem item)
{
    assert(resume->n_items < STATE_MAX_ITEMS);
    resume->items[resume->n_items++] = item;
}

// Whoever made the file: what is a position in memory must be one.
static bool in_range(const StateItem *item, const SafeTensor *tensor)
{
    const int64_t *values = tensor->data;
    bool fits = true;
    for (int64_t i = 0; item->type == SAFE_I64 && i < item->n; i++)
        fits = fits && values[i] >= item->least && values[i] <= item->most;
    return fits;
}

static int copy_items(const Resume *resume, const SafeReader *reader, Error *error)
{
    for (int64_t i = 0; i < resume->n_items; i++) {
        const StateItem *item = &resume->items[i];
        const SafeTensor *tensor = safe_find(reader, item->name);
        if (!tensor || tensor->type != item->type || tensor->n_elements != item->n || !in_range(item, tensor))
            return error_set(error,
                             "%s is of this recipe but its %s does not fit; remove the file to start afresh",
                             resume->path, item->name);
    }
    for (int64_t i = 0; i < resume->n_items; i++) {
        const StateItem *item = &resume->items[i];
        size_t width = item->type == SAFE_F32 ? sizeof(float) : sizeof(int64_t);
        memcpy(item->data, safe_find(reader, item->name)->data, (size_t)item->n * width);
    }
    return 0;
}

int resume_load(Resume *resume, bool *found, Error *error)
{
    *found = false;
    if (!file_exists(resume->path))
        return 0;
    SafeReader *reader = safe_open(resume->path, error);
    if (!reader)
        return -1;
    const char *format = safe_metadata(reader, FORMAT_KEY), *recipe = safe_metadata(reader, "recipe");
    int status = 0;
    if (!format || strcmp(format, FORMAT) != 0) {
        status = error_set(error, "%s holds no training state; remove it to start afresh", resume->path);
    } else if (!recipe || strcmp(recipe, resume->recipe) != 0) {
        log_info("%s is of other options or inputs: starts afresh", resume->path);
    } else {
        status = copy_items(resume, reader, error);
        *found = status == 0;
    }
    safe_close(reader);
    return status;
}

static int save(Resume *resume, Error *error)
{
    SafeTensor tensors[STATE_MAX_ITEMS];
    for (int64_t i = 0; i < resume->n_items; i++) {
        const StateItem *item = &resume->items[i];
        tensors[i] = (SafeTensor){.name = item->name,
                                  .type = item->type,
                                  .n_dims = 1,
                                  .dim = {item->n},
                                  .n_elements = item->n,
                                  .data = item->data};
    }
    const SafeMetadata metadata[] = {{FORMAT_KEY, FORMAT}, {"recipe", resume->recipe}};
    resume->saved_seconds = clock_seconds();
    resume->n_steps = 0;
    return safe_publish(resume->path, tensors, resume->n_items, metadata, 2, error);
}

static bool is_time_to_save(const Resume *resume)
{
    const ResumePace *pace = &resume->pace;
    return (pace->every > 0 && resume->n_steps >= pace->every) ||
           (pace->minutes > 0 && clock_seconds() - resume->saved_seconds >= 60 * pace->minutes);
}

int resume_step(Resume *resume, bool is_last, Error *error)
{
    bool interrupted = interrupt_requested() && !is_last;
    resume->n_steps++;
    if ((is_last ? resume->pace.at_end : interrupted || is_time_to_save(resume)) && save(resume, error) < 0)
        return -1;
    return interrupted ? interrupt_fail(error) : 0;
}

void resume_finish(const char *output)
{
    char *path = path_of(output);
    unlink(path);
    mem_free(path);
}
