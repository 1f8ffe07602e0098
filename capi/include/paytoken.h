/*
 * paytoken: bearer tokens of payment providers' APIs, obtained, cached and renewed.
 *
 *     paytoken_config  --paytoken_source_new-->  paytoken_source  --paytoken_source_token-->  your buffer
 *     (one thread)                               (any thread)
 *
 * Rules that hold for every function below
 *
 *   NULL        Every pointer argument may be NULL. Where it says "may be NULL", that has a
 *               meaning; elsewhere the answer is PAYTOKEN_NULL_ARGUMENT (functions that return a
 *               code) or the value named with the function. free(NULL) does nothing.
 *   Results     An int32_t called a code is PAYTOKEN_OK or one of the numbers below, which never
 *               change their meaning.
 *   Outputs     come last and are written on success only. Two exceptions: *len is also written
 *               with PAYTOKEN_BUFFER_TOO_SMALL, and *err always.
 *   *err        Where err is not NULL, *err becomes NULL with PAYTOKEN_OK and with
 *               PAYTOKEN_BUFFER_TOO_SMALL, and a new object with every other code: free it with
 *               paytoken_error_free. What was in *err before is not read, so free an object before
 *               you pass its variable again.
 *   Strings in  are NUL-terminated UTF-8, copied before the function returns. Bytes in come with
 *               their length, likewise.
 *   Strings out are copied into your buffer, with a final NUL. Pointers that functions return live
 *               as long as is said with them, and are not yours to free.
 *   Threads     A paytoken_source and a paytoken_error may be used from any threads at once,
 *               without a lock of yours. A paytoken_config may be used from any thread, from one at
 *               a time. A *_free must be the last use of its object, and happens once.
 *   Stack       64 KiB are enough for every function, with the library as `make install` builds it
 *               (your buffers, and what a log callback needs, come on top). A library without
 *               optimisation needs more.
 *   Panics      A defect inside the library comes back as PAYTOKEN_PANIC (or as the value named
 *               with the function) and leaves a line on stderr. The object stays usable.
 *   fork        A source made before fork() answers PAYTOKEN_FORKED in the child (its locks may be
 *               held by threads that are not there, its TLS connections belong to the parent); it,
 *               and every other object, may be freed there. Make sources in the child. Where the
 *               parent has threads, POSIX allows nothing but async-signal-safe functions in the child
 *               until exec: paytoken's are not among them, so fork first, then start threads.
 *               Processes that serve one account share its token with
 *               paytoken_config_set_store_directory, machines with paytoken_config_set_store_url.
 *               No file descriptor of the library's is inherited through exec, and none is 0, 1 or
 *               2: where you have closed those, /dev/null takes their place, and stays.
 *   Signals     No function may be called from a signal handler. None raises SIGPIPE.
 *   Secrets     Copies that the library makes of secrets and tokens are wiped when their object is
 *               freed. Those in your memory are yours to wipe: paytoken_wipe. Messages and log
 *               records never hold one.
 *   Blocking    What can block says so in a line that begins with "Blocks:". Everything else comes
 *               back at once, and may be called with a lock of yours held (a host's global lock, an
 *               event loop's thread).
 *   Unloading   Free all objects, end the log callback and wait until
 *               paytoken_log_callbacks_running() gives 0; then dlclose at once.
 *               paytoken_source_free waits for a renewal in the background, and for attempts to
 *               connect to addresses that do not answer. One thread may be left, for each host name
 *               whose look-up hangs in the system's resolver: nobody can end it.
 *               So the shared object stays mapped (-z nodelete); where you link the archive into a
 *               plug-in, link that with -Wl,-z,nodelete.
 *
 * Links with -lpaytoken (pkg-config paytoken). C99, C++11.
 */
#ifndef PAYTOKEN_H
#define PAYTOKEN_H

#include <stddef.h>
#include <stdint.h>

/* The header's version; paytoken_version() is the library's. From 0.1.0 on, as long as the SONAME
 * is libpaytoken.so.0, functions, constants and struct members are added and none is changed. No
 * struct has padding, on any target. */
