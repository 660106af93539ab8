// The members of a PyTorch checkpoint, a zip archive whose members lie in one folder: "<folder>/data.pkl",
// "<folder>/data/0", ... Only stored members are read and each must match its checksum. All reads together
// are bounded by the file's size: no archive can grow in memory, whatever its directory says.
//
//     TorchZip *zip = torch_zip_open("wavlm.pt", &error);
//     int64_t member = torch_zip_find(zip, "data.pkl");
//     torch_zip_read(zip, member, &data, &n_bytes, &error);    // mem_free(data)
//     torch_zip_close(zip);
//
// Errors of torch_zip_open() name the file, those of torch_zip_read() only the member.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef struct TorchZip TorchZip;

TorchZip *torch_zip_open(const char *path, Error *error);      // NULL: no archive, or none of PyTorch's
void torch_zip_close(TorchZip *zip);                           // NULL is fine
size_t torch_zip_bytes(const TorchZip *zip);                   // of the file
int64_t torch_zip_count(const TorchZip *zip);                  // of members
int64_t torch_zip_find(const TorchZip *zip, const char *name); // its index, < count; -1: not there
int torch_zip_read(TorchZip *zip, int64_t member, char **data, size_t *n_bytes, Error *error);
