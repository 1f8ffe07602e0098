/* Asks NTX Pay for the balance: a token, one request with libcurl, and one replay where the answer is 401.
 *
 *     cc balance.c $(pkg-config --cflags --libs paytoken libcurl) -o balance
 *
 * Reads NTXPAY_CLIENT_ID, NTXPAY_CLIENT_SECRET, NTXPAY_CLIENT_CERT, NTXPAY_CLIENT_KEY, NTXPAY_BASE_URL and PAYTOKEN_CA. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <paytoken.h>

/* Prints the error and frees it. */
static int fail(const char *what, int32_t code, paytoken_error *err) {
    fprintf(stderr, "%s: %s: %s\n", what, paytoken_code_name(code), paytoken_error_message(err));
    paytoken_error_free(err);
    return 1;
}

/* One GET; the body goes to stdout where the token is good. Gives the HTTP status, 0 where there was no answer. */
static long get(CURL *curl, const char *token, FILE *body) {
    char line[8300];
    long status = 0;
    snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    struct curl_slist *headers = curl_slist_append(NULL, line);
    paytoken_wipe(line, sizeof line);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    CURLcode result = curl_easy_perform(curl);
    if (result == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    } else {
        fprintf(stderr, "balance: %s\n", curl_easy_strerror(result));
    }
    curl_slist_free_all(headers);
    return status;
}

int main(void) {
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    int32_t code = paytoken_config_from_env(PAYTOKEN_NTX_PAY, &config, &err);
    if (code != PAYTOKEN_OK) return fail("settings", code, err);
    code = paytoken_source_new(config, &source, &err); /* once, at the start of the program */
    paytoken_config_free(config);
    if (code != PAYTOKEN_OK) return fail("settings", code, err);

    char url[512], token[8192];
    const char *base = getenv("NTXPAY_BASE_URL");
    snprintf(url, sizeof url, "%s/api/balance", base ? base : "https://sandbox.mx.ntxpay.com");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 15000L);
    if (getenv("PAYTOKEN_CA")) curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("PAYTOKEN_CA"));
    curl_easy_setopt(curl, CURLOPT_SSLCERT, getenv("NTXPAY_CLIENT_CERT"));
    curl_easy_setopt(curl, CURLOPT_SSLKEY, getenv("NTXPAY_CLIENT_KEY"));

    long status = 0;
    for (int attempt = 1; attempt <= 2; attempt++) {
        FILE *body = tmpfile();
        code = paytoken_source_token(source, 0, token, sizeof token, NULL, &err);
        if (code != PAYTOKEN_OK) {
            fail("token", code, err);
            fclose(body);
            break;
        }
        status = get(curl, token, body);
        if (status == 401) {
            /* It did nothing: tell the source, and send it once more with a new token. */
            paytoken_source_invalidate(source, token);
            if (attempt == 1) fprintf(stderr, "balance: 401, once more\n");
        }
        if (status == 200) {
            int byte;
            rewind(body);
            while ((byte = getc(body)) != EOF) putchar(byte);
            putchar('\n');
        }
        fclose(body);
        if (status != 401) break;
    }
    paytoken_wipe(token, sizeof token);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    paytoken_source_free(source);
    if (status != 200) fprintf(stderr, "balance: HTTP status %ld\n", status);
    return status == 200 ? 0 : 1;
}
