// cJSON builds a tree without what could not be allocated and prints that: a model's header or a report would
// lack a part, and nobody be told. Here its memory is ours, which never fails quietly.
#include <cjson/cJSON.h>

#include "base/memory.h"

void library_memory_settle(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){mem_unaligned, mem_free});
}
