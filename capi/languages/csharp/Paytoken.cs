// paytoken for C#: .NET 6 and newer, .NET Framework 4.7.2 and newer, Mono. Tokens for payment providers' APIs.
//
//     var source = Source.FromEnv(Provider.SendPayments);                           // one per account, for all threads
//     var answer = await source.CallAsync(                                          // one replay of a 401
//         (authorization, cancellation) => client.SendAsync(Request(authorization), cancellation),
//         it => (int)it.StatusCode);
//     var acme = Provider.Describe(new Dictionary<string, object> { ["name"] = "acme", ... });    // any other provider
//
// A call is answered from the cache where that is possible. Else it waits for a thread that fetches, one for all callers; an
// await takes no thread meanwhile. A CancellationToken ends the wait, not the fetch, whose token is there for the next call.
//
// .NET cannot wipe a string: the token's text stays in memory until that is used again. The library's copies are wiped.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Paytoken {
    /// <summary>Whose tokens: one of those that are built in, or one that was described.</summary>
    public sealed class Provider : IEquatable<Provider> {
        public static readonly Provider NtxPay = new Provider(1), NexterPay = new Provider(2), SendPayments = new Provider(3);

        /// <summary>As paytoken.h and Status have it.</summary>
        public readonly uint Number;

        private Provider(uint number) { Number = number; }

        /// <summary>
        /// Any other provider, by its description: the keys of docs/describing-a-provider.md, and "name". What this gives stands
        /// wherever another Provider does. The same description again gives an equal one; another one under a known name is a
        /// PaytokenException.
        /// </summary>
        public static Provider Describe(IDictionary description) => Describe(Json.Of(description, 0));

        /// <summary>The same as JSON text.</summary>
        public static Provider Describe(string json) {
            Loader.Ready();
            uint number = 0;
            using (var text = Wiped.Text("description", json))
                C.Checked((out IntPtr error) => C.ProviderDescribe(text.Pointer, out number, out error));
            return new Provider(number);
        }

        public bool Equals(Provider other) => other?.Number == Number;
        public override bool Equals(object other) => Equals(other as Provider);
        public override int GetHashCode() => (int)Number;
    }

    /// <summary>The provider's test system, or real money.</summary>
    public enum PaytokenEnvironment { Sandbox = 1, Production = 2 }

    /// <summary>Those of paytoken.h, where each is explained.</summary>
    public enum Code {
        Ok = 0, Configuration = 1, Certificate = 2, Transport = 3, Timeout = 4, Rejected = 5, Forbidden = 6, RateLimited = 7,
        ServerUnavailable = 8, InvalidResponse = 9, Store = 10, Other = 99, NullArgument = 100, BufferTooSmall = 101, Panic = 102,
        InvalidArgument = 103, Forked = 104,
    }

    /// <summary>Why a call failed: a sentence that ends with how to fix it, never a secret.</summary>
    public sealed class PaytokenException : Exception {
        public Code Code { get; }
        /// <summary>The provider's; 0 where there was none.</summary>
        public int HttpStatus { get; }
        /// <summary>How long to wait: asking earlier is answered at once, without a request. Null: nobody said.</summary>
        public TimeSpan? RetryAfter { get; }
        /// <summary>Whether getting a token may succeed later: never about replaying a payment.</summary>
        public bool IsRetryable { get; }

        internal PaytokenException(string message, Code code, int httpStatus = 0, TimeSpan? retryAfter = null, bool isRetryable = false)
            : base(message) {
            Code = code;
            HttpStatus = httpStatus;
            RetryAfter = retryAfter;
            IsRetryable = isRetryable;
        }
    }

    /// <summary>
    /// What a source is made from: by the properties below, or by the names of paytoken.h, paytoken_config_set_..., as in
    /// <c>new Settings { ["client_id"] = "..." }</c> or from a dictionary. What a described provider asks for is in Values.
    /// </summary>
    public sealed class Settings {
        internal readonly Dictionary<string, object> Given = new Dictionary<string, object>();

        public Settings() {}

        public Settings(IDictionary settings) {
            foreach (DictionaryEntry one in settings)
                this[one.Key as string ?? throw C.Invalid("settings", "has a name that is no string")] = one.Value;
        }

        public object this[string name] { set { Given[name] = value; } }

        public string ClientId { set { this["client_id"] = value; } }
        public string ClientSecret { set { this["client_secret"] = value; } }
        public IDictionary Values { set { this["values"] = value; } }
        public byte[] CertificatePem { set { this["certificate_pem"] = value; } }
        public byte[] PrivateKeyPem { set { this["private_key_pem"] = value; } }
        public byte[] RootCertificatesPem { set { this["root_certificates_pem"] = value; } }
        public bool CertificateInjectedByProxy { set { this["certificate_injected_by_proxy"] = value; } }
        public string BaseUrl { set { this["base_url"] = value; } }
        public string UserAgent { set { this["user_agent"] = value; } }
        public string Proxy { set { this["proxy"] = value; } }
        public TimeSpan Timeout { set { this["timeout_ms"] = value; } }
        public TimeSpan ConnectTimeout { set { this["connect_timeout_ms"] = value; } }
        public int Retries { set { this["retries"] = value; } }
        public bool RenewInBackground { set { this["renew_in_background"] = value; } }
        public string StoreDirectory { set { this["store_directory"] = value; } }
        public string StoreUrl { set { this["store_url"] = value; } }
        public string StoreKeyFile { set { this["store_key_file"] = value; } }
        public string AcceptUnsealed { set { this["accept_unsealed"] = value; } }
        public string StoreCaFile { set { this["store_ca_file"] = value; } }
        public string StoreCertificateFile { set { this["store_certificate_file"] = value; } }
        public string StorePrivateKeyFile { set { this["store_private_key_file"] = value; } }
    }

    /// <summary>What a source is up to: paytoken_status, never a secret. Null: there is none.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Status {
        internal uint size;
        internal int lastError;
        internal uint provider, environment;
        internal ulong requests, tokens, failures, invalidations;
        internal long age, remaining, expiresAt, blockedFor, lastErrorAge, certificateNotAfter, storeErrorAge;

        public Code LastError => (Code)lastError;
        public uint ProviderNumber => provider;
        public PaytokenEnvironment Environment => (PaytokenEnvironment)environment;
        public ulong Requests => requests;
        public ulong Tokens => tokens;
        public ulong Failures => failures;
        public ulong Invalidations => invalidations;
        public TimeSpan? TokenAge => C.Time(age);
        public TimeSpan? TokenRemaining => C.Time(remaining);
        public DateTimeOffset? TokenExpiresAt => C.Date(expiresAt);
        public TimeSpan? BlockedFor => C.Time(blockedFor);
        public TimeSpan? LastErrorAge => C.Time(lastErrorAge);
        public DateTimeOffset? CertificateNotAfter => C.Date(certificateNotAfter);
        /// <summary>Since the store could not be used; null where it works, or there is none.</summary>
        public TimeSpan? StoreErrorAge => C.Time(storeErrorAge);
    }

    /// <summary>Gives tokens, to any thread.</summary>
    public sealed class Source : IDisposable {
        private const uint Force = 1, CachedOnly = 2, AsHeader = 4;

        private readonly Handle handle;
        private readonly Dictionary<object, Task<string>> flights = new Dictionary<object, Task<string>>();

        public Source(Provider provider, PaytokenEnvironment environment, Settings settings) {
            uint number = NumberOf(provider);
            IntPtr config = C.ConfigNew(number, (uint)environment);
            if (config == IntPtr.Zero) throw C.Invalid("environment", "is neither Sandbox nor Production");
            handle = Made(config, settings);
        }

        private Source(IntPtr config, Settings settings) { handle = Made(config, settings); }

        /// <summary>
        /// From the environment, as the paytoken command reads it; settings given here count instead. On Unix that is the
        /// environment that the process was started with, whatever Environment.SetEnvironmentVariable did.
        /// </summary>
        public static Source FromEnv(Provider provider, Settings settings = null) {
            uint number = NumberOf(provider);
            IntPtr config = IntPtr.Zero;
            C.Checked((out IntPtr error) => C.ConfigFromEnv(number, out config, out error));
            return new Source(config, settings);
        }

        private static uint NumberOf(Provider provider) {
            Loader.Ready();
            return provider?.Number ?? throw C.Invalid("provider", "is null");
        }

        private static Handle Made(IntPtr config, Settings settings) {
            try {
                // Calls look into the cache first, so none of them renews: the library has to, where tokens coexist (2).
                C.Accepted(config, C.Setter<C.SetSwitch>("renew_in_background")(config, 2));
                foreach (var one in settings?.Given ?? new Dictionary<string, object>()) C.Set(config, one.Key, one.Value);
                IntPtr source = IntPtr.Zero;
                C.Checked((out IntPtr error) => C.SourceNew(config, out source, out error));
                return new Handle(source);
            } finally { C.ConfigFree(config); }
        }

        /// <summary>
        /// The value of an Authorization header that is good now, and for minValidity more; or a new one in any case. To cancel
        /// does not end the fetch.
        /// </summary>
        public Task<string> AuthorizationAsync(TimeSpan minValidity = default(TimeSpan), bool force = false,
            CancellationToken cancellation = default(CancellationToken)) {
            if (cancellation.IsCancellationRequested) return Task.FromCanceled<string>(cancellation);
            try { return UnlessCancelled(Begun(minValidity, force), cancellation); } catch (Exception why) { return Task.FromException<string>(why); }
        }

        public Task<string> AuthorizationAsync(CancellationToken cancellation) =>
            AuthorizationAsync(default(TimeSpan), false, cancellation);

        /// <summary>The same for a thread that waits.</summary>
        public string Authorization(TimeSpan minValidity = default(TimeSpan), bool force = false,
            CancellationToken cancellation = default(CancellationToken)) {
            cancellation.ThrowIfCancellationRequested();
            return Awaited(Begun(minValidity, force), cancellation);
        }

        /// <summary>The token alone.</summary>
        public async Task<string> TokenAsync(TimeSpan minValidity = default(TimeSpan), bool force = false,
            CancellationToken cancellation = default(CancellationToken)) =>
            Alone(await AuthorizationAsync(minValidity, force, cancellation).ConfigureAwait(false));

        public string Token(TimeSpan minValidity = default(TimeSpan), bool force = false,
            CancellationToken cancellation = default(CancellationToken)) => Alone(Authorization(minValidity, force, cancellation));

        /// <summary>The API answered 401 to this token, with or without "Bearer ". With a store, it may wait for another process.</summary>
        public Task InvalidateAsync(string rejected) {
            try { return Dropped(rejected); } catch (Exception why) { return Task.FromException(why); }
        }

        public void Invalidate(string rejected) => Awaited(Dropped(rejected), CancellationToken.None);

        /// <summary>
        /// Sends a request; and where the API answers 401, drops that very token and sends it once more, never twice. A payment
        /// that ended in a time-out or a 5xx is not replayed, nor is a send that throws. An answer that is refused is disposed.
        /// </summary>
        public async Task<T> CallAsync<T>(Func<string, CancellationToken, Task<T>> send, Func<T, int> status,
            CancellationToken cancellation = default(CancellationToken)) {
            string authorization = await AuthorizationAsync(cancellation).ConfigureAwait(false);
            T answer = await send(authorization, cancellation).ConfigureAwait(false);
            if (status(answer) != 401) return answer;
            (answer as IDisposable)?.Dispose();
            try { await UnlessCancelled(Dropped(authorization), cancellation).ConfigureAwait(false); } catch (PaytokenException why) when (why.Code == Code.Store) { NotTold(why); }
            return await send(await AuthorizationAsync(cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
        }

        /// <summary>The same for a thread that waits.</summary>
        public T Call<T>(Func<string, T> send, Func<T, int> status) {
            string authorization = Authorization();
            T answer = send(authorization);
            if (status(answer) != 401) return answer;
            (answer as IDisposable)?.Dispose();
            try { Invalidate(authorization); } catch (PaytokenException why) when (why.Code == Code.Store) { NotTold(why); }
            return send(Authorization());
        }

        public Status Status() {
            // A library from before the last member leaves it.
            var status = new Status { size = (uint)Marshal.SizeOf(typeof(Status)), storeErrorAge = -1 };
            handle.Use(source => { C.Expect("Status", C.SourceStatus(source, ref status)); return 0; });
            return status;
        }

        /// <summary>
        /// Wipes and frees once no thread uses it any more, and waits for a renewal under way. A later use is an
        /// ObjectDisposedException.
        /// </summary>
        public void Dispose() => handle.Dispose();

        /// <summary>
        /// Hands the library's log records up to this level (Verbose: all), of all sources, to an action, on a thread that asks for
        /// them ten times a second; one action at a time. Null ends it, once the action before has got what is left.
        /// </summary>
        public static void LogTo(TraceLevel level, Action<TraceLevel, string> log) => Log.To(level, log);

        // ---- Inside ----

        private static string Alone(string authorization) => authorization.Substring(authorization.LastIndexOf(' ') + 1);

        // In this process the token is dropped in any case. That others were not told does not change the answer.
        private static void NotTold(PaytokenException why) => Trace.TraceWarning("paytoken: " + why.Message);

        private Task<string> Begun(TimeSpan minValidity, bool force) {
            if (minValidity < TimeSpan.Zero) throw C.Invalid("minValidity", "is negative; give 0 or more");
            ulong least = C.Milliseconds(minValidity);
            string cached = force ? null : Fetch(least, CachedOnly);
            return cached != null ? Task.FromResult(cached) : Flight(Tuple.Create(least, force), () => Fetch(least, force ? Force : 0));
        }

        private Task<string> Dropped(string rejected) {
            Wiped.Text("rejected", rejected).Dispose();
            lock (flights) {
                if (flights.TryGetValue(rejected, out Task<string> known)) return known;
                // Who asks from now on does not get what a flight of before brings.
                flights.Clear();
                return Flight(rejected, () => handle.Use(source => {
                    using (var text = Wiped.Text("rejected", rejected))
                        C.Checked((out IntPtr error) => C.SourceInvalidate(source, text.Pointer, IntPtr.Zero, out error));
                    return "";
                }));
            }
        }

        /// <summary>What is under way by this name, or begins now, on a thread of its own.</summary>
        private Task<string> Flight(object name, Func<string> work) {
            var fresh = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (flights) {
                if (flights.TryGetValue(name, out Task<string> known)) return known;
                flights[name] = fresh.Task;
            }
            // All who wait may have left: somebody has seen it.
            fresh.Task.ContinueWith(it => it.Exception, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously);
            // Tried: where a caller is aborted as it starts the thread, both of them land.
            Action<Action> land = how => {
                lock (flights)
                    if (flights.TryGetValue(name, out Task<string> it) && it == fresh.Task) flights.Remove(name);
                how();
            };
            try {
                new Thread(() => {
                    try {
                        string token = work();
                        land(() => fresh.TrySetResult(token));
                    } catch (Exception why) { land(() => fresh.TrySetException(why)); }
                }) { IsBackground = true, Name = "paytoken" }.Start();
            } catch (Exception noThread) { land(() => fresh.TrySetException(noThread)); }
            return fresh.Task;
        }

        private static async Task<string> UnlessCancelled(Task<string> flight, CancellationToken cancellation) {
            if (cancellation.CanBeCanceled && !flight.IsCompleted) {
                var leaves = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
                using (cancellation.Register(() => leaves.TrySetResult(true)))
                    if (await Task.WhenAny(flight, leaves.Task).ConfigureAwait(false) != flight) cancellation.ThrowIfCancellationRequested();
            }
            return await flight.ConfigureAwait(false);
        }

        private static string Awaited(Task<string> flight, CancellationToken cancellation) {
            try { flight.Wait(cancellation); } catch (AggregateException) {} // as itself, below
            return flight.GetAwaiter().GetResult();
        }

        /// <summary>Null where it is to be looked for in the cache alone, and is not there.</summary>
        private string Fetch(ulong minValidity, uint flags) => handle.Use(source => {
            for (var room = (UIntPtr)8192; ;) {
                var options = new C.Options { size = (uint)Marshal.SizeOf(typeof(C.Options)), flags = flags | AsHeader, minValidity = minValidity };
                using (var buffer = new Wiped(new byte[(int)room])) {
                    UIntPtr length;
                    Code code = C.SourceTokenWith(source, ref options, buffer.Pointer, room, out length, out IntPtr error);
                    if (code == Code.Ok) return Encoding.ASCII.GetString(buffer.Bytes, 0, (int)length);
                    if (code == Code.Timeout && flags == CachedOnly) {
                        C.ErrorFree(error);
                        return null;
                    }
                    C.Throw(code, error);
                    room = (UIntPtr)((ulong)length + 1);
                    flags &= ~Force; // the token is cached now; a second new one would be one too many
                }
            }
        });

        /// <summary>The library's object, freed when it is closed, or forgotten, and no call uses it.</summary>
        private sealed class Handle : SafeHandle {
            internal Handle(IntPtr source) : base(source, true) {}

            public override bool IsInvalid => handle == IntPtr.Zero;

            protected override bool ReleaseHandle() {
                C.SourceFree(handle);
                return true;
            }

            internal T Use<T>(Func<IntPtr, T> call) {
                bool isOurs = false;
                try { DangerousAddRef(ref isOurs); } catch (ObjectDisposedException) { throw new ObjectDisposedException("Paytoken.Source", "the source is closed; make another one"); }
                try { return call(handle); } finally { if (isOurs) DangerousRelease(); }
            }
        }
    }

    /// <summary>The library's queue of log records, and who gets them.</summary>
    internal static class Log {
        private static readonly object Lock = new object();
        private static Action<TraceLevel, string> log;
        private static Thread thread;

        internal static void To(TraceLevel level, Action<TraceLevel, string> next) {
            Loader.Ready();
            if (next != null && (level < TraceLevel.Error || level > TraceLevel.Verbose))
                throw C.Invalid("level", "is none of Error, Warning, Info, Verbose");
            HandOn();
            lock (Lock) {
                C.Expect("LogTo", C.SetLogQueue(next == null ? 0 : (uint)level, 1024));
                log = next;
                if (next == null) thread = null;
                else if (thread == null) (thread = new Thread(HandOnForEver) { IsBackground = true, Name = "paytoken log" }).Start();
            }
        }

        private static void HandOnForEver() {
            for (;;) {
                lock (Lock) if (thread != Thread.CurrentThread) return;
                HandOn();
                Thread.Sleep(100);
            }
        }

        private static void HandOn() {
            for (var room = (UIntPtr)2048; ;) {
                Action<TraceLevel, string> to;
                uint level;
                string message;
                lock (Lock) {
                    to = log;
                    if (to == null) return;
                    var buffer = new byte[(int)room];
                    UIntPtr length;
                    if (C.LogNext(buffer, room, out length, out level) != Code.Ok) {
                        room = (UIntPtr)((ulong)length + 1);
                        continue;
                    }
                    if (level == 0) return;
                    message = Encoding.UTF8.GetString(buffer, 0, (int)length);
                }
                try { to((TraceLevel)level, message); } catch (Exception) {} // of the action: the next record may fare better
            }
        }
    }

    /// <summary>Memory that does not move, so that no copy is left, and is wiped.</summary>
    internal sealed class Wiped : IDisposable {
        internal readonly byte[] Bytes;
        private GCHandle pinned;

        internal Wiped(byte[] bytes) {
            Bytes = bytes;
            pinned = GCHandle.Alloc(bytes, GCHandleType.Pinned);
        }

        internal IntPtr Pointer => pinned.AddrOfPinnedObject();

        /// <summary>As UTF-8 with a NUL at its end. C would cut it at a NUL inside.</summary>
        internal static Wiped Text(string name, object value) {
            string text = value as string ?? throw C.Invalid(name, "has to be a string");
            if (text.IndexOf('\0') >= 0) throw C.Invalid(name, "has a NUL in it; take it out");
            var utf8 = new UTF8Encoding(false, true);
            try {
                var wiped = new Wiped(new byte[utf8.GetByteCount(text) + 1]);
                utf8.GetBytes(text, 0, text.Length, wiped.Bytes, 0);
                return wiped;
            } catch (EncoderFallbackException) { throw C.Invalid(name, "is not Unicode text"); }
        }

        public void Dispose() {
            Array.Clear(Bytes, 0, Bytes.Length);
            pinned.Free();
        }
    }

    internal static class Json {
        internal static string Of(object value, int depth) {
            if (depth > 50) throw C.Invalid("description", "is nested too deeply, or holds itself");
            if (value is string text)
                return "\"" + string.Concat(text.Select(c => c < ' ' || c == '"' || c == '\\' ? "\\u" + ((int)c).ToString("x4") : c.ToString())) + "\"";
            if (value is bool isOn) return isOn ? "true" : "false";
            if (value is IDictionary map)
                return "{" + string.Join(",", map.Keys.Cast<object>().Select(key => Of(key as string ?? throw Wrong(), depth + 1) + ":" + Of(map[key], depth + 1))) + "}";
            if (value is IEnumerable list) return "[" + string.Join(",", list.Cast<object>().Select(one => Of(one, depth + 1))) + "]";
            if (value is ValueType && value is IConvertible number && number.GetTypeCode() >= TypeCode.SByte && number.GetTypeCode() <= TypeCode.Decimal && !(value is Enum))
                return number.ToString(CultureInfo.InvariantCulture);
            throw Wrong();
        }

        private static PaytokenException Wrong() => C.Invalid("description", "has to be of dictionaries, lists, strings, numbers and bools");
    }

    /// <summary>The library's functions, and its rules for arguments and errors.</summary>
    internal static class C {
        [StructLayout(LayoutKind.Sequential)]
        internal struct Options { internal uint size, flags; internal ulong minValidity, deadline; }

        internal delegate Code Fallible(out IntPtr error);

        private const CallingConvention Cdecl = CallingConvention.Cdecl;
        [UnmanagedFunctionPointer(Cdecl)] internal delegate IntPtr TextOf(IntPtr it);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate int NumberOf(IntPtr it);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate long LongOf(IntPtr it);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate void Free(IntPtr it);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate IntPtr NameOf(Code code);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code Describe(IntPtr json, out uint number, out IntPtr error);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate IntPtr NewConfig(uint provider, uint environment);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code FromEnv(uint provider, out IntPtr config, out IntPtr error);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code NewSource(IntPtr config, out IntPtr source, out IntPtr error);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetText(IntPtr config, IntPtr text);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetValue(IntPtr config, IntPtr name, IntPtr text);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetBytes(IntPtr config, byte[] bytes, UIntPtr length);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetSwitch(IntPtr config, int on);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetMark(IntPtr config);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetLimit(IntPtr config, ulong milliseconds);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetCount(IntPtr config, uint count);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code TokenWith(IntPtr source, ref Options options, IntPtr buffer, UIntPtr room, out UIntPtr length, out IntPtr error);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code Invalidate(IntPtr source, IntPtr rejected, IntPtr result, out IntPtr error);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code StatusOf(IntPtr source, ref Status status);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code SetQueue(uint level, uint capacity);
        [UnmanagedFunctionPointer(Cdecl)] internal delegate Code NextRecord(byte[] buffer, UIntPtr room, out UIntPtr length, out uint level);

        // Written down, it runs no earlier than a member of this class is used: see Loader.Ready.
        static C() {}

        internal static readonly NameOf CodeName = Function<NameOf>("code_name");
        internal static readonly Describe ProviderDescribe = Function<Describe>("provider_describe");
        internal static readonly NewConfig ConfigNew = Function<NewConfig>("config_new");
        internal static readonly FromEnv ConfigFromEnv = Function<FromEnv>("config_from_env");
        internal static readonly SetValue ConfigSetValue = Function<SetValue>("config_set_value");
        internal static readonly TextOf ConfigErrorMessage = Function<TextOf>("config_error_message");
        internal static readonly Free ConfigFree = Function<Free>("config_free");
        internal static readonly NewSource SourceNew = Function<NewSource>("source_new");
        internal static readonly TokenWith SourceTokenWith = Function<TokenWith>("source_token_with");
        internal static readonly Invalidate SourceInvalidate = Function<Invalidate>("source_invalidate_with");
        internal static readonly StatusOf SourceStatus = Function<StatusOf>("source_status");
        internal static readonly Free SourceFree = Function<Free>("source_free");
        internal static readonly TextOf ErrorMessage = Function<TextOf>("error_message");
        internal static readonly NumberOf ErrorHttpStatus = Function<NumberOf>("error_http_status");
        internal static readonly LongOf ErrorRetryAfter = Function<LongOf>("error_retry_after_ms");
        internal static readonly NumberOf ErrorIsRetryable = Function<NumberOf>("error_is_retryable");
        internal static readonly Free ErrorFree = Function<Free>("error_free");
        internal static readonly SetQueue SetLogQueue = Function<SetQueue>("set_log_queue");
        internal static readonly NextRecord LogNext = Function<NextRecord>("log_next");

        private static T Function<T>(string name) => Marshal.GetDelegateForFunctionPointer<T>(Loader.Symbol(Loader.Ready(), "paytoken_" + name));

        internal static T Setter<T>(string name) => Function<T>("config_set_" + name);

        internal static void Set(IntPtr config, string name, object value) {
            switch (name) {
                case "values":
                    var values = value as IDictionary ?? throw Invalid(name, "has to be a dictionary");
                    foreach (DictionaryEntry one in values)
                        using (var own = Wiped.Text(name, one.Key))
                        using (var text = Wiped.Text((string)one.Key, one.Value))
                            Accepted(config, ConfigSetValue(config, own.Pointer, text.Pointer));
                    return;
                case "client_id": case "client_secret": case "base_url": case "user_agent": case "proxy": case "store_directory":
                case "store_url": case "store_key_file": case "accept_unsealed": case "store_ca_file": case "store_certificate_file":
                case "store_private_key_file":
                    using (var text = Wiped.Text(name, value)) Accepted(config, Setter<SetText>(name)(config, text.Pointer));
                    return;
                case "certificate_pem": case "private_key_pem": case "root_certificates_pem":
                    var bytes = value as byte[] ?? throw Invalid(name, "has to be a byte[]");
                    Accepted(config, Setter<SetBytes>(name)(config, bytes, (UIntPtr)bytes.Length));
                    return;
                case "certificate_injected_by_proxy":
                    if (!(value is bool)) throw Invalid(name, "has to be a bool");
                    if ((bool)value) Accepted(config, Setter<SetMark>(name)(config));
                    return;
                case "renew_in_background":
                    if (!(value is bool)) throw Invalid(name, "has to be a bool");
                    Accepted(config, Setter<SetSwitch>(name)(config, (bool)value ? 1 : 0));
                    return;
                case "timeout_ms": case "connect_timeout_ms":
                    if (value is int) value = TimeSpan.FromMilliseconds((int)value);
                    if (!(value is TimeSpan) || (TimeSpan)value < TimeSpan.Zero)
                        throw Invalid(name, "has to be a TimeSpan, or an int of milliseconds, 0 or more");
                    Accepted(config, Setter<SetLimit>(name)(config, Milliseconds((TimeSpan)value)));
                    return;
                case "retries":
                    if (!(value is int) || (int)value < 0) throw Invalid(name, "has to be an int, 0 or more");
                    Accepted(config, Setter<SetCount>(name)(config, (uint)(int)value));
                    return;
                default:
                    throw Invalid(name, "there is no such setting; see paytoken_config_set_... in paytoken.h");
            }
        }

        /// <summary>Calls with a place for an error, and throws what is there afterwards.</summary>
        internal static void Checked(Fallible call) {
            Code code = call(out IntPtr error);
            Throw(code, error);
        }

        /// <summary>Throws an error of the library's, if there is one. A buffer that is too small is none.</summary>
        internal static void Throw(Code code, IntPtr error) {
            if (error == IntPtr.Zero) return;
            try {
                throw new PaytokenException(Utf8(ErrorMessage(error)), code, ErrorHttpStatus(error), Time(ErrorRetryAfter(error)), ErrorIsRetryable(error) == 1);
            } finally { ErrorFree(error); }
        }

        internal static void Accepted(IntPtr config, Code code) {
            if (code != Code.Ok) throw new PaytokenException(Utf8(ConfigErrorMessage(config)), code);
        }

        internal static void Expect(string what, Code code) {
            if (code != Code.Ok) throw new PaytokenException(what + ": " + Utf8(CodeName(code)), code);
        }

        internal static PaytokenException Invalid(string what, string why) => new PaytokenException(what + ": " + why, Code.InvalidArgument);

        internal static ulong Milliseconds(TimeSpan time) =>
            (ulong)(time.Ticks / TimeSpan.TicksPerMillisecond) + (time.Ticks % TimeSpan.TicksPerMillisecond > 0 ? 1UL : 0);

        internal static TimeSpan? Time(long milliseconds) =>
            milliseconds < 0 ? (TimeSpan?)null : TimeSpan.FromTicks(Math.Min(milliseconds, long.MaxValue / TimeSpan.TicksPerMillisecond) * TimeSpan.TicksPerMillisecond);

        internal static DateTimeOffset? Date(long milliseconds) =>
            milliseconds < 0 ? (DateTimeOffset?)null : DateTimeOffset.FromUnixTimeMilliseconds(Math.Min(milliseconds, 253402300799999));

        private static string Utf8(IntPtr text) {
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0) length++;
            var bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }
    }

    /// <summary>Finds the library: that of the package, else PAYTOKEN_LIBRARY, else the system's.</summary>
    internal static class Loader {
        private static readonly bool IsWindows = RuntimeInformation.IsOSPlatform(OSPlatform.Windows), IsMac = RuntimeInformation.IsOSPlatform(OSPlatform.OSX);

        private static readonly Lazy<IntPtr> Library = new Lazy<IntPtr>(Load);

        /// <summary>For what a program calls first: from C's initializer, the exception would come wrapped.</summary>
        internal static IntPtr Ready() => Library.Value;

        private static IntPtr Load() {
            string packed = IsWindows ? "paytoken.dll" : IsMac ? "libpaytoken.dylib" : "libpaytoken.so";
            string system = IsWindows ? packed : IsMac ? "libpaytoken.0.dylib" : "libpaytoken.so.0";
            string platform = (IsWindows ? "win-" : IsMac ? "osx-" : "linux-") + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
            string native = Path.Combine("runtimes", platform, "native", packed), why = "there is none for " + platform;
            // Beside the assembly, as it is published; below it, as it is built; in the package's folder. One file for all has no location.
            string own = typeof(Loader).Assembly.Location;
            string folder = string.IsNullOrEmpty(own) ? AppDomain.CurrentDomain.BaseDirectory : Path.GetDirectoryName(own);
            foreach (string path in new[] { packed, native, Path.Combine("..", "..", native) }.Select(it => Path.Combine(folder, it)).Where(File.Exists))
                if (Opened(path, ref why, out IntPtr library)) return library;
            string given = Environment.GetEnvironmentVariable("PAYTOKEN_LIBRARY"), whyOther = "";
            bool isGiven = !string.IsNullOrEmpty(given);
            if (Opened(isGiven ? given : system, ref whyOther, out IntPtr other)) return other;
            throw new DllNotFoundException("the C library does not load: not from the package (" + why + "), "
                + (isGiven ? "nor from PAYTOKEN_LIBRARY" : "PAYTOKEN_LIBRARY is not set, nor from the system") + " (" + whyOther
                + "); use the package with " + platform + " in it, set PAYTOKEN_LIBRARY to the path of " + (isGiven ? "the library" : system) + ", or install that");
        }

        private static bool Opened(string path, ref string why, out IntPtr library) {
            // To find dlerror clears what it tells: once before.
            if (!IsWindows) Unix(dlerror, libc_dlerror);
            library = IsWindows ? LoadLibraryEx(path, IntPtr.Zero, Path.IsPathRooted(path) ? 8u : 0) : Unix(() => dlopen(path, 2), () => libc_dlopen(path, 2));
            if (library == IntPtr.Zero)
                why = IsWindows ? "error " + Marshal.GetLastWin32Error() : Marshal.PtrToStringAnsi(Unix(dlerror, libc_dlerror));
            return library != IntPtr.Zero;
        }

        internal static IntPtr Symbol(IntPtr library, string name) {
            IntPtr symbol = IsWindows ? GetProcAddress(library, name) : Unix(() => dlsym(library, name), () => libc_dlsym(library, name));
            return symbol != IntPtr.Zero ? symbol : throw new EntryPointNotFoundException("the C library is older than this wrapper: it has no " + name + "; install that of the same version");
        }

        // In libdl.so.2 with every glibc; elsewhere in the C library.
        private static IntPtr Unix(Func<IntPtr> byLibdl, Func<IntPtr> byLibc) {
            try { return IsMac ? byLibc() : byLibdl(); } catch (DllNotFoundException) { return byLibc(); }
        }

        [DllImport("libdl.so.2")] private static extern IntPtr dlopen(string path, int flags);
        [DllImport("libdl.so.2")] private static extern IntPtr dlsym(IntPtr library, string name);
        [DllImport("libdl.so.2")] private static extern IntPtr dlerror();
        [DllImport("libc", EntryPoint = "dlopen")] private static extern IntPtr libc_dlopen(string path, int flags);
        [DllImport("libc", EntryPoint = "dlsym")] private static extern IntPtr libc_dlsym(IntPtr library, string name);
        [DllImport("libc", EntryPoint = "dlerror")] private static extern IntPtr libc_dlerror();
        [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true)] private static extern IntPtr LoadLibraryEx(string path, IntPtr file, uint flags);
        [DllImport("kernel32", CharSet = CharSet.Ansi, SetLastError = true)] private static extern IntPtr GetProcAddress(IntPtr library, string name);
    }
}
