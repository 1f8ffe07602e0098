/* Arbitrary strings, bytes, numbers, sizes and buffers through every function that takes one. Nothing leaves the machine:
 * what a fuzzed setting makes is only looked at; tokens come from the sandbox, to a source set up as usual.
 *
 *     FUZZ_SECONDS=600 capi/ctest/run fuzz          inputs by chance, with AddressSanitizer on the C side
 *     FUZZ_SECONDS=600 capi/ctest/run fuzz-guided   libFuzzer, coverage and AddressSanitizer on both sides
 */
#include "ctest.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

static const char SECRET_MARK[] = "fz-secret-";

/* ---- One input: a list of calls, read from the front; zeroes once it is used up ---- */

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static uint8_t next(input *in) {
    if (in->left == 0) return 0;
    in->left--;
    return *in->at++;
}

static uint64_t number(input *in) {
    static const uint64_t edges[] = {0, 1, 2, 1000, 86400000, 86400001, UINT32_MAX, INT64_MAX, UINT64_MAX / 1000000, UINT64_MAX};
    uint8_t which = next(in);
    if (which < 128) return edges[which % (sizeof edges / sizeof *edges)];
    uint64_t value = 0;
    for (int i = 0; i < which % 9; i++) value = value << 8 | next(in);
    return value;
}

/* Strings that lead further in than chance does. */
static const char *const words[] = {
    "", " ", "\t", "\n", "a", "cafe", "caf\xc3\xa9", "caf\xe9", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\xf0\x9f\x92\xb8",
    "https://", "http://", "https://host", "https://host/", "https://host:1", "https://host:99999", "https://[::1]", "https://[::1",
    "http://127.0.0.1:9", "http://localhost", "http://10.0.0.1", "https://user:word@host", "https://host?x", "https://host#x",
    "https://h\xc3\xb6st", "https://a b", "HTTPS://HOST", "https://%41", "socks5://127.0.0.1:9", "http://127.0.0.1:0",
    "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----\n",
    "-----BEGIN EC PRIVATE KEY-----\n", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "MIIB", "AAAA", "====",
    "\"", "{", "}", "[", "]", ",", ": ", "null", "\"scope\": \"", "\"lifetime\": \"1h\"", "\"fields\": {\"a\": \"b\"}", "\\ud800", "{k}",
    "sandbox", "production", "Production", "paytoken/0.1", "\r\nX: y", "Bearer ", "\x7f", "\x1b[31m", "%00", "/", "..",
};

/* A run of bytes in memory of exactly its size, so that a byte too much is noticed. Free it. */
static uint8_t *bytes(input *in, size_t *len) {
    uint8_t text[1024];
    size_t have = 0;
    for (int parts = next(in) % 4; parts >= 0; parts--) {
        uint8_t which = next(in);
        const char *word = words[which % (sizeof words / sizeof *words)];
        size_t length = which < 192 ? strlen(word) : which % 64;
        for (size_t i = 0; i < length && have < sizeof text; i++) {
            text[have++] = which < 192 ? (uint8_t)word[i] : next(in);
        }
    }
    uint8_t *exact = malloc(have ? have : 1);
    memcpy(exact, text, have);
    *len = have;
    return exact;
}

/* As a C string: up to the first NUL. */
static char *string(input *in, const char *before) {
    size_t len;
    uint8_t *raw = bytes(in, &len);
    const uint8_t *end = memchr(raw, 0, len);
    if (end != NULL) len = (size_t)(end - raw);
    char *text = malloc(strlen(before) + len + 1);
    memcpy(text, before, strlen(before));
    memcpy(text + strlen(before), raw, len);
    text[strlen(before) + len] = 0;
    free(raw);
    return text;
}

/* ---- What has to hold ---- */

static bool is_utf8(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at != 0) {
        uint32_t point = *at;
        int more = point < 0x80 ? 0 : point >= 0xf0 ? 3 : point >= 0xe0 ? 2 : 1;
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point >= 0x80 && (point < 0xc2 || point > 0xf4)) return false;
        if (more > 0) point &= 0x3fu >> more;
        at++;
        for (int i = 0; i < more; i++, at++) {
            if ((*at & 0xc0) != 0x80) return false;
            point = point << 6 | (*at & 0x3f);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    }
    return true;
}

