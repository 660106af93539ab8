// The front program: `voxloop VERB`, for people with plain audio files and a model. Each verb is a row of the
// table in voxloop.c and a function like a stage's main. This header is what verbs share: which files they
// are given, how a model is named, and how a table of results is printed.
//
// Exit status: 0 done (and yes, where something was asked), 1 failed, 2 misuse, 3 no.
#pragma once
#include "base/log.h"
#include "base/options.h"
#include "infer/embedder.h"

enum { FRONT_NO = 3 };

int verb_embed(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_enrol(int argc, char **argv);
int verb_identify(int argc, char **argv);
int verb_search(int argc, char **argv);
int verb_group(int argc, char **argv);
int verb_calibrate(int argc, char **argv);

// --- the model

// The option --model, whose default is the environment's VOXLOOP_MODEL.
Option front_model_option(const char **path);
// NULL with a sentence; without a path it says how to name one.
Embedder *front_open_model(const char *path, Error *error);

// --- the recordings

typedef struct Recordings {
    char **names; // [n] as the user knows them: the operand, or the path below the folder
    char **paths; // [n] to open
    int64_t n;
} Recordings;

// Each operand is a file, a folder (searched recursively), or `-`: a list of files on standard input, one a
// line.
int recordings_find(const char *const *operands, int64_t n, Recordings *recordings, Error *error);
void recordings_release(Recordings *recordings);
// Unit-length embeddings of all, a new block [n, dim]; NULL with a sentence.
float *recordings_embed(const Recordings *recordings, Embedder *embedder, Error *error);

// --- results: rows of fields, as aligned text, CSV or JSON lines

typedef enum FieldKind { FIELD_TEXT, FIELD_NUMBER } FieldKind;

typedef struct Field {
    const char *name;
    FieldKind kind;
    const char *text;
    double number; // not finite: left empty, in JSON null
    int digits;    // behind the point
} Field;

typedef struct Table {
    bool json, csv;
    bool begun;
} Table;

void table_row(Table *table, const Field *fields, int n);
