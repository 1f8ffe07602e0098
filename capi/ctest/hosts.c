/* Hosts with a global lock, as Ruby's or Python's: every call that is not marked "Blocks:" in the header is made with the
 * lock held, the others without it, and the log callback wants it. Nobody may wait for ever: a watchdog sees to that.
 *
 * parts/symbols.sh compares the functions named in held() and released() below with those that the header marks. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "ctest.h"

#define WORKERS 8
#define SECONDS 3
#define LONGEST 120 /* under valgrind, on a busy machine */

static pthread_mutex_t host = PTHREAD_MUTEX_INITIALIZER;
static char certificate[16384], key[16384];
static size_t certificate_length, key_length;

static void watchdog(int signal) {
    static const char text[] = "hosts: a deadlock: nothing has come back\n";
    (void)signal;
    if (write(2, text, sizeof text - 1)) _exit(3);
    _exit(3);
}

/* A host's callback: it wants the global lock before it does anything. */
typedef struct receiver {
    int records;
    int is_released;
} receiver;

static void wants_the_lock(void *context, uint32_t level, const char *message) {
    receiver *own = context;
    pthread_mutex_lock(&host);
    CHECK(!own->is_released && level > PAYTOKEN_LOG_OFF && strlen(message) > 10);
    own->records++;
    pthread_mutex_unlock(&host);
}

static void ignore(void *context, uint32_t level, const char *message) {
    (void)context, (void)level, (void)message;
}

/* Every function that does not block, by a thread that holds the lock. */
static void held(const paytoken_source *source) {
    char text[8192] = "x";
    uint32_t level = 9;
    paytoken_error *err = NULL;
    paytoken_status status = {.size = sizeof status};
    pthread_mutex_lock(&host);
    uint32_t provider = 0;
    CODE(PAYTOKEN_OK, paytoken_provider_describe("{\"name\": \"hosts\", \"token_endpoint\": \"/token\", "
                                                 "\"auth\": \"client_secret_basic\", \"renewal\": \"coexists\"}",
                                                 &provider, &err));
    paytoken_config *config = paytoken_config_new(provider, PAYTOKEN_SANDBOX);
    CODE(PAYTOKEN_OK, paytoken_config_set_client_id(config, "id"));
    CODE(PAYTOKEN_OK, paytoken_config_set_value(config, "scope", "read"));
    CODE(PAYTOKEN_OK, paytoken_config_set_client_secret(config, "secret"));
    CODE(PAYTOKEN_OK, paytoken_config_set_certificate_pem(config, (const uint8_t *)certificate, certificate_length));
    CODE(PAYTOKEN_OK, paytoken_config_set_private_key_pem(config, (const uint8_t *)key, key_length));
    CODE(PAYTOKEN_OK, paytoken_config_set_root_certificates_pem(config, (const uint8_t *)certificate, certificate_length));
    CODE(PAYTOKEN_OK, paytoken_config_set_certificate_injected_by_proxy(config));
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, "https://host.invalid"));
    CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, 1));
    CODE(PAYTOKEN_OK, paytoken_config_set_connect_timeout_ms(config, 1));
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 1));
    CODE(PAYTOKEN_OK, paytoken_config_set_user_agent(config, "x"));
    CODE(PAYTOKEN_OK, paytoken_config_set_proxy(config, ""));
    CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, 1));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, "x"));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_url(config, "redis://host.invalid"));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_key_file(config, "x"));
    CODE(PAYTOKEN_OK, paytoken_config_set_accept_unsealed(config, "read"));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_ca_file(config, "x"));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_certificate_file(config, "x"));
    CODE(PAYTOKEN_OK, paytoken_config_set_store_private_key_file(config, "x"));
    CHECK(strcmp(paytoken_config_error_message(config), "") == 0);
    paytoken_config_free(config);
    CODE(PAYTOKEN_OK, paytoken_source_status(source, &status));
    /* The one with a flag: what it says of itself holds with PAYTOKEN_CACHED_ONLY. */
    paytoken_token_options cached = {.size = sizeof cached, .flags = PAYTOKEN_CACHED_ONLY};
    int32_t (*token_with)(const paytoken_source *, const paytoken_token_options *, char *, size_t, size_t *,
                          paytoken_error **) = paytoken_source_token_with;
    token_with(source, &cached, text, sizeof text, NULL, &err);
    paytoken_error_message(err);
    paytoken_error_code(err);
    paytoken_error_http_status(err);
    paytoken_error_retry_after_ms(err);
    paytoken_error_is_retryable(err);
    paytoken_error_os_code(err);
    paytoken_error_free(err);
    while (paytoken_log_next(text, sizeof text, NULL, &level) == PAYTOKEN_OK && level != PAYTOKEN_LOG_OFF) continue;
    paytoken_wipe(text, sizeof text);
    CHECK(strlen(paytoken_version()) + strlen(paytoken_code_name(0)) > 0);
    pthread_mutex_unlock(&host);
}