/* Another setting holds the secret's mark, and may be shown. */
static bool is_in_the_open;

/* For messages of errors and of the log. */
static void check_message(const char *message) {
    CHECK(message[0] != 0 && is_utf8(message));
    if (!is_in_the_open) check_words(message);
    for (const char *at = message; *at != 0; at++) CHECK((unsigned char)*at >= 0x20 && *at != 0x7f);
    CHECK(is_in_the_open || strstr(message, SECRET_MARK) == NULL);
}

static void on_log(void *context, uint32_t level, const char *message) {
    (void)context;
    (void)level;
    check_message(message);
}

/* An error object where the header promises one, and only there. Freed. */
static void check_outcome(int32_t code, bool wants_error, paytoken_error *err) {
    CHECK((err != NULL) == (wants_error && code != PAYTOKEN_OK && code != PAYTOKEN_BUFFER_TOO_SMALL));
    CHECK(code != PAYTOKEN_PANIC && code != PAYTOKEN_OTHER && code != PAYTOKEN_FORKED);
    if (err != NULL) {
        CHECK(paytoken_error_code(err) == code);
        check_message(paytoken_error_message(err));
        paytoken_error_free(err);
    }
}

/* ---- The calls ---- */

typedef int32_t set_string(paytoken_config *, const char *);
typedef int32_t set_bytes(paytoken_config *, const uint8_t *, size_t);

static void setting(input *in, paytoken_config *config) {
    static set_string *const strings[] = {paytoken_config_set_client_id, paytoken_config_set_base_url,
                                          paytoken_config_set_user_agent, paytoken_config_set_proxy};
    static set_bytes *const blobs[] = {paytoken_config_set_certificate_pem, paytoken_config_set_private_key_pem,
                                       paytoken_config_set_root_certificates_pem};
    uint8_t which = next(in) % 20;
    if (which < 4) {
        char *text = string(in, "");
        is_in_the_open = is_in_the_open || strstr(text, SECRET_MARK) != NULL;
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, strings[which](config, text));
        free(text);
    } else if (which < 7) {
        char *text = string(in, SECRET_MARK);
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_client_secret(config, text));
        CHECK((paytoken_config_error_message(config)[0] == 0) == is_utf8(text));
        free(text);
    } else if (which < 10) {
        size_t len;
        uint8_t *raw = bytes(in, &len);
        CODE(PAYTOKEN_OK, blobs[which - 7](config, raw, len));
        free(raw);
    } else if (which == 10) {
        CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, number(in)));
    } else if (which == 11) {
        CODE(PAYTOKEN_OK, paytoken_config_set_connect_timeout_ms(config, number(in)));
    } else if (which == 12) {
        CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, (uint32_t)number(in)));
    } else if (which == 13) {
        CODE(PAYTOKEN_OK, paytoken_config_set_certificate_injected_by_proxy(config));
    } else if (which == 14) {
        CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, (int32_t)number(in)));
    } else if (which == 15) {
        /* An address is as secret as the password that it can hold. */
        char *text = string(in, next(in) % 2 ? "redis://:fz-secret-" : SECRET_MARK);
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_url(config, text));
        free(text);
    } else if (which == 16) {
        char *text = string(in, "store-key-");
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_key_file(config, text));
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_ca_file(config, text));
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_certificate_file(config, text));
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_private_key_file(config, text));
        free(text);
    } else if (which == 18) {
        static const char *const names[] = {"k", "client_secret", "client_id", "scope", "user_name", "", "caf\xe9"};
        const char *name = names[next(in) % 7];
        bool is_secret = name == names[0] || name == names[1];
        char *text = string(in, is_secret ? SECRET_MARK : "");
        is_in_the_open = is_in_the_open || (!is_secret && strstr(text, SECRET_MARK) != NULL);
        int32_t code = paytoken_config_set_value(config, name, text);
        CHECK(code == PAYTOKEN_INVALID_ARGUMENT || (code == PAYTOKEN_OK && is_utf8(text)));
        if (code != PAYTOKEN_OK) check_message(paytoken_config_error_message(config));
        free(text);
    } else if (which == 17) {
        char *text = string(in, "read");
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_accept_unsealed(config, text));
        free(text);
    } else {
        /* It makes directories: a few, below the working one alone. */
        char *text = string(in, "store-");
        text[strnlen(text, 8)] = 0;
        CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_config_set_store_directory(config, text));
        free(text);
    }
}

