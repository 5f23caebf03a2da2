/* What stages write down as they go, and whether it can have happened: the same check for a live run and for a recording. */
#ifndef TP_BOARD_RECORDS_H
#define TP_BOARD_RECORDS_H

#include "board/board.h"

/* The stage: adds a record, over the oldest one if the ring is full. */
void record_write(struct telemetry *telemetry, const struct op_record *record);

/* Anyone: record n, which is below the `head` that the caller has loaded with acquire. False if the stage may have been
 * writing over it meanwhile: then the record is of two pieces. */
bool record_read(const struct telemetry *telemetry, uint64_t n, struct op_record *record);

/* Why a stage's op cannot have happened in a run of this plan, in a word or two; NULL if it can. Whoever has asked may use
 * every number in it as an index, a share or a time. */
const char *record_check(const struct op_record *record, const struct plan *plan);

/* Likewise of an epoch's results. */
const char *epoch_check(const struct epoch_result *result);

#endif
