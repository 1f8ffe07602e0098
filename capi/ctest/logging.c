/* Log records: they come, hold no secret, end when told to; a callback may use the library; the queue keeps and counts. */
#include "ctest.h"

typedef struct {
    int count;
    int other_level;
    uint32_t most;
    const paytoken_source *source;
} seen;

static void receive(void *context, uint32_t level, const char *message) {
    seen *all = context;
    all->count++;
    if (level < PAYTOKEN_LOG_ERROR || level > all->most) all->other_level++;
    CHECK(strlen(message) > 10);
    CHECK(strstr(message, variable("SENDPAYMENTS_CLIENT_SECRET")) == NULL);
    /* Uses the library from within. */
    CHECK(paytoken_source_invalidate(all->source, "another token") == PAYTOKEN_OK);
    CHECK(paytoken_log_callbacks_running() == 0);
}

static void ends_itself(void *context, uint32_t level, const char *message) {
    (void)level, (void)message;
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    CHECK(paytoken_log_callbacks_running() == 1);
    ++*(int *)context;
}

/* The next record is this: so much of its text, at this level. */
static void next_is(uint32_t expected, const char *begin) {
    char text[2048] = "as it was";
    size_t len = 0, again = 0;
    uint32_t level = 99;
    int is_empty = expected == PAYTOKEN_LOG_OFF;
    CODE(is_empty ? PAYTOKEN_OK : PAYTOKEN_BUFFER_TOO_SMALL, paytoken_log_next(NULL, 0, &len, &level));
    CHECK(level == (is_empty ? PAYTOKEN_LOG_OFF : 99));
    if (!is_empty) {
        CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_log_next(text, len, &again, &level)); /* no room for the NUL */
        CHECK(again == len && strcmp(text, "as it was") == 0 && level == 99);
    }
    CODE(PAYTOKEN_OK, paytoken_log_next(text, len + 1, &again, &level));
    CHECK(again == len && strlen(text) == len && level == expected);
    if (strncmp(text, begin, strlen(begin)) != 0) {
        failures++;
        fprintf(stderr, "the queue has: %s\n   expected: %s...\n", text, begin);
    }
}

/* One fetch: two records at level DEBUG, one at INFO. */
static void fetch(const paytoken_source *source) {
    char token[8192];
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, token, sizeof token, NULL, NULL));
}

static void queue(const paytoken_source *source) {
    static const char requesting[] = "send-payments: requesting", fetched[] = "send-payments: new token";
    uint32_t level;
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_log_next(NULL, 0, NULL, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_log_next(NULL, 1, NULL, &level));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_set_log_queue(5, 1));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_set_log_queue(PAYTOKEN_LOG_INFO, 0));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_set_log_queue(PAYTOKEN_LOG_INFO, 65537));
    next_is(PAYTOKEN_LOG_OFF, "");
    CODE(PAYTOKEN_OK, paytoken_set_log_queue(PAYTOKEN_LOG_DEBUG, 3));
    next_is(PAYTOKEN_LOG_OFF, "");
    fetch(source);
    next_is(PAYTOKEN_LOG_DEBUG, requesting);
    next_is(PAYTOKEN_LOG_INFO, fetched);
    next_is(PAYTOKEN_LOG_OFF, "");
    /* The fourth finds no room, and so do two more. What is missing is told where it is missing. */
    fetch(source);
    fetch(source);
    fetch(source);
    next_is(PAYTOKEN_LOG_DEBUG, requesting);
    next_is(PAYTOKEN_LOG_INFO, fetched);
    fetch(source);
    next_is(PAYTOKEN_LOG_DEBUG, requesting);
    next_is(PAYTOKEN_LOG_WARN, "3 log records were dropped");
    next_is(PAYTOKEN_LOG_DEBUG, requesting);
    next_is(PAYTOKEN_LOG_INFO, fetched);
    next_is(PAYTOKEN_LOG_OFF, "");
    CODE(PAYTOKEN_OK, paytoken_set_log_queue(PAYTOKEN_LOG_INFO, 1));
    fetch(source);
    fetch(source);
    next_is(PAYTOKEN_LOG_INFO, fetched);
    next_is(PAYTOKEN_LOG_WARN, "1 log record was dropped");
    next_is(PAYTOKEN_LOG_OFF, "");
    fetch(source);
    CODE(PAYTOKEN_OK, paytoken_set_log_queue(PAYTOKEN_LOG_INFO, 1));
    next_is(PAYTOKEN_LOG_OFF, "");
    /* Beside a callback, each at its level; what a callback causes is in the queue alone. */
    seen errors_only = {.most = PAYTOKEN_LOG_ERROR, .source = source};
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_ERROR, receive, &errors_only));
    fetch(source);
    CHECK(errors_only.count == 0);
    next_is(PAYTOKEN_LOG_INFO, fetched);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    fetch(source);
    CODE(PAYTOKEN_OK, paytoken_set_log_queue(PAYTOKEN_LOG_OFF, 0));
    next_is(PAYTOKEN_LOG_OFF, "");
    fetch(source);
    next_is(PAYTOKEN_LOG_OFF, "");
}

int main(void) {
    char token[8192];
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    seen all = {.most = PAYTOKEN_LOG_DEBUG, .source = source};
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, receive, &all));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    CHECK(all.count >= 2 && all.other_level == 0);
    seen fewer = {.most = PAYTOKEN_LOG_INFO, .source = source};
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_INFO, receive, &fewer));
    int before = all.count;
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    CHECK(fewer.count == 2 && fewer.other_level == 0 && all.count == before);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    CHECK(fewer.count == 2);
    int times = 0;
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, ends_itself, &times));
    fetch(source);
    CHECK(times == 1 && paytoken_log_callbacks_running() == 0);
    queue(source);
    paytoken_source_free(source);
    return done("logging");
}
