#include "coordinator/show_hosts.h"

/* What a whole mini-batch sends over a link, down and up. */
struct crossing {
    const char *from, *to;
    size_t bytes; /* each way: a gradient is as large as its activation */
    int activation_messages, gradient_messages;
};

static struct crossing crossing_of(const struct plan *plan, int link)
{
    const struct schedule *schedule = &plan->schedule;
    const size_t sample = shape_size(plan_part(plan, link)->output) * sizeof(float);

    return (struct crossing){
        .from = plan->machines[plan_machine_of_part(plan, link)].host,
        .to = plan->machines[plan_machine_of_part(plan, link + 1)].host,
        .bytes = (size_t)plan_minibatch_rows(plan, 1) * sample,
        .activation_messages = schedule->microbatches,
        .gradient_messages = schedule->order.whole_backward ? 1 : schedule->microbatches,
    };
}

static void print_host(FILE *out, const struct plan *plan, int machine)
{
    const int first = plan_first_stage(plan, machine), count = plan_machine_stages(plan, machine);

    if (count == 1)
        fprintf(out, "%s%s: stage %d", machine > 0 ? "; " : "", plan->machines[machine].host, first);
    else
        fprintf(out, "%s%s: stages %d-%d", machine > 0 ? "; " : "", plan->machines[machine].host, first,
                first + count - 1);
}

static void print_crossing(FILE *out, const struct plan *plan, int link)
{
    const struct crossing crossing = crossing_of(plan, link);
    char name[32], way[2 * CONFIG_NAME_MAX + 8];

    snprintf(name, sizeof(name), "%d-%d", link, link + 1);
    snprintf(way, sizeof(way), "%s - %s", crossing.from, crossing.to);
    fprintf(out, "%5s  %-21s  %10.3f %4d %15.3f %4d %15.2f\n", name, way, (double)crossing.bytes / (1 << 20),
            crossing.activation_messages, (double)crossing.bytes / (1 << 20), crossing.gradient_messages,
            8e-6 * (double)crossing.bytes);
}

void hosts_print(FILE *out, const struct plan *plan)
{
    if (plan->machine_count < 2)
        return;
    fputs("\nhosts  ", out);
    for (int m = 0; m < plan->machine_count; m++)
        print_host(out, plan, m);
    fprintf(out, "\n link  between hosts          activation MiB in  gradient MiB in  ms at 1 Gbit/s\n");
    for (int link = 1; link < plan->part_count; link++)
        if (plan_link_leaves(plan, link))
            print_crossing(out, plan, link);
    fprintf(out, "each mini-batch of %d sends so much, in so many messages; at 1 Gbit/s that takes so long, each way\n",
            plan_minibatch_rows(plan, 1));
}

json_t *hosts_json(const struct plan *plan)
{
    json_t *hosts = plan->machine_count > 1 ? json_array() : json_null();

    for (int m = 0; plan->machine_count > 1 && m < plan->machine_count; m++) {
        const int first = plan_first_stage(plan, m);

        json_array_append_new(hosts, json_pack("{s:s, s:[i, i]}", "host", plan->machines[m].host, "stages", first,
                                               first + plan_machine_stages(plan, m) - 1));
    }
    return hosts;
}

json_t *crossings_json(const struct plan *plan)
{
    json_t *crossings = plan->machine_count > 1 ? json_array() : json_null();

    for (int link = 1; plan->machine_count > 1 && link < plan->part_count; link++) {
        const struct crossing crossing = crossing_of(plan, link);

        if (plan_link_leaves(plan, link))
            json_array_append_new(crossings,
                                  json_pack("{s:[i, i], s:s, s:s, s:I, s:I, s:i}", "link", link, link + 1, "from",
                                            crossing.from, "to", crossing.to, "activation_bytes",
                                            (json_int_t)crossing.bytes, "gradient_bytes", (json_int_t)crossing.bytes,
                                            "messages", crossing.activation_messages + crossing.gradient_messages));
    }
    return crossings;
}