#define PAYTOKEN_VERSION "0.1.0"
#define PAYTOKEN_VERSION_MAJOR 0
#define PAYTOKEN_VERSION_MINOR 1
#define PAYTOKEN_VERSION_PATCH 0

/* Define PAYTOKEN_API before the inclusion to decorate the declarations otherwise. */
#ifndef PAYTOKEN_API
#if defined(_WIN32) && !defined(PAYTOKEN_STATIC)
#define PAYTOKEN_API __declspec(dllimport)
#elif defined(__GNUC__)
#define PAYTOKEN_API __attribute__((visibility("default")))
#else
#define PAYTOKEN_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Providers and environments -----------------------------------------------------------------
 * None is 0, so that a number that was never set is noticed. paytoken_provider_describe gives a
 * number to any other provider. */

#define PAYTOKEN_NTX_PAY 1       /* NTX Pay: client id, client secret, client certificate */
#define PAYTOKEN_NEXTER_PAY 2    /* NexterPay: user name, password */
#define PAYTOKEN_SEND_PAYMENTS 3 /* Send Payments: client id, client secret. A new token invalidates
                                    the previous one: make one source per client id, and share
                                    it. */

#define PAYTOKEN_SANDBOX 1    /* the provider's test system */
#define PAYTOKEN_PRODUCTION 2 /* real money */

/* ---- Codes ----------------------------------------------------------------------------------- */

#define PAYTOKEN_OK 0
#define PAYTOKEN_CONFIGURATION 1      /* a setting is missing or wrong; nothing was sent, unless only
                                         the answer shows it: the address is the wrong one (404, 405,
                                         407, 410, 501), or no token lives for min_validity_ms */
#define PAYTOKEN_CERTIFICATE 2        /* a certificate or key is unusable, expired, or not accepted
                                         by the other side */
#define PAYTOKEN_TRANSPORT 3          /* the network: name resolution, connection, TLS, a cut
                                         answer */
#define PAYTOKEN_TIMEOUT 4            /* the time-out was reached */
#define PAYTOKEN_REJECTED 5           /* the provider refused the request, as a rule for its
                                         credentials (400, 401, other 4xx without a code of their
                                         own); remembered, not asked at once */
#define PAYTOKEN_FORBIDDEN 6          /* the provider knows the account and refuses it (403) */
#define PAYTOKEN_RATE_LIMITED 7       /* the provider asks for fewer requests (429) */
#define PAYTOKEN_SERVER_UNAVAILABLE 8 /* the provider is failing (5xx, or 408) */
#define PAYTOKEN_INVALID_RESPONSE 9   /* the answer is not what the provider's document says, or a
                                         redirect, never followed */
#define PAYTOKEN_STORE 10             /* the store shared between processes could not be used */
#define PAYTOKEN_OTHER 99             /* a failure that has no number of its own yet */
#define PAYTOKEN_NULL_ARGUMENT 100    /* a pointer that is needed is NULL */
#define PAYTOKEN_BUFFER_TOO_SMALL 101 /* *len says what is needed, without the final NUL; nothing is
                                         lost: call again */
#define PAYTOKEN_PANIC 102            /* a defect in the library */
#define PAYTOKEN_INVALID_ARGUMENT 103 /* an argument is not UTF-8, not one of its constants, or a
                                         size is not set */
#define PAYTOKEN_FORKED 104           /* the source was made before fork() and this is the child */

/* The code's name, such as "PAYTOKEN_REJECTED"; "unknown code" for other numbers. Static: never
 * freed, always valid. */
PAYTOKEN_API const char *paytoken_code_name(int32_t code);

/* ---- Objects --------------------------------------------------------------------------------- */

typedef struct paytoken_config paytoken_config;
typedef struct paytoken_source paytoken_source;
typedef struct paytoken_error paytoken_error;

/* ---- Other providers -------------------------------------------------------------------------- */

