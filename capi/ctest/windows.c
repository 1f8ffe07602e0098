/* For .ci/platforms, on Windows: `windows DIRECTORY` prints the beginning of a token from the store in this directory;
 * `windows unload COPY.dll` shows that the library stays loaded once a source was made. */
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "paytoken.h"

static int fail(const char *what, int32_t code, paytoken_error *err) {
    printf("%s: %s: %s\n", what, paytoken_code_name(code), paytoken_error_message(err));
    paytoken_error_free(err);
    return code;
}

static int token(const char *directory) {
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    paytoken_error *err = NULL;
    char text[8192];
    int32_t code = paytoken_config_from_env(PAYTOKEN_NEXTER_PAY, &config, &err);
    if (code != PAYTOKEN_OK) return fail("settings", code, err);
    code = paytoken_config_set_store_directory(config, directory);
    if (code == PAYTOKEN_OK) code = paytoken_source_new(config, &source, &err);
    paytoken_config_free(config);
    if (code != PAYTOKEN_OK) return fail("source", code, err);
    code = paytoken_source_token(source, 0, text, sizeof text, NULL, &err);
    if (code != PAYTOKEN_OK) return fail("token", code, err);
    paytoken_source_free(source);
    printf("%.40s\n", text);
    return 0;
}

#define FUNCTION(name) __typeof__(paytoken_##name) *name = (__typeof__(paytoken_##name) *)(void *)GetProcAddress(library, "paytoken_" #name)

static int unload(const char *path) {
    HMODULE library = LoadLibraryA(path);
    if (library == NULL) return printf("%s: not loaded\n", path), 1;
    FreeLibrary(library);
    if (GetModuleHandleA(path) != NULL) return printf("it stays loaded without a source\n"), 1;
    library = LoadLibraryA(path);
    FUNCTION(config_from_env);
    FUNCTION(config_free);
    FUNCTION(source_new);
    FUNCTION(source_free);
    paytoken_config *config = NULL;
    paytoken_source *source = NULL;
    if (config_from_env(PAYTOKEN_NEXTER_PAY, &config, NULL) != PAYTOKEN_OK) return printf("no config\n"), 1;
    if (source_new(config, &source, NULL) != PAYTOKEN_OK) return printf("no source\n"), 1;
    source_free(source);
    config_free(config);
    for (int i = 0; i < 10; i++) FreeLibrary(library);
    if (GetModuleHandleA(path) != library) return printf("it was unloaded\n"), 1;
    printf("stays loaded\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "unload") == 0) return unload(argv[2]);
    if (argc == 2) return token(argv[1]);
    return 64;
}
