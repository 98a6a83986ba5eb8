/*
 * Makes the files below one directory, and the clock, go wrong while the process runs: preloaded into a judged process.
 *
 *   FAULTS_ROOT     the directory, as an absolute path without symbolic links
 *   FAULTS_CONTROL  a file with a struct control, which the test changes in place
 *
 * The layout of the control is in faults.rs, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    /* Numbers of errors; 0 lets the call through. */
    volatile int32_t write_error;
    volatile int32_t sync_error;
    /* Added to the time of day. */
    volatile int64_t clock_seconds;
};

static struct control none;
static struct control *control = &none;
static char root[PATH_MAX];
static size_t root_bytes;

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("FAULTS_ROOT"), *file = getenv("FAULTS_CONTROL");
    if (!dir || !file || strlen(dir) >= sizeof root)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (mapped == MAP_FAILED)
        return;
    control = mapped;
    strcpy(root, dir);
    root_bytes = strlen(root);
}

/* Returns 1, with errno set, if a call on the file is to fail with the error. */
static int fails(int fd, int error) {
    char link[40], path[PATH_MAX];
    struct stat status;
    if (error == 0 || root_bytes == 0)
        return 0;
    int before = errno;
    int result = 0;
    if (fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(link, path, sizeof path - 1);
        if (bytes > 0) {
            path[bytes] = 0;
            result = strncmp(path, root, root_bytes) == 0 && path[root_bytes] == '/';
        }
    }
    errno = result ? error : before;
    return result;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    return fails(fd, control->write_error) ? -1 : syscall(SYS_write, fd, data, bytes);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fails(fd, control->write_error) ? -1 : syscall(SYS_writev, fd, parts, count);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
    return fails(fd, control->write_error) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, at);
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at) { return pwrite(fd, data, bytes, at); }
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    return fails(fd, control->write_error) ? -1 : syscall(SYS_pwritev2, fd, parts, count, at, 0L, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    return pwritev2(fd, parts, count, at, flags);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev2(fd, parts, count, at, 0); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return pwritev2(fd, parts, count, at, 0); }

int fsync(int fd) { return fails(fd, control->sync_error) ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fails(fd, control->sync_error) ? -1 : (int)syscall(SYS_fdatasync, fd); }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += control->clock_seconds;
    return result;
}
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int result = (int)syscall(SYS_gettimeofday, time, zone);
    if (result == 0)
        time->tv_sec += control->clock_seconds;
    return result;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
