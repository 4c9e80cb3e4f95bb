/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting cores. The kernels keep a core's vector units busy with one thread; a second one on the
 * same core only fights for the caches. Linux tells through the affinity mask, sysfs (which CPUs
 * share a core) and the control group (cpu.max); where one of them is missing it sets no limit. */
#include "engine/backend/cpu/topology.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compiler.h"

#if defined(__linux__)

/* Whether `cpu` is the first CPU of its core; true where sysfs does not say. */
static bool is_first_of_core(size_t cpu)
{
    char path[96];
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f)
        return true;
    size_t first = cpu;
    bool known = fscanf(f, "%zu", &first) == 1;
    fclose(f);
    return !known || first >= cpu;
}

/* CPUs' worth of time that the control group grants, rounded up; 0 = no limit. */
static uint32_t quota_cpus(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    long long quota = 0, period = 0;
    bool limited = fscanf(f, "%lld %lld", &quota, &period) == 2; /* "max 100000" has no quota */
    fclose(f);
    if (!limited || quota <= 0 || period <= 0 || quota / period > INT32_MAX)
        return 0;
    return (uint32_t)((quota + period - 1) / period);
}

uint32_t topology_cores(void)
{
    uint32_t cores = 0, cpus = 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &set))
                continue;
            cpus++;
            if (is_first_of_core(cpu))
                cores++;
        }
    }
    if (cpus == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        cpus = n > 0 ? (uint32_t)n : 1;
    }
    if (cores == 0)
        cores = cpus; /* only second threads of cores are allowed to us */
    uint32_t quota = quota_cpus();
    return quota ? MIN(cores, quota) : cores;
}

#else

uint32_t topology_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

#endif
