/* Failures: every code is reached, carries its details, and leaves the source fit for use. */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "ctest.h"

/* One call that has to fail; the token comes once the fault is over. */
static void fails(int32_t expected, uint32_t provider, const char *fault, int32_t http_status, int retryable) {
    static const char *const services[] = {"", "ntx-pay", "nexter-pay", "send-payments"};
    char path[256], buf[8192];
    paytoken_error *err = NULL;
    sandbox("/reset");
    paytoken_config *config = config_for(provider);
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    paytoken_source *source = source_from(config);
    snprintf(path, sizeof path, "/%s/fault?kind=%s", services[provider], fault);
    sandbox(path);
    size_t len = 99;
    buf[0] = '#';
    int32_t code = CODE(expected, paytoken_source_token(source, 0, buf, sizeof buf, &len, &err));
    CHECK(len == 99 && buf[0] == '#');
    if (paytoken_error_http_status(err) != http_status) {
        failures++;
        fprintf(stderr, "%s: HTTP status %d, expected %d\n", fault, paytoken_error_http_status(err), http_status);
    }
    CHECK(paytoken_error_is_retryable(err) == retryable);
    if (strncmp(fault, "429=", 4) == 0) CHECK(paytoken_error_retry_after_ms(err) == 1000 * atol(fault + 4));
    CHECK(strstr(paytoken_error_message(err), services[provider]) != NULL);
    check_error(code, &err);
    paytoken_status status = {.size = sizeof status};
    CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
    CHECK(status.last_error_code == expected && status.last_error_age_ms >= 0 && status.token_age_ms == -1);
    /* The same again, without an error object; then a token, whatever is remembered. */
    CHECK(paytoken_source_token(source, 0, NULL, 0, NULL, NULL) != PAYTOKEN_PANIC);
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, buf, sizeof buf, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, buf, sizeof buf, NULL, &err));
    paytoken_source_free(source);
}

/* paytoken_source_new has to refuse, and says so twice. */
static void refused(int32_t expected, paytoken_config *config, const char *word) {
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    CODE(expected, paytoken_source_new(config, &source, NULL));
    CODE(expected, paytoken_source_new(config, &source, &err));
    CHECK(strstr(paytoken_error_message(err), word) != NULL);
    check_error(expected, &err);
    CHECK(source == NULL);
    paytoken_config_free(config);
}

static void with_key_file(const char *path, const char *word) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, variable("PAYTOKEN_WORK")));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_key_file(config, path));
    refused(PAYTOKEN_CONFIGURATION, config, word);
}

/* What only looks like an address is no directory, by setter and by variable, and is not shown. */
static void not_directories(void) {
    static const char *const wrong[] = {
        "redis:hunter2-of-redis", "redis:/shop:hunter2-of-redis@host", "valkeys:hunter2-of-redis", "unix:/hunter2-of-redis",
        "hunter2-of-redis:6379", "shop:hunter2-of-redis@host", "//shop:hunter2-of-redis@host", "hunter2-of-redis\n",
    };
    paytoken_config *config;
    paytoken_error *err = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config = config_for(PAYTOKEN_SEND_PAYMENTS);
        CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, wrong[i]));
        refused(PAYTOKEN_CONFIGURATION, config, "paytoken_config_set_store_directory: ");
        config = config_for(PAYTOKEN_SEND_PAYMENTS);
        CODE(PAYTOKEN_OK, paytoken_config_set_store_url(config, wrong[i]));
        refused(PAYTOKEN_CONFIGURATION, config, "paytoken_config_set_store_url: is no address");
        setenv("PAYTOKEN_STORE", wrong[i], 1);
        CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err));
        CHECK(strstr(paytoken_error_message(err), "PAYTOKEN_STORE: ") != NULL);
        check_error(PAYTOKEN_CONFIGURATION, &err);
        unsetenv("PAYTOKEN_STORE");
    }
}

