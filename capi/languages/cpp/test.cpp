/* paytoken.hpp against the sandbox, with exceptions and without. */
#include <sys/wait.h>

#include <fstream>
#include <thread>
#include <vector>

#include "../../ctest/ctest.h"
#include "paytoken.hpp"

static_assert(!std::is_copy_constructible_v<paytoken::source> && std::is_nothrow_move_constructible_v<paytoken::source>);
static_assert(!std::is_copy_constructible_v<paytoken::secret> && std::is_nothrow_move_constructible_v<paytoken::secret>);
static_assert(!std::is_copy_constructible_v<paytoken::config>);

static constexpr auto SEND = paytoken::provider::send_payments;

static paytoken::config settings(paytoken::provider provider) {
    auto made = paytoken::config::try_from_env(provider);
    if (!made) {
        std::fprintf(stderr, "%s\n", made.error().what());
        std::exit(2);
    }
    return std::move(*made);
}

static paytoken::source source_for(const paytoken::config &config) {
    auto made = paytoken::source::try_new(config);
    if (!made) {
        std::fprintf(stderr, "%s\n", made.error().what());
        std::exit(2);
    }
    return std::move(*made);
}

static long resident_kilobytes() {
    long pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * 4;
}

static void each_provider_gives_a_header_and_threads_share_a_request() {
    for (auto provider : {paytoken::provider::ntx_pay, paytoken::provider::nexter_pay, SEND}) {
        sandbox("/reset");
        const paytoken::source source = source_for(settings(provider));
        std::vector<std::thread> threads;
        for (int i = 0; i < 32; i++) {
            threads.emplace_back([&source] {
                auto header = source.try_authorization();
                CHECK(header && header->view().substr(0, 7) == "Bearer ");
                auto token = source.try_token();
                CHECK(token && header && token->view() == header->view().substr(7));
            });
        }
        for (auto &thread : threads) thread.join();
        auto status = source.try_status();
        CHECK(status && status->requests == 1 && status->provider == static_cast<std::uint32_t>(provider));
        auto forced = source.try_token({std::chrono::seconds(1), {}, true, false});
        CHECK(forced && source.try_status()->requests == 2);
    }
}

#define SHAPE                                                                                                             \
    R"("token_endpoint": "/auth", "auth": "none", "body": "json", "identity": ["shop"], "secrets": ["api_key"], )"         \
    R"("fields": {"clientId": "{shop}", "clientSecret": "{api_key}"}, "token": "/accessToken", "expires_at": "/expiresAt")"

/* A source of a described provider that does what the sandbox's Send Payments does. */
static paytoken::config played(const char *description, const char *name = "api_key") {
    char pem[16384];
    const std::size_t length = read_file(variable("PAYTOKEN_CA"), pem, sizeof pem);
    auto its = paytoken::try_describe(description);
    if (!its) std::fprintf(stderr, "%s\n", its.error().what()), std::exit(2);
    paytoken::config config(*its, paytoken::environment::sandbox);
    config.value("shop", variable("SENDPAYMENTS_CLIENT_ID")).value(name, variable("SENDPAYMENTS_CLIENT_SECRET"));
    config.base_url(variable("SENDPAYMENTS_BASE_URL")).root_certificates_pem({pem, length});
    return config;
}

