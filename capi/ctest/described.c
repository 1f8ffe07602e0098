/* Described providers: numbers, tokens by a description, what is refused and in which words, and that nothing is lost. */
#include <pthread.h>

#include "ctest.h"

#define THREADS 8

/* What the sandbox's Send Payments does, as any other provider would be described. */
#define SHAPE                                                                                     \
    "\"token_endpoint\": \"/auth\", \"auth\": \"none\", \"body\": \"json\", \"identity\": [\"shop\"], " \
    "\"secrets\": [\"api_key\"], \"fields\": {\"clientId\": \"{shop}\", \"clientSecret\": \"{api_key}\"}, "  \
    "\"token\": \"/accessToken\", \"expires_at\": \"/expiresAt\", "
static const char ACME[] = "{\"name\": \"acme\", " SHAPE "\"renewal\": \"coexists\"}";
/* The same in another order, and with a default. */
static const char OTHERWISE[] =
    "{\"renewal\":\"coexists\",\"expires_at\":\"/expiresAt\",\"token\":\"/accessToken\",\"secrets\":[\"api_key\"],\"body\":\"json\","
    "\"fields\":{\"clientSecret\":\"{api_key}\",\"clientId\":\"{shop}\"},\"identity\":[\"shop\"],\"auth\":\"none\",\"name\":\"acme\","
    "\"token_endpoint\":\"/auth\",\"method\":\"POST\"}";
static const char ENDS[] = "{\"name\": \"ends\", " SHAPE "\"renewal\": \"replaces-previous\"}";
static const char BARE[] = "{\"name\": \"bare\", " SHAPE
                           "\"renewal\": \"coexists\", \"header\": \"X-Auth-Token\", \"prefix\": \"\"}";
static const char WORD[] = "{\"name\": \"word\", " SHAPE "\"renewal\": \"coexists\", \"prefix\": \"Token\"}";
static const char PLAIN[] = "{\"name\": \"plain\", \"token_endpoint\": \"https://auth.plain.invalid/token\", "
                            "\"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"scope\": \"read\"}";
static const char SIGNED[] = "{\"name\": \"signed\", \"token_endpoint\": \"https://auth.signed.invalid/token\", "
                             "\"auth\": \"private_key_jwt\", \"renewal\": \"coexists\"}";
static const char CLIENT[] = "{\"name\": \"mutual\", \"token_endpoint\": \"https://auth.mutual.invalid/token\", "
                             "\"auth\": \"tls_client_auth\", \"renewal\": \"coexists\"}";
static const char NAMES[] = "{\"name\": \"names\", \"token_endpoint\": \"https://auth.names.invalid/token\", "
                            "\"auth\": \"none\", \"renewal\": \"coexists\", \"identity\": [\"user_name\"], \"secrets\": "
                            "[\"password\"], \"fields\": {\"u\": \"{user_name}\", \"p\": \"{password}\"}}";

static uint32_t described(const char *json) {
    uint32_t provider = 0;
    paytoken_error *err = NULL;
    if (CODE(PAYTOKEN_OK, paytoken_provider_describe(json, &provider, &err)) != PAYTOKEN_OK) {
        fprintf(stderr, "%s\n", paytoken_error_message(err));
        paytoken_error_free(err);
    }
    CHECK(provider > PAYTOKEN_SEND_PAYMENTS);
    return provider;
}

static paytoken_config *account(uint32_t provider) {
    char pem[16384];
    size_t length = read_file(variable("PAYTOKEN_CA"), pem, sizeof pem);
    paytoken_config *config = paytoken_config_new(provider, PAYTOKEN_SANDBOX);
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "shop", variable("SENDPAYMENTS_CLIENT_ID")));
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "api_key", variable("SENDPAYMENTS_CLIENT_SECRET")));
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, variable("SENDPAYMENTS_BASE_URL")));
    CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, 60000));
    CODE(PAYTOKEN_OK, paytoken_config_set_root_certificates_pem(config, (const uint8_t *)pem, length));
    return config;
}

