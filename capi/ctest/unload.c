/* Unloading: a plug-in that uses the library is loaded, used and unloaded 200 times, each time right after its source was
 * freed: with a renewal in the background under way and a provider that is quick, slow, resets, or hangs, and with a
 * look-up of a host's name that comes back after its library was closed. No crash; threads and descriptors as before.
 *
 * Compiled twice: the host, and with PLUGIN the plug-in. The host moves the plug-in's clocks, and looks names up for it. */
#ifdef PLUGIN
#include "ctest.h"

extern void move_clocks(int64_t ms);

/* What was wrong. */
int use(const char *fault, int timeout_ms);
int look_up(const char *url);

int use(const char *fault, int timeout_ms) {
    char token[8192], path[256];
    sandbox("/reset");
    paytoken_config *config = config_for(PAYTOKEN_NTX_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, 1));
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    if (timeout_ms > 0) CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, (uint64_t)timeout_ms));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    snprintf(path, sizeof path, "/ntx-pay/fault?kind=%s&times=always", fault);
    sandbox(path);
    paytoken_status status = {.size = sizeof status};
    CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
    move_clocks(status.token_remaining_ms / 100 * 85);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
    return failures;
}

int look_up(const char *url) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, url));
    CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, 20));
    paytoken_source *source = source_from(config);
    paytoken_error *err = NULL;
    CODE(PAYTOKEN_TIMEOUT, paytoken_source_token(source, 0, NULL, 0, NULL, &err));
    if (failures > 0) fprintf(stderr, "unload: %s\n", paytoken_error_message(err));
    paytoken_error_free(err);
    paytoken_source_free(source);
    return failures;
}

#else
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t moved_ms;

extern void move_clocks(int64_t ms);
void move_clocks(int64_t ms) { __atomic_add_fetch(&moved_ms, ms, __ATOMIC_SEQ_CST); }

/* In the C library's place, for all that is loaded. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    time->tv_sec += __atomic_load_n(&moved_ms, __ATOMIC_SEQ_CST) / 1000;
    return result;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    if (strstr(name, "slow") != NULL) {
        struct timespec moment = {0, 200 * 1000 * 1000};
        nanosleep(&moment, NULL);
        return EAI_AGAIN;
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, found);
}

static int entries(const char *path) {
    int count = 0;
    DIR *directory = opendir(path);
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

static int wrong;

/* What is over at once takes a moment to be gone from the system's list. */
static void is_as_before(const char *path, int before, int limit_ms, const char *when) {
    struct timespec moment = {0, 1000 * 1000};
    for (int i = 0; i < limit_ms && entries(path) > before; i++) nanosleep(&moment, NULL);
    if (entries(path) > before) {
        fprintf(stderr, "unload: %s: %d entries in %s, %d before\n", when, entries(path), path, before);
        wrong++;
    }
}

/* One use of the plug-in, on a thread that ends before the plug-in is closed: a thread that goes on keeps the library
 * mapped, through what it has to clean up at its end. */
typedef struct visit {
    int (*use)(const char *, int);
    int (*look_up)(const char *);
    const char *fault, *url;
    int timeout_ms;
} visit;

static void *pay_visit(void *argument) {
    visit *own = argument;
    if (own->url != NULL) {
        wrong += own->look_up(own->url);
    } else {
        wrong += own->use(own->fault, own->timeout_ms);
    }
    return NULL;
}

int main(int count, char **arguments) {
    static const char *const faults[] = {"none", "delay=30", "reset", "delay=4000"};
    int threads = 0, descriptors = 0;
    if (count != 3) return 2;
    int rounds = atoi(arguments[2]), round = 0;
    for (; round < rounds && wrong == 0; round++) {
        void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        if (plugin == NULL) {
            fprintf(stderr, "unload: %s\n", dlerror());
            return 2;
        }
        char url[64];
        pthread_t visitor;
        visit own = {.fault = faults[round % 4]};
        *(void **)&own.use = dlsym(plugin, "use");
        *(void **)&own.look_up = dlsym(plugin, "look_up");
        /* Once, a renewal that would be seen if nobody waited for it. */
        if (strcmp(own.fault, "delay=4000") == 0) own.timeout_ms = round < 4 ? 2500 : 150;
        if (round % 10 == 9) {
            moved_ms = 0; /* a wait that ends by the system's clock */
            snprintf(url, sizeof url, "https://slow-%d.invalid", round);
            own.url = url;
        }
        if (pthread_create(&visitor, NULL, pay_visit, &own) != 0 || pthread_join(visitor, NULL) != 0) return 2;
        dlclose(plugin);
        if (own.url == NULL) {
            is_as_before("/proc/self/task", threads ? threads : 3, 10000, own.fault);
            is_as_before("/proc/self/fd", descriptors ? descriptors : 100, 10000, own.fault);
        }
        if (round == 1) {
            threads = entries("/proc/self/task");
            descriptors = entries("/proc/self/fd");
        }
    }
    is_as_before("/proc/self/task", threads, 10000, "at the end");
    printf("%s unload: %d times\n", wrong == 0 ? "ok    " : "FAILED", round);
    return wrong != 0;
}
#endif