/* Describes a token endpoint of your own, as JSON; docs/describing-a-provider.md lists the keys:
 *     {"name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
 *      "auth": "client_secret_basic", "renewal": "coexists"}
 * *provider becomes its number, for every function that takes or returns a provider. It is good as
 * long as the process lives, and in children that it forks; the same description again gives the
 * same number. Other processes may have other numbers: hand on the description. Checks it and sends
 * nothing. A description holds no secrets: those are set on a config. Any thread may call it.
 * PAYTOKEN_CONFIGURATION, naming the key, where the description is wrong, and for another
 * description under a known name. */
PAYTOKEN_API int32_t paytoken_provider_describe(const char *json, uint32_t *provider, paytoken_error **err);

/* ---- paytoken_config: settings for sources ------------------------------------------------------
 * A setter replaces what was set before. It checks pointers and UTF-8 (PAYTOKEN_NULL_ARGUMENT,
 * PAYTOKEN_INVALID_ARGUMENT: the setting stays as it was, and paytoken_config_error_message says
 * why); everything else is checked by paytoken_source_new, which can say what is wrong. One config
 * may make any number of sources; each is independent of it from then on. */

/* A config without credentials. NULL for an unknown provider or environment, or after a panic. Free
 * it with paytoken_config_free. */
PAYTOKEN_API paytoken_config *paytoken_config_new(uint32_t provider, uint32_t environment);

/* A config from the environment variables that the `paytoken` command reads, in *out:
 *   NTXPAY_CLIENT_ID, NTXPAY_CLIENT_SECRET, NTXPAY_CLIENT_CERT and NTXPAY_CLIENT_KEY (paths of PEM
 *   files);
 *   NEXTERPAY_USERNAME, NEXTERPAY_PASSWORD; SENDPAYMENTS_CLIENT_ID, SENDPAYMENTS_CLIENT_SECRET;
 *   each identifier and secret also in a file named by the variable with _FILE appended;
 *   for a described provider its prefix with _CLIENT_ID, _CLIENT_SECRET and the name of each
 *   placeholder in capitals, _SCOPE and _KID, and _CLIENT_CERT, _CLIENT_KEY and _ASSERTION_KEY
 *   (paths of PEM files);
 *   <PREFIX>_BASE_URL, <PREFIX>_ENVIRONMENT (sandbox, which is the default, or production;
 *   NexterPay needs it where a base URL is set);
 *   PAYTOKEN_CA (path of a PEM file; "system" for the machine's own authorities, in a library built with
 *   `FEATURES=system-roots`), PAYTOKEN_STORE (path of a directory, or a server's address as
 *   for paytoken_config_set_store_url), PAYTOKEN_STORE_KEY_FILE (as for
 *   paytoken_config_set_store_key_file), PAYTOKEN_ACCEPT_UNSEALED (as for
 *   paytoken_config_set_accept_unsealed), PAYTOKEN_STORE_CA, PAYTOKEN_STORE_CLIENT_CERT and
 *   PAYTOKEN_STORE_CLIENT_KEY (as for paytoken_config_set_store_ca_file and the two after it). Files
 *   that others can change are refused, and files with a secret in them that others can read:
 *   docs/command.md has the rule.
 * Do not change the environment in another thread meanwhile. The variables themselves stay where
 * they are, secrets included: a secret in a file leaves no copy in the environment.
 * PAYTOKEN_INVALID_ARGUMENT for an unknown provider, PAYTOKEN_CONFIGURATION and
 * PAYTOKEN_CERTIFICATE name the variable.
 * Blocks: while it reads files; a pipe named in a variable is read to its end, within 15 s. */
PAYTOKEN_API int32_t paytoken_config_from_env(uint32_t provider, paytoken_config **out, paytoken_error **err);

/* The client id; for NexterPay the user name. */
PAYTOKEN_API int32_t paytoken_config_set_client_id(paytoken_config *config, const char *id);

/* The client secret; for NexterPay the password. The config's copy is wiped when it is replaced or
 * freed. */
