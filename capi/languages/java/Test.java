// The jar against the sandbox, from another package than its own: run by capi/languages/run.
package shop;

import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.ResourceBundle;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import paytoken.Paytoken;

public final class Test {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) {
            // Whether the library is found, and which.
            try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.NTX_PAY, Map.of())) {
                System.out.println(source.authorization().startsWith("Bearer ") ? "found" : "no header");
            }
            return;
        }
        List<Callable<Void>> tests = List.of(Test::eachProviderGivesAHeader, Test::aDescribedProviderGivesAHeader, Test::manyThreadsShareARequest,
            Test::aRenewalMakesNobodyWait, Test::aWrongSecretIsToldAndRemembered, Test::a401IsReplayedOnce, Test::aStoreThatIsAwayIsTold,
            Test::whatCannotBePassedOnIsAnError, Test::figures);
        for (Callable<Void> test : tests) {
            control("POST", "/reset");
            test.call();
        }
        System.out.println("ok     Java");
    }

    private static Void eachProviderGivesAHeader() throws Exception {
        for (Paytoken.Provider provider : Paytoken.Provider.values()) {
            try (Paytoken source = Paytoken.fromEnv(provider, Map.of())) {
                String header = source.authorization();
                check(header.startsWith("Bearer ") && header.equals(source.authorization(Duration.ofSeconds(1), false)), provider.name());
                check(source.status().requests() == 1 && source.status().remainingMs() > 0, "one request");
                source.authorization(Duration.ZERO, true);
                check(source.status().requests() == 2, "force asks once");
            }
        }
        Map<String, Object> settings = new HashMap<>();
        settings.put("client_id", System.getenv("NTXPAY_CLIENT_ID"));
        settings.put("client_secret", System.getenv("NTXPAY_CLIENT_SECRET"));
        settings.put("base_url", System.getenv("NTXPAY_BASE_URL"));
        settings.put("certificate_pem", Files.readAllBytes(Path.of(System.getenv("NTXPAY_CLIENT_CERT"))));
        settings.put("private_key_pem", Files.readAllBytes(Path.of(System.getenv("NTXPAY_CLIENT_KEY"))));
        settings.put("root_certificates_pem", Files.readAllBytes(Path.of(System.getenv("PAYTOKEN_CA"))));
        settings.put("timeout_ms", 5000);
        settings.put("retries", 1);
        try (Paytoken source = new Paytoken(Paytoken.Provider.NTX_PAY, Paytoken.Environment.SANDBOX, settings)) {
            check(source.authorization().startsWith("Bearer "), "settings by hand");
        }
        check(Path.of(System.getProperty("jna.tmpdir")).toFile().list().length == 0, "what was unpacked is left for who is killed");
        return null;
    }

    private static Void aDescribedProviderGivesAHeader() throws Exception {
        Map<String, Object> played = new HashMap<>(Map.of("name", "played", "token_endpoint", "/auth", "auth", "none", "body", "json",
            "renewal", "replaces-previous", "fields", Map.of("clientId", "{shop}", "clientSecret", "{api_key}"),
            "identity", List.of("shop"), "secrets", List.of("api_key"), "token", "/accessToken", "expires_at", "/expiresAt"));
        Map<String, Object> terms = new HashMap<>(Map.of("base_url", System.getenv("SENDPAYMENTS_BASE_URL"),
            "root_certificates_pem", Files.readAllBytes(Path.of(System.getenv("PAYTOKEN_CA"))),
            "values", Map.of("shop", System.getenv("SENDPAYMENTS_CLIENT_ID"), "api_key", System.getenv("SENDPAYMENTS_CLIENT_SECRET"))));
        Paytoken.Described its = Paytoken.describe(played);
        try (Paytoken source = new Paytoken(its, Paytoken.Environment.SANDBOX, terms)) {
            check(source.authorization().startsWith("Bearer ") && requests("token_requests") == 1, "a header");
        }
        played.put("refusals_per_hour", 3);
        played.put("jwt_expiry", false);
        check(Paytoken.describe(played).equals(its), "the same, with its defaults");
        played.put("title", "A \"title\" of \u00f1 and \\");
        check(failure(() -> Paytoken.describe(played)).getMessage().contains("otherwise"), "another under a known name");
        played.putAll(Map.of("name", "bare", "prefix", ""));
        try (Paytoken bare = new Paytoken(Paytoken.describe(played), Paytoken.Environment.SANDBOX, terms)) {
            check(bare.authorization().length() > 20 && !bare.authorization().contains(" "), "no prefix");
        }
        String secret = "not-a-real-secret", key = secret;
        Paytoken.Described acme = Paytoken.describe(Map.of(
            "name", "acme", "token_endpoint", "https://auth.acme.example/oauth2/token",
            "auth", "client_secret_basic", "renewal", "coexists",
            "headers", Map.of("x-api-key", "{api_key}"), "secrets", List.of("api_key")));
        Paytoken source = new Paytoken(acme, Paytoken.Environment.PRODUCTION, Map.of(
            "client_id", "merchant-7", "client_secret", secret, "values", Map.of("api_key", key)));
        source.close();
        for (Map.Entry<String, String> wrong : Map.of("{}", "name: not set", "{", "not JSON", "", "JSON object", "{}\0", "NUL", "\ud800", "Unicode").entrySet()) {
            check(failure(() -> Paytoken.describe(wrong.getKey())).getMessage().contains(wrong.getValue()), wrong.getValue());
        }
        check(failure(() -> Paytoken.describe(Map.of("name", new Object()))).code == 103, "no JSON can hold it");
        Map<String, Object> itself = new HashMap<>();
        itself.put("name", itself);
        check(failure(() -> Paytoken.describe(itself)).code == 103, "it holds itself");
        check(failure(() -> Paytoken.describe(Map.of("name", "a\nb"))).getMessage().contains("name: "), "a line end");
        for (Map.Entry<Object, String> wrong : Map.<Object, String>of(Map.of("shopp", "7"), "shopp: not known for played; it takes shop, api_key",
            Map.of("a-key-of-mine", "api_key"), "name: ", Map.of("shop", 7), "shop: has to be a String", "shop", "values: ",
            Map.of(7, "7"), "values: ", Map.of("shop", "a\0b"), "shop: ").entrySet()) {
            terms.put("values", wrong.getKey());
            Paytoken.Failure why = failure(() -> new Paytoken(its, Paytoken.Environment.SANDBOX, terms));
            check(why.code == 103 && why.getMessage().startsWith(wrong.getValue()), why.getMessage());
        }
        return null;
    }

    private static Void manyThreadsShareARequest() throws Exception {
        // Held until this thread lets the request go.
        control("POST", "/send-payments/hold");
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of())) {
            Thread waiting = new Thread(() -> {
                try {
                    source.authorization();
                } catch (InterruptedException left) {
                    return;
                }
                throw new IllegalStateException("not interrupted");
            });
            waiting.start();
            List<CompletableFuture<String>> all = new ArrayList<>();
            for (int i = 0; i < 500; i++) {
                all.add(source.authorizationAsync(Duration.ZERO, false));
            }
            int threads = Thread.activeCount();
            long began = System.nanoTime();
            all.get(0).cancel(true);
            waiting.interrupt();
            waiting.join();
            double left = (System.nanoTime() - began) / 1e6;
            check(requests("tokens_issued") == 0, "it leaves, and waits for nothing");
            control("POST", "/send-payments/release");
            HashSet<String> headers = new HashSet<>();
            for (CompletableFuture<String> one : all.subList(1, 500)) {
                headers.add(one.get());
            }
            check(headers.size() == 1 && requests("token_requests") == 1, "one request");
            System.out.printf("   Java: 500 calls on an empty cache: 1 request, %d threads, interrupted after %.1f ms%n", threads, left);
            check(threads < 16, "one thread fetches");
        }
        return null;
    }

    private static Void aRenewalMakesNobodyWait() throws Exception {
        control("POST", "/ntx-pay/lifetime?seconds=6");
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.NTX_PAY, Map.of())) {
            source.authorization();
            control("POST", "/ntx-pay/hold");
            while (source.status().requests() < 2) {
                source.authorization();
            }
            check(source.status().tokens() == 1, "a call waited for the new token");
            control("POST", "/ntx-pay/release");
        }
        return null;
    }

    private static Void aWrongSecretIsToldAndRemembered() throws Exception {
        Map<String, String> wrong = Map.of("client_id", "se\u00f1or", "client_secret", "contrase\u00f1a");
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, wrong)) {
            long before = 0;
            for (int i = 0; i < 120_000; i++) {
                Paytoken.Failure why = failure(source::authorization);
                check(why.name.equals("PAYTOKEN_REJECTED") && why.code == 5 && why.httpStatus == 401, why.name);
                check(why.retryAfter.orElseThrow().toSeconds() > 10 && !why.isRetryable, "when to ask again");
                if (i == 60_000) {
                    before = resident();
                }
            }
            // 60,000 objects would be over 20 MiB; what the heap varies by is less.
            check(resident() - before < 12_000, resident() - before + " KiB more: error objects are left behind");
        }
        check(requests("se\u00f1or") == 1, "one request, UTF-8");
        return null;
    }

    private static Void a401IsReplayedOnce() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream file = new FileInputStream(System.getenv("PAYTOKEN_CA"))) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        HttpClient client = HttpClient.newBuilder().sslContext(context).version(HttpClient.Version.HTTP_1_1).build();
        List<String> sent = new ArrayList<>();
        Paytoken.Send<String> send = authorization -> {
            sent.add(authorization);
            HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("SENDPAYMENTS_BASE_URL") + "/accounts"))
                .header("Authorization", authorization).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            return new Paytoken.Answer<>(answer.statusCode(), answer.body());
        };
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of())) {
            control("POST", "/send-payments/fault?kind=status=401&times=1&endpoint=api");
            check(source.call(send).status() == 200 && sent.size() == 2 && !sent.get(0).equals(sent.get(1)), "one replay, another token");
            control("POST", "/send-payments/fault?kind=status=401&times=2&endpoint=api");
            check(source.call(send).status() == 401 && sent.size() == 4, "the second 401 is handed back");
            long requests = requests("token_requests");
            source.invalidate("Bearer of-yesterday");
            source.authorization();
            check(requests("token_requests") == requests, "an old token changes nothing");
        }
        return null;
    }

    private static Void aStoreThatIsAwayIsTold() throws Exception {
        Path folder = Files.createTempDirectory("paytoken");
        LinkedBlockingQueue<String> told = new LinkedBlockingQueue<>();
        Paytoken.logTo(new Logger(told), System.Logger.Level.WARNING);
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.NTX_PAY, Map.of("store_directory", folder + "/store"))) {
            check(source.status().storeErrorAgeMs() == -1, "nothing has failed yet");
            Files.delete(folder);
            Files.createFile(folder);
            String header = source.authorization();
            String record = told.poll(60, TimeUnit.SECONDS);
            check(record != null && record.startsWith("WARNING ") && record.contains("store") && !record.contains(header.substring(7)), record);
            Paytoken.Status status = source.status();
            check(status.storeErrorAgeMs() >= 0 && status.provider() == 1 && status.environment() == 1 && status.certificateNotAfterMs() > 0, "status");
            check(status.ageMs() >= 0 && status.ageMs() < status.remainingMs() && status.expiresAtMs() > System.currentTimeMillis(), "of a new token");
            check(status.blockedForMs() == -1 && status.lastErrorAgeMs() == -1, "nothing else has failed");
        } finally {
            Files.delete(folder);
        }
        // A logger that throws ends nothing, null ends it; what is left is handed on first.
        Paytoken.logTo(new Logger(null), System.Logger.Level.DEBUG);
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.NTX_PAY, Map.of())) {
            source.authorization();
            told.clear();
            Paytoken.logTo(new Logger(told), System.Logger.Level.DEBUG);
            source.authorization(Duration.ZERO, true);
            Paytoken.logTo(null, null);
            check(!told.isEmpty() && told.stream().noneMatch(record -> record.contains("eyJ")), "records, and no token in them");
            told.clear();
            source.authorization(Duration.ZERO, true);
            Paytoken.logTo(null, null);
            check(told.isEmpty(), "no records any more");
        }
        check(failure(() -> { Paytoken.logTo(new Logger(told), System.Logger.Level.TRACE); return null; }).code == 103, "no such level");
        return null;
    }

    private record Logger(LinkedBlockingQueue<String> told) implements System.Logger {
        @Override
        public String getName() {
            return "test";
        }

        @Override
        public boolean isLoggable(Level level) {
            return true;
        }

        @Override
        public void log(Level level, ResourceBundle bundle, String message, Throwable thrown) {
            told.add(level + " " + message);
        }

        @Override
        public void log(Level level, ResourceBundle bundle, String message, Object... values) {
            told.add(level + " " + message);
        }
    }

    private static Void whatCannotBePassedOnIsAnError() throws Exception {
        Map<String, Object> wrong = new HashMap<>(Map.of("client_secret", "a\0b", "store_directory", "a\0b", "base_url", "\ud800",
            "certificate_pem", "x", "timeout_ms", -1, "connect_timeout_ms", 1.5, "retries", "many", "cliend_id", "x",
            "renew_in_background", 1));
        wrong.put("value", "x"); // one of paytoken.h that is no setting
        wrong.put("client_id", 7);
        for (Map.Entry<String, Object> one : wrong.entrySet()) {
            Paytoken.Failure why = failure(() -> Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of(one.getKey(), one.getValue())));
            check(why.name.equals("PAYTOKEN_INVALID_ARGUMENT") && why.getMessage().startsWith(one.getKey() + ":"), why.getMessage());
        }
        check(failure(() -> Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of("timeout_ms", 0))).code == 1, "a time-out of 0");
        Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of());
        check(failure(() -> { source.invalidate("a\0b"); return null; }).code == 103, "a NUL in a token");
        check(failure(() -> source.authorization(Duration.ofMillis(-1), false)).code == 103, "a negative time");
        check(failure(() -> source.authorization(Duration.ofSeconds(Long.MAX_VALUE), false)).code == 1, "the longest time");
        // Closed while a fetch is under way: that one lands, later calls are errors.
        control("POST", "/send-payments/hold");
        CompletableFuture<String> waiting = source.authorizationAsync(Duration.ZERO, false);
        while (requests("connections") == 0) {
            Thread.onSpinWait();
        }
        source.close();
        source.close();
        control("POST", "/send-payments/release");
        check(waiting.get().startsWith("Bearer "), "it lands");
        check(failure(source::authorization).getMessage().contains("closed"), "used after close");
        check(failure(() -> source.authorization(Duration.ZERO, true)).getMessage().contains("closed"), "force after close");
        check(failure(source::status).getMessage().contains("closed"), "status after close");
        return null;
    }

    private static Void figures() throws Exception {
        try (Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of())) {
            for (int i = 0; i < 50_000; i++) {
                source.authorization();
            }
            long began = System.nanoTime();
            for (int i = 0; i < 100_000; i++) {
                source.authorization();
            }
            System.out.printf("   Java: %.0f cached calls/s%n", 100_000 / ((System.nanoTime() - began) / 1e9));
        }
        return null;
    }

    private static String control(String method, String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("PAYTOKEN_SANDBOX_CONTROL") + path))
            .method(method, HttpRequest.BodyPublishers.noBody()).build();
        HttpResponse<String> answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        check(answer.statusCode() == 200, answer.body());
        return answer.body();
    }

    /** A counter of Send Payments, which comes last. */
    private static long requests(String counter) throws Exception {
        String stats = control("GET", "/stats");
        Matcher match = Pattern.compile("\"" + counter + "\":(\\d+)").matcher(stats.substring(stats.indexOf("\"send-payments\"")));
        check(match.find(), counter + " is not in " + stats);
        return Long.parseLong(match.group(1));
    }

    private static long resident() throws Exception {
        return Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * 4;
    }

    private static Paytoken.Failure failure(Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (Paytoken.Failure why) {
            return why;
        }
        throw new IllegalStateException("this was to fail");
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("not so: " + what);
        }
    }
}
