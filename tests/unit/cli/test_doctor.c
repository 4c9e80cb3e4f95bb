/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of the doctor's checks that a test cannot make real: a GPU (a made /sys and /dev stand in for
 * one), and every spelling of a proxy's address. */
#include "test.h"
#include "temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/doctor.h"

static void put(const char *root, const char *name, const char *text, mode_t mode)
{
    struct error err = ERROR_INIT;
    char *path = path_join(root, name), *parent = path_dir(path);
    assert_ok(dir_make(parent, 0755, &err));
    assert_ok(file_write_atomic(path, str_from(text), mode, &err));
    free(parent);
    free(path);
}

static void test_doctor__gpus(void **state)
{
    (void)state;
    static const struct {
        const char *class, *vendor, *device, *kind;
        bool has_driver;
    } rows[] = {
        {"0x030000", "0x10de", "dev/nvidiactl", "NVIDIA", true},
        {"0x030200", "0x10de", NULL, "NVIDIA", false},
        {"0x030000", "0x1002", "dev/kfd", "AMD", true},
        {"0x030000", "0x1002", "dev/nvidiactl", "AMD", false},
        {"0x030000", "0x8086", "dev/dri/renderD128", "Intel", true},
        {"0x030000", "0x1af4", NULL, NULL, false},     /* a virtual machine's screen */
        {"0x020000", "0x10de", NULL, NULL, false},     /* no display */
        {NULL, NULL, "dev/nvidiactl", "NVIDIA", true}, /* a container without the bus */
        {NULL, NULL, "dev/dri/renderD128", NULL, false},
        {NULL, NULL, NULL, NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *root = xasprintf("%s/gpu%zu", dir, i);
        assert_int_equal(mkdir(root, 0755), 0);
        if (rows[i].class) {
            put(root, "sys/bus/pci/devices/0000:01:00.0/class", rows[i].class, 0644);
            put(root, "sys/bus/pci/devices/0000:01:00.0/vendor", rows[i].vendor, 0644);
        }
        if (rows[i].device)
            put(root, rows[i].device, "", 0666);
        struct gpu_look gpu;
        doctor_look_for_gpu(root, &gpu);
        if (!rows[i].kind != !gpu.kind || (gpu.kind && strcmp(gpu.kind, rows[i].kind) != 0) ||
            gpu.has_driver != rows[i].has_driver || gpu.is_reachable != rows[i].has_driver)
            fail_msg("row %zu: %s, driver %d, reachable %d", i, gpu.kind ? gpu.kind : "none",
                     gpu.has_driver, gpu.is_reachable);
        free(root);
    }
}

static void test_doctor__the_discrete_gpu_counts(void **state)
{
    (void)state;
    char *root = path_join(dir, "two");
    put(root, "sys/bus/pci/devices/0/class", "0x030000", 0644);
    put(root, "sys/bus/pci/devices/0/vendor", "0x8086", 0644);
    put(root, "sys/bus/pci/devices/1/class", "0x030000", 0644);
    put(root, "sys/bus/pci/devices/1/vendor", "0x1002", 0644);
    struct gpu_look gpu;
    doctor_look_for_gpu(root, &gpu);
    assert_string_equal(gpu.kind, "AMD");
    free(root);
}

static void test_doctor__addresses_of_proxies(void **state)
{
    (void)state;
    static const struct {
        const char *value, *host, *port;
    } rows[] = {
        {"http://p.example:3128", "p.example", "3128"},
        {"p.example:3128", "p.example", "3128"},
        {"http://p.example", "p.example", "1080"},
        {"https://p.example/", "p.example", "443"},
        {"http://me:se@cret@p.example:80/x", "p.example", "80"},
        {"socks5h://[::1]:1080", "::1", "1080"},
        {"http://[::1]", "::1", "1080"},
        {" http://p.example:1 ", "p.example", "1"},
        {"http://", NULL, NULL},
        {"http://p.example:0", NULL, NULL},
        {"http://p.example:99999", NULL, NULL},
        {"http://p.example:http", NULL, NULL},
        {"http://a b:1", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct proxy_address a;
        bool is = doctor_proxy_address(rows[i].value, &a);
        if (is != (rows[i].host != NULL) ||
            (is && (strcmp(a.host, rows[i].host) != 0 || strcmp(a.port, rows[i].port) != 0)))
            fail_msg("%s", rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doctor__gpus),
        cmocka_unit_test(test_doctor__the_discrete_gpu_counts),
        cmocka_unit_test(test_doctor__addresses_of_proxies),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
