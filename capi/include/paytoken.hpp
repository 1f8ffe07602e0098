/*
 * paytoken for C++17: paytoken.h, which is the reference, with objects that free themselves.
 *
 *     paytoken::source source{paytoken::config::from_env(paytoken::provider::send_payments)};
 *     paytoken::secret header = source.authorization();            // "Bearer ...", wiped when it goes
 *     const auto acme = paytoken::describe(R"({"name": "acme", ...})");   // any other provider
 *     body = source.call([&](std::string_view authorization) {     // one replay where the API answers 401
 *         auto [status, text] = get(url, authorization);
 *         return paytoken::answer{status, text};
 *     });
 *
 * Each function that can fail is there twice: try_NAME gives a result<T>, NAME the value and throws paytoken::error.
 * With -fno-exceptions there is try_NAME alone. Memory that runs out throws, or ends the program, as in std::string.
 *
 * Threads: a source may be used from any threads at once; its destruction and a move must be the last use of it. A
 * source that was moved from answers PAYTOKEN_NULL_ARGUMENT, and one from before a fork PAYTOKEN_FORKED.
 */
#ifndef PAYTOKEN_HPP
#define PAYTOKEN_HPP

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "paytoken.h"

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define PAYTOKEN_EXCEPTIONS 1
#else
#define PAYTOKEN_EXCEPTIONS 0
#endif

namespace paytoken {

enum class provider : std::uint32_t {
    ntx_pay = PAYTOKEN_NTX_PAY,
    nexter_pay = PAYTOKEN_NEXTER_PAY,
    send_payments = PAYTOKEN_SEND_PAYMENTS
};

enum class environment : std::uint32_t { sandbox = PAYTOKEN_SANDBOX, production = PAYTOKEN_PRODUCTION };

namespace detail {
template <auto Free>
struct deleter {
    template <class T>
    void operator()(T *object) const noexcept {
        Free(object);
    }
};
} // namespace detail

/* Why a call failed. */
class error : public std::exception {
public:
    error(std::int32_t code, std::string message) : message_(std::move(message)), code_(code) {}

    /* Copies the object. */
    explicit error(const paytoken_error *from)
        : message_(paytoken_error_message(from)), retry_after_ms_(paytoken_error_retry_after_ms(from)),
          code_(paytoken_error_code(from)), http_status_(paytoken_error_http_status(from)),
          is_retryable_(paytoken_error_is_retryable(from) != 0) {}

    /* One sentence that ends with how to fix it; never a secret. */
    const char *what() const noexcept override { return message_.c_str(); }
    const std::string &message() const noexcept { return message_; }

    /* PAYTOKEN_REJECTED and its like. */
    std::int32_t code() const noexcept { return code_; }

    /* Of the provider's answer; 0 where there was none. */
    int http_status() const noexcept { return http_status_; }

    /* How long to wait before asking again. Asking earlier is answered at once, without a request. */
    std::optional<std::chrono::milliseconds> retry_after() const noexcept {
        if (retry_after_ms_ < 0) return std::nullopt;
        return std::chrono::milliseconds(retry_after_ms_);
    }

    /* Whether getting a token may succeed later without a change of settings: never about replaying a payment. */
    bool is_retryable() const noexcept { return is_retryable_; }

private:
    std::string message_;
    std::int64_t retry_after_ms_ = -1;
    std::int32_t code_;
    int http_status_ = 0;
    bool is_retryable_ = false;
};

namespace detail {
inline error taken(paytoken_error *why) {
    std::unique_ptr<paytoken_error, deleter<paytoken_error_free>> owned(why);
    return error(owned.get());
}
} // namespace detail

/* A value, or why there is none. Look which before you take it. */
template <class T>
class [[nodiscard]] result {
public:
    result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    result(paytoken::error why) : content_(std::in_place_index<1>, std::move(why)) {}