static void a_described_provider_gives_a_header() {
    using namespace std::string_view_literals;
    static const char *const description = R"({"name": "played", "renewal": "replaces-previous", )" SHAPE "}";
    const paytoken::source source = source_for(played(description));
    auto header = source.try_authorization();
    auto token = source.try_token();
    CHECK(header && token && header->view().substr(0, 7) == "Bearer " && header->view().substr(7) == token->view());
    CHECK(source.try_status()->provider == static_cast<std::uint32_t>(*paytoken::try_describe(description)));
    const paytoken::source bare = source_for(played(R"({"name": "bare", "prefix": "", "renewal": "coexists", )" SHAPE "}"));
    CHECK(bare.try_authorization()->view() == bare.try_token()->view());
    for (auto [wrong, code] : {std::pair{"{}"sv, PAYTOKEN_CONFIGURATION}, {""sv, PAYTOKEN_CONFIGURATION}, {"{}\0"sv, PAYTOKEN_INVALID_ARGUMENT},
                               {"\xff"sv, PAYTOKEN_INVALID_ARGUMENT}, {R"({"name": "played", "renewal": "coexists", )" SHAPE "}"sv, PAYTOKEN_CONFIGURATION}}) {
        CHECK(paytoken::try_describe(wrong).error().code() == code && paytoken::try_describe(wrong).error().message().size() > 10);
    }
    auto unknown = paytoken::source::try_new(played(description, "api_kee"));
    CHECK(!unknown && unknown.error().message() == "api_kee: not known for played; it takes shop, api_key, scope");
    auto half = paytoken::source::try_new(played(description).value("shop\0"sv, "7"));
    CHECK(!half && half.error().code() == PAYTOKEN_INVALID_ARGUMENT);
    half = paytoken::source::try_new(played(description).value("shop", "a\0b"sv));
    CHECK(!half && half.error().message() == "shop: has a NUL in it; take it out");
}

static void a_wrong_secret_is_told_and_remembered() {
    sandbox("/reset");
    // Not in ASCII, and it arrives as it is: the sandbox counts by client.
    const paytoken::source source = source_for(settings(SEND).client_id("se\xc3\xb1or").client_secret("contrase\xc3\xb1" "a"));
    for (int i = 0; i < 2; i++) {
        auto header = source.try_authorization();
        CHECK(!header && header.error().code() == PAYTOKEN_REJECTED && header.error().http_status() == 401);
        CHECK(!header && header.error().retry_after() > std::chrono::seconds(10));
        CHECK(!header && header.error().message().size() > 10);
    }
    CHECK(sandbox_count("send-payments", "se\xc3\xb1or") == 1);
    long before = 0;
    for (int i = 0; i < 20000; i++) {
        if (i == 10000) before = resident_kilobytes();
        auto header = source.try_authorization();
        CHECK(!header);
    }
    CHECK(resident_kilobytes() - before < 1024);
}

static void a_401_is_replayed_once_with_another_token() {
    sandbox("/reset");
    const paytoken::source source = source_for(settings(SEND));
    std::vector<std::string> sent;
    const auto until = [&sent](std::size_t good) {
        sent.clear();
        return [&sent, good](std::string_view authorization) {
            sent.emplace_back(authorization);
            return paytoken::answer{sent.size() >= good ? 200 : 401, std::string("body")};
        };
    };
    CHECK(source.try_call(until(1))->status == 200 && sent.size() == 1);
    CHECK(source.try_call(until(2))->status == 200 && sent.size() == 2 && sent[0] != sent[1]);
    CHECK(source.try_call(until(3))->status == 401 && sent.size() == 2);
    // An older token changes nothing.
    const long requests = sandbox_count("send-payments", "token_requests");
    CHECK(static_cast<bool>(source.try_invalidate("Bearer of-yesterday")));
    CHECK(static_cast<bool>(source.try_token()) && sandbox_count("send-payments", "token_requests") == requests);
}