/* The header's value and the token, which differ by the prefix. */
static void header_of(const char *json, const char *prefix) {
    char header[8192], token[8192];
    uint32_t provider = described(json);
    sandbox("/reset");
    paytoken_source *source = source_from(account(provider));
    paytoken_token_options options = {.size = sizeof options, .flags = PAYTOKEN_AUTHORIZATION};
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_authorization(source, 0, header, sizeof header, NULL, NULL));
    CHECK(strncmp(header, prefix, strlen(prefix)) == 0 && strcmp(header + strlen(prefix), token) == 0);
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &options, token, sizeof token, NULL, NULL));
    CHECK(strcmp(header, token) == 0 && sandbox_count("send-payments", "token_requests") == 1);
    paytoken_status status = {.size = sizeof status};
    CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
    CHECK(status.provider == provider && status.environment == PAYTOKEN_SANDBOX && status.requests == 1);
    int32_t result = 0;
    CODE(PAYTOKEN_OK, paytoken_source_invalidate_with(source, header, &result, NULL));
    CHECK(result == PAYTOKEN_INVALIDATED_DROPPED);
    paytoken_source_free(source);
}

static void from_the_environment(void) {
    char token[8192];
    paytoken_config *config = NULL;
    paytoken_error *err = NULL;
    uint32_t provider = described(ACME);
    check_error(CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(provider, &config, &err)), &err);
    setenv("ACME_SHOP", variable("SENDPAYMENTS_CLIENT_ID"), 1);
    setenv("ACME_API_KEY", variable("SENDPAYMENTS_CLIENT_SECRET"), 1);
    setenv("ACME_BASE_URL", variable("SENDPAYMENTS_BASE_URL"), 1);
    CODE(PAYTOKEN_OK, paytoken_config_from_env(provider, &config, NULL));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
}

static void bad_descriptions(void) {
    static const struct {
        const char *json, *says;
    } all[] = {
        {"", "has to be a JSON object"},
        {"acme", "has to be a JSON object"},
        {"{\"name\": \"bad\",}", "not JSON (line 1, column "},
        {"{\"token_endpoint\": \"/t\"}", "name: not set"},
        {"{\"name\": \"ntx-pay\"}", "ntx-pay is built in"},
        {"{\"name\": \"bad\", \"auth\": \"basic\", \"renewal\": \"coexists\"}", "description of bad: auth: not known; use "},
        {"{\"name\": \"bad\", \"auth\": \"none\"}", "renewal: not set"},
        {"{\"name\": \"bad\", \"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"token_endpoint\": \"http://bad.example/t\"}",
         "token_endpoint: "},
        {"{\"name\": \"bad\", \"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"token_endpoint\": \"/t\", \"expires\": 1}",
         "did you mean expires_"},
        {"{\"name\": \"bad\", \"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"token_endpoint\": \"/t\", "
         "\"expires_in\": 3600}",
         "expires_in: has to be a JSON pointer"},
        {"{\"name\": \"bad\", \"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"token_endpoint\": \"/t\", "
         "\"fields\": {\"key\": \"{own}\"}}",
         "{own} stands neither here nor in identity"},
        {"{\"name\": \"bad\", \"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"token_endpoint\": \"/t\", "
         "\"token\": \"/refresh_token\"}",
         "token: points to a refresh token"},
        {"{\"name\": \"acme\", \"auth\": \"client_secret_basic\", \"renewal\": \"coexists\", \"token_endpoint\": \"/t\"}",
         "acme is described otherwise in this process"},
    };
    uint32_t provider = 77;
    paytoken_error *err = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int32_t code = CODE(PAYTOKEN_CONFIGURATION, paytoken_provider_describe(all[i].json, &provider, &err));
        if (strstr(paytoken_error_message(err), all[i].says) == NULL) {
            failures++;
            fprintf(stderr, "%s: %s, expected %s\n", all[i].json, paytoken_error_message(err), all[i].says);
        }
        check_error(code, &err);
        CODE(PAYTOKEN_CONFIGURATION, paytoken_provider_describe(all[i].json, &provider, NULL));
    }
    check_error(CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_provider_describe("{\"name\": \"caf\xe9\"}", &provider, &err)), &err);
    CHECK(provider == 77 && paytoken_config_new(described(ACME) + 50, PAYTOKEN_SANDBOX) == NULL);
}

