"""The measurements as pictures: SVG with a light and a dark face."""

import math
import statistics

from harness.measure import HERD, SITUATIONS, THREADS
from harness.tables import short

# Classes of the style below, which has a light and a dark face.
COLOUR, FAINT, OTHER = "ours", "faint", "other"
INK, GREY, GRID = "ink", "grey", "grid"
STYLE = """<style>
.paper{fill:#ffffff}.ours{fill:#c2410c}.faint{fill:#e8a27c}.other{fill:#7b8794}
.ink{fill:#1f2933}.grey{fill:#52606d}.grid{stroke:#d9dee3}
@media (prefers-color-scheme:dark){
.paper{fill:#0d1117}.ours{fill:#f0783c}.faint{fill:#8a4b2b}.other{fill:#6b7681}
.ink{fill:#f0f6fc}.grey{fill:#9198a1}.grid{stroke:#2f353d}
}
</style>"""
WIDTH, LEFT, RIGHT, BAR, STEP = 446, 196, 66, 18, 25  # no wider: on a phone the letters would be too small


def cached_picture(cached):
    groups = []
    for threads in THREADS:
        bars = [(name, times[threads], f"{short(times[threads])} ns") for name, times in cached.items() if threads in times]
        groups.append((f"{threads} thread{'s' if threads > 1 else ''}", bars))
    return svg([("Cached call: wall time per call, over all threads", "nanoseconds", groups)])


def cold_picture(samples):
    bars = []
    for name, rows in samples.items():
        took = statistics.median(t for t, _ in rows)
        bars.append((name, took, f"{short(took)} ms"))
    bars.sort(key=lambda bar: bar[1])
    return svg([("Cold process: one token over mutual TLS, start to end", "milliseconds", [(None, bars)])])


def herd_picture(herd):
    def groups(column, label):
        return [(title, [(name, row[column], label(row[column])) for name, row in herd[situation].items()])
                for situation, title, _ in SITUATIONS]

    return svg([
        (f"Herd of {HERD} threads: requests to the provider", "requests", groups(0, lambda n: f"{n:.0f}")),
        (f"Herd of {HERD} threads: longest wait of a caller", "milliseconds", groups(1, lambda n: f"{short(n)} ms")),
        (f"Herd of {HERD} threads: callers that waited", "callers", groups(2, lambda n: f"{n:.0f}")),
    ])


def svg(panels):
    elements, y = [], 6
    for arguments in panels:
        more, y = panel(y, *arguments)
        elements += more
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    background = f'<rect width="{WIDTH}" height="{y}" class="paper"/>'
    return "\n".join([f'{head} font-family="sans-serif" font-size="13px">', STYLE, background, *elements, "</svg>\n"])


def panel(top, title, unit, groups):
    """Horizontal bars, logarithmic for times, linear for counts; returns the elements and where they end.

    `groups` is [(heading or None, [(name, value, label)])].
    """
    values = [value for _, bars in groups for _, value, _ in bars]
    span = WIDTH - LEFT - RIGHT
    if unit.endswith("seconds"):
        unit += ", logarithmic scale"
        # From one of the unit on, so that a bar's length has a meaning.
        low = min(0, math.floor(math.log10(min(values)) - 0.05))
        high = max(low + 1, math.ceil(math.log10(max(values))))
        ticks = [10.0**power for power in range(low, high + 1)]

        def place(value):
            return LEFT + span * (math.log10(value) - low) / (high - low)
    else:
        step = 10 ** math.floor(math.log10(max(1, *values)))
        ticks = [step * number for number in range(math.ceil(max(1, *values) / step) + 1)]

        def place(value):
            return LEFT + span * value / ticks[-1]

    y = top + 18
    marks = [text(12, y, title, weight="bold")]
    y += 22
    begin = y
    bars_drawn = []
    for heading, bars in groups:
        if heading:
            bars_drawn.append(behind(12, y, heading))
            bars_drawn.append(text(12, y + 14, heading, fill=GREY, weight="bold"))
            y += 22
        for name, value, label in bars:
            weight = "bold" if colour(name) == COLOUR else "normal"
            end = place(value)
            bars_drawn.append(text(LEFT - 8, y + 14, name, "end", weight=weight))
            bars_drawn.append(f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" class="{colour(name)}"/>')
            bars_drawn.append(behind(end + 3, y, label))
            bars_drawn.append(text(end + 6, y + 14, label, weight=weight))
            y += STEP
        y += 6
    grid = []
    for tick in ticks:
        x = place(tick)
        grid.append(f'<line x1="{x:.1f}" y1="{begin - 4}" x2="{x:.1f}" y2="{y}" class="{GRID}"/>')
        grid.append(text(x, y + 17, f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}", "middle", GREY))
    y += 38
    grid.append(text(LEFT + span / 2, y, unit, "middle", GREY))
    return grid + marks + bars_drawn, y + 14


def text(x, y, content, anchor="start", fill=INK, weight="normal"):
    content = content.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{fill}" font-weight="{weight}">{content}</text>'


def behind(x, y, content):
    """Paper behind a text: on the grid's lines it would be hard to read."""
    return f'<rect x="{x:.1f}" y="{y}" width="{8 * len(content) + 4}" height="{BAR}" class="paper"/>'


def colour(name):
    if not name.startswith("paytoken"):
        return OTHER
    return COLOUR if name in ("paytoken", "paytoken, cold") else FAINT
