#include <paytoken.h>
#include <stdio.h>
#include <string.h>
int main(void) { /* Erlang's {packet, 2} both ways: one byte asks, a letter and a text answer */
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    paytoken_error *error = NULL;
    char asked[3], text[8300];
    while (fread(asked, 1, 3, stdin) == 3) { /* else Erlang has closed the port, or is gone */
        int32_t code = source ? PAYTOKEN_OK : paytoken_config_from_env(PAYTOKEN_SEND_PAYMENTS, &config, &error);
        if (code == PAYTOKEN_OK && !source) code = paytoken_source_new(config, &source, &error);
        if (code == PAYTOKEN_OK) code = paytoken_source_authorization(source, 0, text, sizeof text, NULL, &error);
        char kind = code == PAYTOKEN_OK ? 't' : paytoken_error_is_retryable(error) ? 'o' : 'r';
        if (code != PAYTOKEN_OK) snprintf(text, sizeof text, "%s", paytoken_error_message(error));
        printf("%c%c%c%s", (int)(strlen(text) + 1) >> 8, (int)(strlen(text) + 1) & 255, kind, text), fflush(stdout);
        paytoken_error_free(error), error = NULL;
        if (!source) paytoken_config_free(config), config = NULL;
    }
    paytoken_source_free(source), paytoken_config_free(config), paytoken_wipe(text, sizeof text);
}
