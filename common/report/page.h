// What voxloop-report says about a WORK folder: the page, the line that ends a round, and a table.
#pragma once
#include <stdio.h>
#include "base/error.h"
#include "report/work.h"

// One self-contained HTML page: no network, no scripts. Needs work_load_details(). Write errors are the
// stream's. truth (may be NULL) colours a second view of the embeddings by speaker.
int page_write(FILE *out, const Work *work, const LabelList *truth, Error *error);

// "iter2: 46 clusters, purity 0.91, NMI 0.94, agreement NMI 0.95 with iter1, EER 6.10 % (statistics baseline
// 13.1 %), minDCF(0.01) 0.412", without what was not measured; needs only work_open(). No such round: -1.
int page_write_line(FILE *out, const Work *work, const char *round, Error *error);

// A Markdown table: for each shell pattern of the comma-separated list one row, the mean and standard
// deviation of the rounds whose names match; needs work_open() and descent_trace() (report/descent.h). A
// pattern that none matches, or that joins rounds of different families: -1.
int page_write_table(FILE *out, const Work *work, const char *list, Error *error);
