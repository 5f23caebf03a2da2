/* From text to cells. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/csv_internal.h"

enum { SHOWN_MAX = 40 }; /* of a cell's text, in messages */

static const char letters[OP_KINDS] = {
    [OP_FORWARD] = 'F',
    [OP_BACKWARD] = 'B',
    [OP_BACKWARD_INPUT] = 'I',
    [OP_BACKWARD_WEIGHTS] = 'W',
};

/* What PyTorch's lowered schedules have besides. */
static const char *const skipped[] = {
    "SEND_F",      "RECV_F",  "SEND_B",  "RECV_B",      "WAIT_SEND_F",
    "WAIT_SEND_B", "UNSHARD", "RESHARD", "REDUCE_GRAD", "WAIT_REDUCE_GRAD",
};

char csv_letter(enum op_kind kind)
{
    return letters[kind];
}

int cell_error(struct error *error, const struct sheet *sheet, const struct cell *cell, const char *format, ...)
{
    char message[700];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return error_set(error, "row %d, column %d (%.*s%s): %s", cell->row, cell->column, min_int(cell->length, SHOWN_MAX),
                     sheet->text + cell->text, cell->length > SHOWN_MAX ? "..." : "", message);
}

void sheet_release(struct sheet *sheet)
{
    free(sheet->begins);
    free(sheet->cells);
}

/* What is being read: a cell's text from `at` to `end`. */
struct scan {
    struct sheet *sheet;
    struct cell cell; /* where it is */
    const char *at, *end;
    int cells_room, cell_count;
    struct error *error;
};

static int fail(const struct scan *scan, const char *message)
{
    return cell_error(scan->error, scan->sheet, &scan->cell, "%s", message);
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool at_digit(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

/* Digits, 0 to limit - 1. */
static int take_number(struct scan *scan, const char *what, int limit, int *number)
{
    if (!at_digit(scan))
        return cell_error(scan->error, scan->sheet, &scan->cell,
                          "no %s where it should be: a cell is part, F, B, I or W, micro-batch, such as 2F0", what);
    for (*number = 0; at_digit(scan); scan->at++) {
        *number = *number * 10 + (*scan->at - '0');
        if (*number >= limit)
            return cell_error(scan->error, scan->sheet, &scan->cell, "the %s is too large: 0 to %d are possible", what,
                              limit - 1);
    }
    return 0;
}

/* 1: an op's kind; 0: one that is skipped; -1. */
static int take_kind(struct scan *scan, enum op_kind *kind)
{
    const char *begin = scan->at;
    size_t length;

    while (scan->at < scan->end && ((*scan->at >= 'A' && *scan->at <= 'Z') || *scan->at == '_'))
        scan->at++;
    length = (size_t)(scan->at - begin);
    for (int k = 0; k < OP_KINDS && length == 1; k++)
        if (*begin == letters[k]) {
            *kind = (enum op_kind)k;
            return 1;
        }
    for (size_t k = 0; k < sizeof(skipped) / sizeof(skipped[0]); k++)
        if (strlen(skipped[k]) == length && memcmp(skipped[k], begin, length) == 0)
            return 0;
    return fail(scan, "no such op: there are F (forward), B (backward), I and W (its input and its weight half)");
}

static int check_extended(const struct scan *scan, const char *what)
{
    return scan->sheet->extended ? 0
                                 : cell_error(scan->error, scan->sheet, &scan->cell,
                                              "%s needs a first line \"#tp microbatches=N\"", what);
}

/* "0" or "0-3", and "@2" behind it. */
static int take_batches(struct scan *scan, struct op *op)
{
    int last, minibatch = 0;

    if (take_number(scan, "micro-batch", CSV_MICROBATCHES_MAX, &op->first) != 0)
        return -1;
    last = op->first;
    if (take(scan, '-')) {
        if (check_extended(scan, "a backward of several micro-batches") != 0 ||
            take_number(scan, "last micro-batch", CSV_MICROBATCHES_MAX, &last) != 0)
            return -1;
        if (last < op->first)
            return fail(scan, "the last micro-batch is before the first");
    }
    if (take(scan, '@') && (check_extended(scan, "a mini-batch number") != 0 ||
                            take_number(scan, "mini-batch", CSV_MINIBATCHES_MAX, &minibatch) != 0))
        return -1;
    op->count = last - op->first + 1;
    op->first++;
    op->minibatch = minibatch + 1;
    return 0;
}

/* 1: an op; 0: something that is skipped; -1. */
static int take_op(struct scan *scan, struct op *op)
{
    int part, kind, ignored;

    if (take_number(scan, "part", CSV_PARTS_MAX, &part) != 0)
        return -1;
    kind = take_kind(scan, &op->kind);
    op->part = part + 1;
    if (kind == 1)
        return take_batches(scan, op) == 0 ? 1 : -1;
    if (kind == 0 && at_digit(scan) && take_number(scan, "micro-batch", CSV_MICROBATCHES_MAX, &ignored) != 0)
        return -1;
    return kind;
}

static int add(struct scan *scan, const struct op *op)
{
    if (scan->cell_count == scan->cells_room) {
        const int room = max_int(64, 2 * scan->cells_room);
        struct cell *cells = realloc(scan->sheet->cells, (size_t)room * sizeof(*cells));

        if (cells == NULL)
            return error_set(scan->error, "out of memory for %d cells", room);
        scan->sheet->cells = cells;
        scan->cells_room = room;
    }
    scan->sheet->cells[scan->cell_count] = scan->cell;
    scan->sheet->cells[scan->cell_count++].op = *op;
    return 0;
}

/* "(2F1;0B0)OVERLAP_F_B", behind the bracket: two ops, one after the other. */
static int take_pair(struct scan *scan)
{
    static const char mark[] = ")OVERLAP_F_B";
    const size_t length = sizeof(mark) - 1;
    struct op op;

    for (int k = 0; k < 2; k++) {
        const int taken = take_op(scan, &op);

        if (taken < 0)
            return -1;
        if (taken == 0)
            return fail(scan, "a pair has two ops, not communication");
        if (add(scan, &op) != 0)
            return -1;
        if (k == 0 && !take(scan, ';'))
            return fail(scan, "a pair has two ops with a semicolon between them, such as (0F5;7B2)OVERLAP_F_B");
    }
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, mark, length) != 0)
        return fail(scan, "a pair of ops ends with )OVERLAP_F_B");
    scan->at += length;
    return 0;
}

