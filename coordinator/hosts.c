#include "coordinator/hosts.h"

#include <ctype.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
            return false;
    return length > 0 && length < CONFIG_NAME_MAX && text[0] != '-';
}

static int add(struct plan_machine machines[MAX_STAGES], int *count, const char *name, size_t length,
               struct error *error)
{
    if (!is_name(name, length))
        return error_set(error, "\"%.*s\" is no name of a host; it is HOST or HOST:STAGES, such as a:2,b:2",
                         length < CONFIG_NAME_MAX ? (int)length : CONFIG_NAME_MAX, name);
    if (*count == MAX_STAGES)
        return error_set(error, "more than %d hosts; each needs a stage, and a run has at most %d", MAX_STAGES,
                         MAX_STAGES);
    for (int m = 0; m < *count; m++)
        if (strlen(machines[m].host) == length && strncmp(machines[m].host, name, length) == 0)
            return error_set(error, "%s stands there twice; give each host once, with all of its stages, as in %s:2",
                             machines[m].host, machines[m].host);
    machines[*count] = (struct plan_machine){.stages = 0};
    memcpy(machines[*count].host, name, length);
    (*count)++;
    return 0;
}

/* As evenly as can be; the first ones have one more. */
static int share(struct plan_machine *machines, int count, int stages, struct error *error)
{
    if (count > stages)
        return error_set(error, "%d hosts for pipeline.stages = %d; each needs a stage", count, stages);
    for (int m = 0; m < count; m++)
        machines[m].stages = stages / count + (m < stages % count);
    return count;
}

/* One of "a:2,b:2". */
static int read_host(struct plan_machine machines[MAX_STAGES], int *count, const char *word, size_t length,
                     struct error *error)
{
    const char *colon = memchr(word, ':', length);
    char number[16];
    int64_t stages;

    if (add(machines, count, word, colon ? (size_t)(colon - word) : length, error))
        return -1;
    if (!colon)
        return 0;
    snprintf(number, sizeof(number), "%.*s", (int)(length - (size_t)(colon + 1 - word)), colon + 1);
    if (parse_int(&stages, number, 1, MAX_STAGES, error))
        return error_prefix(error, "stages of %s", machines[*count - 1].host);
    machines[*count - 1].stages = (int)stages;
    return 0;
}

static int read_list(struct plan_machine machines[MAX_STAGES], const char *text, int stages, struct error *error)
{
    int count = 0, counted = 0;

    for (const char *word = text;; word += strcspn(word, ",") + 1) {
        if (read_host(machines, &count, word, strcspn(word, ","), error))
            return -1;
        counted += machines[count - 1].stages > 0;
        if (word[strcspn(word, ",")] == '\0')
            break;
    }
    if (counted == 0)
        return share(machines, count, stages, error);
    for (int m = 0; m < count; m++)
        if (machines[m].stages == 0)
            return error_set(error, "%s has no number of stages, and others have; give one for each, or none",
                             machines[m].host);
    return count;
}

/* A number in brackets keeps its zeros: 08 is followed by 09. */
static int add_range(struct plan_machine machines[MAX_STAGES], int *count, const char *stem, int length,
                     const char *range, struct error *error)
{
    const int digits = (int)strspn(range, "0123456789");
    const char *second = range[digits] == '-' ? range + digits + 1 : range;
    const char *end = second + strspn(second, "0123456789");
    const unsigned long first = strtoul(range, NULL, 10), last = strtoul(second, NULL, 10);
    char name[CONFIG_NAME_MAX + 32];

    if (digits == 0 || digits > 9 || end == second || (*end != ',' && *end != ']') || last < first)
        return error_set(error, "\"%.*s\" is no range of hosts, such as 01-03", (int)strcspn(range, ",]"), range);
    for (unsigned long n = first; n <= last; n++) {
        const int all = snprintf(name, sizeof(name), "%.*s%0*lu", length, stem, digits, n);

        if (all >= (int)sizeof(name) || add(machines, count, name, (size_t)all, error))
            return all >= (int)sizeof(name) ? error_set(error, "the name of a host is too long") : -1;
    }
    return 0;
}

