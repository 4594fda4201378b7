#include "cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 }; /* what Linux takes for a path; longer ones don't open */

/* Reads the first line of root + folder + group + "/" + name. */
static int read_line(const char *root, const char *folder, const char *group, const char *name, char *line, int n) {
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s%s%s/%s", root, folder, group, name);
    FILE *f = length > 0 && length < PATH_BYTES ? fopen(path, "re") : NULL;
    if (f == NULL) return 0;
    int ok = fgets(line, n, f) != NULL;
    fclose(f);
    return ok;
}

/* Microseconds of processor time in each period, as a number of processors. "max" and -1 are no limit. */
static uint32_t processors(const char *quota, const char *period) {
    long long q = strtoll(quota, NULL, 10), p = strtoll(period, NULL, 10);
    if (q <= 0 || p <= 0) return 0;
    long long n = (q - 1) / p + 1;
    return n > 1 << 20 ? 0 : (uint32_t)n;
}

/* A group's limit in version 2, "quota period" in cpu.max, or version 1, two files. */
static uint32_t limit(const char *root, const char *folder, const char *group) {
    char quota[64], period[64];
    if (read_line(root, folder, group, "cpu.max", quota, sizeof quota))
        return processors(quota, quota + strcspn(quota, " "));
    if (read_line(root, folder, group, "cpu.cfs_quota_us", quota, sizeof quota) &&
        read_line(root, folder, group, "cpu.cfs_period_us", period, sizeof period))
        return processors(quota, period);
    return 0;
}

static uint32_t least(uint32_t a, uint32_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* The tightest limit of a group and those around it, up to the mounted folder. Within a container the group's path may
 * be the one that the host knows it by, and not exist: the mounted folder itself has the limit then. */
static uint32_t tightest(const char *root, const char *folder, char *group) {
    uint32_t n = 0;
    for (;;) {
        n = least(n, limit(root, folder, group));
        char *slash = strrchr(group, '/');
        if (slash == NULL) return n;
        *slash = '\0';
    }
}

/* Whether a list separated by commas has the controller "cpu". */
static int has_cpu(const char *controllers) {
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0')) return 1;
    }
    return 0;
}

uint32_t cgroup_processors(const char *root) {
    static const char *const folders[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char path[PATH_BYTES], line[PATH_BYTES], two[PATH_BYTES] = "", one[PATH_BYTES] = "";
    int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = length > 0 && length < PATH_BYTES ? fopen(path, "re") : NULL;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) { /* "number:controllers:/group" */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) continue;
        *group++ = '\0';
        if (controllers[1] == '\0') strcpy(two, group); /* version 2 names no controllers */
        else if (has_cpu(controllers + 1)) strcpy(one, group);
    }
    if (f != NULL) fclose(f);
    uint32_t n = tightest(root, folders[0], two);
    for (int i = 1; i < 3; i++) {
        strcpy(path, one); /* cut by tightest */
        n = least(n, tightest(root, folders[i], path));
    }
    return n;
}
