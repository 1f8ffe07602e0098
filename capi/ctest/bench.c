/* Nanoseconds per cached paytoken_source_token, and resident memory after the first million calls and after the last. */
#include <time.h>

#include "ctest.h"

static long resident_kib(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2) exit(2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int count, char **arguments) {
    long calls = count > 1 ? atol(arguments[1]) : 10000000;
    char token[8192];
    size_t len = 0;
    long first = 0;
    struct timespec began, ended;
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, &len, NULL));
    resident_kib(); /* what measuring takes is there from the start */
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (long i = 1; i <= calls; i++) {
        if (paytoken_source_token(source, 0, token, sizeof token, &len, NULL) != PAYTOKEN_OK) failures++;
        if (i == calls / 10) first = resident_kib();
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double ns = (double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec);
    long last = resident_kib();
    printf("C paytoken_source_token: %ld calls, %.0f ns each; resident %ld KiB after a tenth, %ld KiB after all\n", calls,
           ns / (double)calls, first, last);
    CHECK(last - first < 128); /* a leak of one byte per call would be 8,789 */
    paytoken_source_free(source);
    return done("bench");
}
