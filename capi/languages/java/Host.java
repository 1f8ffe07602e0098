// A program with many threads on an empty cache, that TERM ends while a fetch is under way: run by capi/languages/run.
package shop;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import paytoken.Paytoken;

public final class Host {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        Paytoken source = Paytoken.fromEnv(Paytoken.Provider.SEND_PAYMENTS, Map.of());
        Paytoken other = Paytoken.fromEnv(Paytoken.Provider.NTX_PAY, Map.of());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            source.close();
            other.close();
        }));
        control("/send-payments/hold");
        String before = figures();
        Set<String> headers = ConcurrentHashMap.newKeySet();
        CountDownLatch waiting = new CountDownLatch(500), answered = new CountDownLatch(500), released = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            threads.add(start(() -> {
                waiting.countDown();
                headers.add(source.authorization());
                answered.countDown();
                released.await();
                return null;
            }));
        }
        waiting.await();
        control("/send-payments/release");
        answered.await();
        String during = figures();
        released.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        // The system's threads end a moment later.
        for (long end = System.nanoTime() + 20_000_000_000L; tasks() > 40 && System.nanoTime() < end; ) {
            Thread.onSpinWait();
        }
        System.out.printf("served 500 %s threads with %d header; threads/descriptors: %s before, %s with them, %s after%n",
            VIRTUAL == null ? "platform" : "virtual", headers.size(), before, during, figures());
        other.authorization();
    }

    private static final java.lang.reflect.Method VIRTUAL = virtual();

    private static java.lang.reflect.Method virtual() {
        try {
            return Thread.class.getMethod("startVirtualThread", Runnable.class);
        } catch (NoSuchMethodException olderThan21) {
            return null;
        }
    }

    private static Thread start(java.util.concurrent.Callable<Void> work) throws ReflectiveOperationException {
        Runnable run = () -> {
            try {
                work.call();
            } catch (Exception why) {
                why.printStackTrace();
                System.exit(1);
            }
        };
        if (VIRTUAL != null) {
            return (Thread) VIRTUAL.invoke(null, run);
        }
        Thread thread = new Thread(run);
        thread.start();
        return thread;
    }

    private static String figures() {
        return tasks() + "/" + Path.of("/proc/self/fd").toFile().list().length;
    }

    private static int tasks() {
        return Path.of("/proc/self/task").toFile().list().length;
    }

    private static void control(String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("PAYTOKEN_SANDBOX_CONTROL") + path))
            .POST(HttpRequest.BodyPublishers.noBody()).build();
        CLIENT.send(request, HttpResponse.BodyHandlers.discarding());
    }
}
