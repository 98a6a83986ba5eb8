/*
 * Records what a process changes below one directory: the preloaded half of the replay judge.
 *
 * Each change is one record, appended to a log by one write(2), after the change and before the call returns.
 * A synchronization is two records, around the call: what was recorded before the first is durable once the second is
 * there. The layout of a record is in recording.rs, which reads it.
 *
 *   RECORDER_ROOT  the directory, as an absolute path without symbolic links
 *   RECORDER_LOG   the log, outside of the directory
 *
 * A change that the replay has no model of is recorded as such, so that it fails the test and is not overlooked.
 * The functions allocate nothing and take no lock, because they run in the child of a vfork, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    CREATE = 1,
    WRITE = 2,
    TRUNCATE = 3,
    SYNC_BEGIN = 4,
    SYNC_END = 5,
    RENAME = 6,
    UNLINK = 7,
    MKDIR = 8,
    RMDIR = 9,
    LINK = 10,
    EXTEND = 11,
    UNKNOWN = 12,
};

struct record {
    char magic[4];
    uint32_t kind;
    uint64_t inode;
    /* Of a synchronization: what its two records share. Of a WRITE: the offset. Of TRUNCATE and EXTEND: the
     * length. Of CREATE: the permissions. */
    uint64_t number;
    uint32_t path_bytes;
    uint32_t data_bytes;
};

static char root[PATH_MAX];
static size_t root_bytes;
static char log_path[PATH_MAX];
static _Atomic uint32_t syncs;

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("RECORDER_ROOT"), *log = getenv("RECORDER_LOG");
    if (!dir || !log || strlen(dir) >= sizeof root || strlen(log) >= sizeof log_path)
        return;
    strcpy(log_path, log);
    strcpy(root, dir);
    root_bytes = strlen(root);
}

static int recording(void) { return root_bytes > 0; }

static void emit(enum kind kind, uint64_t inode, uint64_t number, const char *path, const void *data, size_t bytes) {
    int before = errno;
    size_t path_bytes = path ? strlen(path) : 0;
    struct record record = {
        {'R', 'E', 'C', '1'}, kind, inode, number, (uint32_t)path_bytes, (uint32_t)bytes};
    struct iovec parts[3] = {
        {&record, sizeof record}, {(void *)path, path_bytes}, {(void *)data, bytes}};
    int log = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    ssize_t whole = (ssize_t)(sizeof record + path_bytes + bytes);
    /* A gap in the log would make the judge blame the service. */
    if (log < 0 || syscall(SYS_writev, log, parts, 3) != whole)
        abort();
    syscall(SYS_close, log);
    errno = before;
}

/* Returns the path relative to the root, or NULL if it is not below it. */
static const char *below(const char *path) {
    if (strncmp(path, root, root_bytes) != 0)
        return NULL;
    if (path[root_bytes] == 0)
        return "";
    return path[root_bytes] == '/' ? path + root_bytes + 1 : NULL;
}

/* Fills `path` with the path of an open file, and returns its part below the root, or NULL. */
static const char *path_of(int fd, char path[PATH_MAX], struct stat *status) {
    int before = errno;
    const char *relative = NULL;
    char link[40];
    if (recording() && fd >= 0 && fstat(fd, status) == 0 && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(link, path, PATH_MAX - 1);
        if (bytes > 0) {
            path[bytes] = 0;
            relative = below(path);
        }
    }
    errno = before;
    return relative;
}

static int is_file(const char *relative, const struct stat *status) { return relative && S_ISREG(status->st_mode); }

