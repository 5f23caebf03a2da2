/* The machines of a run on several: their stages, what crosses their links, what their nodes use, their clocks. */
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "monitor/draw.h"
#include "monitor/format.h"

enum { HOST = 1, STAGES = 18, SENT = 38, RECEIVED = 50, NODE = 58, CLOCK = 61 };

/* Then what it was measured with, if that has room. */
static void draw_offset(const struct canvas *canvas, int row, const struct machine_snapshot *machine)
{
    const int64_t offset = machine->clock_offset_ns;
    char ahead[FORMAT_MAX], bound[FORMAT_MAX], trip[FORMAT_MAX], measured[FORMAT_MAX + 24];

    const int column = canvas_print(canvas, row, CLOCK, ink(COLOUR_DEFAULT), "%c%s +-%s", offset < 0 ? '-' : '+',
                                    format_duration((uint64_t)(offset < 0 ? -offset : offset), ahead),
                                    format_duration(machine->clock_bound_ns, bound));
    snprintf(measured, sizeof(measured), ", there and back in %s", format_duration(machine->round_trip_ns, trip));
    if (column + canvas_width(measured) <= canvas->columns)
        canvas_write(canvas, row, column, ink(COLOUR_DEFAULT), measured);
}

static void draw_clock(const struct canvas *canvas, int row, const struct machine_snapshot *machine, uint64_t now_ns)
{
    char ago[FORMAT_MAX];

    if (now_ns > machine->heard_ns + UINT64_C(1000000000))
        canvas_print(canvas, row, CLOCK, bold(COLOUR_WARNING), "heard %s ago",
                     format_duration(now_ns - machine->heard_ns, ago));
    else
        draw_offset(canvas, row, machine);
}

static void draw_machine(const struct canvas *canvas, int row, const struct snapshot *snapshot, int m)
{
    const struct machine_snapshot *machine = &snapshot->machines[m];
    const int first = plan_first_stage(snapshot->plan, m), count = plan_machine_stages(snapshot->plan, m);
    char text[FORMAT_MAX], stages[32];

    const int end = canvas_print(canvas, row, HOST, bold(COLOUR_TITLE), "%.*s", STAGES - HOST - 1, machine->host);
    if ((int)strlen(machine->host) > STAGES - HOST - 1)
        canvas_write(canvas, row, end - 1, bold(COLOUR_TITLE), "…");
    snprintf(stages, sizeof(stages), count > 1 ? "%d-%d" : "%d", first, first + count - 1);
    canvas_write(canvas, row, STAGES, ink(COLOUR_DEFAULT), stages);
    if (machine->heard_ns == 0) {
        canvas_write(canvas, row, STAGES + 9, ink(COLOUR_DIM), "not heard of yet");
        return;
    }
    canvas_write_right(canvas, row, SENT, ink(COLOUR_DEFAULT), format_bytes((uint64_t)machine->send_rate, text));
    canvas_write_right(canvas, row, RECEIVED, ink(COLOUR_DEFAULT), format_bytes((uint64_t)machine->receive_rate, text));
    snprintf(text, sizeof(text), "%.1f%%", 100 * machine->processor_rate);
    canvas_write_right(canvas, row, NODE, ink(COLOUR_DEFAULT), text);
    if (m > 0)
        draw_clock(canvas, row, machine, snapshot->now_ns);
}

/* One link alone has carried what its machines have sent and received. */
int machine_links(const struct snapshot *snapshot)
{
    int count = 0;

    for (int l = 1; l < snapshot->stage_count && snapshot->machine_count > 0; l++)
        count += plan_link_leaves(snapshot->plan, l);
    return count > 1 ? count : 0;
}

/* Sent and received as the machine of its first part has it. */
static void draw_link(const struct canvas *canvas, int row, const struct snapshot *snapshot, int link)
{
    const struct plan *plan = snapshot->plan;
    const struct plan_machine *from = &plan->machines[plan_machine_of_part(plan, link)];
    const struct plan_machine *to = &plan->machines[plan_machine_of_part(plan, link + 1)];
    char text[FORMAT_MAX], name[32], way[2 * CONFIG_NAME_MAX + 8];

    snprintf(way, sizeof(way), "%s - %s", from->host, to->host);
    snprintf(name, sizeof(name), "link %d-%d", link, link + 1);
    canvas_print(canvas, row, HOST, ink(COLOUR_DIM), "%.*s", STAGES - HOST - 1, way);
    canvas_write(canvas, row, STAGES, ink(COLOUR_DIM), name);
    canvas_write_right(canvas, row, SENT, ink(COLOUR_DEFAULT),
                       format_bytes((uint64_t)snapshot->link_rates[link - 1][0], text));
    canvas_write_right(canvas, row, RECEIVED, ink(COLOUR_DEFAULT),
                       format_bytes((uint64_t)snapshot->link_rates[link - 1][1], text));
}

static void draw_links(const struct canvas *canvas, int row, const struct snapshot *snapshot)
{
    for (int l = 1; l < snapshot->stage_count && row < canvas->rows; l++)
        if (plan_link_leaves(snapshot->plan, l))
            draw_link(canvas, row++, snapshot, l);
}

void draw_machines(const struct canvas *canvas, const struct snapshot *snapshot)
{
    const int shown = min_int(snapshot->machine_count, canvas->rows - 1);

    if (shown < 1)
        return;
    draw_title(canvas, 0, "machines");
    canvas_write(canvas, 0, STAGES - 1, ink(COLOUR_DIM), " stages ");
    canvas_write_right(canvas, 0, SENT + 1, ink(COLOUR_DIM), " sent/s ");
    canvas_write_right(canvas, 0, RECEIVED + 1, ink(COLOUR_DIM), " received/s ");
    canvas_write_right(canvas, 0, NODE + 1, ink(COLOUR_DIM), " node ");
    canvas_write(canvas, 0, CLOCK - 1, ink(COLOUR_DIM), " clock ");
    for (int m = 0; m < shown; m++)
        draw_machine(canvas, 1 + m, snapshot, m);
    if (machine_links(snapshot) > 0)
        draw_links(canvas, 1 + shown, snapshot);
}
