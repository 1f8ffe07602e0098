// A program with many tasks and some threads on an empty cache, that TERM ends while a fetch is under way: run by capi/languages/run.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Threading;
using System.Threading.Tasks;
using Paytoken;

public static class Host {
    private static readonly HttpClient Client = new HttpClient();

    public static void Main() {
        var source = Source.FromEnv(Provider.SendPayments);
        var other = Source.FromEnv(Provider.NtxPay);
        Control("/send-payments/hold");
        string before = Figures();
        var all = Enumerable.Range(0, 500).Select(_ => source.AuthorizationAsync()).ToList();
        var headers = new HashSet<string>();
        var threads = Enumerable.Range(0, 50).Select(_ => new Thread(() => {
            string header = source.Authorization();
            lock (headers) headers.Add(header);
        })).ToList();
        threads.ForEach(it => it.Start());
        string during = Figures();
        Control("/send-payments/release");
        threads.ForEach(it => it.Join());
        headers.UnionWith(Task.WhenAll(all).GetAwaiter().GetResult());
        Console.WriteLine("served 500 tasks and 50 threads with {0} header; threads/descriptors: {1} before, {2} with them, {3} after",
            headers.Count, before, during, Figures());
        other.Authorization(); // held by the sandbox
    }

    private static string Figures() => Directory.GetDirectories("/proc/self/task").Length + "/" + Directory.GetFileSystemEntries("/proc/self/fd").Length;

    private static void Control(string path) =>
        Client.PostAsync(Environment.GetEnvironmentVariable("PAYTOKEN_SANDBOX_CONTROL") + path, null).GetAwaiter().GetResult().Dispose();
}
