/* Panics: a deliberate one in each function comes back as a value, and the object works afterwards. Needs a library
 * with the cfg paytoken_test_panic, which no shipped library has. */
#include "ctest.h"

static int functions;

/* Makes this function panic until the next call. */
static void trap(const char *name) {
    setenv("PAYTOKEN_TEST_PANIC", name, 1);
    functions++;
}

#define PANICS(function, ...) (trap(#function), CODE(PAYTOKEN_PANIC, function(__VA_ARGS__)))

static void ignore(void *context, uint32_t level, const char *message) {
    (void)context, (void)level, (void)message;
}

int main(void) {
    char buf[8192];
    size_t len = 99;
    const uint8_t byte = 'x';
    paytoken_error *err = NULL;
    paytoken_source *none = NULL;
    paytoken_config *other = NULL;
    paytoken_status status = {.size = sizeof status};
    sandbox("/reset");
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);

    trap("paytoken_config_new");
    CHECK(paytoken_config_new(PAYTOKEN_NTX_PAY, PAYTOKEN_SANDBOX) == NULL);
    check_error(PANICS(paytoken_config_from_env, PAYTOKEN_NTX_PAY, &other, &err), &err);
    PANICS(paytoken_config_from_env, PAYTOKEN_NTX_PAY, &other, NULL);
    functions--;
    CHECK(other == NULL);
    uint32_t described = 77;
    check_error(PANICS(paytoken_provider_describe, "{}", &described, &err), &err);
    CHECK(described == 77);
    PANICS(paytoken_config_set_client_id, config, "x");
    PANICS(paytoken_config_set_value, config, "client_id", "x");
    PANICS(paytoken_config_set_client_secret, config, "x");
    PANICS(paytoken_config_set_certificate_pem, config, &byte, 1);
    PANICS(paytoken_config_set_certificate_injected_by_proxy, config);
    PANICS(paytoken_config_set_private_key_pem, config, &byte, 1);
    PANICS(paytoken_config_set_root_certificates_pem, config, &byte, 1);
    PANICS(paytoken_config_set_base_url, config, "x");
    PANICS(paytoken_config_set_timeout_ms, config, 0);
    PANICS(paytoken_config_set_connect_timeout_ms, config, 0);
    PANICS(paytoken_config_set_retries, config, 99);
    PANICS(paytoken_config_set_user_agent, config, "x\n");
    PANICS(paytoken_config_set_proxy, config, "x");
    PANICS(paytoken_config_set_renew_in_background, config, 1);
    PANICS(paytoken_config_set_store_directory, config, "x");
    PANICS(paytoken_config_set_store_url, config, "x");
    PANICS(paytoken_config_set_store_key_file, config, "x");
    PANICS(paytoken_config_set_accept_unsealed, config, "read");
    PANICS(paytoken_config_set_store_ca_file, config, "x");
    PANICS(paytoken_config_set_store_certificate_file, config, "x");
    PANICS(paytoken_config_set_store_private_key_file, config, "x");
    check_error(PANICS(paytoken_source_new, config, &none, &err), &err);
    CHECK(none == NULL);
    unsetenv("PAYTOKEN_TEST_PANIC");
    paytoken_source *source = source_from(config); /* as if nothing had been set */

    check_error(PANICS(paytoken_source_token, source, 0, buf, sizeof buf, &len, &err), &err);
    check_error(PANICS(paytoken_source_authorization, source, 0, buf, sizeof buf, &len, &err), &err);
    check_error(PANICS(paytoken_source_token_with, source, NULL, buf, sizeof buf, &len, &err), &err);
    CHECK(len == 99);
    PANICS(paytoken_source_invalidate, source, "x");
    int32_t result = 9;
    check_error(PANICS(paytoken_source_invalidate_with, source, "x", &result, &err), &err);
    CHECK(result == 9);
    PANICS(paytoken_source_status, source, &status);
    PANICS(paytoken_set_log_callback, PAYTOKEN_LOG_DEBUG, ignore, NULL);
    PANICS(paytoken_set_log_queue, PAYTOKEN_LOG_DEBUG, 1);
    uint32_t level = 9;
    PANICS(paytoken_log_next, buf, sizeof buf, NULL, &level);
    CHECK(level == 9);
    trap("paytoken_log_callbacks_running");
    CHECK(paytoken_log_callbacks_running() == UINT32_MAX);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, buf, sizeof buf, &len, &err));

    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token(NULL, 0, buf, sizeof buf, &len, &err));
    trap("paytoken_error_message");
    CHECK(strcmp(paytoken_error_message(err), "") == 0);
    trap("paytoken_error_code");
    CHECK(paytoken_error_code(err) == PAYTOKEN_PANIC);
    trap("paytoken_error_http_status");
    CHECK(paytoken_error_http_status(err) == 0);
    trap("paytoken_error_retry_after_ms");
    CHECK(paytoken_error_retry_after_ms(err) == -1);
    trap("paytoken_error_is_retryable");
    CHECK(paytoken_error_is_retryable(err) == 0);
    trap("paytoken_error_os_code");
    CHECK(paytoken_error_os_code(err) == 0);
    paytoken_config *empty = paytoken_config_new(PAYTOKEN_NTX_PAY, PAYTOKEN_SANDBOX);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_proxy(empty, NULL));
    trap("paytoken_config_error_message");
    CHECK(strcmp(paytoken_config_error_message(empty), "") == 0);
    paytoken_config_free(empty);
    trap("paytoken_version");
    CHECK(strcmp(paytoken_version(), "") == 0);
    trap("paytoken_code_name");
    CHECK(strcmp(paytoken_code_name(0), "") == 0);
    trap("paytoken_wipe");
    buf[0] = 'x';
    paytoken_wipe(buf, sizeof buf);
    CHECK(buf[0] == 'x');
    /* Freed all the same: the object goes while the panic passes. */
    trap("paytoken_config_free");
    paytoken_config_free(paytoken_config_new(PAYTOKEN_NTX_PAY, PAYTOKEN_SANDBOX));
    trap("paytoken_error_free");
    paytoken_error_free(err);
    trap("paytoken_source_free");
    paytoken_source_free(source);
    printf("%d functions panicked\n", functions);
    return done("panics");
}