/* Fills `whole` with the path of a name, its directory resolved, and returns its part below the root, or NULL. */
static const char *resolve(int dir, const char *name, char whole[PATH_MAX]) {
    if (!recording() || !name || strlen(name) >= PATH_MAX)
        return NULL;
    int before = errno;
    const char *relative = NULL;
    char parent[PATH_MAX];
    struct stat status;
    size_t end = strlen(name);
    while (end > 1 && name[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && name[start - 1] != '/')
        start--;
    memcpy(parent, name, start);
    strcpy(parent + start, start ? "" : ".");
    int fd = (int)syscall(SYS_openat, dir, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd >= 0) {
        if (path_of(fd, whole, &status)) {
            size_t bytes = strlen(whole);
            if (bytes + 1 + (end - start) < PATH_MAX) {
                whole[bytes] = '/';
                memcpy(whole + bytes + 1, name + start, end - start);
                whole[bytes + 1 + (end - start)] = 0;
                relative = below(whole);
            }
        }
        syscall(SYS_close, fd);
    }
    errno = before;
    return relative;
}

/* Opening, which may create or empty a file. */

static int open_at(int dir, const char *name, int flags, mode_t mode) {
    struct stat status;
    int changes = recording() && (flags & (O_CREAT | O_TRUNC));
    int before = errno;
    int existed = changes && fstatat(dir, name, &status, 0) == 0;
    errno = before;
    int fd = (int)syscall(SYS_openat, dir, name, flags, mode);
    if (fd >= 0 && changes) {
        char path[PATH_MAX];
        const char *relative = path_of(fd, path, &status);
        if (is_file(relative, &status)) {
            if ((flags & O_TMPFILE) == O_TMPFILE)
                emit(UNKNOWN, status.st_ino, 0, "O_TMPFILE", NULL, 0);
            else if (!existed)
                emit(CREATE, status.st_ino, status.st_mode & 07777, relative, NULL, 0);
            else if (flags & O_TRUNC)
                emit(TRUNCATE, status.st_ino, 0, relative, NULL, 0);
        }
    }
    return fd;
}

static mode_t mode_in(int flags, va_list rest) {
    int has_mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? (mode_t)va_arg(rest, int) : 0;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = mode_in(flags, rest);                                                                            \
        va_end(rest);                                                                                                  \
        return open_at(AT_FDCWD, path, flags, mode);                                                                   \
    }
#define OPENAT(name)                                                                                                   \
    int name(int dir, const char *path, int flags, ...) {                                                              \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = mode_in(flags, rest);                                                                            \
        va_end(rest);                                                                                                  \
        return open_at(dir, path, flags, mode);                                                                        \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __openat_2(int dir, const char *path, int flags) { return open_at(dir, path, flags, 0); }
int __openat64_2(int dir, const char *path, int flags) { return open_at(dir, path, flags, 0); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* Writing. */

static void wrote(int fd, const struct iovec *parts, int count, ssize_t written, off_t at) {
    char path[PATH_MAX];
    struct stat status;
    const char *relative = written > 0 ? path_of(fd, path, &status) : NULL;
    if (!is_file(relative, &status))
        return;
    int before = errno;
    /* The place of a sequential write is known after it only, because of O_APPEND. */
    if (at < 0)
        at = lseek(fd, 0, SEEK_CUR) - written;
    errno = before;
    for (int part = 0; part < count && written > 0; part++) {
        size_t bytes = parts[part].iov_len < (size_t)written ? parts[part].iov_len : (size_t)written;
        if (bytes == 0)
            continue;
        emit(WRITE, status.st_ino, (uint64_t)at, relative, parts[part].iov_base, bytes);
        at += (off_t)bytes;
        written -= (ssize_t)bytes;
    }
}

ssize_t write(int fd, const void *data, size_t bytes) {
    ssize_t written = syscall(SYS_write, fd, data, bytes);
    struct iovec part = {(void *)data, bytes};
    wrote(fd, &part, 1, written, -1);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    wrote(fd, parts, count, written, -1);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
    ssize_t written = syscall(SYS_pwrite64, fd, data, bytes, at);
    struct iovec part = {(void *)data, bytes};
    wrote(fd, &part, 1, written, at);
    return written;
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at) { return pwrite(fd, data, bytes, at); }

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    ssize_t written = syscall(SYS_pwritev2, fd, parts, count, at, 0L, flags);
    wrote(fd, parts, count, written, at);
    return written;
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    return pwritev2(fd, parts, count, at, flags);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev2(fd, parts, count, at, 0); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return pwritev2(fd, parts, count, at, 0); }

/* Whoever copies in the kernel copies by reading and writing where that is refused. */

static int refuse_copy_to(int fd) {
    char path[PATH_MAX];
    struct stat status;
    return is_file(path_of(fd, path, &status), &status);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t bytes, unsigned flags) {
    if (refuse_copy_to(out)) {
        errno = EXDEV;
        return -1;
    }
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, bytes, flags);
}

ssize_t sendfile(int out, int in, off_t *at, size_t bytes) {
    if (refuse_copy_to(out)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_sendfile, out, in, at, bytes);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t bytes) { return sendfile(out, in, at, bytes); }

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t bytes, unsigned flags) {
    if (refuse_copy_to(out)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_splice, in, in_at, out, out_at, bytes, flags);
}

/* SQLite maps the index of its log, which it builds anew after a power failure. */
void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t at) {
    char path[PATH_MAX];
    struct stat status;
    int shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
    if (fd >= 0 && shared && (protection & PROT_WRITE)) {
        const char *relative = path_of(fd, path, &status);
        size_t length = relative ? strlen(relative) : 0;
        if (length && !(length > 4 && strcmp(relative + length - 4, "-shm") == 0))
            emit(UNKNOWN, status.st_ino, 0, "a writable shared mapping", NULL, 0);
    }
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, at);
}
void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t at) {
    return mmap(address, bytes, protection, flags, fd, at);
}

/* Lengths. */

