/**
 * paytoken for Java 17 and newer, by JNA: tokens for payment providers' APIs.
 *
 * <pre>{@code
 * Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of());      // one per account, for all threads
 * Paytoken.Answer<String> answer = source.call(authorization -> {                     // one replay of a 401
 *     HttpResponse<String> response = client.send(request.header("Authorization", authorization).build(), ofString());
 *     return new Paytoken.Answer<>(response.statusCode(), response.body());
 * });
 * Paytoken.Described acme = Paytoken.describe(Map.of("name", "acme", ...));           // any other provider
 * }</pre>
 *
 * A call is answered from the cache where that is possible. Else it waits for a thread that fetches, one for all callers.
 * Thread.interrupt and a cancelled future end the wait, not the fetch, whose token is there for the next call.
 *
 * Java cannot wipe a String: the token's text stays in memory until that is used again. The library's copies are wiped.
 */
package paytoken;

import com.sun.jna.Function;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Platform;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.io.File;
import java.io.IOException;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;

public final class Paytoken implements AutoCloseable {
    /** Whose tokens: one of those that are built in, or one that was described. */
    public sealed interface AnyProvider {
        /** As paytoken.h and paytoken_status have it. */
        int number();
    }

    public enum Provider implements AnyProvider {
        NTX_PAY, NEXTER_PAY, SEND_PAYMENTS;

        @Override
        public int number() {
            return ordinal() + 1;
        }
    }

    /** What {@link #describe} gives. */
    public record Described(int number) implements AnyProvider {}

    public enum Environment { SANDBOX, PRODUCTION }

    /** What an API said. */
    public record Answer<T>(int status, T value) {}

    /** Sends a request with this value of an Authorization header. */
    public interface Send<T> {
        Answer<T> send(String authorization) throws Exception;
    }

    /** Why a call failed: a sentence that ends with how to fix it, never a secret. */
    public static final class Failure extends RuntimeException {
        /** The number of paytoken.h, and its name, such as "PAYTOKEN_REJECTED". */
        public final int code;
        public final String name;
        /** The provider's; 0 where there was none. */
        public final int httpStatus;
        /** How long to wait: asking earlier is answered at once, without a request. */
        public final transient Optional<Duration> retryAfter;
        /** Whether getting a token may succeed later: never about replaying a payment. */
        public final boolean isRetryable;

        Failure(String message, int code, int httpStatus, long retryAfterMs, boolean isRetryable) {
            super(message);
            this.code = code;
            this.name = text(C.CODE_NAME.invokePointer(new Object[] {code}));
            this.httpStatus = httpStatus;
            this.retryAfter = retryAfterMs < 0 ? Optional.empty() : Optional.of(Duration.ofMillis(retryAfterMs));
            this.isRetryable = isRetryable;
        }

        Failure(String message, int code) {
            this(message, code, 0, -1, false);
        }
    }

    private static final int OK = 0, TIMEOUT = 4, STORE = 10, CLOSED = 100, INVALID_ARGUMENT = 103;
    private static final int FORCE = 1, CACHED_ONLY = 2, AUTHORIZATION = 4, IF_TOKENS_COEXIST = 2;
    private static final Cleaner CLEANER = Cleaner.create();

    // In the order of paytoken.h; locked by who reads or changes the two after it, and by who takes a record.
    private static final List<System.Logger.Level> LEVELS = List.of(System.Logger.Level.OFF, System.Logger.Level.ERROR,
        System.Logger.Level.WARNING, System.Logger.Level.INFO, System.Logger.Level.DEBUG);
    private static System.Logger logger;
    private static Thread logThread;

    private record Terms(long minValidityMs, boolean force) {}

    private final Handle handle;
    private final Cleaner.Cleanable cleanable;
    private final ConcurrentHashMap<Terms, CompletableFuture<String>> flights = new ConcurrentHashMap<>();

