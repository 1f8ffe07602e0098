/* A server as the store, sealed: processes share one token, and a server, a key or an address that is wrong is told. Needs a
 * library with the feature redis, and in PAYTOKEN_TEST_REDIS the address of a server. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "ctest.h"

static paytoken_config *shared(const char *url, const char *key) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_url(config, url));
    if (key != NULL) CODE(PAYTOKEN_OK, paytoken_config_set_store_key_file(config, key));
    return config;
}

static void token_of(paytoken_config *config, char token[8192]) {
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, 8192, NULL, NULL));
    paytoken_source_free(source);
}

/* A process with a source of its own, made there; its token comes through the pipe. */
static pid_t process(const char *url, const char *key, int *from) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        char token[8192] = "";
        close(ends[0]);
        token_of(shared(url, key), token);
        CHECK(write(ends[1], token, sizeof token) == sizeof token);
        exit(failures != 0);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static void await(pid_t child, int from, char token[8192]) {
    int status = -1;
    size_t have = 0;
    ssize_t got;
    while (have < 8192 && (got = read(from, token + have, 8192 - have)) > 0) have += (size_t)got;
    close(from);
    CHECK(have == 8192);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const char *key_file(char path[512], const char *name, int byte) {
    char key[32];
    memset(key, byte, sizeof key);
    snprintf(path, 512, "%s/%s", variable("PAYTOKEN_WORK"), name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(key, 1, sizeof key, file) == sizeof key && fclose(file) == 0);
    CHECK(chmod(path, 0600) == 0);
    return path;
}

static void refused_config(paytoken_config *config, const char *word) {
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    CODE(PAYTOKEN_CONFIGURATION, paytoken_source_new(config, &source, &err));
    CHECK(strstr(paytoken_error_message(err), word) != NULL);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    CHECK(source == NULL);
    paytoken_config_free(config);
}

static void refused(const char *url, const char *word) {
    refused_config(shared(url, NULL), word);
}

/* A source can be made while the server is away; without its lock nothing is fetched. */
static void away(const char *url, int number) {
    char buf[8192];
    paytoken_error *err = NULL;
    paytoken_source *source = source_from(shared(url, NULL));
    CODE(PAYTOKEN_STORE, paytoken_source_token(source, 0, buf, sizeof buf, NULL, &err));
    CHECK(strstr(paytoken_error_message(err), "paytoken_config_set_store_url: Redis at ") != NULL);
    CHECK(paytoken_error_os_code(err) == number && paytoken_error_is_retryable(err) == 1);
    check_error(PAYTOKEN_STORE, &err);
    paytoken_source_free(source);
}

/* The server hangs up on everybody else. */
static void hang_up(const char *url) {
    static const char COMMAND[] = "CLIENT KILL TYPE normal SKIPME yes\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[64] = "";
    snprintf(address.sun_path, sizeof address.sun_path, "%s", strstr(url, "://") + 3);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(server, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(write(server, COMMAND, sizeof COMMAND - 1) == (ssize_t)sizeof COMMAND - 1);
    CHECK(read(server, answer, sizeof answer - 1) > 0 && answer[0] == ':' && answer[1] != '0');
    close(server);
}

/* Writing on a connection that has ended is a signal to programs in C, unless the library sees to it. */
static void hung_up(const char *url) {
    paytoken_source *source = source_from(shared(url, NULL));
    paytoken_token_options options = {.size = sizeof options, .flags = PAYTOKEN_FORCE};
    char token[8192];
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    hang_up(url);
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &options, token, sizeof token, NULL, NULL));
    hang_up(url);
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
    paytoken_source_free(source);
}

/* What is not sealed is not believed where there is a key, unless that is said. */
static void plain_entries(const char *key) {
    const char *in_files[] = {NULL, variable("PAYTOKEN_WORK")};
    for (int i = 0; i < 2; i++) {
        char plain[8192], token[8192], directory[512];
        paytoken_config *configs[4];
        for (int with = 0; with < 4; with++) {
            configs[with] = shared(variable("PAYTOKEN_TEST_REDIS"), with == 0 ? NULL : key);
            if (in_files[i] == NULL) continue;
            snprintf(directory, sizeof directory, "%s/sealed", in_files[i]);
            CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(configs[with], directory));
        }
        CODE(PAYTOKEN_OK, paytoken_config_set_accept_unsealed(configs[2], "read"));
        CODE(PAYTOKEN_OK, paytoken_config_set_accept_unsealed(configs[3], "write"));
        token_of(configs[0], plain);
        for (int with = 3; with > 1; with--) {
            token_of(configs[with], token);
            CHECK(strcmp(token, plain) == 0);
        }
        token_of(configs[1], token);
        CHECK(strcmp(token, plain) != 0);
    }
}

static const char *file(const char *name) {
    static char paths[4][512];
    static int next;
    if (name == NULL) return NULL;
    char *path = paths[next++ % 4];
    snprintf(path, 512, "%s/%s", variable("PAYTOKEN_TEST_TLS"), name);
    return path;
}

static paytoken_config *by_tls(const char *url, const char *ca, const char *certificate, const char *key) {
    paytoken_config *config = shared(url, NULL);
    if (ca != NULL) CODE(PAYTOKEN_OK, paytoken_config_set_store_ca_file(config, file(ca)));
    if (certificate != NULL) CODE(PAYTOKEN_OK, paytoken_config_set_store_certificate_file(config, file(certificate)));
    if (key != NULL) CODE(PAYTOKEN_OK, paytoken_config_set_store_private_key_file(config, file(key)));
    return config;
}

