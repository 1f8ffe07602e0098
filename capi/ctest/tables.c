/* The tables of docs/errors.md, row by row: each code of C is brought about. Arguments: NAME CODE for each row, as they stand
 * there; a row that nothing brings about fails. */
#include <sys/stat.h>
#include <sys/wait.h>

#include "ctest.h"

/* One attempt at a token, which fails. */
static int32_t asked(paytoken_config *config) {
    char buf[8192];
    paytoken_source *source = NULL;
    CODE(PAYTOKEN_OK, paytoken_config_set_retries(config, 0));
    int32_t code = paytoken_source_new(config, &source, NULL);
    paytoken_config_free(config);
    if (code == PAYTOKEN_OK) code = paytoken_source_token(source, 0, buf, sizeof buf, NULL, NULL);
    paytoken_source_free(source);
    return code;
}

static int32_t with_fault(const char *kind) {
    char path[128];
    snprintf(path, sizeof path, "/send-payments/fault?kind=%s&times=always", kind);
    sandbox("/reset");
    sandbox(path);
    int32_t code = asked(config_for(PAYTOKEN_SEND_PAYMENTS));
    sandbox("/reset");
    return code;
}

static int32_t certificate(void) {
    char pem[16384];
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    /* The server is of no authority in this file. */
    size_t length = read_file(variable("NTXPAY_CLIENT_CERT"), pem, sizeof pem);
    CODE(PAYTOKEN_OK, paytoken_config_set_root_certificates_pem(config, (const uint8_t *)pem, length));
    return asked(config);
}

static int32_t timeout(void) {
    sandbox("/reset");
    sandbox("/send-payments/hold");
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_timeout_ms(config, 200));
    int32_t code = asked(config);
    sandbox("/reset");
    return code;
}

/* A directory that is no store alone, and that others can read. */
static int32_t store(void) {
    char folder[512], note[600];
    snprintf(folder, sizeof folder, "%s/notes", variable("PAYTOKEN_WORK"));
    snprintf(note, sizeof note, "%s/note", folder);
    CHECK(mkdir(folder, 0755) == 0 && chmod(folder, 0755) == 0);
    FILE *file = fopen(note, "w");
    CHECK(file != NULL && fclose(file) == 0);
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    CODE(PAYTOKEN_OK, paytoken_config_set_store_directory(config, folder));
    int32_t code = asked(config);
    CHECK(unlink(note) == 0 && rmdir(folder) == 0);
    return code;
}

static int32_t works(void) {
    char buf[8192];
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    int32_t code = paytoken_source_token(source, 0, buf, sizeof buf, NULL, NULL);
    paytoken_source_free(source);
    return code;
}

static int32_t too_small(void) {
    char buf[4];
    size_t len = 0;
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    int32_t code = paytoken_source_token(source, 0, buf, sizeof buf, &len, NULL);
    /* "`*len` says what is needed, without the final NUL; call again". */
    char *enough = malloc(len + 1);
    CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, enough, len + 1, NULL, NULL));
    free(enough);
    paytoken_source_free(source);
    return code;
}

static int32_t invalid(void) {
    paytoken_config *config = config_for(PAYTOKEN_SEND_PAYMENTS);
    int32_t code = paytoken_config_set_client_id(config, "\xff");
    paytoken_config_free(config);
    return code;
}

static int32_t forked(void) {
    char buf[8192];
    int status = -1;
    sandbox("/reset");
    paytoken_source *source = source_from(config_for(PAYTOKEN_SEND_PAYMENTS));
    pid_t child = fork();
    if (child == 0) _exit(paytoken_source_token(source, 0, buf, sizeof buf, NULL, NULL));
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    paytoken_source_free(source);
    return WEXITSTATUS(status);
}

static int32_t null_argument(void) { return paytoken_config_set_timeout_ms(NULL, 1); }

static const struct {
    const char *name;
    int32_t (*run)(void);
    const char *fault;
} rows[] = {
    {"Configuration", NULL, "status=404"},
    {"Certificate", certificate, NULL},
    {"Transport", NULL, "reset"},
    {"Timeout", timeout, NULL},
    {"Rejected", NULL, "status=401"},
    {"Forbidden", NULL, "status=403"},
    {"RateLimited", NULL, "429"},
    {"ServerUnavailable", NULL, "status=503"},
    {"InvalidResponse", NULL, "malformed"},
    {"Store", store, NULL},
    {"PAYTOKEN_OK", works, NULL},
    {"PAYTOKEN_NULL_ARGUMENT", null_argument, NULL},
    {"PAYTOKEN_BUFFER_TOO_SMALL", too_small, NULL},
    {"PAYTOKEN_INVALID_ARGUMENT", invalid, NULL},
    {"PAYTOKEN_FORKED", forked, NULL},
    /* Nothing has it yet; and a defect, which panics.c makes. */
    {"PAYTOKEN_OTHER", NULL, NULL},
    {"PAYTOKEN_PANIC", NULL, NULL},
};

int main(int count, char **arguments) {
    size_t known = sizeof rows / sizeof *rows;
    CHECK((size_t)count == 1 + 2 * known);
    for (int i = 1; i + 1 < count; i += 2) {
        size_t row = 0;
        while (row < known && strcmp(rows[row].name, arguments[i]) != 0) row++;
        if (row == known) {
            failures++;
            fprintf(stderr, "nothing brings about the row %s\n", arguments[i]);
            continue;
        }
        int32_t code = (int32_t)atol(arguments[i + 1]);
        if (rows[row].run != NULL) CODE(code, rows[row].run());
        if (rows[row].fault != NULL) CODE(code, with_fault(rows[row].fault));
        /* The constant's own name, where the row gives it. */
        if (strncmp(arguments[i], "PAYTOKEN_", 9) == 0) CHECK(strcmp(paytoken_code_name(code), arguments[i]) == 0);
    }
    return done("tables");
}
