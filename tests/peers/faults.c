/* Faults of the system that no test can have otherwise: loaded before the C library (LD_PRELOAD).
 * In the directory FAULTS: while the file `full` exists, regular files take no more octets; the file `clock`
 * holds seconds by which the wall clock is wrong. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int path_of(const char *name, char *path, size_t size) {
    const char *dir = getenv("FAULTS");
    return dir && snprintf(path, size, "%s/%s", dir, name) < (int)size;
}

static int is_full(int fd) {
    char path[512];
    struct stat st;
    if (!path_of("full", path, sizeof path) || access(path, F_OK) != 0) return 0;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t write(int fd, const void *buf, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (is_full(fd)) { errno = ENOSPC; return -1; }
    return real(fd, buf, count);
}

ssize_t pwrite64(int fd, const void *buf, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (is_full(fd)) { errno = ENOSPC; return -1; }
    return real(fd, buf, count, offset);
}

ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite");
    if (is_full(fd)) { errno = ENOSPC; return -1; }
    return real(fd, buf, count, offset);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    char path[512], text[32];
    int fd;
    ssize_t got;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME && path_of("clock", path, sizeof path) && (fd = open(path, O_RDONLY)) >= 0) {
        got = read(fd, text, sizeof text - 1);
        close(fd);
        text[got > 0 ? got : 0] = 0;
        now->tv_sec += atol(text);
    }
    return result;
}