    /**
     * Settings are named as in paytoken.h, paytoken_config_set_...: "client_id" and its like are Strings, "certificate_pem"
     * and its like byte[], "timeout_ms" and "retries" Integers, "renew_in_background" a Boolean; what a described provider
     * asks for besides is in "values", a Map of Strings.
     */
    public Paytoken(AnyProvider provider, Environment environment, Map<String, ?> settings) {
        this(C.CONFIG_NEW.invokePointer(new Object[] {provider.number(), environment.ordinal() + 1}), settings);
    }

    /** From the environment, as the paytoken command reads it; settings given here count instead. */
    public static Paytoken fromEnv(AnyProvider provider, Map<String, ?> settings) {
        PointerByReference config = new PointerByReference();
        checked(error -> C.CONFIG_FROM_ENV.invokeInt(new Object[] {provider.number(), config, error}));
        return new Paytoken(config.getValue(), settings);
    }

    /**
     * Any other provider, by its description: the keys of docs/describing-a-provider.md, and "name". What this gives stands
     * wherever a Provider does. The same description again gives the same; another one under a known name is a Failure.
     */
    public static Described describe(Map<String, ?> description) {
        return describe(json(description, 0));
    }

    /** The same as JSON text. */
    public static Described describe(String json) {
        try (Text text = new Text("description", json); Memory number = new Memory(4)) {
            checked(error -> C.PROVIDER_DESCRIBE.invokeInt(new Object[] {text.memory, number, error}));
            return new Described(number.getInt(0));
        }
    }

    private Paytoken(Pointer config, Map<String, ?> settings) {
        try {
            // Calls look into the cache first, so none of them renews: the library has to.
            C.RENEW_IN_BACKGROUND.invokeInt(new Object[] {config, IF_TOKENS_COEXIST});
            settings.forEach((name, value) -> set(config, name, value));
            PointerByReference source = new PointerByReference();
            checked(error -> C.SOURCE_NEW.invokeInt(new Object[] {config, source, error}));
            handle = new Handle(source.getValue());
        } finally {
            C.CONFIG_FREE.invokeVoid(new Object[] {config});
        }
        cleanable = CLEANER.register(this, handle::close);
    }

    /** The value of an Authorization header that is good now. */
    public String authorization() throws InterruptedException {
        return authorization(Duration.ZERO, false);
    }

    /** The same for so much longer; or a new one in any case. */
    public String authorization(Duration minValidity, boolean force) throws InterruptedException {
        try {
            return authorizationAsync(minValidity, force).get();
        } catch (ExecutionException failed) {
            if (failed.getCause() instanceof Failure why) {
                throw why;
            }
            throw new IllegalStateException(failed.getCause());
        }
    }

    /** The same without waiting. To cancel what this returns does not end the fetch. */
    public CompletableFuture<String> authorizationAsync(Duration minValidity, boolean force) {
        if (minValidity.isNegative()) {
            throw invalid("minValidity", "is negative; give 0 or more");
        }
        // What a long cannot hold is refused like everything that is longer than a token lives.
        boolean isLong = minValidity.compareTo(Duration.ofMillis(Long.MAX_VALUE)) >= 0;
        Terms terms = new Terms(isLong ? Long.MAX_VALUE : minValidity.plusNanos(999_999).toMillis(), force);
        if (!force) {
            try {
                return CompletableFuture.completedFuture(fetch(terms, CACHED_ONLY));
            } catch (Failure why) {
                if (why.code != TIMEOUT) {
                    throw why;
                }
            }
        }
        return flight(terms).copy();
    }

    /** The API answered 401 to this token, with or without "Bearer ". With a store, it may wait for another process. */
    public void invalidate(String rejected) {
        try (Text text = new Text("rejected", rejected)) {
            // Who asks from now on does not get what a flight of before brings.
            flights.clear();
            handle.use(source -> checked(
                error -> C.SOURCE_INVALIDATE.invokeInt(new Object[] {source, text.memory, null, error})));
        }
    }