/* And those that change who gets records: the callback before may be running, and want the lock. */
static void held_while_logging(uint32_t level, paytoken_log_callback callback, void *context) {
    pthread_mutex_lock(&host);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(level, callback, context));
    CODE(PAYTOKEN_OK, paytoken_set_log_queue(level, 4));
    CHECK(paytoken_log_callbacks_running() <= WORKERS + 1);
    pthread_mutex_unlock(&host);
}

/* Every function that may block, without the lock. */
static void released(void) {
    char token[8192];
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    CODE(PAYTOKEN_OK, paytoken_config_from_env(PAYTOKEN_NEXTER_PAY, &config, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_new(config, &source, NULL));
    paytoken_config_free(config);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_authorization(source, 0, token, sizeof token, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
    CODE(PAYTOKEN_OK, paytoken_source_invalidate_with(source, token, NULL, NULL));
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
}

static int is_over;
static paytoken_source *shared;

static void *work(void *argument) {
    (void)argument;
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
        released();
        held(shared);
    }
    return NULL;
}

/* While the workers log, the callback is set and unset with the lock held, and each context is freed as soon as the
 * library says that it is not used any more. */
static void in_the_midst(void) {
    pthread_t workers[WORKERS];
    time_t end = time(NULL) + SECONDS;
    long rounds = 0, records = 0;
    for (int i = 0; i < WORKERS; i++) CHECK(pthread_create(&workers[i], NULL, work, NULL) == 0);
    /* Until there was something to see, too: a slow machine takes longer. */
    while (time(NULL) < end || records < 20 || rounds < 6) {
        receiver *own = calloc(1, sizeof *own);
        held_while_logging(PAYTOKEN_LOG_DEBUG, wants_the_lock, own);
        struct timespec moment = {0, 5 * 1000 * 1000};
        nanosleep(&moment, NULL);
        held_while_logging(PAYTOKEN_LOG_OFF, NULL, NULL);
        while (paytoken_log_callbacks_running() != 0) {
            /* The callback needs a chance to get the lock. */
            nanosleep(&moment, NULL);
        }
        pthread_mutex_lock(&host);
        records += own->records;
        own->is_released = 1;
        pthread_mutex_unlock(&host);
        free(own);
        rounds++;
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < WORKERS; i++) CHECK(pthread_join(workers[i], NULL) == 0);
    printf("       hosts: %ld times set and unset, %ld records\n", rounds, records);
}

/* ---- While a callback runs, on whatever occasion, all that does not block is to be had by another thread ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const paytoken_source *source;
    int asked, done, is_over, records;
} other = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *serve(void *argument) {
    (void)argument;
    pthread_mutex_lock(&other.lock);
    while (!other.is_over) {
        if (other.asked == other.done) {
            pthread_cond_wait(&other.changed, &other.lock);
            continue;
        }
        pthread_mutex_unlock(&other.lock);
        held(other.source);
        CODE(PAYTOKEN_OK, paytoken_set_log_queue(PAYTOKEN_LOG_DEBUG, 8));
        CHECK(paytoken_log_callbacks_running() == 0);
        pthread_mutex_lock(&other.lock);
        other.done++;
        pthread_cond_broadcast(&other.changed);
    }
    pthread_mutex_unlock(&other.lock);
    return NULL;
}

static void waits_for_another(void *context, uint32_t level, const char *message) {
    (void)context, (void)level;
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LONGEST / 4;
    pthread_mutex_lock(&other.lock);
    int own = ++other.asked, late = 0;
    other.records++;
    pthread_cond_broadcast(&other.changed);
    while (other.done < own && late == 0) late = pthread_cond_timedwait(&other.changed, &other.lock, &limit);
    pthread_mutex_unlock(&other.lock);
    if (late != 0) {
        fprintf(stderr, "a lock is held while this is told: %s\n", message);
        _exit(3);
    }
}

static void on_every_occasion(void) {
    static const char *const faults[] = {"none", "reset", "status=503", "status=401", "429=5", "malformed"};
    char path[256], directory[512], command[600], token[8192];
    pthread_t server;
    snprintf(directory, sizeof directory, "%s/hosts-XXXXXX", variable("PAYTOKEN_WORK"));
    CHECK(mkdtemp(directory) != NULL);
    CHECK(pthread_create(&server, NULL, serve, NULL) == 0);
    for (size_t fault = 0; fault < sizeof faults / sizeof *faults; fault++) {
        for (int with_store = 0; with_store < 2; with_store++) {
            sandbox("/reset");
            paytoken_config *config = config_for(PAYTOKEN_NTX_PAY);
            CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 1));
            if (with_store) CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, directory));
            paytoken_source *source = source_from(config);
            other.source = source;
            CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, waits_for_another, NULL));
            int before = other.records;
            snprintf(path, sizeof path, "/ntx-pay/fault?kind=%s&times=1", faults[fault]);
            sandbox(path);
            paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
            paytoken_source_token_with(source, &force, token, sizeof token, NULL, NULL);
            paytoken_source_token(source, 0, token, sizeof token, NULL, NULL);
            CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &force, token, sizeof token, NULL, NULL));
            CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
            CHECK(other.records >= before + 4);
            CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
            paytoken_source_free(source);
        }
    }
    pthread_mutex_lock(&other.lock);
    other.is_over = 1;
    pthread_cond_broadcast(&other.changed);
    pthread_mutex_unlock(&other.lock);
    CHECK(pthread_join(server, NULL) == 0);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    CHECK(system(command) == 0);
}

/* A daemon that has closed its first three descriptors, and writes to them all the same: they are closed or lead nowhere, or the
 * daemon's lines would be in an entry or go to the provider. */
static void finds_its_own_closed(void *context, uint32_t level, const char *message) {
    (void)level, (void)message;
    int *records = context;
    struct stat nowhere, own;
    if (stat("/dev/null", &nowhere) != 0) _exit(3);
    for (int descriptor = 0; descriptor < 3; descriptor++)
        if (fstat(descriptor, &own) == 0 && own.st_rdev != nowhere.st_rdev) _exit(4);
    (*records)++;
}

static void without_standard_descriptors(void) {
    char store[4096];
    snprintf(store, sizeof store, "%s/closed-%d", variable("PAYTOKEN_WORK"), (int)getpid()); /* hosts runs more than once */
    pid_t child = fork();
    if (child == 0) {
        for (int descriptor = 0; descriptor < 3; descriptor++) close(descriptor);
        int records = 0;
        paytoken_config *config = config_for(PAYTOKEN_NEXTER_PAY);
        paytoken_source *source = NULL;
        char token[8192];
        if (paytoken_config_set_store_directory(config, store) != PAYTOKEN_OK) _exit(5);
        if (paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, finds_its_own_closed, &records) != PAYTOKEN_OK) _exit(6);
        if (paytoken_source_new(config, &source, NULL) != PAYTOKEN_OK) _exit(7);
        paytoken_config_free(config);
        if (paytoken_source_token(source, 0, token, sizeof token, NULL, NULL) != PAYTOKEN_OK) _exit(8);
        finds_its_own_closed(&records, 0, ""); /* the connection is kept */
        paytoken_source_free(source);
        paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL);
        _exit(records < 3 ? 9 : 0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0) fprintf(stderr, "status %x\n", status);
    CHECK(status == 0);
}