PAYTOKEN_API int32_t paytoken_config_set_client_secret(paytoken_config *config, const char *secret);

/* One of the account's values, by the name that the provider has for it: client_id, client_secret
 * and each placeholder of a described provider, and its scope, kid and assertion_key (the PEM's text)
 * where it takes them; client_id and client_secret, or user_name and password, of the three.
 * PAYTOKEN_INVALID_ARGUMENT for a name that the provider does not have. Wiped as the secret is. */
PAYTOKEN_API int32_t paytoken_config_set_value(paytoken_config *config, const char *name, const char *value);

/* NTX Pay, described providers: the client certificate as PEM, which may hold the chain (leaf
 * first) and the private key too. */
PAYTOKEN_API int32_t paytoken_config_set_certificate_pem(paytoken_config *config, const uint8_t *pem, size_t len);

/* NTX Pay, described providers: there is a proxy in front (nginx, a load balancer) that adds the
 * certificate. Replaces a certificate. */
PAYTOKEN_API int32_t paytoken_config_set_certificate_injected_by_proxy(paytoken_config *config);

/* NTX Pay, described providers: the certificate's private key as PEM (PKCS#8, SEC1 or PKCS#1), not
 * encrypted. Without a certificate it is the key that signs assertions (private_key_jwt). Wiped as
 * the secret is. */
PAYTOKEN_API int32_t paytoken_config_set_private_key_pem(paytoken_config *config, const uint8_t *pem, size_t len);

/* Certificate authorities to trust instead of Mozilla's, which are built in. */
PAYTOKEN_API int32_t paytoken_config_set_root_certificates_pem(paytoken_config *config, const uint8_t *pem, size_t len);

/* The provider's address, https://host. Needed for Send Payments, for NexterPay in production, and
 * where a description has no address.
 * Plain http is for loopback alone. */
PAYTOKEN_API int32_t paytoken_config_set_base_url(paytoken_config *config, const char *url);

/* The time for one whole fetch, retries included, and the longest that a call waits; a store's server
 * may add seconds. Default 15,000 ms; not 0. */
PAYTOKEN_API int32_t paytoken_config_set_timeout_ms(paytoken_config *config, uint64_t limit_ms);

/* The time for each step of making a connection, within the above: name look-up, connection (to the
 * address that answers first, where the name has several), proxy, TLS. Default 5,000 ms; not 0. */
PAYTOKEN_API int32_t paytoken_config_set_connect_timeout_ms(paytoken_config *config, uint64_t limit_ms);

/* How many times a fetch that failed temporarily (connection, cut answer, 5xx) is retried. Default
 * 2, at most 10. */
PAYTOKEN_API int32_t paytoken_config_set_retries(paytoken_config *config, uint32_t retries);

/* The User-Agent sent to the token endpoint. Default paytoken/VERSION. */
PAYTOKEN_API int32_t paytoken_config_set_user_agent(paytoken_config *config, const char *name);

/* An HTTP proxy, http://host:port; "" for none. By default HTTPS_PROXY, NO_PROXY and their like
 * decide. */
PAYTOKEN_API int32_t paytoken_config_set_proxy(paytoken_config *config, const char *url);

/* Not 0: renew on a short-lived thread of the library's own, at most one at a time, so that no
 * caller waits in the renewal window; paytoken_source_free waits for it. Where a new token ends the
 * one before (Send Payments; "replaces-previous"), paytoken_source_new answers
 * PAYTOKEN_CONFIGURATION, and nothing is renewed with PAYTOKEN_RENEW_IF_TOKENS_COEXIST. Default 0. */
#define PAYTOKEN_RENEW_IF_TOKENS_COEXIST 2
PAYTOKEN_API int32_t paytoken_config_set_renew_in_background(paytoken_config *config, int32_t on);