/* One cell, trimmed and not empty. */
static int take_cell(struct scan *scan)
{
    const int before = scan->cell_count;
    const bool begins = take(scan, '[');
    struct op op;
    bool ends;

    if (begins && check_extended(scan, "a period") != 0)
        return -1;
    if (take(scan, '(')) {
        if (take_pair(scan) != 0)
            return -1;
    } else {
        const int taken = take_op(scan, &op);

        if (taken < 0 || (taken == 1 && add(scan, &op) != 0))
            return -1;
    }
    ends = take(scan, ']');
    if (ends && check_extended(scan, "a period") != 0)
        return -1;
    if (scan->at != scan->end)
        return fail(scan, "the cell goes on behind its op: a comma belongs between cells");
    if ((begins || ends) && scan->cell_count == before)
        return fail(scan, "a period begins and ends with a forward or a backward");
    if (begins)
        scan->sheet->cells[before].begins = true;
    if (ends)
        scan->sheet->cells[scan->cell_count - 1].ends = true;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The cell that begins at `at`; returns its end, where a comma or the line's end is. Quotes around it are taken off. */
static const char *cut_cell(struct scan *scan, const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    scan->cell.text = (int)(at - scan->sheet->text);
    scan->cell.length = (int)(end - at);
    if (at < end && *at == '"') {
        const char *quote = memchr(at + 1, '"', (size_t)(end - at - 1));

        if (quote == NULL) {
            fail(scan, "a quote opens the cell and none closes it on this line");
            return NULL;
        }
        scan->at = at + 1;
        scan->end = quote;
        for (at = quote + 1; at < end && is_blank(*at);)
            at++;
        if (at < end && *at != ',') {
            fail(scan, "the cell goes on behind its quote: a comma belongs between cells");
            return NULL;
        }
    } else {
        const char *comma = memchr(at, ',', (size_t)(end - at));

        scan->at = at;
        at = scan->end = comma != NULL ? comma : end;
    }
    while (scan->at < scan->end && is_blank(*scan->at))
        scan->at++;
    while (scan->end > scan->at && is_blank(scan->end[-1]))
        scan->end--;
    scan->cell.text = (int)(scan->at - scan->sheet->text);
    scan->cell.length = (int)(scan->end - scan->at);
    return at;
}

static int read_row(struct scan *scan, const char *at, const char *end)
{
    for (scan->cell.column = 1;; scan->cell.column++) {
        at = cut_cell(scan, at, end);
        if (at == NULL || (scan->at < scan->end && take_cell(scan) != 0))
            return -1;
        if (at == end)
            return 0;
        at++;
    }
}

/* A value of "#tp ... key=value ..."; -1 and what there is if it is none of the names. */
static int choose(const char *const *names, int count, const char *value, struct error *error)
{
    char known[256] = "";

    for (int k = 0; k < count; k++) {
        if (strcmp(names[k], value) == 0)
            return k;
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", k > 0 ? ", " : "", names[k]);
    }
    return error_set(error, "row 1: %s is none of %s", value, known);
}

static int read_key(struct sheet *sheet, const char *key, const char *value, struct error *error)
{
    const char *names[(int)FORWARD_RULES + (int)BACKWARD_RULES];
    int chosen;

    if (strcmp(key, "microbatches") == 0) {
        char *end;
        const long number = strtol(value, &end, 10);

        if (*value < '0' || *value > '9' || *end != '\0' || number < 1 || number > CSV_MICROBATCHES_MAX)
            return error_set(error, "row 1: microbatches=%s: 1 to %d are possible", value, CSV_MICROBATCHES_MAX);
        sheet->microbatches = (int)number;
        return 0;
    }
    if (strcmp(key, "forward") == 0) {
        for (int k = 0; k < FORWARD_RULES; k++)
            names[k] = forward_rule_name((enum forward_rule)k);
        chosen = choose(names, FORWARD_RULES, value, error);
        sheet->forward = (enum forward_rule)max_int(chosen, 0);
        return min_int(chosen, 0);
    }
    if (strcmp(key, "backward") == 0) {
        for (int k = 0; k < BACKWARD_RULES; k++)
            names[k] = backward_rule_name((enum backward_rule)k);
        chosen = choose(names, BACKWARD_RULES, value, error);
        sheet->backward = (enum backward_rule)max_int(chosen, 0);
        return min_int(chosen, 0);
    }
    return error_set(error, "row 1: no key %s: there are microbatches, forward and backward", key);
}

/* "#tp microbatches=3 forward=pinned backward=committed". Spreadsheets put commas behind it. */
static int read_header(struct sheet *sheet, const char *at, const char *end, struct error *error)
{
    char line[256], *rest = line, *word;

    while (end > at && (is_blank(end[-1]) || end[-1] == ','))
        end--;
    if ((size_t)(end - at) >= sizeof(line))
        return error_set(error, "row 1: longer than the %zu characters that a first line may have", sizeof(line) - 1);
    memcpy(line, at, (size_t)(end - at));
    line[end - at] = '\0';
    strsep(&rest, " \t");
    if (strcmp(line, "#tp") != 0)
        return error_set(error, "row 1: a line that begins with # is \"#tp microbatches=N ...\", and no other");
    while ((word = strsep(&rest, " \t")) != NULL) {
        char *value = strchr(word, '=');

        if (*word == '\0')
            continue;
        if (value == NULL)
            return error_set(error, "row 1: %s has no value: key=value is needed", word);
        *value++ = '\0';
        if (read_key(sheet, word, value, error) != 0)
            return -1;
    }
    if (sheet->microbatches == 0)
        return error_set(error, "row 1: #tp needs microbatches=N, the micro-batches of a mini-batch");
    sheet->extended = true;
    return 0;
}

/* 0 when all of it is text, and shorter than what an index can hold. */
static int check_bytes(const char *text, size_t size, struct error *error)
{
    int row = 1;

    if (size > CSV_BYTES_MAX)
        return error_set(error, "%zu bytes: a schedule file has at most %d", size, CSV_BYTES_MAX);
    for (size_t n = 0; n < size; n++) {
        const unsigned char byte = (unsigned char)text[n];

        if (byte == '\n')
            row++;
        else if ((byte < ' ' && !is_blank((char)byte)) || byte > '~')
            return error_set(error, "row %d: a byte 0x%02x, which no schedule has: is this a CSV file?", row, byte);
    }
    return 0;
}

static const char *skip_mark(const char *text, const char *end)
{
    static const char mark[] = "\xef\xbb\xbf"; /* spreadsheets put it before UTF-8 */

    return end - text >= 3 && memcmp(text, mark, 3) == 0 ? text + 3 : text;
}

/* Where what is more than blanks ends. */
static const char *trim_end(const char *text, const char *end)
{
    while (end > text && (is_blank(end[-1]) || end[-1] == '\n' || end[-1] == ','))
        end--;
    return end;
}

static int read_rows(struct scan *scan, const char *at, const char *end)
{
    struct sheet *sheet = scan->sheet;
    int row = 1;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        if (line_end == NULL)
            line_end = end;
        if (row == 1 && *at == '#') {
            if (read_header(sheet, at, line_end, scan->error) != 0)
                return -1;
        } else {
            if (sheet->ranks == CSV_RANKS_MAX)
                return error_set(scan->error, "row %d: more than the %d rows, one per rank, that are possible", row,
                                 CSV_RANKS_MAX);
            scan->cell.row = row;
            if (read_row(scan, at, line_end) != 0)
                return -1;
            if (scan->cell_count == sheet->begins[sheet->ranks])
                return error_set(scan->error, "row %d: rank %d has no ops: every rank has a part of the network", row,
                                 sheet->ranks);
            sheet->begins[++sheet->ranks] = scan->cell_count;
        }
        row++;
        at = line_end < end ? line_end + 1 : end;
    }
    return 0;
}

int sheet_read(struct sheet *sheet, const char *text, size_t size, struct error *error)
{
    const char *end = text + size, *at = skip_mark(text, end);
    struct scan scan = {.sheet = sheet, .error = error};

    *sheet = (struct sheet){.text = text, .forward = FORWARD_LIVE, .backward = BACKWARD_LIVE};
    if (check_bytes(at, (size_t)(end - at), error) != 0)
        return -1;
    sheet->begins = calloc(CSV_RANKS_MAX + 1, sizeof(*sheet->begins));
    if (sheet->begins == NULL)
        return error_set(error, "out of memory for %d rows", CSV_RANKS_MAX);
    if (read_rows(&scan, at, trim_end(at, end)) != 0)
        return -1;
    if (sheet->ranks == 0)
        return error_set(error, "no ops: a row per rank with cells such as 0F0 is needed");
    return 0;
}
