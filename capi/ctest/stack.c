/* The smallest stack that the header promises: on threads of 64 KiB a token is fetched from NTX Pay, with TLS and a client
 * certificate, and every kind of failure comes back. What a thread has left of it is watched. */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "ctest.h"

#define STACK (64 * 1024)
#define MARK 0xa5

/* What the test itself needs of the stack is not there while the library is called. */
#define APART __attribute__((noinline)) static

APART paytoken_config *without_retries(uint32_t provider) {
    paytoken_config *config = config_for(provider);
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    return config;
}

APART void control(const char *order) { sandbox(order); }

/* The buffers of these are in static memory, as a thread with so small a stack would have it. */
static char token[8192], path[512];

static char deep[60000], key[16384];
#define SIGNED                                                                                               \
    "{\"name\": \"signed\", \"token_endpoint\": \"https://localhost:1/token\", \"auth\": \"private_key_jwt\", " \
    "\"renewal\": \"coexists\", \"body\": \"json\", \"fields\": "

/* Tables in tables, as deep as they may be and deeper by far; and an assertion, signed for a port that nobody serves. */
static void describes(void) {
    static const char opening[] = "{\"a\": ";
    uint32_t provider = 0;
    paytoken_error *err = NULL;
    for (int levels = 8; levels < 8000; levels += 7000) {
        strcpy(deep, SIGNED);
        char *at = deep + strlen(deep);
        for (int i = 0; i < levels; i++) at = memcpy(at, opening, strlen(opening)), at += strlen(opening);
        at = memcpy(at, "1", 1), at += 1;
        for (int i = 0; i <= levels; i++) *at++ = '}';
        *at = 0;
        int32_t code = paytoken_provider_describe(deep, &provider, &err);
        CHECK(code == (levels == 8 ? PAYTOKEN_OK : PAYTOKEN_CONFIGURATION));
        if (code != PAYTOKEN_OK) check_error(code, &err);
    }
    paytoken_config *config = paytoken_config_new(provider, PAYTOKEN_SANDBOX);
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "client_id", "7"));
    CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)key, strlen(key)));
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    paytoken_source *source = source_from(config);
    check_error(CODE(PAYTOKEN_TRANSPORT, paytoken_source_token(source, 0, token, sizeof token, NULL, &err)), &err);
    paytoken_source_free(source);
}

static void *everything(void *argument) {
    static const char *const faults[] = {"reset",     "status=401", "status=503", "malformed",     "truncated",
                                         "429=7",     "echo",       "oversize=100000", "wrong-types", "redirect=https://127.0.0.1:1"};
    paytoken_error *err = NULL;
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    (void)argument;
    paytoken_config *config = NULL;
    CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_NTX_PAY, &config, NULL));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, path));
    CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, 1));
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, &err));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
    CODE(PAYTOKEN_OK, paytoken_source_authorization(source, 1000, token, sizeof token, NULL, &err));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char fault[128];
        snprintf(fault, sizeof fault, "/ntx-pay/fault?kind=%s&times=1", faults[i]);
        control("/reset");
        control(fault);
        int32_t code = paytoken_source_token_with(source, &force, token, sizeof token, NULL, &err);
        CHECK(code != PAYTOKEN_OK && code != PAYTOKEN_PANIC);
        check_error(code, &err);
    }
    paytoken_source_free(source);
    /* A server that this authority does not vouch for; a name that is not there; a port that nobody serves. */
    config = without_retries(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, "https://localhost:1"));
    source = source_from(config);
    check_error(CODE(PAYTOKEN_TRANSPORT, paytoken_source_token(source, 0, token, sizeof token, NULL, &err)), &err);
    paytoken_source_free(source);
    config = without_retries(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_client_secret(config, "wrong"));
    source = source_from(config);
    check_error(CODE(PAYTOKEN_REJECTED, paytoken_source_token(source, 0, token, sizeof token, NULL, &err)), &err);
    paytoken_source_free(source);
    describes();
    CHECK(paytoken_config_from_env(77, &config, &err) != PAYTOKEN_OK);
    check_error(PAYTOKEN_INVALID_ARGUMENT, &err);
    return NULL;
}

static void log_small(void *context, uint32_t level, const char *message) {
    (void)level;
    *(size_t *)context += strlen(message);
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    size_t logged = 0, left = 0;
    char command[600];
    long page = sysconf(_SC_PAGESIZE);
    sandbox("/reset");
    read_file(variable("NTXPAY_CLIENT_KEY"), key, sizeof key - 1);
    snprintf(path, sizeof path, "%s/stack-XXXXXX", variable("PAYTOKEN_WORK"));
    CHECK(mkdtemp(path) != NULL);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, log_small, &logged));
    /* One page below it that may not be touched. */
    unsigned char *memory = mmap(NULL, STACK + (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && mprotect(memory, (size_t)page, PROT_NONE) == 0);
    unsigned char *stack = memory + page;
    memset(stack, MARK, STACK);
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, everything, NULL) == 0 && pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
    while (left < STACK && stack[left] == MARK) left++;
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    CHECK(logged > 1000);
    CHECK(munmap(memory, STACK + (size_t)page) == 0);
    snprintf(command, sizeof command, "rm -r '%s'", path);
    CHECK(system(command) == 0);
    printf("       stack: of %d bytes, %zu were never used\n", STACK, left);
    return done("stack");
}