/* Share the token with other processes of this user, through files in this directory (0700; made
 * when there is a token to keep, but never in another user's directory; a link is refused, and so
 * is a ~, which only a shell replaces, and what looks like an address, a login or a secret, such as
 * redis:6379, unless ./ stands before it; paytoken_source_new says so and does not repeat it).
 * Needed where several processes use one Send Payments account. */
PAYTOKEN_API int32_t paytoken_config_set_store_directory(paytoken_config *config, const char *directory);

/* Share the token with other machines, through a Redis or Valkey server:
 * redis://user:password@host:port/database, rediss:// (TLS; the certificate is always checked, by
 * Mozilla's authorities unless others are set), redis+unix:///path/of/the.sock or
 * redis+sentinel://host:port,host:port/master. In a password, write what is no letter or digit as
 * %XX. Replaces a store directory, and is replaced by one. Nothing is sent before a token is asked
 * for; each use of the server takes 1 s at most. The config's copy is wiped, and no message shows
 * the password. docs/redis.md says how to run the server.
 * Needs a library built with `make -C capi install FEATURES=redis`: without it, paytoken_source_new
 * answers PAYTOKEN_CONFIGURATION. */
PAYTOKEN_API int32_t paytoken_config_set_store_url(paytoken_config *config, const char *url);

/* Encrypt what is kept in the store, with the keys in this file: one a line, as `paytoken
 * new-store-key` makes them, or one key as its 32 bytes. The first encrypts, all of them decrypt.
 * Every process of the store needs the key. What does not decrypt, such as a plain entry, is never
 * believed: it is reported in the log and replaced. The file is read by paytoken_source_new;
 * PAYTOKEN_CONFIGURATION where it cannot be used, where others can read or change it (docs/command.md
 * has the rule for files), or where there is no store.
 * To change the key, give the new one to every process as the second, then to every process as the
 * first, and take the old one away after an hour, or after the longest life of a token if that is
 * longer. */
PAYTOKEN_API int32_t paytoken_config_set_store_key_file(paytoken_config *config, const char *path);

/* While encryption is turned on or off for processes that run: believe plain entries, too, and
 * write encrypted ones ("read") or plain ones ("write"). docs/stores.md says in which order. The log
 * says so at the first source. paytoken_source_new answers PAYTOKEN_CONFIGURATION for another
 * word, and where there is no key file. */
PAYTOKEN_API int32_t paytoken_config_set_accept_unsealed(paytoken_config *config, const char *what);
/* For a server by TLS (rediss://, rediss+sentinel://), paths of PEM files: the certificate
 * authorities to trust instead of Mozilla's; the certificate to show, with its chain; and its private
 * key, not encrypted, which is looked for in the certificate's file unless it is set. They are read
 * by paytoken_source_new; PAYTOKEN_CONFIGURATION, naming the setter, where one cannot be used, or
 * where the store is not reached by TLS. */
PAYTOKEN_API int32_t paytoken_config_set_store_ca_file(paytoken_config *config, const char *path);
PAYTOKEN_API int32_t paytoken_config_set_store_certificate_file(paytoken_config *config, const char *path);
PAYTOKEN_API int32_t paytoken_config_set_store_private_key_file(paytoken_config *config, const char *path);

/* Why the last setter of this config failed, in one sentence; "" where it did not, and for NULL.
 * Lives until the next setter. */
PAYTOKEN_API const char *paytoken_config_error_message(const paytoken_config *config);

/* Wipes its secrets and frees it. Sources made from it go on. */
PAYTOKEN_API void paytoken_config_free(paytoken_config *config);

/* ---- paytoken_source: tokens --------------------------------------------------------------------
 * Caches one token and renews it in time; however many threads ask, one request is under way. Make
 * one per account at the start, and share it. */

/* Makes a source in *out; free it with paytoken_source_free. Checks all settings and sends nothing.
 * PAYTOKEN_CONFIGURATION, PAYTOKEN_CERTIFICATE and PAYTOKEN_STORE name the field and say how to fix
 * it.
 * Blocks: while it looks at the store's directory and reads its key file; a pipe is read to its
 * end, within 15 s. */
