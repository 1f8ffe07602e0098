/* Nanoseconds per cached paytoken_source_token, plain and with a minimum validity, by 1 to 64 threads, beside the least that
 * any cache could do in C; and resident memory after the first calls and after the last. */
#include <pthread.h>
#include <time.h>

#include "ctest.h"

#define ROUNDS 5
#define MOST_THREADS 64

static const int THREADS[] = {1, 2, 8, MOST_THREADS};
enum { COUNTS = sizeof THREADS / sizeof *THREADS };

static paytoken_source *source;
static pthread_barrier_t start;

static long resident_kib(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2) exit(2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A mutex, both clocks, and one more and one less user of what it guards. */
static struct {
    pthread_mutex_t lock;
    time_t until, until_wall;
    long users;
    char token[8192];
    size_t length;
} entry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int least(void) {
    struct timespec now, wall;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_gettime(CLOCK_REALTIME, &wall);
    pthread_mutex_lock(&entry.lock);
    int is_good = now.tv_sec < entry.until && wall.tv_sec < entry.until_wall;
    if (is_good) __atomic_add_fetch(&entry.users, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&entry.lock);
    __atomic_sub_fetch(&entry.users, 1, __ATOMIC_ACQ_REL);
    return is_good ? PAYTOKEN_OK : PAYTOKEN_PANIC;
}

/* And the copy that C asks for. */
static int least_and_copy(void) {
    char token[8192];
    int code = least();
    memcpy(token, entry.token, entry.length + 1);
    __asm__ volatile("" : : "r"(token) : "memory"); /* or it would be left out */
    return code;
}

static int valid_for(uint64_t min_validity_ms) {
    char token[8192];
    size_t len = 0;
    return paytoken_source_token(source, min_validity_ms, token, sizeof token, &len, NULL);
}

static int plain(void) { return valid_for(0); }
static int valid_a_second(void) { return valid_for(1000); }
static int valid_longer(void) { return valid_for(100000); }

static const struct {
    const char *name;
    int (*call)(void);
} WAYS[] = {
    {"mutex, both clocks, a count", least},
    {"and a copy of the token", least_and_copy},
    {"paytoken_source_token", plain},
    {"the same, valid for 1 s", valid_a_second},
    {"the same, valid for 100 s", valid_longer},
};
enum { WAY_COUNT = sizeof WAYS / sizeof *WAYS };

struct work {
    int (*call)(void);
    long calls, wrong;
    double began, ended;
};

static void *work(void *argument) {
    struct work *own = argument;
    pthread_barrier_wait(&start);
    own->began = now_ns();
    for (long i = 0; i < own->calls; i++) own->wrong += own->call() != PAYTOKEN_OK;
    own->ended = now_ns();
    return NULL;
}

/* The time of all by the calls of all. */
static double each(int (*call)(void), int threads, long calls) {
    pthread_t ids[MOST_THREADS];
    struct work works[MOST_THREADS];
    CHECK(pthread_barrier_init(&start, NULL, (unsigned)threads) == 0);
    for (int i = 0; i < threads; i++) {
        works[i] = (struct work){.call = call, .calls = calls / threads};
        CHECK(pthread_create(&ids[i], NULL, work, &works[i]) == 0);
    }
    for (int i = 0; i < threads; i++) CHECK(pthread_join(ids[i], NULL) == 0);
    pthread_barrier_destroy(&start);
    double began = works[0].began, ended = works[0].ended;
    for (int i = 0; i < threads; i++) {
        if (works[i].began < began) began = works[i].began;
        if (works[i].ended > ended) ended = works[i].ended;
        CHECK(works[i].wrong == 0);
    }
    return (ended - began) / (double)(calls / threads * threads);
}

int main(int count, char **arguments) {
    long calls = count > 1 ? atol(arguments[1]) : 10000000;
    sandbox("/reset");
    source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, entry.token, sizeof entry.token, &entry.length, NULL));
    entry.until = (time_t)(now_ns() / 1e9) + 3600;
    entry.until_wall = time(NULL) + 3600;
    resident_kib(); /* what measuring takes is there from the start */
    each(plain, 1, calls / 10);
    long first = resident_kib();
    double ns = each(plain, 1, calls - calls / 10);
    long last = resident_kib();
    printf("C paytoken_source_token: %ld calls, %.0f ns each; resident %ld KiB after a tenth, %ld KiB after all\n", calls, ns,
           first, last);
    CHECK(last - first < 128); /* a leak of one byte per call would be 8,789 */
    double best[WAY_COUNT][COUNTS] = {{0}};
    for (int round = 0; round < ROUNDS; round++) {
        /* In turn, so that what disturbs one disturbs all. */
        for (int t = 0; t < COUNTS; t++) {
            for (int way = 0; way < WAY_COUNT; way++) {
                double time = each(WAYS[way].call, THREADS[t], calls / 10);
                if (round == 0 || time < best[way][t]) best[way][t] = time;
            }
        }
    }
    printf("   ns a call, the best of %d, by threads:", ROUNDS);
    for (int t = 0; t < COUNTS; t++) printf(" %d", THREADS[t]);
    printf("\n");
    for (int way = 0; way < WAY_COUNT; way++) {
        printf("   %-28s", WAYS[way].name);
        for (int t = 0; t < COUNTS; t++) printf(" %6.0f (%.2f x)", best[way][t], best[way][t] / best[0][t]);
        printf("\n");
    }
    paytoken_source_free(source);
    return done("bench");
}
