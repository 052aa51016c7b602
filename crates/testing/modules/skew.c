/* Loaded before a program (LD_PRELOAD), it puts the program's clock WAXSEAL_SKEW_SECONDS ahead, or behind where the
 * number is negative. Clocks that only run forward are left alone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, time);
    const char *seconds = getenv("WAXSEAL_SKEW_SECONDS");
    if (!code && seconds && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        time->tv_sec += atol(seconds);
    }
    return code;
}
