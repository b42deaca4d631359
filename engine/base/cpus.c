/* How many CPUs we may use: the affinity mask and the cgroup's quota (v2 cpu.max, v1 cfs_quota_us). */
#include "base/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"

static size_t affinity_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (size_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);     /* more CPUs than cpu_set_t holds */
    return online > 0 ? (size_t)online : 1;
}

/* Splits "a b\n" at the blank; a number each, or false ("max", "-1"). */
static bool read_two(const char *path, uint64_t *first, uint64_t *second)
{
    struct ood_error ignored = { 0 };
    struct ood_bytes text;
    if (!ood_file_read(path, 4096, &text, &ignored))
        return false;
    char *end = strchr((char *)text.data, '\n');
    if (end != NULL)
        *end = '\0';
    char *blank = strchr((char *)text.data, ' ');
    if (blank != NULL)
        *blank++ = '\0';
    bool read = ood_parse_uint64((const char *)text.data, first) &&
                (second == NULL || (blank != NULL && ood_parse_uint64(blank, second)));
    ood_bytes_free(&text);
    return read;
}

/* The smallest quota, in CPUs rounded up, of the folder a cgroup is at and of those above it; `least` if none is smaller. */
static size_t quota_at(const char *mount, const char *group, bool v2, size_t least)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s%s", mount, group);
    if (length < 0 || (size_t)length >= sizeof path - 32)
        return least;
    size_t end = (size_t)length, stop = strlen(mount);
    for (;;) {
        uint64_t quota, period;
        bool known;
        snprintf(path + end, sizeof path - end, "%s", v2 ? "/cpu.max" : "/cpu.cfs_quota_us");
        known = read_two(path, &quota, v2 ? &period : NULL);
        if (known && !v2) {
            snprintf(path + end, sizeof path - end, "/cpu.cfs_period_us");
            known = read_two(path, &period, NULL);
        }
        if (known && period > 0 && quota > 0) {
            uint64_t cpus = quota / period + (quota % period != 0);
            if (cpus < least)
                least = (size_t)cpus;
        }
        while (end > stop && path[end - 1] != '/')
            end--;
        if (end <= stop)
            return least;
        end--;
    }
}

/* "3:cpu,cpuacct:/a/b": is `cpu` among the controllers, and where is the path? */
static const char *controller_path(const char *line, bool *v2)
{
    const char *list = strchr(line, ':');
    const char *path = list != NULL ? strchr(list + 1, ':') : NULL;
    if (path == NULL)
        return NULL;
    *v2 = path == list + 1;
    if (*v2)
        return path + 1;
    for (const char *word = list + 1; word < path;) {
        const char *next = memchr(word, ',', (size_t)(path - word));
        if (next == NULL)
            next = path;
        if (next - word == 3 && memcmp(word, "cpu", 3) == 0)
            return path + 1;
        word = next + 1;
    }
    return NULL;
}

size_t ood_cpus(void)
{
    size_t cpus = affinity_cpus();
    struct ood_error ignored = { 0 };
    struct ood_bytes groups;
    if (!ood_file_read("/proc/self/cgroup", 65536, &groups, &ignored))
        return cpus;
    for (char *line = (char *)groups.data, *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        bool v2;
        const char *group = controller_path(line, &v2);
        if (group == NULL)
            continue;
        if (strcmp(group, "/") == 0)
            group = "";
        cpus = quota_at(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group, v2, cpus);
        cpus = quota_at(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", "", v2, cpus);    /* inside a container */
    }
    ood_bytes_free(&groups);
    return cpus > 0 ? cpus : 1;
}