/* A few names: each new one is kept as long as the process lives. */
static const char DESCRIPTION[] = "{\"name\": \"fuzzed-%c\", \"token_endpoint\": \"/t\", \"auth\": \"client_secret_basic\", \"renewal\": "
                                  "\"coexists\", \"secrets\": [\"k\"], \"headers\": {\"x-k\": \"{k}\"}%s%s";

static void describe(input *in) {
    char text[2048];
    uint32_t provider = 77;
    paytoken_error *err = NULL;
    bool is_whole = next(in) % 4 != 0;
    char *more = string(in, next(in) % 2 ? ", " : "");
    if (next(in) % 8 == 0) snprintf(text, sizeof text, "%s", more);
    else snprintf(text, sizeof text, DESCRIPTION, 'a' + next(in) % 4, more, is_whole ? "}" : "");
    int32_t code = paytoken_provider_describe(text, &provider, &err);
    CHECK(code == PAYTOKEN_OK ? provider > PAYTOKEN_SEND_PAYMENTS && provider < 9 : provider == 77);
    check_outcome(code, true, err);
    free(more);
}

static void environment(input *in, paytoken_config **config) {
    static const char *const names[] = {"SENDPAYMENTS_CLIENT_ID", "SENDPAYMENTS_CLIENT_SECRET", "SENDPAYMENTS_BASE_URL",
                                        "SENDPAYMENTS_ENVIRONMENT"};
    paytoken_config *made = NULL;
    paytoken_error *err = NULL;
    for (size_t i = 0; i < 4; i++) {
        char *text = string(in, i == 1 ? SECRET_MARK : "");
        is_in_the_open = is_in_the_open || (i != 1 && strstr(text, SECRET_MARK) != NULL);
        setenv(names[i], text, 1);
        free(text);
    }
    uint32_t provider = next(in) % 4 == 0 ? (uint32_t)number(in) : PAYTOKEN_SEND_PAYMENTS;
    if (provider != PAYTOKEN_SEND_PAYMENTS && provider < 77) provider = 77;
    int32_t code = paytoken_config_from_env(provider, &made, &err);
    CHECK((code == PAYTOKEN_OK) == (made != NULL));
    check_outcome(code, true, err);
    if (made != NULL) {
        paytoken_config_free(*config);
        *config = made;
    }
}

static bool is_untouched(const char *buf, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != 'x') return false;
    }
    return true;
}

static paytoken_source *good;
static size_t token_length;

