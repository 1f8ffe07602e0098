/* Holds secrets and a token, then frees everything; stops at each stage for the caller to take a core dump.
 * Reads and writes without stdio, whose buffers would keep copies. */
#include <fcntl.h>

#include "ctest.h"

static void stop(const char *stage) {
    char byte;
    if (write(1, stage, strlen(stage)) < 0 || read(0, &byte, 1) != 1) exit(2);
}

/* From a file, so that the environment has no copy; wiped here once the config has its own. */
static void set_from_file(paytoken_config *config, const char *path, int is_key) {
    char text[8192];
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length < 0) exit(2);
    text[length] = 0;
    CODE(PAYTOKEN_OK, is_key ? paytoken_config_set_private_key_pem(config, (const uint8_t *)text, (size_t)length)
                             : paytoken_config_set_client_secret(config, text));
    paytoken_wipe(text, sizeof text);
}

int main(int count, char **arguments) {
    if (count != 5) return 2; /* ctest/core_dump: secret file, key file, token file, "fetch" or "no-fetch" */
    char pem[16384], token[8192];
    size_t length;
    paytoken_source *source = NULL;
    paytoken_config *config = paytoken_config_new(PAYTOKEN_NTX_PAY, PAYTOKEN_SANDBOX);
    CODE(PAYTOKEN_OK, paytoken_config_set_client_id(config, variable("NTXPAY_CLIENT_ID")));
    CODE(PAYTOKEN_OK, paytoken_config_set_base_url(config, variable("NTXPAY_BASE_URL")));
    length = read_file(variable("PAYTOKEN_CA"), pem, sizeof pem);
    CODE(PAYTOKEN_OK, paytoken_config_set_root_certificates_pem(config, (const uint8_t *)pem, length));
    length = read_file(variable("NTXPAY_CLIENT_CERT"), pem, sizeof pem);
    CODE(PAYTOKEN_OK, paytoken_config_set_certificate_pem(config, (const uint8_t *)pem, length));
    set_from_file(config, arguments[1], 0);
    set_from_file(config, arguments[2], 1);
    CODE(PAYTOKEN_OK, paytoken_source_new(config, &source, NULL));
    if (strcmp(arguments[4], "fetch") == 0) {
        CODE(PAYTOKEN_OK, paytoken_source_token(source, 0, token, sizeof token, &length, NULL));
        int file = open(arguments[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (write(file, token, length) != (ssize_t)length) return 2;
        close(file);
        paytoken_wipe(token, sizeof token);
    }
    stop("held\n");
    paytoken_config_free(config);
    paytoken_source_free(source);
    stop("freed\n");
    return failures != 0;
}
