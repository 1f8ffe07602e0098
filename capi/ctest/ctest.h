/* What the C tests share: checks that count, the sandbox's control, and configs that lead to it. */
#ifndef CTEST_H
#define CTEST_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "paytoken.h"

static int failures;

#define CHECK(condition) \
    ((condition) ? (void)0 : (void)(failures++, fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition)))

#define CODE(expected, call) check_code(__FILE__, __LINE__, #call, expected, call)

static inline int32_t check_code(const char *file, int line, const char *call, int32_t expected, int32_t code) {
    if (code != expected) {
        failures++;
        fprintf(stderr, "%s:%d: %s: %s, expected %s\n", file, line, call, paytoken_code_name(code),
                paytoken_code_name(expected));
    }
    return code;
}

/* A sentence speaks of setters, members and flags, never of what only a Rust program has. */
static inline void check_words(const char *message) {
    static const char *const others[] = {"cached()", "build()", "::", "call refresh", "uilder", "with_private_key", "from_pem", " base_url", "TokenSource",
                                         "panicked", " root_certificates_pem", "--ca", "--force", "Builder"};
    if (strstr(message, "hunter2") != NULL) {
        failures++;
        fprintf(stderr, "a password is shown: %s\n", message);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strstr(message, others[i]) == NULL) continue;
        failures++;
        fprintf(stderr, "not C's word: \"%s\" in: %s\n", others[i], message);
    }
}

/* The code and the object have to agree; the object is freed. */
static inline void check_error(int32_t code, paytoken_error **err) {
    CHECK(*err != NULL);
    CHECK(paytoken_error_code(*err) == code);
    CHECK(strlen(paytoken_error_message(*err)) > 10);
    check_words(paytoken_error_message(*err));
    paytoken_error_free(*err);
    *err = NULL;
}

static inline int done(const char *name) {
    printf("%s %s\n", failures == 0 ? "ok    " : "FAILED", name);
    return failures == 0 ? 0 : 1;
}

static inline const char *variable(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: run this with ctest/run\n", name);
        exit(2);
    }
    return value;
}

/* One request to the sandbox's control interface; the answer's body goes to `body`. */
static inline void sandbox_ask(const char *method, const char *path, char *body, size_t cap) {
    const char *address = variable("PAYTOKEN_SANDBOX_CONTROL"); /* http://127.0.0.1:PORT */
    int port = atoi(strrchr(address, ':') + 1);
    struct sockaddr_in there;
    memset(&there, 0, sizeof there);
    there.sin_family = AF_INET;
    there.sin_port = htons((uint16_t)port);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int line = socket(AF_INET, SOCK_STREAM, 0);
    char text[16384];
    int length = snprintf(text, sizeof text,
                          "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path);
    if (connect(line, (struct sockaddr *)&there, sizeof there) != 0 || write(line, text, (size_t)length) != length) {
        perror("the sandbox's control");
        exit(2);
    }
    size_t have = 0;
    ssize_t got;
    while ((got = read(line, text + have, sizeof text - 1 - have)) > 0) have += (size_t)got;
    close(line);
    text[have] = 0;
    if (strncmp(text, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "%s %s: %.200s\n", method, path, text);
        exit(2);
    }
    char *begin = strstr(text, "\r\n\r\n");
    snprintf(body, cap, "%s", begin ? begin + 4 : "");
}

static inline void sandbox(const char *path) {
    char body[256];
    sandbox_ask("POST", path, body, sizeof body);
}

/* A counter of the sandbox's, such as "token_requests" of "ntx-pay". */
static inline long sandbox_count(const char *service, const char *counter) {
    char body[8192], key[128];
    sandbox_ask("GET", "/stats", body, sizeof body);
    snprintf(key, sizeof key, "\"%s\"", service);
    const char *at = strstr(body, key);
    snprintf(key, sizeof key, "\"%s\":", counter);
    if (at != NULL) at = strstr(at, key);
    if (at == NULL) {
        fprintf(stderr, "no %s of %s in %s\n", counter, service, body);
        exit(2);
    }
    return strtol(at + strlen(key), NULL, 10);
}

static inline size_t read_file(const char *path, char *into, size_t cap) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    size_t length = fread(into, 1, cap, file);
    fclose(file);
    return length;
}

/* A config set up by hand, so that every setter is used. */
static inline paytoken_config *config_for(uint32_t provider) {
    static const char *const names[][3] = {
        {"NTXPAY_CLIENT_ID", "NTXPAY_CLIENT_SECRET", "NTXPAY_BASE_URL"},
        {"NEXTERPAY_USERNAME", "NEXTERPAY_PASSWORD", "NEXTERPAY_BASE_URL"},
        {"SENDPAYMENTS_CLIENT_ID", "SENDPAYMENTS_CLIENT_SECRET", "SENDPAYMENTS_BASE_URL"},
    };
    char pem[16384];
    size_t length;
    paytoken_config *config = paytoken_config_new(provider, PAYTOKEN_SANDBOX);
    CHECK(config != NULL);
    CODE(PAYTOKEN_OK, paytoken_config_set_client_id(config, variable(names[provider - 1][0])));
    CODE(PAYTOKEN_OK, paytoken_config_set_client_secret(config, variable(names[provider - 1][1])));
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, variable(names[provider - 1][2])));
    CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, 60000)); /* valgrind on a busy machine is slow */
    length = read_file(variable("PAYTOKEN_CA"), pem, sizeof pem);
    CODE(PAYTOKEN_OK, paytoken_config_set_root_certificates_pem(config, (const uint8_t *)pem, length));
    if (provider == PAYTOKEN_NTX_PAY) {
        length = read_file(variable("NTXPAY_CLIENT_CERT"), pem, sizeof pem);
        CODE(PAYTOKEN_OK, paytoken_config_set_certificate_pem(config, (const uint8_t *)pem, length));
        length = read_file(variable("NTXPAY_CLIENT_KEY"), pem, sizeof pem);
        CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)pem, length));
        paytoken_wipe(pem, sizeof pem);
    }
    return config;
}

/* Makes a source and frees the config. */
static inline paytoken_source *source_from(paytoken_config *config) {
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    int32_t code = paytoken_source_new(config, &source, &err);
    if (code != PAYTOKEN_OK) {
        failures++;
        fprintf(stderr, "no source: %s\n", paytoken_error_message(err));
        paytoken_error_free(err);
    }
    paytoken_config_free(config);
    return source;
}

#endif
