/* fork: a source of the parent's says so in the child, may be freed there, and a new one works. */
#include <sys/wait.h>
#include <time.h>

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

/* A renewal in the background belongs to the parent: a child that frees the source waits for nobody. */
static void with_a_renewal_under_way(void) {
    char token[8192];
    int status = -1;
    sandbox("/reset");
    /* A token of 5 s is due for renewal after 4 s. */
    sandbox("/ntx-pay/lifetime?seconds=5");
    paytoken_config *config = config_for(PAYTOKEN_NTX_PAY);
    CODE(PAYTOKEN_OK, paytoken_config_set_renew_in_background(config, 1));
    paytoken_source *renewing = source_from(config);
    paytoken_status state = {.size = sizeof state};
    CODE(PAYTOKEN_OK, paytoken_source_token(renewing, 0, token, sizeof token, NULL, NULL));
    sandbox("/ntx-pay/fault?kind=delay=6000&times=always");
    for (int waited = 0; waited < 60000 && state.requests < 2; waited += 10) {
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
        CODE(PAYTOKEN_OK, paytoken_source_token(renewing, 0, token, sizeof token, NULL, NULL));
        CODE(PAYTOKEN_OK, paytoken_source_status(renewing, &state));
    }
    CHECK(state.requests == 2 && state.tokens == 1);
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    pid_t child = fork();
    if (child == 0) {
        paytoken_source_free(renewing);
        /* In place of _exit: valgrind would report what the parent's thread has in use as lost. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The parent still has its thread, and waits for that. */
    CODE(PAYTOKEN_OK, paytoken_source_status(renewing, &state));
    CHECK(state.tokens == 1);
    paytoken_source_free(renewing);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    CHECK(ended.tv_sec - began.tv_sec >= 2);
    sandbox("/reset");
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
    with_a_renewal_under_way();
    return done("fork");
}