    explicit operator bool() const noexcept { return content_.index() == 0; }
    T &operator*() noexcept { return *std::get_if<0>(&content_); }
    T *operator->() noexcept { return std::get_if<0>(&content_); }
    const paytoken::error &error() const noexcept { return *std::get_if<1>(&content_); }

#if PAYTOKEN_EXCEPTIONS
    /* The value; throws the error. */
    T value() && {
        if (!*this) throw error();
        return std::move(**this);
    }
#endif

private:
    std::variant<T, paytoken::error> content_;
};

struct nothing {};

/* Any other provider, by its description: JSON text with the keys of docs/describing-a-provider.md, and name. What this
 * gives stands wherever a provider does. The same description again gives the same. */
inline result<provider> try_describe(std::string_view json) {
    // C would cut it there, in silence.
    if (json.find('\0') != std::string_view::npos) {
        return error(PAYTOKEN_INVALID_ARGUMENT, "description: has a NUL in it; take it out");
    }
    std::uint32_t number = 0;
    paytoken_error *why = nullptr;
    if (paytoken_provider_describe(std::string(json).c_str(), &number, &why) == PAYTOKEN_OK) return static_cast<provider>(number);
    return detail::taken(why);
}
#if PAYTOKEN_EXCEPTIONS
inline provider describe(std::string_view json) { return try_describe(json).value(); }
#endif

/* A token, or a header's value with one in it. Wiped when it is destroyed or moved from. */
class secret {
public:
    secret() = default;
    explicit secret(std::string text) noexcept : text_(std::move(text)) { wipe(text); }
    secret(secret &&other) noexcept : text_(std::move(other.text_)) { wipe(other.text_); }
    secret &operator=(secret &&other) noexcept {
        if (this != &other) {
            wipe(text_);
            text_ = std::move(other.text_);
            wipe(other.text_);
        }
        return *this;
    }
    ~secret() { wipe(text_); }

    std::string_view view() const noexcept { return text_; }
    operator std::string_view() const noexcept { return text_; }
    const char *c_str() const noexcept { return text_.c_str(); }

    /* All the memory that a string has, the part that a short one keeps in itself included. */
    static void wipe(std::string &text) noexcept {
        text.resize(text.capacity());
        paytoken_wipe(&text[0], text.size());
        text.clear();
    }

private:
    std::string text_;
};

/* Settings for sources, as in paytoken.h. Where a setter fails, making a source from it reports that. */
class config {
public:
    config(provider provider, environment environment)
        : config_(paytoken_config_new(static_cast<std::uint32_t>(provider), static_cast<std::uint32_t>(environment))) {}

    static result<config> try_from_env(provider provider) {
        paytoken_config *made = nullptr;
        paytoken_error *why = nullptr;
        if (paytoken_config_from_env(static_cast<std::uint32_t>(provider), &made, &why) != PAYTOKEN_OK) return detail::taken(why);
        return config(made);
    }

