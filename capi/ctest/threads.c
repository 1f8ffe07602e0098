/* One source, 32 threads: one request at the start and after a rejection, and nothing torn. */
#include <pthread.h>

#include "ctest.h"

#define THREADS 32
#define CALLS 50

static paytoken_source *source;
static pthread_barrier_t start;

static void *work(void *argument) {
    int *wrong = argument;
    char token[8192], again[8192];
    size_t len = 0;
    paytoken_error *err = NULL;
    pthread_barrier_wait(&start);
    for (int i = 0; i < CALLS; i++) {
        if (paytoken_source_token(source, 0, token, sizeof token, &len, &err) != PAYTOKEN_OK || strlen(token) != len) {
            (*wrong)++;
        }
        if (paytoken_source_authorization(source, 0, again, sizeof again, NULL, NULL) != PAYTOKEN_OK) (*wrong)++;
        paytoken_status status = {.size = sizeof status};
        if (paytoken_source_status(source, &status) != PAYTOKEN_OK) (*wrong)++;
        if (paytoken_source_token(source, 0, token, 3, &len, &err) != PAYTOKEN_BUFFER_TOO_SMALL) (*wrong)++;
        if (paytoken_source_token(NULL, 0, NULL, 0, NULL, &err) != PAYTOKEN_NULL_ARGUMENT) (*wrong)++;
        paytoken_error_free(err);
        err = NULL;
        if (strncmp(again, "Bearer ", 7) != 0) (*wrong)++;
    }
    /* All reject the same token: it is replaced once. */
    pthread_barrier_wait(&start);
    if (paytoken_source_token(source, 0, token, sizeof token, &len, NULL) != PAYTOKEN_OK) (*wrong)++;
    pthread_barrier_wait(&start);
    if (paytoken_source_invalidate(source, token) != PAYTOKEN_OK) (*wrong)++;
    if (paytoken_source_token(source, 0, again, sizeof again, &len, NULL) != PAYTOKEN_OK) (*wrong)++;
    if (strcmp(token, again) == 0) (*wrong)++;
    paytoken_wipe(token, sizeof token);
    return NULL;
}

static void shared_by_all(uint32_t provider, const char *service) {
    pthread_t threads[THREADS];
    int wrong[THREADS] = {0};
    sandbox("/reset");
    source = source_from(config_for(provider));
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, &wrong[i]) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(wrong[i] == 0);
    }
    CHECK(sandbox_count(service, "token_requests") == 2);
    CHECK(sandbox_count(service, "max_concurrent_token_requests") == 1);
    paytoken_source_free(source);
}

int main(void) {
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    shared_by_all(PAYTOKEN_NTX_PAY, "ntx-pay");
    shared_by_all(PAYTOKEN_SEND_PAYMENTS, "send-payments");
    pthread_barrier_destroy(&start);
    return done("threads");
}
