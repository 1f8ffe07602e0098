/* Log records: they come, hold no secret, end when told to, and a callback may use the library. */
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
    /* Uses the library from within; a change of the callback is refused. */
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    CHECK(paytoken_source_invalidate(all->source, "another token") == PAYTOKEN_OK);
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
    paytoken_source_free(source);
    return done("logging");
}