    config &client_id(std::string_view id) { return text("client_id", paytoken_config_set_client_id, id); }
    config &client_secret(std::string_view secret) { return text("client_secret", paytoken_config_set_client_secret, secret); }
    /* What a described provider asks for besides, by its name there. */
    config &value(std::string_view name, std::string_view value) {
        if (name.find('\0') != std::string_view::npos) {
            return noted(PAYTOKEN_INVALID_ARGUMENT, "name: has a NUL in it; take it out");
        }
        const std::string own(name);
        const auto set = [&own](paytoken_config *to, const char *text) { return paytoken_config_set_value(to, own.c_str(), text); };
        return text(own.c_str(), set, value);
    }
    config &base_url(std::string_view url) { return text("base_url", paytoken_config_set_base_url, url); }
    config &user_agent(std::string_view name) { return text("user_agent", paytoken_config_set_user_agent, name); }
    config &proxy(std::string_view url) { return text("proxy", paytoken_config_set_proxy, url); }
    config &store_directory(std::string_view path) { return text("store_directory", paytoken_config_set_store_directory, path); }
    config &store_url(std::string_view url) { return text("store_url", paytoken_config_set_store_url, url); }
    config &store_key_file(std::string_view path) { return text("store_key_file", paytoken_config_set_store_key_file, path); }
    config &accept_unsealed(std::string_view what) { return text("accept_unsealed", paytoken_config_set_accept_unsealed, what); }
    config &store_ca_file(std::string_view path) { return text("store_ca_file", paytoken_config_set_store_ca_file, path); }
    config &store_certificate_file(std::string_view path) { return text("store_certificate_file", paytoken_config_set_store_certificate_file, path); }
    config &store_private_key_file(std::string_view path) { return text("store_private_key_file", paytoken_config_set_store_private_key_file, path); }
    config &certificate_pem(std::string_view pem) { return bytes(paytoken_config_set_certificate_pem, pem); }
    config &private_key_pem(std::string_view pem) { return bytes(paytoken_config_set_private_key_pem, pem); }
    config &root_certificates_pem(std::string_view pem) {
        return bytes(paytoken_config_set_root_certificates_pem, pem);
    }
    config &certificate_injected_by_proxy() {
        return noted(paytoken_config_set_certificate_injected_by_proxy(config_.get()));
    }
    config &timeout(std::chrono::milliseconds limit) { return time("timeout", paytoken_config_set_timeout_ms, limit); }
    config &connect_timeout(std::chrono::milliseconds limit) {
        return time("connect_timeout", paytoken_config_set_connect_timeout_ms, limit);
    }
    config &retries(std::uint32_t retries) { return noted(paytoken_config_set_retries(config_.get(), retries)); }
    config &renew_in_background(bool on) {
        return noted(paytoken_config_set_renew_in_background(config_.get(), on));
    }

#if PAYTOKEN_EXCEPTIONS
    static config from_env(provider provider) { return try_from_env(provider).value(); }
#endif

private:
    friend class source;

    explicit config(paytoken_config *made) : config_(made) {}

    /* The first failure counts. */
    config &noted(std::int32_t code, std::string why = {}) {
        if (code != PAYTOKEN_OK && !failure_) {
            if (why.empty()) why = config_ ? paytoken_config_error_message(config_.get()) : "config: its provider or environment is not known";
            failure_.emplace(code, std::move(why));
        }
        return *this;
    }

    template <class Set>
    config &text(const char *field, Set set, std::string_view value) {
        // C would cut it there, in silence.
        if (value.find('\0') != std::string_view::npos) {
            return noted(PAYTOKEN_INVALID_ARGUMENT, std::string(field) + ": has a NUL in it; take it out");
        }
        std::string terminated(value);
        const std::int32_t code = set(config_.get(), terminated.c_str());
        secret::wipe(terminated);
        return noted(code);
    }

    config &bytes(std::int32_t (*set)(paytoken_config *, const std::uint8_t *, std::size_t), std::string_view value) {
        return noted(set(config_.get(), reinterpret_cast<const std::uint8_t *>(value.data()), value.size()));
    }

    config &time(const char *field, std::int32_t (*set)(paytoken_config *, std::uint64_t), std::chrono::milliseconds limit) {
        if (limit.count() < 0) return noted(PAYTOKEN_INVALID_ARGUMENT, std::string(field) + ": is negative; give a time above zero");
        return noted(set(config_.get(), static_cast<std::uint64_t>(limit.count())));
    }

    std::unique_ptr<paytoken_config, detail::deleter<paytoken_config_free>> config_;
    std::optional<error> failure_;
};

/* The terms of one call: see paytoken_token_options. */
struct options {
    std::chrono::milliseconds min_validity{0};
    std::chrono::milliseconds deadline{0};
    bool force = false;
    bool cached_only = false;
};

/* What an API said. 401 is the status that has one replay. */
template <class T>
struct answer {
    int status;
    T value;
};
template <class T>
answer(int, T) -> answer<T>;

/* Tokens, to any thread: one per account, made at the start and shared. */
class source {
public:
    static result<source> try_new(const config &settings) {
        if (settings.failure_) return *settings.failure_;
        paytoken_source *made = nullptr;
        paytoken_error *why = nullptr;
        if (paytoken_source_new(settings.config_.get(), &made, &why) != PAYTOKEN_OK) return detail::taken(why);
        return source(made);
    }

