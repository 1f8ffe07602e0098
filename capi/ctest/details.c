/* What a caller is told beyond the code: errno, what came of an invalidation, and one fetch for one forced token. */
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "ctest.h"

static paytoken_source *with_store(uint32_t provider, const char *directory) {
    paytoken_config *config = config_for(provider);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, directory));
    return source_from(config);
}

static paytoken_source *without_retries(const char *url) {
    paytoken_config *config = config_for(PAYTOKEN_NEXTER_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    if (url != NULL) CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, url));
    return source_from(config);
}

static void outcome(const paytoken_source *source, const char *token, int32_t expected) {
    int32_t result = 9;
    paytoken_error *err = (paytoken_error *)&result; /* is set to NULL, whatever it was */
    CODE(PAYTOKEN_OK, paytoken_source_invalidate_with(source, token, &result, &err));
    CHECK(result == expected && err == NULL);
}

/* Of tokens that were dropped, replaced, never seen, or that another process has. */
static void outcomes(void) {
    char first[8192], second[8192], path[512], command[1200];
    int32_t result = 9;
    paytoken_error *err = NULL;
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_NTX_PAY));
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    outcome(source, "never seen", PAYTOKEN_INVALIDATED_UNKNOWN);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, first, sizeof first, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, second, sizeof second, NULL, NULL));
    outcome(source, first, PAYTOKEN_INVALIDATED_SUPERSEDED);
    CODE(PAYTOKEN_OK, paytoken_source_authorization(source, 0, first, sizeof first, NULL, NULL));
    outcome(source, first, PAYTOKEN_INVALIDATED_DROPPED);
    outcome(source, second, PAYTOKEN_INVALIDATED_SUPERSEDED);
    CODE(PAYTOKEN_OK, paytoken_source_invalidate_with(source, second, NULL, NULL));
    paytoken_source_free(source);
    /* Another source's, in the same store. Then a file is in the store's place. */
    snprintf(path, sizeof path, "%s/store-XXXXXX", variable("PAYTOKEN_WORK"));
    CHECK(mkdtemp(path) != NULL);
    paytoken_source *both[] = {with_store(PAYTOKEN_SEND_PAYMENTS, path), with_store(PAYTOKEN_SEND_PAYMENTS, path)};
    CODE(PAYTOKEN_OK, paytoken_source_token(both[0], 0, first, sizeof first, NULL, NULL));
    outcome(both[1], first, PAYTOKEN_INVALIDATED_DROPPED);
    CODE(PAYTOKEN_OK, paytoken_source_token(both[0], 0, first, sizeof first, NULL, NULL));
    snprintf(command, sizeof command, "rm -r '%s' && touch '%s'", path, path);
    CHECK(system(command) == 0);
    CODE(PAYTOKEN_STORE, paytoken_source_invalidate_with(both[0], first, &result, &err));
    CHECK(result == 9 && paytoken_error_os_code(err) == ENOTDIR);
    check_error(PAYTOKEN_STORE, &err);
    unlink(path);
    paytoken_source_free(both[0]);
    paytoken_source_free(both[1]);
}

/* One failure, and the errno behind it. */
static void fails(const paytoken_source *source, int32_t code, int32_t number) {
    char buf[8192];
    paytoken_error *err = NULL;
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    CODE(code, paytoken_source_token_with(source, &force, buf, sizeof buf, NULL, &err));
    if (paytoken_error_os_code(err) != number) {
        failures++;
        fprintf(stderr, "errno %d, expected %d: %s\n", paytoken_error_os_code(err), number, paytoken_error_message(err));
    }
    check_error(code, &err);
}

/* The password in a file, as a variable names it. */
static void from_file(const char *path, int32_t number) {
    paytoken_config *config = NULL;
    paytoken_error *err = NULL;
    setenv("NEXTERPAY_PASSWORD_FILE", path, 1);
    CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_NEXTER_PAY, &config, &err));
    CHECK(paytoken_error_os_code(err) == number);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    unsetenv("NEXTERPAY_PASSWORD_FILE");
}