/* A file that others have a hand in, as the rule says. */
static void modes(void) {
    char path[512];
    paytoken_config *config;
    paytoken_error *err = NULL;
    snprintf(path, sizeof path, "%s/store-key-of-modes", variable("PAYTOKEN_WORK"));
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", file) >= 0 && fclose(file) == 0);
    static const struct { mode_t mode; const char *word; } wrong[] = {
        {0644, "others can read it (mode 644)"}, {0640, "others can read it"}, {0604, "others can read it"},
        {0620, "can be changed by others"}, {0602, "can be changed by others"}, {0666, "can be changed by others"},
    };
    char *kept = strdup(variable("NEXTERPAY_PASSWORD"));
    unsetenv("NEXTERPAY_PASSWORD");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(chmod(path, wrong[i].mode) == 0);
        with_key_file(path, wrong[i].word);
        setenv("NEXTERPAY_PASSWORD_FILE", path, 1);
        CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_NEXTER_PAY, &config, &err));
        CHECK(strstr(paytoken_error_message(err), wrong[i].word) != NULL);
        check_error(PAYTOKEN_CONFIGURATION, &err);
        unsetenv("NEXTERPAY_PASSWORD_FILE");
    }
    setenv("NEXTERPAY_PASSWORD", kept, 1);
    free(kept);
    CHECK(chmod(path, 0600) == 0);
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, variable("PAYTOKEN_WORK")));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_key_file(config, path));
    paytoken_source_free(source_from(config));
}

/* A password in an address is shown by no message, wherever the address was put. */
static void stores(void) {
    static const char *const address = "redis://shop:hunter2-of-redis@127.0.0.1:1/0";
    static const struct { const char *url, *word; } wrong[] = {
        {"redis://shop:hunter2-of-redis@127.0.0.1:1/0", "make -C capi install FEATURES=redis"},
        {"/hunter2-of-redis", "paytoken_config_set_store_url: is no address"},
        {"", "paytoken_config_set_store_url: is no address"},
    };
    paytoken_config *config;
    paytoken_error *err = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config = config_for(PAYTOKEN_SEND_PAYMENTS);
        CODE(PAYTOKEN_OK, paytoken_config_set_store_url(config, wrong[i].url));
        refused(PAYTOKEN_CONFIGURATION, config, wrong[i].word);
    }
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, address));
    refused(PAYTOKEN_CONFIGURATION, config, "give it to paytoken_config_set_store_url");
    /* What was set last counts. */
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_url(config, address));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, variable("PAYTOKEN_WORK")));
    paytoken_source_free(source_from(config));
    with_key_file("/nowhere/key", "paytoken_config_set_store_key_file: cannot read");
    with_key_file("/", "paytoken_config_set_store_key_file: ");
    with_key_file("/dev/null", "paytoken_config_set_store_key_file: no key in that file");
    with_key_file(variable("PAYTOKEN_CA"), "paytoken_config_set_store_key_file: line 1 of that file");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_key_file(config, "/nowhere/key"));
    refused(PAYTOKEN_CONFIGURATION, config, "there is no store to seal");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, variable("PAYTOKEN_WORK")));
    CODE(PAYTOKEN_OK, paytoken_config_set_accept_unsealed(config, "read"));
    refused(PAYTOKEN_CONFIGURATION, config, "paytoken_config_set_accept_unsealed: there are no keys");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_accept_unsealed(config, "yes"));
    refused(PAYTOKEN_CONFIGURATION, config, "paytoken_config_set_accept_unsealed: 'yes' is not known; use read or write");
    static const struct { int32_t (*set)(paytoken_config *, const char *); const char *word; } files[] = {
        {paytoken_config_set_store_ca_file, "paytoken_config_set_store_ca_file: there is no server"},
        {paytoken_config_set_store_certificate_file, "paytoken_config_set_store_certificate_file: there is no server"},
        {paytoken_config_set_store_private_key_file, "paytoken_config_set_store_private_key_file: there is no server"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        config = config_for(PAYTOKEN_SEND_PAYMENTS);
        CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, variable("PAYTOKEN_WORK")));
        CODE(PAYTOKEN_OK, files[i].set(config, variable("PAYTOKEN_CA")));
        refused(PAYTOKEN_CONFIGURATION, config, files[i].word);
    }
    /* By variables. */
    setenv("PAYTOKEN_STORE", address, 1);
    CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err));
    refused(PAYTOKEN_CONFIGURATION, config, "PAYTOKEN_STORE: is an address");
    unsetenv("PAYTOKEN_STORE");
    setenv("PAYTOKEN_STORE_KEY_FILE", variable("PAYTOKEN_CA"), 1);
    CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err));
    CHECK(strstr(paytoken_error_message(err), "PAYTOKEN_STORE_KEY_FILE: line 1") != NULL);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    unsetenv("PAYTOKEN_STORE_KEY_FILE");
    setenv("PAYTOKEN_STORE_KEY", "hunter2-of-redis", 1);
    CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err));
    CHECK(strstr(paytoken_error_message(err), "set PAYTOKEN_STORE_KEY_FILE to its path") != NULL);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    unsetenv("PAYTOKEN_STORE_KEY");
    setenv("PAYTOKEN_ACCEPT_UNSEALED", "read", 1);
    CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err));
    CHECK(strstr(paytoken_error_message(err), "PAYTOKEN_ACCEPT_UNSEALED: set without keys") != NULL);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    unsetenv("PAYTOKEN_ACCEPT_UNSEALED");
}

