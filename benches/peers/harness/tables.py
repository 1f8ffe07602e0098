"""The measurements as Markdown."""

import statistics

from harness.measure import HERD, SITUATIONS, THREADS


def cached_text(cached):
    rows = []
    for name, times in cached.items():
        cells = [f"{short(times[n])} ns ({ratio(times[n], cached['paytoken'][n])})" if n in times else "–" for n in THREADS]
        rows.append([f"**{name}**" if name == "paytoken" else name, *cells])
    header = ["", *(f"{n} thread{'s' if n > 1 else ''}" for n in THREADS)]
    return f"""### Cached call

Wall time divided by all calls of all threads, with a token that is good for a long while; in brackets, relative to paytoken.

![Nanoseconds per cached call](cached.svg)

{table(header, rows)}

- paytoken: `TokenSource::token()`, a clone of the source per thread. It checks two clocks at each call.
- moka: `get` of an `Arc<str>` from a `sync::Cache` with a time to live and the default hasher. A cache only: nothing is fetched or renewed.
- Go: `ReuseTokenSource(…).Token()`; its threads are goroutines.
- authlib: `OAuth2Session.ensure_active_token`, what each request does first; a fiftieth of the calls.
"""


def cold_text(samples, rounds):
    median = {name: (statistics.median(t for t, _ in rows), statistics.median(m for _, m in rows))
              for name, rows in samples.items()}
    base = median["paytoken, cold"][0]
    rows = []
    for name, measured in samples.items():
        took, memory = median[name]
        times = [t for t, _ in measured]
        bold = f"**{name}**" if name == "paytoken, cold" else name
        rows.append([bold, f"{short(took)} ms", f"{short(min(times))}–{short(max(times))}", ratio(took, base), f"{memory / 1024:.1f} MiB"])
    warm = ratio(median["paytoken, warm"][0], median["true"][0])
    plural = "s" if rounds != 1 else ""
    return f"""### Cold process

A whole process from its start to its end, one token over mutual TLS on stdout: median of {rounds} round{plural}. A warm paytoken command
takes {warm} the time of `true`, which does nothing.

![Milliseconds per process](cold.svg)

{table(["", "time", "fastest–slowest", "to paytoken, cold", "peak memory"], rows)}

- All ask the same token server, by a form (RFC 6749); paytoken by NTX Pay's JSON with the certificate in a header too.
- Cold: without a store. Empty store: the token is written to disk, too. Warm: from the store, nothing is asked.
- Peak memory is that of the largest process. What `true` shows is the least that can be seen.
- ureq and the oauth2 crate are built as paytoken is (one unit, link-time optimisation, for size, stripped); Go without cgo.
"""


def herd_text(herd, delay):
    rows = []
    for situation, title, _ in SITUATIONS:
        for name, (requests, longest, waited, failed) in herd[situation].items():
            bold = f"**{name}**" if name == "paytoken" else name
            rows.append([title, bold, f"{requests:.0f}", f"{short(longest)} ms", f"{waited:.0f}", f"{failed:.0f}"])
    return f"""### Herd

{HERD} threads ask at the same moment; the provider takes {delay} ms for each answer. "Callers that waited": longer than half of that.

![Requests, longest wait, and callers that waited](herd.svg)

{table(["", "", "requests", "longest wait", "callers that waited", "callers without a token"], rows, names=2)}

- Renewal: each library with the time left at which it asks for a new token although the old one is good. paytoken: 90 s of
  600 (it begins at 120 s), Go: 5 s (it begins at 10 s), authlib: 30 s (it begins at 60 s).
- 500: paytoken tries again twice and gives all callers that one outcome. Go's callers ask one after the other, authlib's all at once.
"""


def table(header, rows, names=1):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * names + "---:|" * (len(header) - names)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def ratio(value, base):
    number = value / base
    return f"{number:.0f}×" if number >= 20 else f"{number:.1f}×" if number >= 1 else f"{number:.2f}×"


def short(value):
    """Two or three significant digits, and all whole ones."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