/* The errno is there where the system gave one. */
static void os_codes(void) {
    struct rlimit limit;
    char buf[8192], path[512];
    paytoken_error *err = NULL;
    sandbox("/reset");
    paytoken_source *source = without_retries(NULL);
    sandbox("/nexter-pay/fault?kind=reset&times=1");
    fails(source, PAYTOKEN_TRANSPORT, ECONNRESET);
    /* Remembered for a moment: the same error, with what was behind it. */
    CODE(PAYTOKEN_TRANSPORT, paytoken_source_token(source, 0, buf, sizeof buf, NULL, &err));
    CHECK(paytoken_error_os_code(err) == ECONNRESET && paytoken_error_retry_after_ms(err) > 0);
    check_error(PAYTOKEN_TRANSPORT, &err);
    sandbox("/nexter-pay/fault?kind=status=503&times=1");
    fails(source, PAYTOKEN_SERVER_UNAVAILABLE, 0);
    /* Descriptors: for an address, and for a name that has to be looked up first. */
    paytoken_source *named = without_retries("https://nowhere.invalid");
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    fails(source, PAYTOKEN_TRANSPORT, EMFILE);
    fails(named, PAYTOKEN_TRANSPORT, EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    paytoken_source_free(named);
    paytoken_source_free(source);
    /* Addresses that nobody can reach. */
    source = without_retries("https://127.0.0.1:1");
    fails(source, PAYTOKEN_TRANSPORT, ECONNREFUSED);
    paytoken_source_free(source);
    /* Files: not there, a directory in its place, and a store that nothing can be written to. */
    char *kept = strdup(variable("NEXTERPAY_PASSWORD"));
    unsetenv("NEXTERPAY_PASSWORD");
    from_file("/nowhere/at/all", ENOENT);
    from_file("/dev/null/x", ENOTDIR);
    setenv("NEXTERPAY_PASSWORD", kept, 1);
    free(kept);
    snprintf(path, sizeof path, "%s/store-XXXXXX", variable("PAYTOKEN_WORK"));
    CHECK(mkdtemp(path) != NULL);
    source = with_store(PAYTOKEN_SEND_PAYMENTS, path);
    CHECK(rmdir(path) == 0);
    fclose(fopen(path, "w"));
    fails(source, PAYTOKEN_STORE, ENOTDIR);
    unlink(path);
    paytoken_source_free(source);
}

/* To ask for the length and then for the token, or with a buffer that is too small in between, is one forced fetch. */
static void forced(void) {
    char first[8192], buf[8192], small[10];
    size_t len = 0;
    paytoken_error *err = NULL;
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
#define REQUESTS(expected) CHECK(sandbox_count("send-payments", "token_requests") == (expected))
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token_with(source, &force, NULL, 0, &len, &err));
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token_with(source, &force, small, sizeof small, &len, &err));
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, first, len + 1, &len, &err));
    REQUESTS(1);
    /* Delivered: the next forced call means another. */
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, buf, sizeof buf, &len, &err));
    CHECK(strcmp(first, buf) != 0);
    REQUESTS(2);
    /* With "Bearer " it needs more room. */
    force.flags |= PAYTOKEN_AUTHORIZATION;
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token_with(source, &force, buf, len, &len, &err));
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, buf, len + 1, &len, &err));
    REQUESTS(3);
    /* What was not delivered and then rejected is not given. */
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token_with(source, &force, NULL, 0, NULL, &err));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, first, sizeof first, NULL, &err));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, first));
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, buf, sizeof buf, NULL, &err));
    CHECK(strcmp(first, buf + 7) != 0);
    REQUESTS(5);
    /* A call that cannot take any token does not use it up; one that asks for a longer life than it has left gets another. */
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token_with(source, &force, NULL, 0, NULL, &err));
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_source_token_with(source, &force, NULL, 5, NULL, &err)), &err);
    force.min_validity_ms = 200000;
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, buf, sizeof buf, NULL, &err));
    REQUESTS(6);
    sandbox("/send-payments/lifetime?seconds=5");
    force.min_validity_ms = 0;
    CODE(PAYTOKEN_BUFFER_TOO_SMALL, paytoken_source_token_with(source, &force, NULL, 0, NULL, &err));
    sandbox("/send-payments/lifetime?seconds=300");
    force.min_validity_ms = 3900;
    for (int waited = 0; waited < 10000; waited += 100) {
        paytoken_status status = {.size = sizeof status};
        CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
        if (status.token_remaining_ms < 3900) break;
        nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
    }
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, buf, sizeof buf, NULL, &err));
    REQUESTS(8);
#undef REQUESTS
    paytoken_source_free(source);
}

int main(void) {
    outcomes();
    os_codes();
    forced();
    return done("details");
}