static void configurations(void) {
    refused(PAYTOKEN_CONFIGURATION, paytoken_config_new(PAYTOKEN_NEXTER_PAY, PAYTOKEN_SANDBOX), "client_id");
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_config_set_timeout_ms(config, 0);
    refused(PAYTOKEN_CONFIGURATION, config, "timeout");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_config_set_base_url(config, "http://example.invalid");
    refused(PAYTOKEN_CONFIGURATION, config, "base_url");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_config_set_certificate_injected_by_proxy(config);
    refused(PAYTOKEN_CONFIGURATION, config, "certificate");
    config = config_for(PAYTOKEN_NTX_PAY);
    paytoken_config_set_certificate_pem(config, (const uint8_t *)"nothing", 7);
    refused(PAYTOKEN_CERTIFICATE, config, "certificate");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_config_set_root_certificates_pem(config, (const uint8_t *)"", 0);
    refused(PAYTOKEN_CONFIGURATION, config, "root");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_config_set_store_directory(config, variable("PAYTOKEN_CA")); /* a file */
    refused(PAYTOKEN_CONFIGURATION, config, "store");
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_config_set_store_directory(config, "/"); /* open to everybody */
    refused(PAYTOKEN_STORE, config, "store");
    config = config_for(PAYTOKEN_NEXTER_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_connect_timeout_ms(config, 2000));
    CODE(PAYTOKEN_OK, paytoken_config_set_user_agent(config, "ctest/1"));
    CODE(PAYTOKEN_OK, paytoken_config_set_proxy(config, ""));
    CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, 1));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token(source, 0, NULL, 0, NULL, NULL));
    paytoken_source_free(source);
}

/* A port of 127.0.0.1 that nobody listens on. */
static void provider_down(void) {
    struct sockaddr_in here;
    socklen_t length = sizeof here;
    char url[64];
    memset(&here, 0, sizeof here);
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int line = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(line, (struct sockaddr *)&here, sizeof here) == 0);
    CHECK(getsockname(line, (struct sockaddr *)&here, &length) == 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", ntohs(here.sin_port));
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    paytoken_error *err = NULL;
    paytoken_config_set_base_url(config, url);
    paytoken_config_set_retries(config, 1);
    paytoken_source *source = source_from(config);
    for (int i = 0; i < 2; i++) {
        CODE(PAYTOKEN_TRANSPORT, paytoken_source_token(source, 0, NULL, 0, NULL, &err));
        CHECK(paytoken_error_os_code(err) == ECONNREFUSED);
        check_error(PAYTOKEN_TRANSPORT, &err);
    }
    close(line);
    paytoken_source_free(source);
}

static void too_slow(void) {
    paytoken_error *err = NULL;
    char buf[8192];
    sandbox("/reset");
    sandbox("/nexter-pay/fault?kind=delay=5000&times=always");
    paytoken_config *config = config_for(PAYTOKEN_NEXTER_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, 150));
    paytoken_source *source = source_from(config);
    check_error(CODE(PAYTOKEN_TIMEOUT, paytoken_source_token(source, 0, buf, sizeof buf, NULL, &err)), &err);
    paytoken_source_free(source);
    /* The call's own deadline, shorter than the source's. */
    source = source_from(config_for(PAYTOKEN_NEXTER_PAY));
    paytoken_token_options options = {.size = sizeof options, .deadline_ms = 100};
    check_error(CODE(PAYTOKEN_TIMEOUT, paytoken_source_token_with(source, &options, buf, sizeof buf, NULL, &err)), &err);
    /* Nothing in the cache, nothing sent: of a provider to which no fetch is on its way, as the one above is. */
    long before = sandbox_count("send-payments", "token_requests");
    paytoken_source *other = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    options.flags = PAYTOKEN_CACHED_ONLY;
    options.deadline_ms = 0;
    CODE(PAYTOKEN_TIMEOUT, paytoken_source_token_with(other, &options, buf, sizeof buf, NULL, NULL));
    CHECK(sandbox_count("send-payments", "token_requests") == before);
    paytoken_source_free(other);
    sandbox("/reset");
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, buf, sizeof buf, NULL, &err));
    paytoken_source_free(source);
}