    /* A token that is good now, and with "Bearer " in front. */
    result<secret> try_token(const options &terms = {}) const { return fetched(terms, 0); }
    result<secret> try_authorization(const options &terms = {}) const { return fetched(terms, PAYTOKEN_AUTHORIZATION); }

    /* The API answered 401 to this token, with or without "Bearer ". */
    result<nothing> try_invalidate(std::string_view rejected) const {
        if (rejected.find('\0') != std::string_view::npos) return error(PAYTOKEN_INVALID_ARGUMENT, "the token has a NUL in it");
        const secret terminated{std::string(rejected)};
        paytoken_error *why = nullptr;
        if (paytoken_source_invalidate_with(source_.get(), terminated.c_str(), nullptr, &why) != PAYTOKEN_OK) return detail::taken(why);
        return nothing{};
    }

    /* Sends a request by send(authorization), which gives an answer<T>; and, where its status is 401, drops that very
     * token and sends it once more, never twice. A payment that ended in a time-out or a 5xx is not replayed. */
    template <class Send>
    auto try_call(Send &&send, const options &terms = {}) const -> result<std::invoke_result_t<Send &, std::string_view>> {
        result<secret> authorization = try_authorization(terms);
        if (!authorization) return authorization.error();
        auto first = send(authorization->view());
        if (first.status != 401) return first;
        // In this process it is dropped in any case; a store that could not be updated does not change the answer.
        const result<nothing> told = try_invalidate(*authorization);
        if (!told && told.error().code() != PAYTOKEN_STORE) return told.error();
        options again = terms;
        again.force = false;
        result<secret> fresh = try_authorization(again);
        if (!fresh) return fresh.error();
        return send(fresh->view());
    }

    result<paytoken_status> try_status() const {
        paytoken_status status{};
        status.size = sizeof status;
        const std::int32_t code = paytoken_source_status(source_.get(), &status);
        if (code != PAYTOKEN_OK) return error(code, std::string("no status: ") + paytoken_code_name(code));
        return status;
    }

#if PAYTOKEN_EXCEPTIONS
    explicit source(const config &settings) : source(try_new(settings).value()) {}

    secret token(const options &terms = {}) const { return try_token(terms).value(); }
    secret authorization(const options &terms = {}) const { return try_authorization(terms).value(); }
    void invalidate(std::string_view rejected) const { try_invalidate(rejected).value(); }
    template <class Send>
    auto call(Send &&send, const options &terms = {}) const {
        return try_call(std::forward<Send>(send), terms).value();
    }
    paytoken_status status() const { return try_status().value(); }
#endif

private:
    explicit source(paytoken_source *made) : source_(made) {}

    result<secret> fetched(const options &terms, std::uint32_t flags) const {
        if (terms.min_validity.count() < 0 || terms.deadline.count() < 0) {
            return error(PAYTOKEN_INVALID_ARGUMENT, "options: a time is negative; give zero or more");
        }
        paytoken_token_options wanted{};
        wanted.size = sizeof wanted;
        wanted.min_validity_ms = static_cast<std::uint64_t>(terms.min_validity.count());
        wanted.deadline_ms = static_cast<std::uint64_t>(terms.deadline.count());
        wanted.flags = flags | (terms.force ? PAYTOKEN_FORCE : 0u) | (terms.cached_only ? PAYTOKEN_CACHED_ONLY : 0u);
        std::size_t length = 2048;
        for (;;) {
            // data() may be written to, and its final NUL is where the library writes one.
            std::string buffer(length, '\0');
            paytoken_error *why = nullptr;
            const std::int32_t code =
                paytoken_source_token_with(source_.get(), &wanted, buffer.data(), buffer.size() + 1, &length, &why);
            if (code == PAYTOKEN_OK) {
                buffer.resize(length);
                return secret(std::move(buffer));
            }
            if (code != PAYTOKEN_BUFFER_TOO_SMALL) return detail::taken(why);
            // The token is cached now: a second new one would be one too many.
            wanted.flags &= ~PAYTOKEN_FORCE;
        }
    }

    std::unique_ptr<paytoken_source, detail::deleter<paytoken_source_free>> source_;
};

} // namespace paytoken

#endif /* PAYTOKEN_HPP */