PAYTOKEN_API int32_t paytoken_source_new(const paytoken_config *config, paytoken_source **out, paytoken_error **err);

/* Copies a token that is good now, and for min_validity_ms more (0: now), into buf, with a final
 * NUL. From the cache whenever it can be; blocks only when it must (see below).
 *   buf, cap  where to, and how many bytes there are. A buffer of 0 bytes, where buf may be NULL,
 *             asks for the length. No token is longer than 16,384 bytes. Wipe it after use.
 *   len       may be NULL. The token's length without the final NUL: with PAYTOKEN_OK, and with
 *             PAYTOKEN_BUFFER_TOO_SMALL, where buf is left as it is; the token stays cached. The
 *             next call may give another, longer token: call in a loop.
 *   err       may be NULL.
 * Every code of a failed fetch; PAYTOKEN_CONFIGURATION also where the cached token is not good for
 * min_validity_ms, and that is more than 80 % of a token's life.
 * Blocks: where the cache has no token for you: while it, or another thread, fetches one, at most
 * the config's time-out. With a store, also for a look at its file, or its server (one call in 500 ms
 * with a directory, in 1 s with a server; that takes 1 s at most for each of two questions). */
PAYTOKEN_API int32_t paytoken_source_token(const paytoken_source *source, uint64_t min_validity_ms, char *buf, size_t cap,
                                           size_t *len, paytoken_error **err);

/* The same with "Bearer " in front, or the prefix that a description has: the value of an
 * Authorization header, or of the one that the description names.
 * Blocks: as paytoken_source_token. */
PAYTOKEN_API int32_t paytoken_source_authorization(const paytoken_source *source, uint64_t min_validity_ms, char *buf,
                                                   size_t cap, size_t *len, paytoken_error **err);

/* How one call differs from a plain one. A request that begins with less time than the config's time-out runs on a short-lived
 * thread of the library's, for at most that time-out: its token is there for later calls, and
 * paytoken_source_free waits for it. Set all of it to zero, then size, then what you need:
 *     paytoken_token_options options = {0};  options.size = sizeof options;  options.deadline_ms = 200;
 * Later versions may add members at the end; a library that does not know a member answers
 * PAYTOKEN_INVALID_ARGUMENT unless it is zero. */
typedef struct paytoken_token_options {
    uint32_t size;            /* sizeof(paytoken_token_options) */
    uint32_t flags;           /* any of the three below */
    uint64_t min_validity_ms; /* as above */
    uint64_t deadline_ms;     /* the longest that this call takes; 0: the config's time-out */
} paytoken_token_options;

#define PAYTOKEN_FORCE 1u         /* a new token even if the cached one is good or a refusal is
                                     remembered. Where its text did not fit
                                     (PAYTOKEN_BUFFER_TOO_SMALL, also when you asked for the
                                     length), the next forced call within 60 s gives that token, or
                                     the one that has replaced it, and forces none. */
#define PAYTOKEN_CACHED_ONLY 2u   /* take nothing but memory: PAYTOKEN_TIMEOUT where there is no good
                                     token or, with a store, where no call without this flag has
                                     looked there for 1.5 s (1 s with a directory) */
#define PAYTOKEN_AUTHORIZATION 4u /* as paytoken_source_authorization */

/* As paytoken_source_token, with these options; NULL for none.
 * Blocks: as paytoken_source_token, at most deadline_ms; not with PAYTOKEN_CACHED_ONLY. */
PAYTOKEN_API int32_t paytoken_source_token_with(const paytoken_source *source, const paytoken_token_options *options,
                                                char *buf, size_t cap, size_t *len, paytoken_error **err);

/* Reports to the source that the API answered 401 to this token, with or without its prefix. It is
 * dropped. If a newer token has already replaced it, nothing happens. Then ask for a token and send
 * the request once more, never twice. PAYTOKEN_STORE if the shared store could not be updated.
 * Blocks: with a store, while another process holds its lock, at most the config's time-out. */