int hosts_expand(struct plan_machine machines[MAX_STAGES], const char *list, struct error *error)
{
    int count = 0;

    for (const char *word = list; *word;) {
        const size_t length = strcspn(word, ",[");

        if (word[length] != '[') {
            if (add(machines, &count, word, length, error))
                return -1;
            word += length + (word[length] == ',');
            continue;
        }
        const char *range = word + length, *close = strchr(range, ']');
        if (!close || (close[1] != ',' && close[1] != '\0'))
            return error_set(error, "\"%s\": a list of hosts is like n[01-03,7],gpu1", word);
        while (*range != ']') {
            range++;
            if (add_range(machines, &count, word, length < CONFIG_NAME_MAX ? (int)length : CONFIG_NAME_MAX, range,
                          error))
                return -1;
            range += strcspn(range, ",]");
        }
        word = close + 1 + (close[1] == ',');
    }
    return count > 0 ? count : error_set(error, "no hosts");
}

/* "2(x3),1": two on each of three hosts, and one on the next. Whether that is what each of the machines has, and all of the
 * stages; else the user had something else in mind than stages. */
static bool take_tasks(struct plan_machine *machines, int count, const char *tasks, int stages)
{
    int given[MAX_STAGES] = {0}, sum = 0, n = 0;

    while (*tasks && n < count) {
        char *end;
        const unsigned long each = strtoul(tasks, &end, 10);
        const unsigned long times = strncmp(end, "(x", 2) == 0 ? strtoul(end + 2, &end, 10) : 1;

        for (unsigned long k = 0; k < times && n < count && each > 0 && each <= MAX_STAGES; k++, n++)
            sum += given[n] = (int)each;
        end += *end == ')';
        if (end == tasks || (*end != ',' && *end != '\0'))
            return false;
        tasks = end + (*end == ',');
    }
    for (int m = 0; m < count && n == count && sum == stages; m++)
        machines[m].stages = given[m];
    return n == count && sum == stages;
}

static int read_slurm(struct plan_machine machines[MAX_STAGES], int stages, struct error *error)
{
    const char *list = getenv("SLURM_JOB_NODELIST"), *tasks = getenv("SLURM_TASKS_PER_NODE");

    if (!list)
        return error_set(error, "this is no allocation of Slurm's: SLURM_JOB_NODELIST is not set; begin with salloc or "
                                "sbatch, or name the hosts");
    const int count = hosts_expand(machines, list, error);
    if (count < 0)
        return error_prefix(error, "SLURM_JOB_NODELIST");
    return tasks && take_tasks(machines, count, tasks, stages) ? count : share(machines, count, stages, error);
}

int hosts_read(struct plan_machine machines[MAX_STAGES], const char *text, int stages, struct error *error)
{
    return strcmp(text, "slurm") == 0 ? read_slurm(machines, stages, error) : read_list(machines, text, stages, error);
}

static bool same_address(const struct sockaddr *one, const struct sockaddr *other)
{
    struct sockaddr_in four[2];
    struct sockaddr_in6 six[2];

    if (!one || !other || one->sa_family != other->sa_family)
        return false;
    if (one->sa_family == AF_INET) {
        memcpy(&four[0], one, sizeof(four[0]));
        memcpy(&four[1], other, sizeof(four[1]));
        return four[0].sin_addr.s_addr == four[1].sin_addr.s_addr;
    }
    if (one->sa_family != AF_INET6)
        return false;
    memcpy(&six[0], one, sizeof(six[0]));
    memcpy(&six[1], other, sizeof(six[1]));
    return memcmp(&six[0].sin6_addr, &six[1].sin6_addr, sizeof(six[0].sin6_addr)) == 0;
}

bool hosts_is_here(const char *host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct ifaddrs *own = NULL;
    char name[256] = "";
    bool here = false;

    if (gethostname(name, sizeof(name) - 1) == 0 && strcmp(name, host) == 0)
        return true;
    if (getaddrinfo(host, NULL, &hints, &found) == 0 && getifaddrs(&own) == 0)
        for (const struct addrinfo *address = found; address && !here; address = address->ai_next)
            for (const struct ifaddrs *each = own; each && !here; each = each->ifa_next)
                here = same_address(address->ai_addr, each->ifa_addr);
    if (found)
        freeaddrinfo(found);
    if (own)
        freeifaddrs(own);
    return here;
}