    /**
     * Sends a request; and where the API answers 401, drops that very token and sends it once more, never twice. A payment
     * that ended in a time-out or a 5xx is not replayed.
     */
    public <T> Answer<T> call(Send<T> send) throws Exception {
        String authorization = authorization();
        Answer<T> answer = send.send(authorization);
        if (answer.status() != 401) {
            return answer;
        }
        try {
            invalidate(authorization);
        } catch (Failure why) {
            // Here it is dropped in any case. That other processes were not told does not change the answer.
            if (why.code != STORE) {
                throw why;
            }
            System.getLogger("paytoken").log(System.Logger.Level.WARNING, why.getMessage());
        }
        return send.send(authorization());
    }

    /**
     * What a source is up to: paytoken_status. Times are in milliseconds, -1 where there is none; storeErrorAgeMs is since
     * the store could not be used, -1 where it works.
     */
    public record Status(int lastErrorCode, int provider, int environment, long requests, long tokens, long failures, long invalidations,
        long ageMs, long remainingMs, long expiresAtMs, long blockedForMs, long lastErrorAgeMs, long certificateNotAfterMs,
        long storeErrorAgeMs) {}

    public Status status() {
        try (Memory status = new Memory(C.STATUS_SIZE)) {
            status.clear();
            status.setInt(0, C.STATUS_SIZE);
            // A library from before this member leaves it.
            status.setLong(C.STATUS_SIZE - 8, -1);
            expect("status", handle.use(source -> C.SOURCE_STATUS.invokeInt(new Object[] {source, status})));
            int[] four = status.getIntArray(0, 4);
            long[] rest = status.getLongArray(16, 11);
            return new Status(four[1], four[2], four[3], rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6], rest[7], rest[8],
                rest[9], rest[10]);
        }
    }

    /**
     * Hands the library's log records up to ERROR, WARNING, INFO or DEBUG, of all sources, to a logger, from a thread that
     * asks for them ten times a second; one logger at a time. Null ends it, once the logger before has got what is left.
     */
    public static void logTo(System.Logger logger, System.Logger.Level level) {
        int number = logger == null ? 0 : LEVELS.indexOf(level);
        if (number < 0 || logger != null && number == 0) {
            throw invalid("level", "is none of ERROR, WARNING, INFO, DEBUG");
        }
        handOnRecords();
        synchronized (LEVELS) {
            expect("logTo", C.SET_LOG_QUEUE.invokeInt(new Object[] {number, 1024}));
            Paytoken.logger = logger;
            if (logger == null) {
                logThread = null;
            } else if (logThread == null) {
                logThread = daemon("paytoken log", Paytoken::handOnForEver);
                logThread.start();
            }
        }
    }

    /** Wipes and frees once no thread uses it any more, and waits for a renewal under way. A later use is a Failure. */
    @Override
    public void close() {
        cleanable.clean();
    }

    @Override
    public String toString() {
        return "Paytoken";
    }

    // ---- Inside ----

    /** The fetch under way for such a token, or a new one, on a thread of its own. */
    private CompletableFuture<String> flight(Terms terms) {
        CompletableFuture<String> fresh = new CompletableFuture<>();
        CompletableFuture<String> known = flights.putIfAbsent(terms, fresh);
        if (known != null) {
            return known;
        }
        Thread thread = daemon("paytoken", () -> {
            try {
                String token = fetch(terms, terms.force() ? FORCE : 0);
                flights.remove(terms, fresh);
                fresh.complete(token);
            } catch (Throwable why) {
                flights.remove(terms, fresh);
                fresh.completeExceptionally(why);
            }
        });
        try {
            thread.start();
        } catch (Throwable noThread) {
            flights.remove(terms, fresh);
            fresh.completeExceptionally(noThread);
        }
        return fresh;
    }

    private String fetch(Terms terms, int flags) {
        return handle.use(source -> {
            int wanted = flags;
            try (Memory options = new Memory(C.OPTIONS_SIZE); Memory length = new Memory(8)) {
                for (long room = 8192; ; room = length.getLong(0) + 1) {
                    C.fillOptions(options, terms.minValidityMs(), wanted | AUTHORIZATION);
                    length.clear();
                    try (Memory buffer = new Memory(room)) {
                        Object[] arguments = {source, options, buffer, room, length, null};
                        int code = checked(error -> {
                            arguments[5] = error;
                            return C.SOURCE_TOKEN_WITH.invokeInt(arguments);
                        });
                        if (code == OK) {
                            String token = buffer.getString(0, "US-ASCII");
                            buffer.clear(length.getLong(0));
                            return token;
                        }
                        wanted &= ~FORCE; // the token is cached now; a second new one would be one too many
                    }
                }
            }
        });
    }

    private static Thread daemon(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        return thread;
    }

    private static void handOnForEver() {
        try {
            while (isInCharge()) {
                handOnRecords();
                Thread.sleep(100);
            }
        } catch (InterruptedException ended) {
            // Nobody but a host that ends all threads does that.
        }
    }

    private static boolean isInCharge() {
        synchronized (LEVELS) {
            return Thread.currentThread() == logThread;
        }
    }

    private static void handOnRecords() {
        try (Memory length = new Memory(8); Memory level = new Memory(4)) {
            for (long room = 2048; ; ) {
                System.Logger to;
                String message = null;
                try (Memory buffer = new Memory(room)) {
                    synchronized (LEVELS) {
                        to = logger;
                        if (to != null && C.LOG_NEXT.invokeInt(new Object[] {buffer, room, length, level}) == OK) {
                            message = text(buffer);
                        }
                    }
                }
                if (to == null || message != null && level.getInt(0) == 0) {
                    return;
                } else if (message == null) {
                    room = length.getLong(0) + 1;
                    continue;
                }
                try {
                    to.log(LEVELS.get(level.getInt(0)), message);
                } catch (RuntimeException ofTheLogger) {
                    // The next record may fare better.
                }
            }
        }
    }

    /** The library's object, freed when it is closed and no call uses it. */
    private static final class Handle {
        private final Pointer source;
        private int users;
        private boolean isClosed;

        Handle(Pointer source) {
            this.source = source;
        }

        <T> T use(java.util.function.Function<Pointer, T> call) {
            synchronized (this) {
                if (isClosed) {
                    throw new Failure("the source is closed; make another one", CLOSED);
                }
                users++;
            }
            try {
                return call.apply(source);
            } finally {
                boolean isLast;
                synchronized (this) {
                    isLast = --users == 0 && isClosed;
                }
                if (isLast) {
                    C.SOURCE_FREE.invokeVoid(new Object[] {source});
                }
            }
        }

        void close() {
            boolean isUnused;
            synchronized (this) {
                isUnused = !isClosed && users == 0;
                isClosed = true;
            }
            if (isUnused) {
                C.SOURCE_FREE.invokeVoid(new Object[] {source});
            }
        }
    }

    /** Text as UTF-8 with a NUL at its end, in memory that is wiped. JNA would use the platform's encoding. */
    private static final class Text implements AutoCloseable {
        final Memory memory;

        Text(String name, Object value) {
            if (!(value instanceof String text)) {
                throw invalid(name, "has to be a String");
            }
            if (text.indexOf('\0') >= 0) {
                throw invalid(name, "has a NUL in it; take it out");
            }
            ByteBuffer bytes;
            try {
                bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            } catch (CharacterCodingException half) {
                throw invalid(name, "is not Unicode text");
            }
            memory = new Memory(bytes.limit() + 1L);
            memory.clear();
            memory.write(0, bytes.array(), 0, bytes.limit());
            java.util.Arrays.fill(bytes.array(), (byte) 0);
        }

        @Override
        public void close() {
            memory.clear();
            memory.close();
        }
    }

    private static final Set<String> SETTINGS = Set.of("client_id", "client_secret", "certificate_pem", "private_key_pem",
        "root_certificates_pem", "certificate_injected_by_proxy", "base_url", "user_agent", "proxy", "timeout_ms", "connect_timeout_ms",
        "retries", "renew_in_background", "store_directory", "store_url", "store_key_file", "accept_unsealed", "store_ca_file",
        "store_certificate_file", "store_private_key_file");

    private static void set(Pointer config, String name, Object value) {
        if (name.equals("values")) {
            if (!(value instanceof Map<?, ?> values)) {
                throw invalid(name, "has to be a Map");
            }
            values.forEach((key, text) -> {
                try (Text own = new Text(name, key); Text its = new Text((String) key, text)) {
                    accepted(config, C.CONFIG_SET_VALUE.invokeInt(new Object[] {config, own.memory, its.memory}));
                }
            });
            return;
        }
        if (!SETTINGS.contains(name)) {
            throw invalid(name, "there is no such setting; see paytoken_config_set_... in paytoken.h");
        }
        Function setter = C.LIBRARY.getFunction("paytoken_config_set_" + name);
        if (name.equals("certificate_injected_by_proxy") || name.equals("renew_in_background")) {
            if (!(value instanceof Boolean isOn)) {
                throw invalid(name, "has to be a Boolean");
            }
            Object[] arguments = name.startsWith("renew") ? new Object[] {config, isOn ? 1 : 0} : new Object[] {config};
            accepted(config, name.startsWith("renew") || isOn ? setter.invokeInt(arguments) : OK);
        } else if (name.endsWith("_pem")) {
            if (!(value instanceof byte[] bytes)) {
                throw invalid(name, "has to be a byte[]");
            }
            accepted(config, setter.invokeInt(new Object[] {config, bytes, (long) bytes.length}));
        } else if (name.endsWith("_ms") || name.equals("retries")) {
            if (!(value instanceof Integer number) || number < 0) {
                throw invalid(name, "has to be an Integer, 0 or more");
            }
            accepted(config, setter.invokeInt(new Object[] {config, name.equals("retries") ? (Object) number : (Object) number.longValue()}));
        } else {
            try (Text text = new Text(name, value)) {
                accepted(config, setter.invokeInt(new Object[] {config, text.memory}));
            }
        }
    }

    /** With an object's members in the order of their names: a Map may have another order in each process. */
    private static String json(Object value, int depth) {
        if (depth > 50) {
            throw invalid("description", "is nested too deeply, or holds itself");
        }
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(entry -> json(String.valueOf(entry.getKey()), depth + 1) + ":" + json(entry.getValue(), depth + 1))
                .sorted().collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof Iterable<?> list) {
            return StreamSupport.stream(list.spliterator(), false).map(one -> json(one, depth + 1)).collect(Collectors.joining(",", "[", "]"));
        }
        if (value instanceof String text) {
            return text.chars().mapToObj(c -> c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", c) : Character.toString(c))
                .collect(Collectors.joining("", "\"", "\""));
        }
        if (value instanceof Number || value instanceof Boolean) {
            return value.toString();
        }
        throw invalid("description", "has to be of Maps, Iterables, Strings, numbers and Booleans");
    }

    /** Calls with a place for an error, and throws what is there afterwards. A buffer that is too small is no error. */
    private static int checked(java.util.function.ToIntFunction<PointerByReference> call) {
        PointerByReference place = new PointerByReference();
        int code = call.applyAsInt(place);
        Pointer object = place.getValue();
        if (object == null) {
            return code;
        }
        Object[] argument = {object};
        Failure why = new Failure(text(C.ERROR_MESSAGE.invokePointer(argument)), code, C.ERROR_HTTP_STATUS.invokeInt(argument),
            C.ERROR_RETRY_AFTER.invokeLong(argument), C.ERROR_IS_RETRYABLE.invokeInt(argument) == 1);
        C.ERROR_FREE.invokeVoid(argument);
        throw why;
    }

    private static void accepted(Pointer config, int code) {
        if (code != OK) {
            throw new Failure(text(C.CONFIG_ERROR_MESSAGE.invokePointer(new Object[] {config})), code);
        }
    }

    private static void expect(String what, int code) {
        if (code != OK) {
            throw new Failure(what + ": " + text(C.CODE_NAME.invokePointer(new Object[] {code})), code);
        }
    }

    private static Failure invalid(String what, String why) {
        return new Failure(what + ": " + why, INVALID_ARGUMENT);
    }

    private static String text(Pointer text) {
        return text.getString(0, "UTF-8");
    }

    /** The library's functions, and the layout of its structs. */
    private static final class C {
        static final NativeLibrary LIBRARY = load();
        static final Function CODE_NAME = LIBRARY.getFunction("paytoken_code_name");
        static final Function PROVIDER_DESCRIBE = LIBRARY.getFunction("paytoken_provider_describe");
        static final Function CONFIG_SET_VALUE = LIBRARY.getFunction("paytoken_config_set_value");
        static final Function RENEW_IN_BACKGROUND = LIBRARY.getFunction("paytoken_config_set_renew_in_background");
        static final Function CONFIG_NEW = LIBRARY.getFunction("paytoken_config_new");
        static final Function CONFIG_FROM_ENV = LIBRARY.getFunction("paytoken_config_from_env");
        static final Function CONFIG_ERROR_MESSAGE = LIBRARY.getFunction("paytoken_config_error_message");
        static final Function CONFIG_FREE = LIBRARY.getFunction("paytoken_config_free");
        static final Function SOURCE_NEW = LIBRARY.getFunction("paytoken_source_new");
        static final Function SOURCE_TOKEN_WITH = LIBRARY.getFunction("paytoken_source_token_with");
        static final Function SOURCE_INVALIDATE = LIBRARY.getFunction("paytoken_source_invalidate_with");
        static final Function SOURCE_STATUS = LIBRARY.getFunction("paytoken_source_status");
        static final Function SOURCE_FREE = LIBRARY.getFunction("paytoken_source_free");
        static final Function ERROR_MESSAGE = LIBRARY.getFunction("paytoken_error_message");
        static final Function ERROR_HTTP_STATUS = LIBRARY.getFunction("paytoken_error_http_status");
        static final Function ERROR_RETRY_AFTER = LIBRARY.getFunction("paytoken_error_retry_after_ms");
        static final Function ERROR_IS_RETRYABLE = LIBRARY.getFunction("paytoken_error_is_retryable");
        static final Function ERROR_FREE = LIBRARY.getFunction("paytoken_error_free");
        static final Function SET_LOG_QUEUE = LIBRARY.getFunction("paytoken_set_log_queue");
        static final Function LOG_NEXT = LIBRARY.getFunction("paytoken_log_next");

        static final int OPTIONS_SIZE = 24;
        static final int STATUS_SIZE = 104;

        private static String firstLine(Throwable why) {
            return String.valueOf(why.getMessage()).lines().findFirst().orElse("");
        }

        /** That of this jar for this platform, else PAYTOKEN_LIBRARY, else the system's. */
        private static NativeLibrary load() {
            String inJar;
            try {
                File own = Native.extractFromResourcePath("paytoken", Paytoken.class.getClassLoader());
                NativeLibrary library = NativeLibrary.getInstance(own.getAbsolutePath());
                // JNA has unpacked it. It is loaded, and a process that is killed leaves nothing behind.
                if (own.getName().startsWith("jna") && !own.delete()) {
                    own.deleteOnExit();
                }
                return library;
            } catch (IOException | UnsatisfiedLinkError notThere) {
                inJar = firstLine(notThere);
            }
            String given = System.getenv("PAYTOKEN_LIBRARY");
            boolean isGiven = given != null && !given.isEmpty();
            String name = isGiven ? given : Platform.isMac() ? "libpaytoken.0.dylib" : Platform.isWindows() ? "paytoken" : "libpaytoken.so.0";
            try {
                return NativeLibrary.getInstance(name);
            } catch (UnsatisfiedLinkError notThere) {
                throw new UnsatisfiedLinkError("the C library does not load: not from the package (" + inJar + "), "
                    + (isGiven ? "nor from PAYTOKEN_LIBRARY" : "PAYTOKEN_LIBRARY is not set, nor from the system")
                    + " (" + firstLine(notThere) + "); use the package with " + Platform.RESOURCE_PREFIX
                    + " in it, set PAYTOKEN_LIBRARY to the path of " + (isGiven ? "the library" : name) + ", or install that");
            }
        }

        static void fillOptions(Memory options, long minValidityMs, int flags) {
            options.clear();
            options.setInt(0, OPTIONS_SIZE);
            options.setInt(4, flags);
            options.setLong(8, minValidityMs);
        }
    }
}