/* The server asks for a certificate of its authority's, and has one. */
static void tls(const char *plain) {
    static const struct { const char *ca, *certificate, *key, *word; } wrong[] = {
        {"no-such", NULL, NULL, "paytoken_config_set_store_ca_file: cannot read"},
        {"client.key", NULL, NULL, "paytoken_config_set_store_ca_file: "},
        {"ca.pem", "client.pem", NULL, "paytoken_config_set_store_certificate_file: certificate and key cannot be used"},
        {"ca.pem", "client.pem", "server.key", "paytoken_config_set_store_certificate_file: certificate and key cannot be used"},
        {"ca.pem", "client.pem", "no-such", "paytoken_config_set_store_private_key_file: cannot read"},
        {"ca.pem", NULL, "client.key",
         "paytoken_config_set_store_private_key_file: set without a certificate; call paytoken_config_set_store_certificate_file"},
    };
    char url[128], first[8192], second[8192];
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    snprintf(url, sizeof url, "rediss://localhost:%s", variable("PAYTOKEN_TEST_PORT"));
    token_of(by_tls(url, "ca.pem", "client.pem", "client.key"), first);
    token_of(shared(plain, NULL), second);
    CHECK(strlen(first) > 10 && strcmp(first, second) == 0);
    /* The same by variables; what a setter names counts before them. */
    setenv("PAYTOKEN_STORE", url, 1);
    setenv("PAYTOKEN_STORE_CA", file("ca.pem"), 1);
    setenv("PAYTOKEN_STORE_CLIENT_CERT", file("client.pem"), 1);
    setenv("PAYTOKEN_STORE_CLIENT_KEY", file("client.key"), 1);
    unsetenv("PAYTOKEN_STORE_KEY_FILE");
    CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, NULL));
    token_of(config, second);
    CHECK(strcmp(first, second) == 0);
    setenv("PAYTOKEN_STORE_CLIENT_KEY", file("server.key"), 1);
    CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, NULL));
    CODE(PAYTOKEN_CONFIGURATION, paytoken_source_new(config, &source, &err));
    CHECK(strstr(paytoken_error_message(err), "PAYTOKEN_STORE_CLIENT_CERT: certificate and key cannot be used") != NULL);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_certificate_file(config, file("client.pem")));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_private_key_file(config, file("client.key")));
    token_of(config, second);
    CHECK(strcmp(first, second) == 0);
    setenv("PAYTOKEN_STORE_CA", "/nowhere/ca.pem", 1);
    CODE(PAYTOKEN_CONFIGURATION, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &err));
    CHECK(strstr(paytoken_error_message(err), "PAYTOKEN_STORE_CA: cannot read") != NULL);
    check_error(PAYTOKEN_CONFIGURATION, &err);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused_config(by_tls(url, wrong[i].ca, wrong[i].certificate, wrong[i].key), wrong[i].word);
    refused_config(by_tls(plain, "ca.pem", NULL, NULL), "paytoken_config_set_store_ca_file: the URL asks for no TLS");
    /* Without them nobody is trusted, and nobody is let in. */
    for (int i = 0; i < 2; i++) {
        source = source_from(by_tls(url, i == 0 ? NULL : "ca.pem", NULL, NULL));
        CODE(PAYTOKEN_STORE, paytoken_source_token(source, 0, second, sizeof second, NULL, NULL));
        paytoken_source_free(source);
    }
}

int main(void) {
    const char *url = variable("PAYTOKEN_TEST_REDIS");
    char path[512], first[8192], second[8192];
    int from[2];
    sandbox("/reset");
    const char *key = key_file(path, "store-key", 7);
    /* Before any source is made here, and at the same time. */
    pid_t children[] = {process(url, key, &from[0]), process(url, key, &from[1])};
    await(children[0], from[0], first);
    await(children[1], from[1], second);
    CHECK(strlen(first) > 10 && strcmp(first, second) == 0);
    CHECK(sandbox_count("send-payments", "token_requests") == 1);
    /* The same store by variables. */
    paytoken_config *config = NULL;
    setenv("PAYTOKEN_STORE", url, 1);
    setenv("PAYTOKEN_STORE_KEY_FILE", key, 1);
    CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, NULL));
    token_of(config, second);
    CHECK(strcmp(first, second) == 0);
    CHECK(sandbox_count("send-payments", "token_requests") == 1);
    /* It is sealed: who has another key, or none, does not get it. */
    token_of(shared(url, key_file(path, "other-key", 8)), second);
    CHECK(strcmp(first, second) != 0);
    token_of(shared(url, NULL), first);
    CHECK(strcmp(first, second) != 0);
    CHECK(sandbox_count("send-payments", "token_requests") == 3);
    plain_entries(key_file(path, "store-key", 7));
    CHECK(sandbox_count("send-payments", "token_requests") == 6); /* the first plain one was there */

    refused("mysql://shop:hunter2@127.0.0.1/0", "paytoken_config_set_store_url: Redis URL: begins with a scheme");
    refused("redis://shop:hunter2@127.0.0.1:port/0", "paytoken_config_set_store_url: Redis URL: ");
    refused("redis://shop:hun#ter2@127.0.0.1/0", "write it as %23");
    refused("redis+unix://socket?pass=hunter2", "three slashes");
    refused("redis+sentinel://shop:hunter2@127.0.0.1", "names no master");
    refused("hunter2", "is no address");
    away("redis://shop:hunter2@127.0.0.1:1/0", ECONNREFUSED);
    away("redis+unix:///nowhere/redis.sock?pass=hunter2", ENOENT);
    CHECK(sandbox_count("send-payments", "token_requests") == 6);
    hung_up(url);
    tls(url);
    return done("redis");
}
