/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model doctor: the disk under the store, and the GPU. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#if defined(__linux__)
#include <sys/vfs.h>
#endif
#include <dirent.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/program.h"
#include "cli/api.h"
#include "cli/doctor.h"
#include "cli/print.h"

/* ---- the store ---- */

/* Models are gigabytes; less than this is too little for any. A disk that is slower is felt at
 * every load. */
#define LITTLE_ROOM (UINT64_C(512) << 20)
enum { PROBE_BYTES = 16 << 20, SLOW_MB_PER_S = 50 };

const char *doctor_slow_filesystem(const char *path)
{
#if defined(__linux__)
    static const struct {
        unsigned long type;
        const char *name;
    } slow[] = {
        {0x6969, "NFS"},      {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB"}, {0x01021997, "9p"},
        {0x65735546, "FUSE"}, {0x00C36400, "Ceph"}, {0x517B, "SMB"},
    };
    struct statfs fs;
    for (size_t i = 0; statfs(path, &fs) == 0 && i < ARRAY_LEN(slow); i++)
        if ((uint32_t)fs.f_type == slow[i].type)
            return slow[i].name;
#else
    (void)path;
#endif
    return NULL;
}

/* MB/s of writing to the disk, through a file without a name; 0 = it cannot be tried. */
static unsigned write_speed(const char *dir)
{
#if defined(O_TMPFILE)
    CLEANUP_FD int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    CLEANUP_FREE char *zeros = fd >= 0 ? xcalloc(1, PROBE_BYTES) : NULL;
    if (fd < 0)
        return 0;
    int64_t start_ns = clock_mono_ns();
    if (fd_write_all(fd, dir, zeros, PROBE_BYTES, NULL) < 0 || fsync(fd) != 0)
        return 0;
    int64_t us = MAX((clock_mono_ns() - start_ns) / 1000, INT64_C(1));
    return (unsigned)(PROBE_BYTES / us) + 1;
#else
    (void)dir;
    return 0;
#endif
}

/* The store, or the directory that it will be made in; the caller frees. */
static char *existing_part(const char *path)
{
    char *p = xstrdup(path);
    while (access(p, F_OK) != 0 && strcmp(p, "/") != 0 && strcmp(p, ".") != 0) {
        char *up = path_dir(p);
        free(p);
        p = up;
    }
    return p;
}

static void check_speed(struct doctor *d, const char *path, const char *room)
{
    const char *slow = doctor_slow_filesystem(path);
    unsigned speed = write_speed(path);
    if (slow)
        doctor_foundf(d, "store", FINDING_WARNING,
                      "a store on a disk of this machine loads faster: MODELS_PATH",
                      "%s is on %s: models are read over it at each load", path, slow);
    else if (speed > 0 && speed < SLOW_MB_PER_S)
        doctor_foundf(d, "store", FINDING_WARNING,
                      "a store on a faster disk loads and pulls faster: MODELS_PATH",
                      "the disk of %s takes %u MB a second", path, speed);
    else
        doctor_foundf(d, "store", FINDING_OK, NULL, "%s has room for %s", path, room);
}

void check_store(struct doctor *d)
{
    CLEANUP_FREE char *path = NULL;
    const char *given = doctor_setting(d, "MODELS_PATH");
    struct error err = ERROR_INIT;
    if (!d->is_local)
        return;
    if (given)
        path = path_absolute(given);
    else if (path_models(&path, &err) < 0) {
        doctor_found(d, "store", FINDING_PROBLEM, err.msg, "set MODELS_PATH");
        return;
    }
    CLEANUP_FREE char *there = existing_part(path);
    struct statvfs fs;
    char room[SIZE_TEXT_MAX];
    if (access(there, R_OK | W_OK | X_OK) != 0) {
        doctor_foundf(d, "store", FINDING_PROBLEM,
                      "make it this user's, or name another with MODELS_PATH",
                      "%s cannot be written: %s", there, strerror(errno));
        return;
    }
    if (statvfs(there, &fs) != 0) {
        doctor_foundf(d, "store", FINDING_PROBLEM, NULL, "%s: %s", there, strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    size_text((double)left, room);
    if (left < LITTLE_ROOM)
        doctor_foundf(d, "store", FINDING_PROBLEM,
                      "docker model prune, docker model rm, or another disk: MODELS_PATH",
                      "the disk of %s is full: %s are left", path, room);
    else if (fs.f_files > 0 && fs.f_favail < 100)
        doctor_foundf(d, "store", FINDING_PROBLEM, "remove files there, or MODELS_PATH",
                      "the disk of %s takes no more files", path);
    else
        check_speed(d, there, room);
}

/* ---- the GPU ---- */

static const struct vendor {
    const char *id, *kind, *device;
} vendors[] = {
    {"0x10de", "NVIDIA", "/dev/nvidiactl"},
    {"0x1002", "AMD", "/dev/kfd"},
    {"0x8086", "Intel", "/dev/dri/renderD128"},
};

static bool file_has(const char *path, const char *prefix)
{
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    return file_read(path, &text, NULL) == 0 && str_starts_with(buf_str(&text), str_from(prefix));
}

/* The vendor of a display controller on the PCI bus; a discrete one wins over Intel's. */
static const struct vendor *find_vendor(const char *root)
{
    CLEANUP_FREE char *bus = xasprintf("%s/sys/bus/pci/devices", root);
    DIR *devices = opendir(bus);
    const struct vendor *best = NULL;
    for (const struct dirent *e; devices && (e = readdir(devices));) {
        CLEANUP_FREE char *class = xasprintf("%s/%s/class", bus, e->d_name);
        CLEANUP_FREE char *vendor = xasprintf("%s/%s/vendor", bus, e->d_name);
        if (e->d_name[0] == '.' || !file_has(class, "0x03")) /* display controllers */
            continue;
        for (size_t i = 0; i < ARRAY_LEN(vendors); i++)
            if (file_has(vendor, vendors[i].id) && (!best || &vendors[i] < best))
                best = &vendors[i];
    }
    if (devices)
        closedir(devices);
    return best;
}

void doctor_look_for_gpu(const char *root, struct gpu_look *ret)
{
    *ret = (struct gpu_look){0};
    const struct vendor *v = find_vendor(root);
    for (size_t i = 0; i < ARRAY_LEN(vendors) && !v; i++) {
        /* In a container the bus may be hidden; Intel's file may be anybody's. */
        CLEANUP_FREE char *device = xasprintf("%s%s", root, vendors[i].device);
        if (i < 2 && access(device, F_OK) == 0)
            v = &vendors[i];
    }
    if (!v)
        return;
    CLEANUP_FREE char *device = xasprintf("%s%s", root, v->device);
    ret->kind = v->kind;
    ret->has_driver = access(device, F_OK) == 0;
    ret->is_reachable = access(device, R_OK | W_OK) == 0;
    snprintf(ret->device, sizeof(ret->device), "%s", v->device);
}

/* Is there a program that computes on GPUs? */
static bool has_llama_server(const struct doctor *d)
{
    CLEANUP_JSON struct json *status = NULL;
    CLEANUP_FREE char *path = NULL;
    if (d->answers && api_get_json("/engines/status", "", &status, NULL) == 0)
        return strncmp(js_get_cstr(status, "llama.cpp", ""), "Running: llama.cpp", 18) == 0;
    return doctor_setting(d, "LLAMA_SERVER_PATH") || program_find("llama-server", &path, NULL) == 0;
}

void check_gpu(struct doctor *d)
{
    struct gpu_look gpu;
    if (!d->is_local)
        return;
    doctor_look_for_gpu("", &gpu);
    const char *args = doctor_setting(d, "LLAMA_ARGS");
    if (!gpu.kind)
        doctor_found(d, "gpu", FINDING_OK, "this machine shows none; the CPU computes", NULL);
    else if (!gpu.has_driver)
        doctor_foundf(d, "gpu", FINDING_WARNING,
                      "install its driver; in a container, pass the device on",
                      "the %s GPU is not used: %s is not there, so its driver is not loaded",
                      gpu.kind, gpu.device);
    else if (!gpu.is_reachable)
        doctor_foundf(d, "gpu", FINDING_WARNING,
                      "join the groups that own it (often render and video), then log in again",
                      "the %s GPU is not used: this user may not open %s", gpu.kind, gpu.device);
    else if (!has_llama_server(d))
        doctor_foundf(d, "gpu", FINDING_WARNING,
                      "install llama.cpp's llama-server with support for it, then docker model "
                      "configure --backend llama.cpp MODEL",
                      "the %s GPU is not used: the built-in engine computes on the CPU", gpu.kind);
    else if (args && strstr(args, "-ngl 0"))
        doctor_foundf(d, "gpu", FINDING_WARNING, "docker model restart-runner --gpu auto",
                      "the %s GPU is not used: LLAMA_ARGS says -ngl 0", gpu.kind);
    else
        doctor_foundf(d, "gpu", FINDING_OK, NULL,
                      "%s; models with the backend llama.cpp can use it", gpu.kind);
}