PAYTOKEN_API int32_t paytoken_source_invalidate(const paytoken_source *source, const char *rejected_token);

/* As paytoken_source_invalidate; *result says what came of it (one of the three below), and *err
 * why it failed. Both may be NULL. The token is dropped in this process even where the code is
 * PAYTOKEN_STORE.
 * Blocks: as paytoken_source_invalidate. */
PAYTOKEN_API int32_t paytoken_source_invalidate_with(const paytoken_source *source, const char *rejected_token,
                                                     int32_t *result, paytoken_error **err);

#define PAYTOKEN_INVALIDATED_DROPPED 1    /* it was in use, and is not any more */
#define PAYTOKEN_INVALIDATED_SUPERSEDED 2 /* a newer token is in use, or it was dropped before:
                                             nothing was to be done */
#define PAYTOKEN_INVALIDATED_UNKNOWN 3    /* none of this source's last 16 tokens, nor in its store:
                                             wrong source or text? */

/* Wipes its token and secrets and frees it. No other thread may be using it.
 * Blocks: while a renewal in the background is under way, or an attempt to connect to an address that
 * does not answer; at most the config's time-out. */
PAYTOKEN_API void paytoken_source_free(paytoken_source *source);

/* The state of a source: never a secret. Times are milliseconds, -1 where there is none. */
typedef struct paytoken_status {
    uint32_t size;               /* in: sizeof(paytoken_status); out: how much of it the library has written */
    int32_t last_error_code;     /* the last failure's code; PAYTOKEN_OK where there was none */
    uint32_t provider;           /* PAYTOKEN_NTX_PAY, ..., or a described one's number */
    uint32_t environment;        /* PAYTOKEN_SANDBOX, ... */
    uint64_t requests;           /* sent to the token endpoint, failed ones included */
    uint64_t tokens;             /* that came, from there or from the store */
    uint64_t failures;           /* fetches that failed, after their retries */
    uint64_t invalidations;      /* tokens dropped because the API rejected them */
    int64_t token_age_ms;        /* the cached token's age, */
    int64_t token_remaining_ms;  /* what it has left (0 once it has expired), */
    int64_t token_expires_at_ms; /* and its end, since 1970 UTC */
    int64_t blocked_for_ms;      /* how long a remembered refusal keeps requests back */
    int64_t last_error_age_ms;   /* since the last failure */
    int64_t certificate_not_after_ms; /* when the client certificate expires, since 1970 UTC */
    int64_t store_error_age_ms;  /* since the store could last not be used: short while it is away and callers ask */
} paytoken_status;

/* Fills *status, of which status->size must be set. Later versions may add members at the end.
 * Sends nothing. PAYTOKEN_INVALID_ARGUMENT where size is not set. */
PAYTOKEN_API int32_t paytoken_source_status(const paytoken_source *source, paytoken_status *status);

/* ---- paytoken_error: why a call failed ----------------------------------------------------------
 * Never changes once made. Free it with paytoken_error_free. */

/* One sentence that ends with how to fix it; UTF-8; never a secret. Lives as long as the error. ""
 * for NULL. */
PAYTOKEN_API const char *paytoken_error_message(const paytoken_error *error);

/* The code that came with it. PAYTOKEN_NULL_ARGUMENT for NULL. */
PAYTOKEN_API int32_t paytoken_error_code(const paytoken_error *error);

/* The HTTP status of the provider's answer; 0 where there was none, and for NULL. */
PAYTOKEN_API int32_t paytoken_error_http_status(const paytoken_error *error);

/* How long to wait before asking again; -1 where nobody said so, and for NULL. Asking earlier is
 * answered at once, without a request; except with PAYTOKEN_STORE, where it says that the store's
 * server may be back by then. */
PAYTOKEN_API int64_t paytoken_error_retry_after_ms(const paytoken_error *error);

/* 1 where the same call may succeed later without a change of settings, else 0 (and for NULL). It
 * is about getting a token, never about replaying a payment. */
