#include "cache/npy.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/strange_file.h"
#include "cache/publish.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "matrices are copied as they lie in the file");

enum {
    HEADER_BYTES = 128
}; // of the files that we write: magic, version, length and dictionary, as NumPy pads them
static const char MAGIC[] = "\x93NUMPY";

// base[size] = rows * cols * sizeof(float), or -1 when that does not fit in memory
static int matrix_bytes(int64_t rows, int64_t cols, size_t item_bytes, size_t *n_bytes)
{
    size_t n;
    return rows < 0 || cols < 0 || __builtin_mul_overflow((size_t)rows, (size_t)cols, &n) ||
                   __builtin_mul_overflow(n, item_bytes, n_bytes) || *n_bytes > PTRDIFF_MAX - HEADER_BYTES
               ? -1
               : 0;
}

int npy_encode(const float *matrix, int64_t rows, int64_t cols, char **data, size_t *n_bytes, Error *error)
{
    size_t size;
    if (matrix_bytes(rows, cols, sizeof(float), &size) < 0)
        return error_set(error, "a matrix of %lld x %lld is too large", (long long)rows, (long long)cols);
    char *block = mem_try_alloc(HEADER_BYTES + size, 1, "an npy file", error);
    if (!block)
        return -1;
    char *dictionary = mem_printf("{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                                  (long long)rows, (long long)cols);
    memset(block, ' ', HEADER_BYTES);
    memcpy(block, MAGIC, 6);
    block[6] = 1; // version 1.0
    block[7] = 0;
    block[8] = HEADER_BYTES - 10; // little-endian 16 bits
    block[9] = 0;
    memcpy(block + 10, dictionary, strlen(dictionary));
    block[HEADER_BYTES - 1] = '\n';
    mem_free(dictionary);
    memcpy(block + HEADER_BYTES, matrix, size);
    *data = block;
    *n_bytes = HEADER_BYTES + size;
    return 0;
}

typedef struct Header {
    size_t item_bytes; // 2, 4 or 8
    int64_t rows, cols;
    size_t data_offset;
} Header;

// The text behind 'key': in the dictionary, or NULL.
static const char *dictionary_value(const char *dictionary, const char *key)
{
    const char *at = strstr(dictionary, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == '\'' || *at == ':' || isspace((unsigned char)*at))
        at++;
    return at;
}

static int parse_shape(const char *shape, Header *header)
{
    int64_t dims[2] = {1, 1};
    int n = 0;
    if (!shape || *shape++ != '(')
        return -1;
    while (*shape && *shape != ')') {
        char *end;
        long long dim = strtoll(shape, &end, 10);
        if (end == shape || dim < 0 || n == 2)
            return -1;
        dims[n++] = dim;
        shape = end + strspn(end, ", ");
    }
    header->rows = dims[0];
    header->cols = dims[1];
    return *shape == ')' && n > 0 ? 0 : -1;
}

static int parse_header(const char *name, const unsigned char *data, size_t n_bytes, Header *header,
                        Error *error)
{
    if (n_bytes < 12 || memcmp(data, MAGIC, 6) != 0) {
        const char *what = strange_content(data, n_bytes < STRANGE_HEAD_BYTES ? n_bytes : STRANGE_HEAD_BYTES,
                                           (int64_t)n_bytes);
        return error_set(error, "%s %s", name,
                         what ? what : "is not an npy file (its first bytes are wrong)");
    }
    size_t start = data[6] == 1 ? 10 : 12, length = data[8] | (size_t)data[9] << 8;
    if (data[6] >= 2)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (data[6] < 1 || data[6] > 3 || length > n_bytes - start)
        return error_set(error, "%s: the npy header is damaged", name);
    char *dictionary = mem_printf("%.*s", (int)(length < 65536 ? length : 65536), (const char *)data + start);
    const char *type = dictionary_value(dictionary, "descr");
    const char *order = dictionary_value(dictionary, "fortran_order");
    header->data_offset = start + length;
    int status = 0;
    if (!type || strncmp(type, "<f", 2) != 0 || !type[2] || !strchr("248", type[2]))
        status = error_set(error, "%s: embeddings must be float16, float32 or float64 (little-endian)", name);
    else if (!order || strncmp(order, "False", 5) != 0)
        status = error_set(error, "%s is in Fortran order; save numpy.ascontiguousarray(x)", name);
    else if (parse_shape(dictionary_value(dictionary, "shape"), header) < 0)
        status = error_set(error, "%s: the shape must have one or two dimensions", name);
    if (status == 0)
        header->item_bytes = (size_t)(type[2] - '0');
    mem_free(dictionary);
    return status;
}

static void copy_values(const char *values, size_t item_bytes, size_t n, float *out)
{
    if (item_bytes == sizeof(float)) {
        memcpy(out, values, n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double wide;
        uint16_t half;
        if (item_bytes == sizeof wide)
            out[i] = (float)*(double *)memcpy(&wide, values + item_bytes * i, sizeof wide);
        else
            out[i] = half_to_float(*(uint16_t *)memcpy(&half, values + item_bytes * i, sizeof half));
    }
}

int npy_decode(const char *name, const void *data, size_t n_bytes, float **matrix, int64_t *rows,
               int64_t *cols, Error *error)
{
    Header header = {0};
    if (parse_header(name, data, n_bytes, &header, error) < 0)
        return -1;
    size_t size;
    const char *values = (const char *)data + header.data_offset;
    if (matrix_bytes(header.rows, header.cols, header.item_bytes, &size) < 0 ||
        size != n_bytes - header.data_offset)
        return error_set(error, "%s: %lld x %lld values do not match the file's %zu bytes; is it cut off?",
                         name, (long long)header.rows, (long long)header.cols, n_bytes);
    size_t n = (size_t)header.rows * (size_t)header.cols;
    float *copy = mem_try_alloc(n, sizeof(float), name, error);
    if (!copy)
        return -1;
    copy_values(values, header.item_bytes, n, copy);
    *matrix = copy;
    *rows = header.rows;
    *cols = header.cols;
    return 0;
}

int npy_load(const char *path, float **matrix, int64_t *rows, int64_t *cols, Error *error)
{
    char *data;
    size_t n_bytes;
    if (file_read(path, &data, &n_bytes, error) < 0)
        return -1;
    bool other = n_bytes < 6 || memcmp(data, MAGIC, 6) != 0;
    int status = other ? strange_file_refuse(path, error) : 0;
    if (status == 0)
        status = npy_decode(path, data, n_bytes, matrix, rows, cols, error);
    mem_free(data);
    return status;
}

int npy_shape(const char *path, int64_t *rows, int64_t *cols)
{
    enum { HEAD_BYTES = 4096 };
    unsigned char head[HEAD_BYTES];
    FILE *file = fopen(path, "rbe");
    size_t got = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    Header header = {0};
    if (parse_header(path, head, got, &header, NULL) < 0)
        return -1;
    *rows = header.rows;
    *cols = header.cols;
    return 0;
}

int npy_publish(const char *path, const float *matrix, int64_t rows, int64_t cols, Error *error)
{
    char *data;
    size_t n_bytes;
    if (npy_encode(matrix, rows, cols, &data, &n_bytes, error) < 0)
        return -1;
    int status = publish_bytes(path, data, n_bytes, error);
    mem_free(data);
    return status;
}