/* A refused setter: its sentence, and what it may not show. */
static void refused(paytoken_config *config, const char *name, const char *value, const char *says) {
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_value(config, name, value));
    const char *message = paytoken_config_error_message(config);
    if (strcmp(message, says) != 0) {
        failures++;
        fprintf(stderr, "%s, expected %s\n", message, says);
    }
    check_words(message);
}

static void a_bad_value_loses_nothing(void) {
    char token[8192];
    paytoken_config *config = account(described(ACME));
    refused(config, "shopp", "7", "shopp: not known for acme; it takes shop, api_key, scope");
    refused(config, "scope ", "7", "name: not known for acme; it takes shop, api_key, scope");
    refused(config, "hunter2", "api_key", "name: not known for acme; it takes shop, api_key, scope");
    refused(config, "Hunter2-of-mine", "7", "name: not known for acme; it takes shop, api_key, scope");
    refused(config, "", "7", "name: not known for acme; it takes shop, api_key, scope");
    refused(config, "shop", "caf\xe9", "value: not valid UTF-8");
    refused(config, "caf\xe9", "7", "name: not valid UTF-8");
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_client_id(config, "7"));
    CHECK(strcmp(paytoken_config_error_message(config), "client_id: not known for acme; it takes shop, api_key, scope") == 0);
    CODE(PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_client_secret(config, "7"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_value(config, NULL, "7"));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_value(config, "shop", NULL));
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_config_set_value(NULL, "shop", "7"));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
}

/* Why no source can be made of it. */
static void no_source(paytoken_config *config, const char *says) {
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    int32_t code = CODE(PAYTOKEN_CONFIGURATION, paytoken_source_new(config, &source, &err));
    if (strncmp(paytoken_error_message(err), says, strlen(says)) != 0) {
        failures++;
        fprintf(stderr, "%s, expected %s\n", paytoken_error_message(err), says);
    }
    check_error(code, &err);
    CHECK(source == NULL);
    paytoken_config_free(config);
}

static paytoken_config *with_values(const char *json, const char *const *pairs) {
    paytoken_config *config = paytoken_config_new(described(json), PAYTOKEN_PRODUCTION);
    for (; pairs[0] != NULL; pairs += 2) CODE(PAYTOKEN_OK, paytoken_config_set_value(config, pairs[0], pairs[1]));
    return config;
}
#define WITH(json, ...) with_values(json, (const char *const[]){__VA_ARGS__, NULL})

static void what_is_missing_is_named_by_its_setter(void) {
    no_source(WITH(ACME, "shop", "7"), "acme: not set; call paytoken_config_set_value for api_key");
    no_source(WITH(ACME, "api_key", "7"), "acme: not set; call paytoken_config_set_value for shop");
    no_source(WITH(PLAIN, "client_id", "7"), "plain: not set; call paytoken_config_set_client_secret");
    no_source(WITH(ACME, "api_key", "7", "shop", "7"), "acme: paytoken_config_set_base_url: the description of acme states no ");
    no_source(WITH(PLAIN, "client_id", "", "client_secret", "7"), "plain: paytoken_config_set_client_id: is empty");
    no_source(WITH(PLAIN, "client_id", "7", "client_secret", "7", "scope", "a\nb"), "plain: scope: holds a control character");
    no_source(WITH(NAMES, "user_name", "7", "password", " "), "names: password: is empty; set it");
    no_source(WITH(NAMES, "user_name", "7 ", "password", "7"), "names: user_name: has white space around it");
    paytoken_source_free(source_from(WITH(PLAIN, "client_id", "7", "client_secret", "7", "scope", "read write")));
}

static void by_the_names_of_the_three(void) {
    char token[8192];
    paytoken_config *config = config_for(PAYTOKEN_NEXTER_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "user_name", "another"));
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "password", "another"));
    refused(config, "client_id", "7", "client_id: not known for nexter-pay; it takes user_name, password");
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "user_name", variable("NEXTERPAY_USERNAME")));
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "password", variable("NEXTERPAY_PASSWORD")));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
    config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "client_secret", " "));
    no_source(config, "send-payments: paytoken_config_set_client_secret: is empty");
}