/* While a request is made, this process has the lock's file open; a program that it starts then has not. */
static void starts_a_program(void *context, uint32_t level, const char *message) {
    char command[128];
    int *times = context;
    (void)level;
    if (strstr(message, "requesting") == NULL) return;
    snprintf(command, sizeof command, "ls -l /proc/%d/fd | grep -q '[.]lock$'", (int)getpid());
    CHECK(system(command) == 0 && system("ls -l /proc/self/fd | grep '[.]lock$'") != 0);
    ++*times;
}

static void nothing_is_inherited(void) {
    char store[512], token[8192];
    int times = 0;
    if (access("/proc/self/fd", R_OK) != 0) return;
    snprintf(store, sizeof store, "%s/hosts-XXXXXX", variable("PAYTOKEN_WORK"));
    CHECK(mkdtemp(store) != NULL);
    paytoken_config *config = config_for(PAYTOKEN_NEXTER_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, store));
    paytoken_source *source = source_from(config);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, starts_a_program, &times));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_OFF, NULL, NULL));
    CHECK(times == 1);
    paytoken_source_free(source);
}

/* A server that hangs up at once: whoever goes on writing to it gets SIGPIPE, which ends this process, unless the library
 * writes so that there is none. */
static void *hangs_up(void *argument) {
    int connection;
    while ((connection = accept(*(int *)argument, NULL, NULL)) >= 0) close(connection);
    return NULL;
}

static void no_signal_where_the_server_hangs_up(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char url[64], token[8192];
    pthread_t server;
    signal(SIGPIPE, SIG_DFL);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 16) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    CHECK(pthread_create(&server, NULL, hangs_up, &listener) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    paytoken_config *config = config_for(PAYTOKEN_NEXTER_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, url));
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    paytoken_source *source = source_from(config);
    paytoken_token_options force = {.size = sizeof force, .flags = PAYTOKEN_FORCE};
    for (int i = 0; i < 200; i++) CODE(PAYTOKEN_TRANSPORT, paytoken_source_token_with(source, &force, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
    shutdown(listener, SHUT_RDWR);
    CHECK(pthread_join(server, NULL) == 0);
    close(listener);
}

int main(void) {
    signal(SIGALRM, watchdog);
    alarm(LONGEST);
    certificate_length = read_file(variable("NTXPAY_CLIENT_CERT"), certificate, sizeof certificate);
    key_length = read_file(variable("NTXPAY_CLIENT_KEY"), key, sizeof key);
    sandbox("/reset");
    without_standard_descriptors();
    nothing_is_inherited();
    no_signal_where_the_server_hangs_up();
    shared = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    in_the_midst();
    paytoken_source_free(shared);
    CODE(PAYTOKEN_OK, paytoken_set_log_callback(PAYTOKEN_LOG_DEBUG, ignore, NULL));
    on_every_occasion();
    CODE(PAYTOKEN_OK, paytoken_set_log_queue(PAYTOKEN_LOG_OFF, 0));
    return done("hosts");
}
