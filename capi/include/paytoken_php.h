#define FFI_SCOPE "paytoken"
#define FFI_LIB "libpaytoken.so.0"
/* Made from paytoken.h, which explains each line, by capi/languages/declarations: do not edit. */
enum {
    PAYTOKEN_NTX_PAY = 1,
    PAYTOKEN_NEXTER_PAY = 2,
    PAYTOKEN_SEND_PAYMENTS = 3,
    PAYTOKEN_SANDBOX = 1,
    PAYTOKEN_PRODUCTION = 2,
    PAYTOKEN_OK = 0,
    PAYTOKEN_CONFIGURATION = 1,
    PAYTOKEN_CERTIFICATE = 2,
    PAYTOKEN_TRANSPORT = 3,
    PAYTOKEN_TIMEOUT = 4,
    PAYTOKEN_REJECTED = 5,
    PAYTOKEN_FORBIDDEN = 6,
    PAYTOKEN_RATE_LIMITED = 7,
    PAYTOKEN_SERVER_UNAVAILABLE = 8,
    PAYTOKEN_INVALID_RESPONSE = 9,
    PAYTOKEN_STORE = 10,
    PAYTOKEN_OTHER = 99,
    PAYTOKEN_NULL_ARGUMENT = 100,
    PAYTOKEN_BUFFER_TOO_SMALL = 101,
    PAYTOKEN_PANIC = 102,
    PAYTOKEN_INVALID_ARGUMENT = 103,
    PAYTOKEN_FORKED = 104,
    PAYTOKEN_RENEW_IF_TOKENS_COEXIST = 2,
    PAYTOKEN_FORCE = 1,
    PAYTOKEN_CACHED_ONLY = 2,
    PAYTOKEN_AUTHORIZATION = 4,
    PAYTOKEN_INVALIDATED_DROPPED = 1,
    PAYTOKEN_INVALIDATED_SUPERSEDED = 2,
    PAYTOKEN_INVALIDATED_UNKNOWN = 3,
    PAYTOKEN_LOG_OFF = 0,
    PAYTOKEN_LOG_ERROR = 1,
    PAYTOKEN_LOG_WARN = 2,
    PAYTOKEN_LOG_INFO = 3,
    PAYTOKEN_LOG_DEBUG = 4,
};
const char *paytoken_code_name(int32_t code);
typedef struct paytoken_config paytoken_config;
typedef struct paytoken_source paytoken_source;
typedef struct paytoken_error paytoken_error;
int32_t paytoken_provider_describe(const char *json, uint32_t *provider, paytoken_error **err);
paytoken_config *paytoken_config_new(uint32_t provider, uint32_t environment);
int32_t paytoken_config_from_env(uint32_t provider, paytoken_config **out, paytoken_error **err);
int32_t paytoken_config_set_client_id(paytoken_config *config, const char *id);
int32_t paytoken_config_set_client_secret(paytoken_config *config, const char *secret);
int32_t paytoken_config_set_value(paytoken_config *config, const char *name, const char *value);
int32_t paytoken_config_set_certificate_pem(paytoken_config *config, const uint8_t *pem, size_t len);
int32_t paytoken_config_set_certificate_injected_by_proxy(paytoken_config *config);
int32_t paytoken_config_set_private_key_pem(paytoken_config *config, const uint8_t *pem, size_t len);
int32_t paytoken_config_set_root_certificates_pem(paytoken_config *config, const uint8_t *pem, size_t len);
int32_t paytoken_config_set_base_url(paytoken_config *config, const char *url);
int32_t paytoken_config_set_timeout_ms(paytoken_config *config, uint64_t limit_ms);
int32_t paytoken_config_set_connect_timeout_ms(paytoken_config *config, uint64_t limit_ms);
int32_t paytoken_config_set_retries(paytoken_config *config, uint32_t retries);
int32_t paytoken_config_set_user_agent(paytoken_config *config, const char *name);
int32_t paytoken_config_set_proxy(paytoken_config *config, const char *url);
int32_t paytoken_config_set_renew_in_background(paytoken_config *config, int32_t on);
int32_t paytoken_config_set_store_directory(paytoken_config *config, const char *directory);
int32_t paytoken_config_set_store_url(paytoken_config *config, const char *url);
int32_t paytoken_config_set_store_key_file(paytoken_config *config, const char *path);
int32_t paytoken_config_set_accept_unsealed(paytoken_config *config, const char *what);
int32_t paytoken_config_set_store_ca_file(paytoken_config *config, const char *path);
int32_t paytoken_config_set_store_certificate_file(paytoken_config *config, const char *path);
int32_t paytoken_config_set_store_private_key_file(paytoken_config *config, const char *path);
const char *paytoken_config_error_message(const paytoken_config *config);
void paytoken_config_free(paytoken_config *config);
int32_t paytoken_source_new(const paytoken_config *config, paytoken_source **out, paytoken_error **err);
int32_t paytoken_source_token(const paytoken_source *source, uint64_t min_validity_ms, char *buf, size_t cap, size_t *len, paytoken_error **err);
int32_t paytoken_source_authorization(const paytoken_source *source, uint64_t min_validity_ms, char *buf, size_t cap, size_t *len, paytoken_error **err);
typedef struct paytoken_token_options {
    uint32_t size;
    uint32_t flags;
    uint64_t min_validity_ms;
    uint64_t deadline_ms;
} paytoken_token_options;
int32_t paytoken_source_token_with(const paytoken_source *source, const paytoken_token_options *options, char *buf, size_t cap, size_t *len, paytoken_error **err);
int32_t paytoken_source_invalidate(const paytoken_source *source, const char *rejected_token);
int32_t paytoken_source_invalidate_with(const paytoken_source *source, const char *rejected_token, int32_t *result, paytoken_error **err);
void paytoken_source_free(paytoken_source *source);
typedef struct paytoken_status {
    uint32_t size;
    int32_t last_error_code;
    uint32_t provider;
    uint32_t environment;
    uint64_t requests;
    uint64_t tokens;
    uint64_t failures;
    uint64_t invalidations;
    int64_t token_age_ms;
    int64_t token_remaining_ms;
    int64_t token_expires_at_ms;
    int64_t blocked_for_ms;
    int64_t last_error_age_ms;
    int64_t certificate_not_after_ms;
    int64_t store_error_age_ms;
} paytoken_status;
int32_t paytoken_source_status(const paytoken_source *source, paytoken_status *status);
const char *paytoken_error_message(const paytoken_error *error);
int32_t paytoken_error_code(const paytoken_error *error);
int32_t paytoken_error_http_status(const paytoken_error *error);
int64_t paytoken_error_retry_after_ms(const paytoken_error *error);
int32_t paytoken_error_is_retryable(const paytoken_error *error);
int32_t paytoken_error_os_code(const paytoken_error *error);
void paytoken_error_free(paytoken_error *error);
typedef void (*paytoken_log_callback)(void *context, uint32_t level, const char *message);
int32_t paytoken_set_log_callback(uint32_t level, paytoken_log_callback callback, void *context);
uint32_t paytoken_log_callbacks_running(void);
int32_t paytoken_set_log_queue(uint32_t level, uint32_t capacity);
int32_t paytoken_log_next(char *buf, size_t cap, size_t *len, uint32_t *level);
void paytoken_wipe(void *memory, size_t len);
const char *paytoken_version(void);