static void keys_and_certificates(void) {
    char pem[16384];
    size_t length = read_file(variable("NTXPAY_CLIENT_KEY"), pem, sizeof pem - 1);
    pem[length] = 0;
    no_source(WITH(SIGNED, "client_id", "7"), "signed: paytoken_config_set_private_key_pem");
    /* The key that signs: as the private key, or by name. */
    paytoken_config *config = WITH(SIGNED, "client_id", "7", "kid", "first");
    CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)pem, length));
    paytoken_source_free(source_from(config));
    paytoken_source_free(source_from(WITH(SIGNED, "client_id", "7", "assertion_key", pem)));
    no_source(WITH(CLIENT, "client_id", "7"), "mutual: not set; call paytoken_config_set_certificate_pem");
    config = WITH(CLIENT, "client_id", "7");
    CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)pem, length));
    no_source(config, "mutual: not set; call paytoken_config_set_certificate_pem");
    config = WITH(PLAIN, "client_id", "7", "client_secret", "7");
    CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)pem, length));
    no_source(config, "plain: not set; call paytoken_config_set_certificate_pem");
    /* A certificate, whatever else proves who asks. */
    char certificate[16384];
    size_t size = read_file(variable("NTXPAY_CLIENT_CERT"), certificate, sizeof certificate);
    static const char *const with_certificate[] = {PLAIN, SIGNED, CLIENT};
    for (size_t i = 0; i < 3; i++) {
        config = WITH(with_certificate[i], "client_id", "7");
        if (i == 0) CODE(PAYTOKEN_OK, paytoken_config_set_client_secret(config, "7"));
        CODE(PAYTOKEN_OK, paytoken_config_set_certificate_pem(config, (const uint8_t *)certificate, size));
        CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)pem, length));
        paytoken_source *source = source_from(config);
        paytoken_status status = {.size = sizeof status};
        CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
        CHECK(status.certificate_not_after_ms > 0);
        paytoken_source_free(source);
    }
}

static void renewal_in_the_background(void) {
    static const char *const descriptions[] = {ACME, ENDS};
    for (int ends = 0; ends < 2; ends++) {
        paytoken_config *config = account(described(descriptions[ends]));
        CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, PAYTOKEN_RENEW_IF_TOKENS_COEXIST));
        paytoken_source *source = source_from(config);
        CHECK(source != NULL);
        paytoken_source_free(source);
        config = account(described(descriptions[ends]));
        CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, 1));
        if (ends) no_source(config, "ends: paytoken_config_set_renew_in_background: ");
        else paytoken_source_free(source_from(config));
    }
}

static void null_arguments(void) {
    uint32_t provider = 77;
    paytoken_error *err = NULL;
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_provider_describe(NULL, &provider, &err)), &err);
    check_error(CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_provider_describe(ACME, NULL, &err)), &err);
    CODE(PAYTOKEN_NULL_ARGUMENT, paytoken_provider_describe(NULL, NULL, NULL));
    CHECK(provider == 77);
    CODE(PAYTOKEN_OK, paytoken_provider_describe(ACME, &provider, NULL));
    CHECK(provider > PAYTOKEN_SEND_PAYMENTS && provider != 77);
}

static pthread_barrier_t start;

static void *describe_all(void *argument) {
    uint32_t *numbers = argument;
    static const char *const texts[] = {ACME, OTHERWISE, "{\"name\": \"late\", " SHAPE "\"renewal\": \"coexists\"}"};
    pthread_barrier_wait(&start);
    for (size_t i = 0; i < 3; i++) numbers[i] = described(texts[i]);
    return NULL;
}

static void by_many_threads_it_is_the_same(void) {
    pthread_t threads[THREADS];
    uint32_t numbers[THREADS][3];
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, describe_all, numbers[i]) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(memcmp(numbers[i], numbers[0], sizeof numbers[0]) == 0);
    CHECK(numbers[0][0] == numbers[0][1] && numbers[0][0] != numbers[0][2]);
    pthread_barrier_destroy(&start);
}

int main(void) {
    by_many_threads_it_is_the_same();
    null_arguments();
    header_of(ACME, "Bearer ");
    header_of(BARE, "");
    header_of(WORD, "Token ");
    from_the_environment();
    bad_descriptions();
    a_bad_value_loses_nothing();
    what_is_missing_is_named_by_its_setter();
    by_the_names_of_the_three();
    keys_and_certificates();
    renewal_in_the_background();
    return done("described");
}