static void wrong_secret(void) {
    paytoken_error *err = NULL;
    sandbox("/reset");
    paytoken_config *config = config_for(PAYTOKEN_NTX_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_client_secret(config, "not-the-secret"));
    paytoken_source *source = source_from(config);
    for (int i = 0; i < 3; i++) {
        CODE(PAYTOKEN_REJECTED, paytoken_source_token(source, 0, NULL, 0, NULL, &err));
        CHECK(paytoken_error_http_status(err) == 401);
        CHECK(strstr(paytoken_error_message(err), "not-the-secret") == NULL);
        CHECK(paytoken_error_retry_after_ms(err) > 0); /* from the first refusal on */
        if (i > 0) CHECK(strstr(paytoken_error_message(err), "PAYTOKEN_FORCE") != NULL);
        check_error(PAYTOKEN_REJECTED, &err);
    }
    CHECK(sandbox_count("ntx-pay", "token_requests") == 1);
    paytoken_status status = {.size = sizeof status};
    CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
    CHECK(status.blocked_for_ms > 0 && status.failures == 1);
    CHECK(status.certificate_not_after_ms > 1000LL * time(NULL));
    paytoken_source_free(source);
}

static void invalidation(void) {
    char first[8192], second[8192];
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_NTX_PAY));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, first, sizeof first, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, "some other token"));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, second, sizeof second, NULL, NULL));
    CHECK(strcmp(first, second) == 0);
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, first));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, second, sizeof second, NULL, NULL));
    CHECK(strcmp(first, second) != 0);
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, first)); /* an older one changes nothing */
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, first, sizeof first, NULL, NULL));
    CHECK(strcmp(first, second) == 0);
    /* The header's value is as good as the token. */
    CODE(PAYTOKEN_OK, paytoken_source_authorization(source, 0, first, sizeof first, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, first));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, first, sizeof first, NULL, NULL));
    CHECK(strcmp(first, second) != 0);
    paytoken_source_free(source);
}

static void from_environment(void) {
    static const char *const ids[] = {"NTXPAY_CLIENT_ID", "NEXTERPAY_USERNAME", "SENDPAYMENTS_CLIENT_ID"};
    paytoken_error *err = NULL;
    char kept[256], path[512];
    sandbox("/reset");
    for (uint32_t provider = 1; provider <= 3; provider++) {
        paytoken_config *config = NULL;
        CODE(PAYTOKEN_OK, paytoken_config_from_env(provider, &config, &err));
        paytoken_source *source = source_from(config);
        CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token(source, 0, NULL, 0, NULL, NULL));
        paytoken_source_free(source);
        config = NULL;
        snprintf(kept, sizeof kept, "%s", variable(ids[provider - 1]));
        unsetenv(ids[provider - 1]);
        CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(provider, &config, &err));
        CHECK(strstr(paytoken_error_message(err), ids[provider - 1]) != NULL);
        check_error(PAYTOKEN_CONFIGURATION, &err);
        CHECK(config == NULL);
        setenv(ids[provider - 1], kept, 1);
    }
    /* Two sources with one directory: one request. */
    snprintf(path, sizeof path, "%s/store-XXXXXX", variable("PAYTOKEN_WORK"));
    CHECK(mkdtemp(path) != NULL);
    setenv("PAYTOKEN_STORE", path, 1);
    sandbox("/reset");
    for (int i = 0; i < 2; i++) {
        paytoken_config *config = NULL;
        CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, NULL));
        if (i == 1) CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, path));
        paytoken_source *source = source_from(config);
        CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token(source, 0, NULL, 0, NULL, NULL));
        paytoken_source_free(source);
    }
    unsetenv("PAYTOKEN_STORE");
    CHECK(sandbox_count("send-payments", "token_requests") == 1);
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s'", path);
    CHECK(system(command) == 0);
}

int main(void) {
    configurations();
    stores();
    not_directories();
    modes();
    provider_down();
    too_slow();
    wrong_secret();
    invalidation();
    from_environment();
    fails(PAYTOKEN_TRANSPORT, PAYTOKEN_NTX_PAY, "reset", 0, 1);
    fails(PAYTOKEN_REJECTED, PAYTOKEN_SEND_PAYMENTS, "status=400", 400, 0);
    fails(PAYTOKEN_FORBIDDEN, PAYTOKEN_NEXTER_PAY, "status=403", 403, 0);
    fails(PAYTOKEN_RATE_LIMITED, PAYTOKEN_NTX_PAY, "429=7", 429, 1);
    fails(PAYTOKEN_SERVER_UNAVAILABLE, PAYTOKEN_NEXTER_PAY, "status=503", 503, 1);
    fails(PAYTOKEN_INVALID_RESPONSE, PAYTOKEN_SEND_PAYMENTS, "malformed", 201, 0);
    return done("failures");
}
