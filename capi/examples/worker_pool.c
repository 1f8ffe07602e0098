/* Eight threads share one source: it makes one token request, whatever they do.
 *
 *     cc worker_pool.c $(pkg-config --cflags --libs paytoken) -pthread -o worker_pool
 *
 * Reads SENDPAYMENTS_CLIENT_ID, SENDPAYMENTS_CLIENT_SECRET, SENDPAYMENTS_BASE_URL and PAYTOKEN_CA. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include <paytoken.h>

#define WORKERS 8
#define PAYMENTS 1000

/* Log records come on the thread on which the event happens. */
static void print_log(void *context, uint32_t level, const char *message) {
    fprintf((FILE *)context, "paytoken %" PRIu32 ": %s\n", level, message);
}

static void *work(void *argument) {
    const paytoken_source *source = argument;
    char header[8192];
    for (int i = 0; i < PAYMENTS; i++) {
        paytoken_error *err = NULL;
        int32_t code = paytoken_source_authorization(source, 0, header, sizeof header, NULL, &err);
        if (code != PAYTOKEN_OK) {
            fprintf(stderr, "worker: %s: %s\n", paytoken_code_name(code), paytoken_error_message(err));
            paytoken_error_free(err);
            return argument;
        }
        /* Here the payment is sent, with "Authorization: " and this value. */
    }
    paytoken_wipe(header, sizeof header);
    return NULL;
}

int main(void) {
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    pthread_t threads[WORKERS];
    int failed = 0;
    paytoken_set_log_callback(PAYTOKEN_LOG_INFO, print_log, stderr);
    if (paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err) != PAYTOKEN_OK ||
        paytoken_source_new(config, &source, &err) != PAYTOKEN_OK) {
        fprintf(stderr, "settings: %s\n", paytoken_error_message(err));
        paytoken_error_free(err);
        paytoken_config_free(config);
        return 1;
    }
    paytoken_config_free(config);
    for (int i = 0; i < WORKERS; i++) pthread_create(&threads[i], NULL, work, source);
    for (int i = 0; i < WORKERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        failed |= result != NULL;
    }
    paytoken_status status = {0};
    status.size = sizeof status;
    paytoken_source_status(source, &status);
    printf("%d workers, %d headers, %" PRIu64 " token request(s)\n", WORKERS, WORKERS * PAYMENTS, status.requests);
    paytoken_source_free(source);
    return failed;
}
