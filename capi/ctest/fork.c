/* fork: a source of the parent's says so in the child, may be freed there, and a new one works. A child that
 * was forked while the parent held a store's lock does not hold it for as long as it lives. */
#include <pthread.h>
#include <sys/wait.h>

#include "ctest.h"

static int in_child(paytoken_source *source) {
    char token[8192];
    paytoken_error *err = NULL;
    paytoken_status status = {.size = sizeof status};
    check_error(CODE(PAYTOKEN_FORKED, paytoken_source_token(source, 0, token, sizeof token, NULL, &err)), &err);
    CODE(PAYTOKEN_FORKED, paytoken_source_authorization(source, 0, token, sizeof token, NULL, NULL));
    CODE(PAYTOKEN_FORKED, paytoken_source_token_with(source, NULL, token, sizeof token, NULL, NULL));
    CODE(PAYTOKEN_FORKED, paytoken_source_invalidate(source, "x"));
    CODE(PAYTOKEN_FORKED, paytoken_source_status(source, &status));
    paytoken_source_free(source);
    source = source_from(config_for(PAYTOKEN_NEXTER_PAY));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
    return failures != 0;
}

static paytoken_source *source_with(const char *directory) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, directory));
    return source_from(config);
}

static void *fetch(void *source) {
    char token[8192];
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    return NULL;
}

static void locked_while_forking(void) {
    char directory[] = "/tmp/paytoken-fork-XXXXXX", token[8192], command[64], byte;
    pthread_t thread;
    int line[2], status = -1;
    sandbox("/reset");
    sandbox("/send-payments/delay?ms=500");
    CHECK(mkdtemp(directory) != NULL && pipe(line) == 0);
    paytoken_source *source = source_with(directory);
    CHECK(pthread_create(&thread, NULL, fetch, source) == 0);
    /* The lock is held from before the request to after its answer. */
    while (sandbox_count("send-payments", "max_concurrent_token_requests") == 0) sched_yield();
    pid_t child = fork();
    if (child == 0) {
        /* Does nothing but live, until the parent has closed its end. */
        close(line[1]);
        _exit(read(line[0], &byte, 1) == 0 ? 0 : 1);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sandbox_count("send-payments", "token_requests") == 1);
    paytoken_source_free(source);
    sandbox("/send-payments/delay?ms=0");
    source = source_with(directory);
    paytoken_token_options options = {.size = sizeof options, .flags = PAYTOKEN_FORCE, .deadline_ms = 10000};
    CODE(PAYTOKEN_OK, paytoken_source_token_with(source, &options, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
    close(line[1]);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(line[0]);
    snprintf(command, sizeof command, "rm -r %s", directory);
    CHECK(system(command) == 0);
}

int main(void) {
    char token[8192];
    int status = -1;
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_NEXTER_PAY));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    pid_t child = fork();
    if (child == 0) exit(in_child(source));
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The parent goes on. */
    CODE(PAYTOKEN_OK, paytoken_source_invalidate(source, token));
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, NULL, NULL));
    paytoken_source_free(source);
    locked_while_forking();
    return done("fork");
}