int ftruncate(int fd, off_t length) {
    char path[PATH_MAX];
    struct stat status;
    int result = (int)syscall(SYS_ftruncate, fd, length);
    const char *relative = result == 0 ? path_of(fd, path, &status) : NULL;
    if (is_file(relative, &status))
        emit(TRUNCATE, status.st_ino, (uint64_t)length, relative, NULL, 0);
    return result;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int truncate(const char *name, off_t length) {
    int fd = open_at(AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int result = ftruncate(fd, length);
    int error = errno;
    syscall(SYS_close, fd);
    errno = error;
    return result;
}
int truncate64(const char *name, off64_t length) { return truncate(name, length); }

int fallocate(int fd, int mode, off_t at, off_t bytes) {
    char path[PATH_MAX];
    struct stat status;
    int result = (int)syscall(SYS_fallocate, fd, mode, at, bytes);
    const char *relative = result == 0 ? path_of(fd, path, &status) : NULL;
    if (is_file(relative, &status) && mode == 0)
        emit(EXTEND, status.st_ino, (uint64_t)(at + bytes), relative, NULL, 0);
    else if (is_file(relative, &status) && mode != FALLOC_FL_KEEP_SIZE)
        emit(UNKNOWN, status.st_ino, 0, "a mode of fallocate", NULL, 0);
    return result;
}
int fallocate64(int fd, int mode, off64_t at, off64_t bytes) { return fallocate(fd, mode, at, bytes); }
int posix_fallocate(int fd, off_t at, off_t bytes) {
    int before = errno;
    int error = fallocate(fd, 0, at, bytes) == 0 ? 0 : errno;
    errno = before;
    return error;
}
int posix_fallocate64(int fd, off64_t at, off64_t bytes) { return posix_fallocate(fd, at, bytes); }

/* Synchronization. */

static uint64_t next_sync(void) { return ((uint64_t)getpid() << 32) | ++syncs; }

static int synchronize(long call, int fd) {
    char path[PATH_MAX];
    struct stat status;
    const char *relative = path_of(fd, path, &status);
    uint64_t number = relative ? next_sync() : 0;
    if (relative)
        emit(SYNC_BEGIN, status.st_ino, number, relative, NULL, 0);
    int result = (int)syscall(call, fd);
    if (relative && result == 0)
        emit(SYNC_END, status.st_ino, number, relative, NULL, 0);
    return result;
}
int fsync(int fd) { return synchronize(SYS_fsync, fd); }
int fdatasync(int fd) { return synchronize(SYS_fdatasync, fd); }

/* Names. */

int renameat2(int old_dir, const char *old_name, int new_dir, const char *new_name, unsigned flags) {
    char old_whole[PATH_MAX], new_whole[PATH_MAX];
    const char *from = resolve(old_dir, old_name, old_whole);
    const char *to = resolve(new_dir, new_name, new_whole);
    int result = (int)syscall(SYS_renameat2, old_dir, old_name, new_dir, new_name, flags);
    /* RENAME_NOREPLACE is 1; the others do more than to move. */
    if (result == 0 && (from || to)) {
        if (from && to && flags <= 1)
            emit(RENAME, 0, 0, from, to, strlen(to));
        else
            emit(UNKNOWN, 0, 0, "a rename across the directory, or an exchange", NULL, 0);
    }
    return result;
}
int renameat(int old_dir, const char *old_name, int new_dir, const char *new_name) {
    return renameat2(old_dir, old_name, new_dir, new_name, 0);
}
int rename(const char *old_name, const char *new_name) { return renameat2(AT_FDCWD, old_name, AT_FDCWD, new_name, 0); }

int unlinkat(int dir, const char *name, int flags) {
    char whole[PATH_MAX];
    const char *relative = resolve(dir, name, whole);
    int result = (int)syscall(SYS_unlinkat, dir, name, flags);
    if (result == 0 && relative)
        emit(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, relative, NULL, 0);
    return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    int result = unlink(name);
    return result != 0 && (errno == EISDIR || errno == EPERM) ? rmdir(name) : result;
}

int mkdirat(int dir, const char *name, mode_t mode) {
    char whole[PATH_MAX];
    const char *relative = resolve(dir, name, whole);
    int result = (int)syscall(SYS_mkdirat, dir, name, mode);
    if (result == 0 && relative)
        emit(MKDIR, 0, 0, relative, NULL, 0);
    return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int old_dir, const char *old_name, int new_dir, const char *new_name, int flags) {
    char old_whole[PATH_MAX], new_whole[PATH_MAX];
    const char *from = resolve(old_dir, old_name, old_whole);
    const char *to = resolve(new_dir, new_name, new_whole);
    int result = (int)syscall(SYS_linkat, old_dir, old_name, new_dir, new_name, flags);
    if (result == 0 && to) {
        if (from)
            emit(LINK, 0, 0, from, to, strlen(to));
        else
            emit(UNKNOWN, 0, 0, "a link to a file from elsewhere", NULL, 0);
    }
    return result;
}
int link(const char *old_name, const char *new_name) { return linkat(AT_FDCWD, old_name, AT_FDCWD, new_name, 0); }

int symlinkat(const char *target, int dir, const char *name) {
    char whole[PATH_MAX];
    const char *relative = resolve(dir, name, whole);
    int result = (int)syscall(SYS_symlinkat, target, dir, name);
    if (result == 0 && relative)
        emit(UNKNOWN, 0, 0, "a symbolic link", NULL, 0);
    return result;
}
int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }
