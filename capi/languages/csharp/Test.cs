// The package against the sandbox: run by capi/languages/run.
using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Paytoken;

public static class Test {
    private static readonly HttpClient Client = new HttpClient();

    public static int Main(string[] arguments) {
        if (arguments.Length > 0) {
            // Whether the library is found, and which.
            using (var source = Source.FromEnv(Provider.NtxPay))
                Console.WriteLine(source.Authorization().StartsWith("Bearer ") ? "found" : "no header");
            return 0;
        }
        foreach (Func<Task> test in new Func<Task>[] { EachProviderGivesAHeader, ADescribedProviderGivesAHeader, ManyCallsShareARequest,
            ARenewalMakesNobodyWait, AWrongSecretIsToldAndRemembered, A401IsReplayedOnce, AStoreThatIsAwayIsTold,
            WhatCannotBePassedOnIsAnError, Figures }) {
            Control("POST", "/reset");
            test().GetAwaiter().GetResult();
        }
        Console.WriteLine("ok     C#");
        return 0;
    }

    private static async Task EachProviderGivesAHeader() {
        foreach (var provider in new[] { Provider.NtxPay, Provider.NexterPay, Provider.SendPayments })
            using (var source = Source.FromEnv(provider)) {
                string header = source.Authorization();
                Check(header.StartsWith("Bearer ") && header == await source.AuthorizationAsync(TimeSpan.FromSeconds(1)), "a header");
                Check(header == "Bearer " + source.Token() && header == "Bearer " + await source.TokenAsync(), "the token alone");
                Check(source.Status().Requests == 1 && source.Status().TokenRemaining > TimeSpan.Zero, "one request");
                source.Authorization(force: true);
                Check(source.Status().Requests == 2 && source.Status().ProviderNumber == provider.Number, "force asks once");
            }
        var settings = new Settings {
            ClientId = Env("NTXPAY_CLIENT_ID"), ClientSecret = Env("NTXPAY_CLIENT_SECRET"), BaseUrl = Env("NTXPAY_BASE_URL"),
            CertificatePem = File.ReadAllBytes(Env("NTXPAY_CLIENT_CERT")), PrivateKeyPem = File.ReadAllBytes(Env("NTXPAY_CLIENT_KEY")),
            RootCertificatesPem = File.ReadAllBytes(Env("PAYTOKEN_CA")), Timeout = TimeSpan.FromSeconds(5), Retries = 1,
        };
        using (var source = new Source(Provider.NtxPay, PaytokenEnvironment.Sandbox, settings))
            Check((await source.TokenAsync()).Length > 20, "settings by hand");
    }

    private static async Task ADescribedProviderGivesAHeader() {
        var played = new Dictionary<string, object> {
            ["name"] = "played", ["token_endpoint"] = "/auth", ["auth"] = "none", ["body"] = "json", ["renewal"] = "replaces-previous",
            ["fields"] = new Dictionary<string, string> { ["clientId"] = "{shop}", ["clientSecret"] = "{api_key}" },
            ["identity"] = new[] { "shop" }, ["secrets"] = new[] { "api_key" }, ["token"] = "/accessToken", ["expires_at"] = "/expiresAt",
        };
        var terms = new Dictionary<string, object> {
            ["base_url"] = Env("SENDPAYMENTS_BASE_URL"), ["root_certificates_pem"] = File.ReadAllBytes(Env("PAYTOKEN_CA")),
            ["values"] = new Dictionary<string, string> { ["shop"] = Env("SENDPAYMENTS_CLIENT_ID"), ["api_key"] = Env("SENDPAYMENTS_CLIENT_SECRET") },
        };
        var its = Provider.Describe(played);
        using (var source = new Source(its, PaytokenEnvironment.Sandbox, new Settings(terms)))
            Check((await source.AuthorizationAsync()).StartsWith("Bearer ") && Stat("token_requests") == 1, "a header");
        played["refusals_per_hour"] = 3;
        played["jwt_expiry"] = false;
        Check(Provider.Describe(played).Equals(its), "the same, with its defaults");
        played["title"] = "A \"title\" of \u00f1 and \\";
        Check(Failure(() => Provider.Describe(played)).Message.Contains("otherwise"), "another under a known name");
        played["name"] = "bare";
        played["prefix"] = "";
        using (var bare = new Source(Provider.Describe(played), PaytokenEnvironment.Sandbox, new Settings(terms)))
            Check(bare.Authorization().Length > 20 && bare.Authorization() == bare.Token(), "no prefix");
        Acme().Dispose();
        foreach (var wrong in new Dictionary<string, string> {
            ["{}"] = "name: not set", ["{"] = "not JSON", [""] = "JSON object", ["{}\0"] = "NUL", ["\ud800"] = "Unicode" })
            Check(Failure(() => Provider.Describe(wrong.Key)).Message.Contains(wrong.Value), wrong.Value);
        var itself = new Dictionary<string, object>();
        itself["name"] = itself;
        foreach (object wrong in new object[] { new object(), null, DayOfWeek.Friday, 'x', itself, new Dictionary<int, int> { [7] = 7 } })
            Check(Failure(() => Provider.Describe(new Dictionary<string, object> { ["name"] = wrong })).Code == Code.InvalidArgument, "no JSON can hold it");
        Check(Failure(() => Provider.Describe(new Dictionary<string, object> { ["name"] = "a\nb" })).Message.Contains("name: "), "a line end");
        Check(Failure(() => Provider.Describe((string)null)).Code == Code.InvalidArgument, "null");
        foreach (var wrong in new Dictionary<object, string> {
            [new Hashtable { ["shopp"] = "7" }] = "shopp: not known for played; it takes shop, api_key", [new Hashtable { ["a-key-of-mine"] = "api_key" }] = "name: ",
            [new Hashtable { ["shop"] = 7 }] = "shop: has to be a string", ["shop"] = "values: ", [new Hashtable { [7] = "7" }] = "values: ",
            [new Hashtable { ["shop"] = "a\0b" }] = "shop: " }) {
            terms["values"] = wrong.Key;
            var why = Failure(() => new Source(its, PaytokenEnvironment.Sandbox, new Settings(terms)));
            Check(why.Code == Code.InvalidArgument && why.Message.StartsWith(wrong.Value), why.Message);
        }
    }

    private static Source Acme() {
        string secret = "not-a-real-secret", key = secret;
        var acme = Provider.Describe(new Dictionary<string, object> {
            ["name"] = "acme", ["token_endpoint"] = "https://auth.acme.example/oauth2/token",
            ["auth"] = "client_secret_basic", ["renewal"] = "coexists",
            ["headers"] = new Dictionary<string, string> { ["x-api-key"] = "{api_key}" }, ["secrets"] = new[] { "api_key" },
        });
        var source = new Source(acme, PaytokenEnvironment.Production, new Settings {
            ClientId = "merchant-7", ClientSecret = secret, Values = new Dictionary<string, string> { ["api_key"] = key },
        });
        return source;
    }

    private static async Task ManyCallsShareARequest() {
        // Held until this thread lets the request go.
        Control("POST", "/send-payments/hold");
        using (var source = Source.FromEnv(Provider.SendPayments))
        using (var leaves = new CancellationTokenSource()) {
            var all = Enumerable.Range(0, 500).Select(i => source.AuthorizationAsync(i % 5 == 0 ? CancellationToken.None : leaves.Token)).ToList();
            bool hasLeft = false;
            var waiting = new Thread(() => {
                try { source.Authorization(cancellation: leaves.Token); } catch (OperationCanceledException) { hasLeft = true; }
            });
            waiting.Start();
            int threads = Directory.GetDirectories("/proc/self/task").Length;
            var took = Stopwatch.StartNew();
            leaves.Cancel();
            waiting.Join();
            int left = 0;
            foreach (var one in all.Where((_, i) => i % 5 > 0)) {
                try { await one; } catch (OperationCanceledException) { left++; }
            }
            double longest = took.Elapsed.TotalMilliseconds;
            Check(hasLeft && left == 400 && Stat("tokens_issued") == 0, "they leave, and wait for nothing");
            Check(source.AuthorizationAsync(leaves.Token).IsCanceled, "cancelled before it began");
            Control("POST", "/send-payments/release");
            var headers = new HashSet<string>(await Task.WhenAll(all.Where((_, i) => i % 5 == 0)));
            Check(headers.Count == 1 && Stat("token_requests") == 1, "one request");
            Console.WriteLine("   C#: 500 calls on an empty cache: 1 request, {0} threads, 400 cancelled after {1:F1} ms", threads, longest);
            Check(threads < 40, "one thread fetches");
        }
    }

    private static async Task ARenewalMakesNobodyWait() {
        Control("POST", "/ntx-pay/lifetime?seconds=6");
        using (var source = Source.FromEnv(Provider.NtxPay)) {
            await source.AuthorizationAsync();
            Control("POST", "/ntx-pay/hold");
            while (source.Status().Requests < 2) source.Authorization();
            Check(source.Status().Tokens == 1, "a call waited for the new token");
            Control("POST", "/ntx-pay/release");
        }
    }

    private static async Task AWrongSecretIsToldAndRemembered() {
        var wrong = new Settings { ["client_id"] = "se\u00f1or", ["client_secret"] = "contrase\u00f1a" };
        using (var source = Source.FromEnv(Provider.SendPayments, wrong)) {
            long before = 0;
            for (int i = 0; i < 20000; i++) {
                var why = i % 100 == 0 ? await FailureOf(() => source.AuthorizationAsync()) : Failure(() => source.Authorization());
                Check(why.Code == Code.Rejected && why.HttpStatus == 401 && !why.Message.Contains("contrase"), why.Message);
                Check(why.RetryAfter > TimeSpan.FromSeconds(10) && !why.IsRetryable, "when to ask again");
                if (i == 10000) before = Resident();
            }
            // 10,000 objects would be over 3 MiB, and as much again for their messages; what the heap varies by is less.
            Check(Resident() - before < 4000, Resident() - before + " KiB more: error objects are left behind");
        }
        Check(Stat("se\u00f1or") == 1, "one request, UTF-8");
    }

    private sealed class Answer : IDisposable {
        public int Status;
        public bool IsDisposed;
        public void Dispose() { IsDisposed = true; }
    }

    private static async Task A401IsReplayedOnce() {
        var handler = new HttpClientHandler();
        // The sandbox's authority; a program of yours trusts it otherwise.
        handler.ServerCertificateCustomValidationCallback = (_, certificate, __, ___) => true;
        var client = new HttpClient(handler);
        var sent = new List<string>();
        var answers = new List<Answer>();
        Func<string, CancellationToken, Task<Answer>> send = async (authorization, cancellation) => {
            sent.Add(authorization);
            var request = new HttpRequestMessage(HttpMethod.Get, Env("SENDPAYMENTS_BASE_URL") + "/accounts");
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
            using (var answer = await client.SendAsync(request, cancellation)) answers.Add(new Answer { Status = (int)answer.StatusCode });
            return answers.Last();
        };
        using (var source = Source.FromEnv(Provider.SendPayments)) {
            Control("POST", "/send-payments/fault?kind=status=401&times=1&endpoint=api");
            Check((await source.CallAsync(send, it => it.Status)).Status == 200 && sent.Count == 2 && sent[0] != sent[1], "one replay, another token");
            Check(answers[0].IsDisposed && !answers[1].IsDisposed, "the refused answer is disposed");
            Control("POST", "/send-payments/fault?kind=status=401&times=2&endpoint=api");
            Check((await source.CallAsync(send, it => it.Status)).Status == 401 && sent.Count == 4 && !answers[3].IsDisposed, "the second 401 is handed back");
            long requests = Stat("token_requests");
            source.Invalidate("Bearer of-yesterday");
            await source.InvalidateAsync("Bearer of-yesterday");
            source.Authorization();
            Check(Stat("token_requests") == requests, "an old token changes nothing");
            int sends = 0;
            try {
                await source.CallAsync<Answer>((_, __) => { sends++; throw new InvalidOperationException("own"); }, it => it.Status);
                Check(false, "what the program's own code fails with is handed on");
            } catch (InvalidOperationException own) { Check(own.Message == "own" && sends == 1, "not replayed"); }
        }
        // A thread's call.
        var got = new List<string>();
        using (var source = Source.FromEnv(Provider.NtxPay)) {
            int status = source.Call(authorization => { got.Add(authorization); return got.Count == 1 ? 401 : 200; }, it => it);
            Check(status == 200 && got.Count == 2 && got[0] != got[1] && source.Status().Invalidations == 1, "a thread's call");
        }
    }

    private static async Task AStoreThatIsAwayIsTold() {
        string folder = Path.Combine(Path.GetTempPath(), "paytoken-" + Guid.NewGuid());
        Directory.CreateDirectory(folder);
        var told = new BlockingCollection<string>();
        Action<TraceLevel, string> tell = (level, message) => told.Add(level + " " + message);
        Source.LogTo(TraceLevel.Warning, tell);
        try {
            using (var source = Source.FromEnv(Provider.NtxPay, new Settings { StoreDirectory = folder + "/store" })) {
                Check(source.Status().StoreErrorAge == null && source.Status().TokenExpiresAt == null, "nothing has failed yet");
                Directory.Delete(folder);
                File.WriteAllText(folder, "");
                string token = await source.TokenAsync(), record;
                Check(told.TryTake(out record, 60000) && record.StartsWith("Warning ") && record.Contains("store") && !record.Contains(token), record);
                var status = source.Status();
                Check(status.StoreErrorAge >= TimeSpan.Zero && status.Environment == PaytokenEnvironment.Sandbox, "status");
                Check(status.TokenExpiresAt > DateTimeOffset.UtcNow && status.CertificateNotAfter > DateTimeOffset.UtcNow, "times");
                Check(status.TokenAge < status.TokenRemaining && status.BlockedFor == null && status.LastErrorAge == null, "of a new token");
            }
        } finally { File.Delete(folder); }
        // An action that throws ends nothing, null ends it; what is left is handed on first.
        Source.LogTo(TraceLevel.Verbose, (_, __) => { throw new InvalidOperationException(); });
        using (var source = Source.FromEnv(Provider.NtxPay)) {
            source.Authorization();
            Source.LogTo(TraceLevel.Verbose, tell);
            foreach (bool isEnded in new[] { false, true }) {
                source.Authorization(force: true);
                Source.LogTo(TraceLevel.Off, null);
                Check((told.Count == 0) == isEnded && !told.Any(record => record.Contains("eyJ")), "records, and no token in them, until it ends");
                while (told.TryTake(out string _)) {}
            }
        }
        foreach (var level in new[] { TraceLevel.Off, (TraceLevel)5, (TraceLevel)(-1) })
            Check(Failure(() => Source.LogTo(level, tell)).Code == Code.InvalidArgument, "no such level");
    }

