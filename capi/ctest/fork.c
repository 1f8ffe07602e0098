/* fork: a source of the parent's says so in the child, may be freed there, and a new one works. */
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
    return done("fork");
}