/* A good source has a token; a fuzzed one has none and is only looked at. */
static void ask(input *in, const paytoken_source *source, bool is_good) {
    uint8_t which = next(in);
    uint8_t prefix = which % 3;
    size_t cap = 8192, len = 12345, beyond = 16;
    uint8_t room = next(in);
    if (room < 64) cap = (size_t)(number(in) % 10000);
    if (room >= 192) cap = token_length + room % 16 - 4; /* around what it takes, with "Bearer " and without */
    char *buf = malloc(cap + beyond);
    memset(buf, 'x', cap + beyond);
    paytoken_error *err = NULL;
    bool wants_length = which & 8, wants_error = which & 16;
    size_t *out = wants_length ? &len : NULL;
    paytoken_error **why = wants_error ? &err : NULL;
    int32_t code;
    if (prefix == 2 || !is_good) {
        uint32_t size = next(in) % 4 == 0 ? next(in) : sizeof(paytoken_token_options);
        uint8_t raw[sizeof(uint32_t) + 256] = {0};
        paytoken_token_options options = {0};
        options.min_validity_ms = number(in);
        options.deadline_ms = number(in);
        options.flags = (next(in) % 4 == 0 ? (uint32_t)number(in) : next(in) % 8u) | PAYTOKEN_CACHED_ONLY;
        memcpy(raw, &options, sizeof options);
        if (next(in) % 4 == 0) raw[sizeof options] = next(in);
        memcpy(raw, &size, sizeof size);
        /* As large as it says. One that ends before the flags would be free to send requests. */
        if (size > 0 && size < sizeof options) size = 0, memcpy(raw, &size, sizeof size);
        paytoken_token_options *exact = malloc(size < sizeof(uint32_t) ? sizeof(uint32_t) : size);
        memcpy(exact, raw, size < sizeof(uint32_t) ? sizeof(uint32_t) : size);
        code = paytoken_source_token_with(source, exact, buf, cap, out, why);
        prefix = options.flags & PAYTOKEN_AUTHORIZATION ? 1 : 0;
        free(exact);
    } else {
        uint64_t min_validity = next(in) % 2 == 0 ? 0 : number(in);
        /* So much that a new token might do: that would be a request. */
        if (min_validity > 3600000 && min_validity <= 86400000) min_validity = 0;
        code = (prefix == 1 ? paytoken_source_authorization : paytoken_source_token)(source, min_validity, buf, cap, out, why);
    }
    check_outcome(code, wants_error, err);
    CHECK(is_untouched(buf + cap, beyond));
    if (code == PAYTOKEN_OK) {
        const char *token = prefix == 1 ? buf + 7 : buf;
        CHECK(is_good && memchr(buf, 0, cap) != NULL);
        CHECK(prefix != 1 || memcmp(buf, "Bearer ", 7) == 0);
        CHECK(strncmp(token, "eyJ", 3) == 0 && (!wants_length || len == strlen(buf)));
    } else {
        CHECK(is_untouched(buf, cap));
        CHECK(code == PAYTOKEN_BUFFER_TOO_SMALL ? !wants_length || len >= cap : len == 12345);
    }
    free(buf);
}

static void look(input *in, const paytoken_source *source) {
    uint32_t size = next(in) % 2 == 0 ? sizeof(paytoken_status) : next(in);
    paytoken_status *status = malloc(size < sizeof(uint32_t) ? sizeof(uint32_t) : size);
    memset(status, 'x', size < sizeof(uint32_t) ? sizeof(uint32_t) : size);
    memcpy(status, &size, sizeof size);
    int32_t code = paytoken_source_status(source, status);
    CHECK(code == PAYTOKEN_OK || code == PAYTOKEN_INVALID_ARGUMENT);
    uint32_t written;
    memcpy(&written, status, sizeof written);
    CHECK(written <= size || code != PAYTOKEN_OK);
    free(status);
}

static void reject(input *in, const paytoken_source *source) {
    char *text = string(in, "");
    CODE(is_utf8(text) ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_source_invalidate(source, text));
    int32_t result = 0;
    paytoken_error *err = NULL;
    int32_t code = paytoken_source_invalidate_with(source, text, &result, &err);
    CHECK((result == PAYTOKEN_INVALIDATED_UNKNOWN) == (code == PAYTOKEN_OK));
    check_outcome(code, true, err);
    free(text);
}

/* The queue, of any size; and a record, with any room. */
static void records(input *in) {
    uint32_t level = 9, wanted = (uint32_t)number(in), capacity = (uint32_t)number(in);
    if (next(in) % 2 == 0) {
        bool is_fine = wanted == PAYTOKEN_LOG_OFF || (wanted <= PAYTOKEN_LOG_DEBUG && capacity >= 1 && capacity <= 65536);
        CODE(is_fine ? PAYTOKEN_OK : PAYTOKEN_INVALID_ARGUMENT, paytoken_set_log_queue(wanted, capacity));
    }
    CHECK(paytoken_log_callbacks_running() == 0);
    size_t cap = next(in) % 2 == 0 ? next(in) : 4096, len = 12345;
    char *buf = malloc(cap + 1);
    memset(buf, 'x', cap + 1);
    int32_t code = paytoken_log_next(buf, cap, &len, &level);
    CHECK(code == PAYTOKEN_OK || (code == PAYTOKEN_BUFFER_TOO_SMALL && len >= cap && level == 9 && is_untouched(buf, cap)));
    CHECK(buf[cap] == 'x');
    if (code == PAYTOKEN_OK && level != PAYTOKEN_LOG_OFF) {
        CHECK(level <= PAYTOKEN_LOG_DEBUG && strlen(buf) == len);
        /* It may be of an earlier input, whose secret's mark was in the open. */
        CHECK(is_utf8(buf));
    } else if (code == PAYTOKEN_OK) {
        CHECK(len == 0 && (cap == 0 || buf[0] == 0));
    }
    free(buf);
}

