/* Counts what a process has asked the disk for: loaded before the C library, in front of its fsync and fdatasync. */
#define _GNU_SOURCE
#include <dlfcn.h>

static int count;

int durability_syncs(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

static int counted(const char *name, int handle) {
    __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(handle);
}

int fsync(int handle) { return counted("fsync", handle); }
int fdatasync(int handle) { return counted("fdatasync", handle); }