PAYTOKEN_API int32_t paytoken_error_is_retryable(const paytoken_error *error);

/* The system's errno behind the failure, such as ECONNREFUSED, EMFILE, EACCES or ENOSPC; 0 where
 * there is none, and for NULL. */
PAYTOKEN_API int32_t paytoken_error_os_code(const paytoken_error *error);

PAYTOKEN_API void paytoken_error_free(paytoken_error *error);

/* ---- Logging ------------------------------------------------------------------------------------
 * By a callback, or by a queue that you poll. The queue is for hosts with a lock or a loop of their
 * own (Ruby, Node, Python, a GUI): it calls nobody, and nobody waits. Both may be on at once, each
 * at its level. They are the whole process's. */

#define PAYTOKEN_LOG_OFF 0
#define PAYTOKEN_LOG_ERROR 1
#define PAYTOKEN_LOG_WARN 2
#define PAYTOKEN_LOG_INFO 3
#define PAYTOKEN_LOG_DEBUG 4

/* Gets one log record. The message is UTF-8, holds no secret, and lives until the function returns.
 * Called on whichever thread the event happens, from several at once; must return (no longjmp, no
 * C++ exception). It may wait for other threads of yours: no lock is held that another thread's
 * call would need, unless that call is marked "Blocks:". It may call paytoken functions; what they
 * would log goes to the queue alone. A source for which this very thread is fetching gives the
 * token it has, else PAYTOKEN_CONFIGURATION at once; another one of that account and store may wait
 * until its time-out. */
typedef void (*paytoken_log_callback)(void *context, uint32_t level, const char *message);

/* Sends log records up to this level to the callback, for the whole process; replaces the one
 * before. callback NULL, or level PAYTOKEN_LOG_OFF, ends it. context may be NULL.
 * Waits for nobody: the callback before gets no new record once this returns, but a call of it that
 * had begun on another thread may still be running. Its context may be freed as soon as
 * paytoken_log_callbacks_running() gives 0. PAYTOKEN_INVALID_ARGUMENT for an unknown level. */
PAYTOKEN_API int32_t paytoken_set_log_callback(uint32_t level, paytoken_log_callback callback, void *context);

/* How many calls of callbacks that have been replaced or ended are still running. 0: their contexts
 * are not used any more. Calls of the callback that is set do not count. */
PAYTOKEN_API uint32_t paytoken_log_callbacks_running(void);

/* Keeps log records up to this level for paytoken_log_next, at most so many (1 to 65,536). Replaces
 * the queue before, and drops what is in it. Level PAYTOKEN_LOG_OFF ends it.
 * PAYTOKEN_INVALID_ARGUMENT for an unknown level or capacity. */
PAYTOKEN_API int32_t paytoken_set_log_queue(uint32_t level, uint32_t capacity);

/* Takes the oldest record out of the queue: copies its message, with a final NUL, into buf, and its
 * level into *level. Never blocks. Where there is none: PAYTOKEN_OK, *level is PAYTOKEN_LOG_OFF,
 * *len is 0 and the text is "".
 *   buf, cap  2,048 bytes hold nearly every message. With PAYTOKEN_BUFFER_TOO_SMALL the record
 *             stays in the queue.
 *   len       may be NULL.
 * Records that found the queue full are missing; in their place comes one of level
 * PAYTOKEN_LOG_WARN, "N log records were dropped: the queue was full". */
PAYTOKEN_API int32_t paytoken_log_next(char *buf, size_t cap, size_t *len, uint32_t *level);

/* ---- Others ---------------------------------------------------------------------------------- */

/* Overwrites len bytes with zeroes, which the compiler may not leave out: for buffers that held a
 * token or a secret. */
PAYTOKEN_API void paytoken_wipe(void *memory, size_t len);

/* The library's version, such as "0.1.0". Static: never freed, always valid. */
PAYTOKEN_API const char *paytoken_version(void);

#ifdef __cplusplus
}
#endif

#endif /* PAYTOKEN_H */
