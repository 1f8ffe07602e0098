//! What happens on 401: who says what to whom, from top to bottom.

use super::svg::{Anchor, Svg};

const PROGRAM: f64 = 66.0;
const SOURCE: f64 = 195.0;
const ENDPOINT: f64 = 324.0;
const API: f64 = 454.0;

const TOP: f64 = 60.0;
const STEP: f64 = 46.0;

/// From, to, what is said, and whether it is the point of the picture.
const STEPS: [(f64, f64, &str, bool); 8] = [
    (PROGRAM, API, "request, with token A", false),
    (API, PROGRAM, "401: token A is not valid, nothing was done", false),
    (PROGRAM, SOURCE, "drop token A", false),
    (SOURCE, ENDPOINT, "one request", true),
    (ENDPOINT, SOURCE, "token B", false),
    (SOURCE, PROGRAM, "token B", false),
    (PROGRAM, API, "one replay: the same request, with token B", true),
    (API, PROGRAM, "the second answer is returned, whatever it is", false),
];

pub(super) fn draw() -> String {
    let end = TOP + STEP * (STEPS.len() as f64 + 0.4);
    let mut svg = Svg::new("What happens on 401", (end + 122.0) as u32);
    for (x, name) in
        [(PROGRAM, "your program"), (SOURCE, "source"), (ENDPOINT, "token endpoint"), (API, "API")]
    {
        svg.line((x, 44.0), (x, end), "line dashed");
        svg.rect(x - 60.0, 10.0, 120.0, 34.0, if x == SOURCE { "ours" } else { "box" });
        svg.text(x, 32.0, Anchor::Middle, "", name);
    }
    for (index, (from, to, text, is_point)) in STEPS.into_iter().enumerate() {
        let y = TOP + STEP * (index as f64 + 0.75);
        let middle = (from + to) / 2.0;
        // The words stand on the lifelines that they cross.
        let half = text.chars().count() as f64 * 3.8 + 4.0;
        svg.rect(middle - half, y - 22.0, 2.0 * half, 18.0, "paper");
        svg.text(middle, y - 8.0, Anchor::Middle, if is_point { "act" } else { "" }, text);
        svg.arrow((from, y), (to, y), is_point, false);
    }
    svg.rect(6.0, end + 14.0, 508.0, 98.0, "box");
    svg.text(
        20.0,
        end + 38.0,
        Anchor::Start,
        "strong",
        "5xx, time-out, cut connection: never replay",
    );
    let texts = [
        "The outcome is unknown: the payment may have been made. You",
        "get the answer as it is. Look up the payment's status before you",
        "send it again.",
    ];
    for (index, text) in texts.iter().enumerate() {
        svg.text(20.0, end + 58.0 + index as f64 * 20.0, Anchor::Start, "small", text);
    }
    svg.finish()
}
