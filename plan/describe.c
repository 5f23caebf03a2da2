#include "plan/describe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { NAME_MAX_LENGTH = 40, TERMS_SHOWN = 2 };

static void name_vector(const struct plan *plan, const struct summed_read *read, enum vector vector,
                        char text[NAME_MAX_LENGTH])
{
    struct slot slots[PLAN_SLOTS_MAX];
    const int count = plan_slots(plan, slots);

    if (vector == VECTOR_LIVE || vector == VECTOR_FORWARD)
        snprintf(text, NAME_MAX_LENGTH, "v%d", vector == VECTOR_LIVE ? read->live : read->forward);
    for (int k = 0; k < count; k++)
        if (slots[k].vector == vector)
            snprintf(text, NAME_MAX_LENGTH, "%s", slots[k].name);
}

static void append_term(const struct plan *plan, const struct summed_read *read, const struct term *term,
                        char text[READ_TEXT_MAX])
{
    char plus[NAME_MAX_LENGTH] = "", minus[NAME_MAX_LENGTH] = "", square[NAME_MAX_LENGTH] = "";

    name_vector(plan, read, term->plus, plus);
    name_vector(plan, read, term->minus, minus);
    name_vector(plan, read, term->square, square);
    text_append(text, READ_TEXT_MAX, " %c %.3g ", term->coefficient < 0.0 ? '-' : '+', fabs(term->coefficient));
    if (term->minus)
        text_append(text, READ_TEXT_MAX, "(%s - %s)", plus, minus);
    else
        text_append(text, READ_TEXT_MAX, "%s", plus);
    if (term->square)
        text_append(text, READ_TEXT_MAX, " / (sqrt(%s) / %.3g + %.3g)", square, term->root, term->epsilon);
}

void describe_read(const struct plan *plan, const struct summed_read *read, struct optimizer_course *course,
                   char text[READ_TEXT_MAX])
{
    struct term terms[READING_TERMS_MAX];
    const int count = plan_terms(plan, read->reading, read->part, read->staleness, read->live, course, terms);

    snprintf(text, READ_TEXT_MAX, "v%d", read->live);
    for (int k = 0; k < count && k < TERMS_SHOWN; k++)
        append_term(plan, read, &terms[k], text);
    if (count > TERMS_SHOWN)
        text_append(text, READ_TEXT_MAX, ", and %d more", count - TERMS_SHOWN);
}

const char *describe_in_flight(const struct plan *plan)
{
    return plan->schedule.order.whole_backward ? "mini-batches" : "micro-batches";
}

void describe_kept(const struct plan *plan, char text[KEPT_TEXT_MAX])
{
    struct slot slots[PLAN_SLOTS_MAX];
    const int count = plan_slots(plan, slots);

    snprintf(text, KEPT_TEXT_MAX, "%s", count > 0 ? "" : "nothing");
    for (int k = 0; k < count; k++)
        text_append(text, KEPT_TEXT_MAX, "%s%s", k > 0 ? ", " : "", slots[k].name);
}

void describe_setting(const struct plan *plan, size_t offset, int updates, char text[SETTING_TEXT_MAX])
{
    const struct rule_settings settings = plan_rule_settings(plan);
    double least = HUGE_VAL, most = -HUGE_VAL;

    for (int k = 1; k <= plan->part_count; k++) {
        const struct update_facts facts = plan_update_facts(plan, &settings, k, plan_staleness(plan, k), updates);
        struct optimizer_course course = {.updates = updates, .product = 1.0}; /* no setting goes by it */
        const struct optimizer_settings step = plan_next_step(plan, &facts, &course);
        double value;

        memcpy(&value, (const char *)&step + offset, sizeof(value));
        least = fmin(least, value);
        most = fmax(most, value);
    }
    snprintf(text, SETTING_TEXT_MAX, "%.4g", most);
    if (least < most)
        snprintf(text, SETTING_TEXT_MAX, "%.4g to %.4g", least, most);
}
