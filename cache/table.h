// Tables with named columns that other tools write: CSV and its relatives with a header line (RFC 4180:
// fields may be quoted, and then hold separators, line ends and doubled quotes), and JSON lines, one object a
// line, whose keys are the columns.
//
//     Table table;
//     table_open(&table, path, text, error);            // text is changed and must outlive the table
//     while ((status = table_next(&table, error)) > 0)
//         use(table.fields[column], table.line);
//     table_close(&table);
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Table {
    const char *path; // for errors
    char separator;   // '{': JSON lines
    char **columns;   // [n_columns] as the header has them
    int64_t n_columns;
    char **fields; // [n_columns] of the present row; NULL: it lacks this one; valid until the next row
    int64_t line;  // where the present row begins

    char *rest; // of the text
    int64_t next_line;
    int64_t capacity; // of fields
    void *object;     // JSON lines: the present row
    bool first;       // JSON lines: it was read for its keys
} Table;

// The separator of a text that begins with a header line or JSON lines; '\0': it is neither. A header names
// at least two columns, one of which table_is_utt_column() or table_is_label_column() knows.
char table_separator(const char *text);
// Reads the header, or the keys of the first object.
int table_open(Table *table, const char *path, char *text, char separator, Error *error);
// 1: the next row is there; 0: the end; -1: an error that names the line. Rows without anything are passed
// over.
int table_next(Table *table, Error *error);
void table_close(Table *table); // zeroed, or opened; also after an error

// Whether tools call the column of utterances, or of their speakers, so: "File", "audio_filepath", "spk_id"
// ...
bool table_is_utt_column(const char *name);
bool table_is_label_column(const char *name);