static void what_cannot_be_passed_on_is_an_error() {
    using namespace std::string_view_literals;
    const auto code = [](const paytoken::config &config) {
        auto made = paytoken::source::try_new(config);
        return made ? 0 : made.error().code();
    };
    CHECK(code(settings(SEND).client_secret("a\0b"sv)) == PAYTOKEN_INVALID_ARGUMENT);
    CHECK(code(settings(SEND).store_directory("a\0b"sv)) == PAYTOKEN_INVALID_ARGUMENT);
    CHECK(code(settings(SEND).client_secret("\xff")) == PAYTOKEN_INVALID_ARGUMENT);
    CHECK(code(settings(SEND).timeout(std::chrono::milliseconds(-1))) == PAYTOKEN_INVALID_ARGUMENT);
    CHECK(code(settings(SEND).timeout(std::chrono::milliseconds(0))) == PAYTOKEN_CONFIGURATION);
    CHECK(code(paytoken::config(static_cast<paytoken::provider>(9), paytoken::environment::sandbox)) != PAYTOKEN_OK);
    CHECK(code(settings(SEND).certificate_pem("x")) == PAYTOKEN_CONFIGURATION);
    paytoken::source source = source_for(settings(SEND));
    CHECK(source.try_invalidate("a\0b"sv).error().code() == PAYTOKEN_INVALID_ARGUMENT);
    CHECK(source.try_token({std::chrono::milliseconds(-1), {}, false, false}).error().code() == PAYTOKEN_INVALID_ARGUMENT);
    const paytoken::source other = std::move(source);
    CHECK(source.try_token().error().code() == PAYTOKEN_NULL_ARGUMENT);
    CHECK(!source.try_invalidate("x") && !source.try_status());
    CHECK(other.try_token({{}, {}, false, true}).error().code() == PAYTOKEN_TIMEOUT);
}

static void a_child_of_fork_is_told_so() {
    const paytoken::source source = source_for(settings(SEND));
    const pid_t child = fork();
    if (child == 0) _exit(source.try_token().error().code() == PAYTOKEN_FORKED ? 0 : 1);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void a_secret_is_wiped_where_it_was() {
    alignas(paytoken::secret) unsigned char place[sizeof(paytoken::secret)];
    const auto *short_one = new (place) paytoken::secret(std::string("shortsecret"));
    CHECK(short_one->view() == "shortsecret");
    short_one->~secret();
    CHECK(std::string_view(reinterpret_cast<char *>(place), sizeof place).find("ecret") == std::string_view::npos);
}

static void figures() {
    const paytoken::source source = source_for(settings(SEND));
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 500000; i++) CHECK(static_cast<bool>(source.try_authorization()));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    printf("   C++: %.0f cached calls/s\n", 500000 / took.count());
}

#if PAYTOKEN_EXCEPTIONS
static void what_fails_throws() {
    sandbox("/reset");
    const paytoken::source source{paytoken::config::from_env(SEND)};
    CHECK(source.authorization().view().substr(7) == source.token().view());
    CHECK(source.call([](std::string_view) { return paytoken::answer{200, 7}; }).value == 7);
    source.invalidate(source.token());
    CHECK(source.status().invalidations == 1);
    const char *const secret = "not-a-real-secret", *const key = secret;
    {
        const paytoken::provider acme = paytoken::describe(R"({
            "name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
            "auth": "client_secret_basic", "renewal": "coexists",
            "headers": {"x-api-key": "{api_key}"}, "secrets": ["api_key"]
        })");
        paytoken::config settings{acme, paytoken::environment::production};
        settings.client_id("merchant-7").client_secret(secret).value("api_key", key);
        paytoken::source source{settings};
        CHECK(source.status().provider == static_cast<std::uint32_t>(acme));
    }
    const paytoken::source wrong{paytoken::config::from_env(SEND).client_secret("wrong")};
    try {
        (void)wrong.token();
        CHECK(!"reached");
    } catch (const paytoken::error &why) {
        CHECK(why.code() == PAYTOKEN_REJECTED && !why.is_retryable());
    }
}
#endif

int main() {
    each_provider_gives_a_header_and_threads_share_a_request();
    a_described_provider_gives_a_header();
    a_wrong_secret_is_told_and_remembered();
    a_401_is_replayed_once_with_another_token();
    what_cannot_be_passed_on_is_an_error();
    a_child_of_fork_is_told_so();
    a_secret_is_wiped_where_it_was();
    figures();
#if PAYTOKEN_EXCEPTIONS
    what_fails_throws();
    return done("C++ with exceptions");
#else
    return done("C++ without exceptions");
#endif
}
