/* SPDX-License-Identifier: Apache-2.0
 *
 * Free memory, as Linux tells it; other systems give the free pages POSIX knows of. */
#include "base/memory.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

/* The number in a small file such as a cgroup's; false if there is none ("max"). */
static bool read_number(const char *path, uint64_t *ret)
{
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    return file_read(path, &text, NULL) == 0 &&
           str_to_u64(str_trim(buf_str(&text)), path, ret, NULL) == 0;
}

static uint64_t system_available(void)
{
    CLEANUP_BUF struct buf text = BUF_INIT(65536);
    if (file_read("/proc/meminfo", &text, NULL) == 0) {
        struct str rest = buf_str(&text), line;
        while (str_split_next(&rest, '\n', &line)) {
            uint64_t kib;
            struct str value = str_sub(line, strlen("MemAvailable:"), SIZE_MAX);
            if (str_starts_with(line, STR("MemAvailable:")) && str_ends_with(value, STR("kB")) &&
                str_to_u64(str_trim(str_sub(value, 0, value.len - 2)), "memory", &kib, NULL) == 0)
                return kib * 1024;
        }
    }
#ifdef _SC_AVPHYS_PAGES
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0)
        return (uint64_t)pages * (uint64_t)size;
#endif
    return 0;
}

uint64_t memory_available(void)
{
    uint64_t available = system_available();
    uint64_t limit, used;
    if (read_number("/sys/fs/cgroup/memory.max", &limit) &&
        read_number("/sys/fs/cgroup/memory.current", &used)) {
        uint64_t left = limit > used ? limit - used : 0;
        if (available == 0 || left < available)
            available = left;
    }
    return available;
}

uint64_t memory_of_process(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    struct str rest, size, resident;
    uint64_t pages;
    long page = sysconf(_SC_PAGESIZE);
    if (pid <= 0 || page <= 0 || file_read(path, &text, NULL) < 0)
        return 0;
    rest = str_trim(buf_str(&text));
    if (!str_split_next(&rest, ' ', &size) || !str_split_next(&rest, ' ', &resident) ||
        str_to_u64(resident, path, &pages, NULL) < 0)
        return 0;
    return pages * (uint64_t)page;
}

void memory_text(uint64_t bytes, char out[MEMORY_TEXT_MAX])
{
    const double mib = 1024.0 * 1024;
    double n = (double)bytes / mib;
    if (n >= 1024)
        snprintf(out, MEMORY_TEXT_MAX, "%.1f GiB", n / 1024);
    else
        snprintf(out, MEMORY_TEXT_MAX, "%.0f MiB", n);
}