    private static async Task WhatCannotBePassedOnIsAnError() {
        foreach (var one in new Dictionary<string, object> {
            ["client_id"] = 7, ["client_secret"] = "a\0b", ["store_directory"] = "a\0b", ["base_url"] = "\ud800", ["certificate_pem"] = "x", ["user_agent"] = null,
            ["timeout_ms"] = -1, ["connect_timeout_ms"] = 1.5, ["retries"] = "many", ["cliend_id"] = "x", ["renew_in_background"] = 1, ["proxy"] = "x\udc00" }) {
            var why = Failure(() => Source.FromEnv(Provider.SendPayments, new Settings { [one.Key] = one.Value }));
            Check(why.Code == Code.InvalidArgument && why.Message.StartsWith(one.Key + ":"), why.Message);
        }
        Check(Failure(() => Source.FromEnv(Provider.SendPayments, new Settings { Timeout = TimeSpan.Zero })).Code == Code.Configuration, "a time-out of 0");
        Check(Failure(() => Source.FromEnv(null)).Code == Code.InvalidArgument, "no provider");
        Check(Failure(() => new Source(Provider.SendPayments, (PaytokenEnvironment)9, null)).Message.StartsWith("environment:"), "no such environment");
        Check(Failure(() => new Settings(new Hashtable { [7] = 7 })).Code == Code.InvalidArgument, "a name that is no string");
        var source = Source.FromEnv(Provider.SendPayments);
        foreach (string wrong in new[] { "a\0b", "\ud800", null }) {
            Check(Failure(() => source.Invalidate(wrong)).Code == Code.InvalidArgument, "not text");
            Check((await FailureOf(() => source.InvalidateAsync(wrong))).Code == Code.InvalidArgument, "not text");
        }
        Check((await FailureOf(() => source.AuthorizationAsync(TimeSpan.FromMilliseconds(-1)))).Code == Code.InvalidArgument, "a negative time");
        Check(Failure(() => source.Authorization(TimeSpan.MaxValue)).Code == Code.Configuration, "the longest time");
        // Closed while a fetch is under way: that one lands, later calls are errors.
        Control("POST", "/send-payments/hold");
        var waiting = source.AuthorizationAsync();
        while (Stat("connections") == 0) Thread.Yield();
        source.Dispose();
        source.Dispose();
        Control("POST", "/send-payments/release");
        Check((await waiting).StartsWith("Bearer "), "it lands");
        foreach (var use in new Action[] { () => source.Authorization(), () => source.Authorization(force: true), () => source.Status(),
            () => source.Invalidate("x"), () => source.AuthorizationAsync().GetAwaiter().GetResult() }) {
            try {
                use();
                Check(false, "used after it was closed");
            } catch (ObjectDisposedException closed) { Check(closed.Message.Contains("make another one"), closed.Message); }
        }
    }

    private static Task Figures() {
        using (var source = Source.FromEnv(Provider.SendPayments)) {
            for (int i = 0; i < 20000; i++) source.Authorization();
            var took = Stopwatch.StartNew();
            for (int i = 0; i < 100000; i++) source.Authorization();
            Console.WriteLine("   C#: {0:F0} cached calls/s", 100000 / took.Elapsed.TotalSeconds);
        }
        return Task.FromResult(0);
    }

    private static string Env(string name) => Environment.GetEnvironmentVariable(name);

    internal static string Control(string method, string path) {
        using (var answer = Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), Env("PAYTOKEN_SANDBOX_CONTROL") + path)).GetAwaiter().GetResult()) {
            string body = answer.Content.ReadAsStringAsync().GetAwaiter().GetResult();
            Check(answer.StatusCode == HttpStatusCode.OK, body);
            return body;
        }
    }

    /// A counter of Send Payments, which comes last.
    private static long Stat(string counter) {
        string stats = Control("GET", "/stats");
        var match = new Regex("\"" + counter + "\":(\\d+)").Match(stats.Substring(stats.IndexOf("\"send-payments\"")));
        Check(match.Success, counter + " is not in " + stats);
        return long.Parse(match.Groups[1].Value);
    }

    private static long Resident() {
        GC.Collect();
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * 4;
    }

    private static PaytokenException Failure(Action call) {
        try { call(); } catch (PaytokenException why) { return why; }
        throw new InvalidOperationException("this was to fail");
    }

    private static async Task<PaytokenException> FailureOf(Func<Task> call) {
        try { await call(); } catch (PaytokenException why) { return why; }
        throw new InvalidOperationException("this was to fail");
    }

    private static void Check(bool holds, string what) {
        if (!holds) throw new InvalidOperationException("not so: " + what);
    }
}
