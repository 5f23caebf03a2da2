/* What the selected op read, waited for, made and sent. */
#ifndef TP_MONITOR_INSPECTOR_H
#define TP_MONITOR_INSPECTOR_H

#include "monitor/view.h"

/* Two rows about an op of a part. */
void inspector_draw(const struct canvas *canvas, int row, const struct moment *moment, int part,
                    const struct op_record *record);

#endif
