/* Records what a process does to the files under $POWERCUT_DIR, in the order in which the calls returned.
 *
 * Loaded with LD_PRELOAD. Each record in $POWERCUT_LOG is: one byte for the operation, the path's length (u32), two
 * numbers (u64: offset and length), the path, the data. A sync is recorded twice, before and after: it covers only
 * what was recorded before it began. Files that survive no power cut (-shm) and locks (.turn.*) are left out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static int log_file = -1;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("POWERCUT_DIR");
    const char *path = getenv("POWERCUT_LOG");
    if (folder != NULL && path != NULL) log_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_watched(const char *path) {
    size_t length = strlen(path), head = folder ? strlen(folder) : 0;
    if (log_file < 0 || head == 0 || strncmp(path, folder, head) != 0) return 0;
    if (path[head] != '/' && path[head] != '\0') return 0;
    if (length > 4 && strcmp(path + length - 4, "-shm") == 0) return 0;
    return strstr(path + head, ".turn.") == NULL;
}

static int is_watched_file(int file, char *path) {
    char link[64];
    if (log_file < 0 || file == log_file) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0) return 0;
    path[length] = '\0';
    return is_watched(path);
}

static void record(char what, const char *path, uint64_t offset, const void *data, uint64_t length, uint64_t number) {
    uint32_t path_length = (uint32_t)strlen(path);
    uint64_t numbers[2] = {offset, data != NULL ? length : number};
    struct iovec parts[5] = {{&what, 1}, {&path_length, 4}, {numbers, 16}, {(void *)path, path_length},
                             {(void *)data, data != NULL ? length : 0}};
    pthread_mutex_lock(&order);
    ssize_t written = writev(log_file, parts, 5);
    pthread_mutex_unlock(&order);
    if (written < 0) abort(); /* a hole in the record would show losses that never were */
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static ssize_t after_write(int file, const void *data, ssize_t done, off64_t at) {
    char path[4096];
    if (done > 0 && is_watched_file(file, path)) {
        if (at < 0) at = lseek64(file, 0, SEEK_CUR) - done;
        record('W', path, (uint64_t)at, data, (uint64_t)done, 0);
    }
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t at) {
    REAL(pwrite64);
    return after_write(file, data, real(file, data, length, at), at);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t at) {
    REAL(pwrite);
    return after_write(file, data, real(file, data, length, at), at);
}

ssize_t write(int file, const void *data, size_t length) {
    REAL(write);
    return after_write(file, data, real(file, data, length), -1);
}

static int after_truncate(int file, int result, off64_t length) {
    char path[4096];
    if (result == 0 && is_watched_file(file, path)) record('T', path, 0, NULL, 0, (uint64_t)length);
    return result;
}

int ftruncate64(int file, off64_t length) {
    REAL(ftruncate64);
    return after_truncate(file, real(file, length), length);
}

int ftruncate(int file, off_t length) {
    REAL(ftruncate);
    return after_truncate(file, real(file, length), length);
}

static int around_sync(int file, int (*sync)(int)) {
    char path[4096];
    if (!is_watched_file(file, path)) return sync(file);
    record('b', path, 0, NULL, 0, 0);
    int result = sync(file);
    if (result == 0) record('S', path, 0, NULL, 0, 0);
    return result;
}

int fsync(int file) {
    REAL(fsync);
    return around_sync(file, real);
}

int fdatasync(int file) {
    REAL(fdatasync);
    return around_sync(file, real);
}

int unlink(const char *path) {
    REAL(unlink);
    int result = real(path);
    if (result == 0 && is_watched(path)) record('U', path, 0, NULL, 0, 0);
    return result;
}

static int opened(const char *path, int flags, mode_t mode, int (*real)(const char *, int, ...)) {
    int is_new = (flags & O_CREAT) && is_watched(path) && access(path, F_OK) != 0;
    int file = real(path, flags, mode);
    if (file >= 0 && is_new) record('C', path, 0, NULL, 0, 0);
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open64(const char *path, int flags, ...) {
    MODE(flags);
    REAL(open64);
    return opened(path, flags, mode, real);
}

int open(const char *path, int flags, ...) {
    MODE(flags);
    REAL(open);
    return opened(path, flags, mode, real);
}

/* Called by the application when the inbox has acknowledged an event. */
void powercut_mark(const char *identity) {
    if (log_file >= 0) record('A', identity, 0, NULL, 0, 0);
}
