/* Arguments: NULL in every position of every function, wrong numbers, wrong UTF-8, buffers of every size. */
#include "ctest.h"

static const char BAD_UTF8[] = "caf\xe9\xff";

static void null_config(void) {
    const uint8_t byte = 'x';
    paytoken_config *config = paytoken_config_new(PAYTOKEN_NTX_PAY, PAYTOKEN_SANDBOX);
    paytoken_error *err = NULL;
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_client_id(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_client_id(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_client_secret(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_client_secret(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_certificate_pem(NULL, &byte, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_certificate_pem(config, NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_certificate_pem(config, NULL, 0));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_certificate_injected_by_proxy(NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_private_key_pem(NULL, &byte, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_private_key_pem(config, NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_root_certificates_pem(NULL, &byte, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_root_certificates_pem(config, NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_base_url(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_base_url(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_timeout_ms(NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_connect_timeout_ms(NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_retries(NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_user_agent(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_user_agent(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_proxy(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_proxy(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_renew_in_background(NULL, 1));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_directory(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_directory(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_url(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_url(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_key_file(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_ca_file(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_certificate_file(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_private_key_file(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_key_file(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_accept_unsealed(NULL, "read"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_accept_unsealed(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_ca_file(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_certificate_file(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_store_private_key_file(config, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_from_env(PAYTOKEN_NTX_PAY, NULL, NULL));
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_from_env(PAYTOKEN_NTX_PAY, NULL, &err)), &err);
    paytoken_config_free(config);
    paytoken_config_free(NULL);
}

static void null_source(const paytoken_source *source) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_source *out = NULL;
    paytoken_error *err = NULL;
    char buf[8192] = "as it was";
    size_t len = 7;
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_new(NULL, &out, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_new(config, NULL, &err)), &err);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_new(NULL, NULL, NULL));
    CHECK(out == NULL);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token(NULL, 0, buf, sizeof buf, &len, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token(source, 0, NULL, 1, &len, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_authorization(NULL, 0, buf, sizeof buf, &len, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_authorization(source, 0, NULL, 1, &len, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token_with(NULL, NULL, buf, sizeof buf, &len, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token_with(source, NULL, NULL, 1, &len, &err)), &err);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token(NULL, 0, NULL, 0, NULL, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_authorization(NULL, 0, NULL, 0, NULL, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token_with(NULL, NULL, NULL, 0, NULL, NULL));
    CHECK(strcmp(buf, "as it was") == 0 && len == 7);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, buf, sizeof buf, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_authorization(source, 0, buf, sizeof buf, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, NULL, buf, sizeof buf, NULL, NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_invalidate(NULL, "x"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_invalidate(source, NULL));
    int32_t result = 9;
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_invalidate_with(NULL, "x", &result, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_invalidate_with(source, NULL, &result, &err)), &err);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_invalidate_with(source, NULL, NULL, NULL));
    CHECK(result == 9);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_status(source, NULL));
    paytoken_status status = {.size = sizeof status};
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_status(NULL, &status));
    paytoken_source_free(NULL);
    paytoken_config_free(config);
}

static void null_others(void) {
    CHECK(strcmp(paytoken_error_message(NULL), "") == 0);
    CHECK(paytoken_error_code(NULL) == PAYTOKEN_NULL_ARGUMENT);
    CHECK(paytoken_error_http_status(NULL) == 0);
    CHECK(paytoken_error_retry_after_ms(NULL) == -1);
    CHECK(paytoken_error_is_retryable(NULL) == 0);
    CHECK(paytoken_error_os_code(NULL) == 0);
    CHECK(strcmp(paytoken_config_error_message(NULL), "") == 0);
    paytoken_error_free(NULL);
    paytoken_wipe(NULL, 0);
    paytoken_wipe(NULL, 7);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, NULL, NULL));
}

static void wrong_numbers(void) {
    paytoken_config *config = NULL;
    paytoken_error *err = NULL;
    static const uint32_t wrong[] = {0, 77, 0x80000000u, 0xffffffffu};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(paytoken_config_new(wrong[i], PAYTOKEN_SANDBOX) == NULL);
        CHECK(paytoken_config_new(PAYTOKEN_NTX_PAY, wrong[i]) == NULL);
        check_error(CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_from_env(wrong[i], &config, &err)), &err);
        CHECK(strcmp(paytoken_code_name((int32_t)wrong[i]), i == 0 ? "PAYTOKEN_OK" : "unknown code") == 0);
    }
    CHECK(config == NULL);
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_set_log_callback(5, NULL, NULL));
}

static void wrong_utf8(const paytoken_source *source) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_client_id(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_client_secret(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_base_url(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_user_agent(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_proxy(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_directory(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_url(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_key_file(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_accept_unsealed(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_ca_file(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_certificate_file(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_private_key_file(config, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_invalidate(source, BAD_UTF8));
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_invalidate_with(source, BAD_UTF8, NULL, NULL));
    CODE(PAYTOKEN_INVALID_ARGUMENT,
         paytoken_config_set_certificate_pem(config, (const uint8_t *)BAD_UTF8, (size_t)-1));
    /* The setter's sentence, until the next setter. */
    CHECK(strstr(paytoken_config_error_message(config), "certificate_pem: ") != NULL);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_base_url(config, NULL));
    CHECK(strcmp(paytoken_config_error_message(config), "base_url: is NULL") == 0);
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 1));
    CHECK(strcmp(paytoken_config_error_message(config), "") == 0);
    /* The settings are as they were. */
    paytoken_source *other = source_from(config);
    CHECK(other != NULL);
    paytoken_source_free(other);
}

typedef int32_t copy(const paytoken_source *, uint64_t, char *, size_t, size_t *, paytoken_error **);

static void buffers(const paytoken_source *source, copy *function, const char *prefix) {
    size_t needed = 0, len;
    char buf[8192];
    paytoken_error *err = (paytoken_error *)buf; /* is set to NULL, whatever it was */
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, function(source, 0, NULL, 0, &needed, &err));
    CHECK(err == NULL);
    CHECK(needed > 20 && needed < sizeof buf - 1);
    for (int more = -2; more <= 2; more++) {
        size_t cap = needed + (size_t)(1 + more);
        len = 0;
        memset(buf, '#', sizeof buf);
        int32_t expected = more < 0 ? PAYTOKEN_BUFFER_TOO_SMALL : PAYTOKEN_OK;
        CODE(expected, function(source, 0, buf, cap, &len, &err));
        CHECK(len == needed && err == NULL);
        if (expected == PAYTOKEN_OK) {
            CHECK(strlen(buf) == needed);
            CHECK(strncmp(buf, prefix, strlen(prefix)) == 0);
            CHECK(buf[needed + 1] == '#');
        } else {
            CHECK(buf[0] == '#' && buf[cap] == '#');
        }
    }
    len = 0;
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, function(source, 0, buf, 0, &len, NULL));
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, function(source, 0, buf, 1, NULL, NULL));
    CHECK(len == needed);
    paytoken_wipe(buf, sizeof buf);
    for (size_t i = 0; i < sizeof buf; i++) CHECK(buf[i] == 0);
}

static int32_t token_with(const paytoken_source *source, uint64_t validity, char *buf, size_t cap, size_t *len,
                          paytoken_error **err) {
    paytoken_token_options options = {.size = sizeof options, .min_validity_ms = validity};
    options.flags = PAYTOKEN_AUTHORIZATION;
    return paytoken_source_token_with(source, &options, buf, cap, len, err);
}

static void options(const paytoken_source *source) {
    char first[8192], second[8192];
    paytoken_error *err = NULL;
    paytoken_token_options options = {0};
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, first, sizeof first, NULL, NULL));
    check_error(CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_token_with(source, &options, second, 8192, NULL, &err)),
                &err);
    static const uint32_t sizes[] = {1, sizeof options - 1, 5000, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        options.size = sizes[i];
        CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_token_with(source, &options, second, 8192, NULL, NULL));
    }
    options.size = sizeof options;
    options.flags = 8;
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_token_with(source, &options, second, 8192, NULL, NULL));
    options.flags = PAYTOKEN_FORCE | PAYTOKEN_CACHED_ONLY;
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_token_with(source, &options, second, 8192, NULL, NULL));
    options.flags = PAYTOKEN_CACHED_ONLY;
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &options, second, 8192, NULL, NULL));
    CHECK(strcmp(first, second) == 0);
    options.flags = PAYTOKEN_FORCE;
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &options, second, 8192, NULL, NULL));
    CHECK(strcmp(first, second) != 0);
    /* A caller of a later version: what is unknown must be zero. */
    struct {
        paytoken_token_options known;
        uint64_t unknown;
    } later = {.known = {.size = sizeof later}, .unknown = 0};
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &later.known, first, 8192, NULL, NULL));
    later.unknown = 1;
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_token_with(source, &later.known, first, 8192, NULL, NULL));
    check_error(CODE(PAYTOKEN_CONFIGURATION, paytoken_source_token(source, UINT64_MAX, first, 8192, NULL, &err)), &err);
}

static void status(const paytoken_source *source) {
    struct {
        paytoken_status known;
        uint64_t unknown;
    } later = {.known = {.size = sizeof later}, .unknown = 5};
    CODE(PAYTOKEN_OK, paytoken_source_status(source, &later.known));
    CHECK(later.known.size == sizeof(paytoken_status) && later.unknown == 5);
    CHECK(later.known.provider == PAYTOKEN_SEND_PAYMENTS && later.known.environment == PAYTOKEN_SANDBOX);
    CHECK(later.known.tokens > 0 && later.known.requests >= later.known.tokens);
    CHECK(later.known.token_remaining_ms > 0 && later.known.token_expires_at_ms > later.known.token_remaining_ms);
    CHECK(later.known.blocked_for_ms == -1 && later.known.last_error_code == PAYTOKEN_OK);
    CHECK(later.known.certificate_not_after_ms == -1 && later.known.store_error_age_ms == -1);
    static const uint32_t sizes[] = {0, sizeof(paytoken_status) - 1, 5000, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        paytoken_status small = {.size = sizes[i]};
        CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_source_status(source, &small));
        CHECK(small.size == sizes[i] && small.requests == 0);
    }
}

int main(void) {
    CHECK(strcmp(paytoken_version(), PAYTOKEN_VERSION) == 0);
    char numbers[64];
    snprintf(numbers, sizeof numbers, "%d.%d.%d", PAYTOKEN_VERSION_MAJOR, PAYTOKEN_VERSION_MINOR,
             PAYTOKEN_VERSION_PATCH);
    CHECK(strcmp(numbers, PAYTOKEN_VERSION) == 0);
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    null_config();
    null_source(source);
    null_others();
    wrong_numbers();
    wrong_utf8(source);
    buffers(source, paytoken_source_token, "");
    buffers(source, paytoken_source_authorization, "Bearer ");
    buffers(source, token_with, "Bearer ");
    CHECK(sandbox_count("send-payments", "token_requests") == 1);
    options(source);
    status(source);
    paytoken_source_free(source);
    return done("arguments");
}
