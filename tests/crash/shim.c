/* Stands between the engine and its C library (LD_PRELOAD), so that the unchanged program meets what a test wants.
 *
 * Whenever the engine is about to write to its journal, and again when what it wrote is on disk, it asks the test over a
 * Unix socket (CUTOVER_SHIM) and does what the answer says. CUTOVER_SHIM_CLOCK names a file of one 64-bit number: the
 * seconds by which the wall clock is set off, which a test may change at any time.
 *
 *   question  'w' u32 length, bytes     about to write these bytes
 *             's' u32 0                 they are on disk
 *   answer    'g' u32 0                 go on
 *             'k' u32 n                 write the first n bytes, then die as by kill -9
 *             'f' u32 n                 write the first n bytes, then fail with this disk full
 *             'e' u32 0                 fail with an I/O error, although the bytes may have reached the disk
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int test = -1;

struct answer {
    char word;
    uint32_t count;
};

static int connect_to_test(void) {
    const char *path = getenv("CUTOVER_SHIM");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path) return -1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static int all(int sending, void *bytes, size_t count) {
    char *at = bytes;
    while (count > 0) {
        ssize_t moved = sending ? send(test, at, count, MSG_NOSIGNAL) : recv(test, at, count, 0);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return 0;
        at += moved;
        count -= (size_t)moved;
    }
    return 1;
}

static struct answer ask(char what, const void *bytes, uint32_t count) {
    struct answer answer = {'g', 0};
    pthread_mutex_lock(&one_at_a_time);
    if (test < 0) test = connect_to_test();
    if (test >= 0) {
        int told = all(1, &what, 1) && all(1, &count, sizeof count) && all(1, (void *)bytes, count);
        int heard = told && all(0, &answer.word, 1) && all(0, &answer.count, sizeof answer.count);
        /* A test that is gone wants nothing more: an engine without it must not run on. */
        if (!heard) answer = (struct answer){'k', 0};
    }
    pthread_mutex_unlock(&one_at_a_time);
    return answer;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int is_journal(int fd) {
    static const char name[] = "/journal.jsonl";
    char link[64], path[4096];
    /* snprintf would do; this needs nothing that allocates or locks. */
    char *at = link + sizeof link;
    *--at = 0;
    unsigned left = (unsigned)fd;
    do { *--at = (char)('0' + left % 10); left /= 10; } while (left > 0);
    static const char folder[] = "/proc/self/fd/";
    at -= sizeof folder - 1;
    memcpy(at, folder, sizeof folder - 1);
    ssize_t length = readlink(at, path, sizeof path);
    size_t tail = sizeof name - 1;
    return length > (ssize_t)tail && memcmp(path + length - tail, name, tail) == 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL) real = dlsym(RTLD_NEXT, "pwrite64");
    if (!is_journal(fd)) return real(fd, bytes, count, offset);
    struct answer answer = ask('w', bytes, (uint32_t)count);
    if (answer.word == 'g') return real(fd, bytes, count, offset);
    if (answer.word == 'e') {
        errno = EIO;
        return -1;
    }
    if (answer.count > 0) real(fd, bytes, answer.count, offset);
    if (answer.word == 'k') die();
    errno = ENOSPC;
    return -1;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (!is_journal(fd)) return result;
    switch (ask('s', "", 0).word) {
    case 'k': die(); break;
    case 'e': errno = EIO; return -1;
    }
    return result;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    static volatile int64_t *set_off;
    static int looked;
    if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
    if (!looked) {
        looked = 1;
        const char *path = getenv("CUTOVER_SHIM_CLOCK");
        int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            void *page = mmap(NULL, sizeof *set_off, PROT_READ, MAP_SHARED, fd, 0);
            if (page != MAP_FAILED) set_off = page;
            close(fd);
        }
    }
    int result = real(which, now);
    if (result == 0 && which == CLOCK_REALTIME && set_off != NULL) now->tv_sec += *set_off;
    return result;
}