static void fuzzed_source(input *in, const paytoken_config *config) {
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    bool wants_error = next(in) % 8 != 0;
    int32_t code = paytoken_source_new(config, &source, wants_error ? &err : NULL);
    CHECK((code == PAYTOKEN_OK) == (source != NULL));
    check_outcome(code, wants_error, err);
    if (source != NULL) {
        ask(in, source, false);
        look(in, source);
    }
    paytoken_source_free(source);
}

static void start(void) {
    char directory[4096];
    snprintf(directory, sizeof directory, DESCRIPTION, 'a', "", "}");
    CODE(PAYTOKEN_OK, paytoken_provider_describe(directory, &(uint32_t){0}, NULL));
    snprintf(directory, sizeof directory, "%s/fuzzed", variable("PAYTOKEN_WORK"));
    good = source_from(config_for(PAYTOKEN_NEXTER_PAY));
    CODE(PAYTOKEN_OK, paytoken_source_token(good, 0, (char[8192]){0}, 8192, &token_length, NULL));
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, on_log, NULL));
    mkdir(directory, 0700);
    if (chdir(directory) != 0 || failures > 0) {
        perror(directory);
        exit(2);
    }
}

static void one(const uint8_t *data, size_t size) {
    input in = {data, size};
    uint32_t provider = 1 + next(&in) % 7, system = 1 + next(&in) % 2;
    paytoken_config *config = paytoken_config_new(provider, system);
    if (config == NULL) config = paytoken_config_new(PAYTOKEN_NTX_PAY, system); /* not described yet */
    is_in_the_open = false;
    for (int calls = 0; in.left > 0 && calls < 64; calls++) {
        switch (next(&in) % 17) {
        case 9: describe(&in); break;
        case 0: case 1: fuzzed_source(&in, config); break;
        case 2: case 3: ask(&in, good, true); break;
        case 4: look(&in, good); break;
        case 5: reject(&in, good); break;
        case 6: environment(&in, &config); break;
        case 8: records(&in); break;
        case 7: CHECK(is_utf8(paytoken_code_name((int32_t)number(&in)))); break;
        default: setting(&in, config);
        }
    }
    fuzzed_source(&in, config);
    paytoken_config_free(config);
}

#ifdef GUIDED
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    start();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    one(data, size);
    if (failures > 0) abort();
    return 0;
}
#else
static long requests(void) {
    return sandbox_count("ntx-pay", "token_requests") + sandbox_count("nexter-pay", "token_requests") +
           sandbox_count("send-payments", "token_requests");
}

int main(void) {
    const char *seconds = getenv("FUZZ_SECONDS"), *seed = getenv("FUZZ_SEED");
    time_t end = time(NULL) + (seconds ? atol(seconds) : 3);
    uint64_t state = seed ? strtoull(seed, NULL, 10) : 1, inputs = 0;
    long before = requests();
    start();
    for (; (inputs < 1000 || time(NULL) < end) && failures == 0; inputs++) {
        uint8_t data[512];
        uint64_t first = state;
        for (size_t i = 0; i < sizeof data; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            data[i] = (uint8_t)(state >> 56);
        }
        one(data, data[0] * 2);
        if (failures > 0) fprintf(stderr, "once more: FUZZ_SEED=%llu\n", (unsigned long long)first);
    }
    paytoken_source_free(good);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    CHECK(requests() == before + 1);
    printf("       fuzz: %llu inputs\n", (unsigned long long)inputs);
    return done("fuzz");
}
#endif
