//! Which store: what runs on a machine, and where it shares its token.

use super::svg::{Anchor, Svg};

/// Who finds the same store without any setting.
const SHARERS: [&str; 5] =
    ["login shell", "cron job", "unit of this user", "daemon (Rust)", "C program"];

const BOX: (f64, f64) = (196.0, 38.0);
const STEP: f64 = 50.0;
const STORES: f64 = 276.0;
const WIDE: f64 = 232.0;

pub(super) fn draw() -> String {
    let mut svg = Svg::new("Which store", 480);
    svg.text(12.0, 28.0, Anchor::Start, "strong", "one user, one machine");
    svg.text(STORES, 28.0, Anchor::Start, "strong", "where the token is shared");
    let top = 44.0;
    let middle = top + 2.0 * STEP + BOX.1 / 2.0;
    for (index, name) in SHARERS.iter().enumerate() {
        let y = top + index as f64 * STEP;
        who(&mut svg, y, name);
        let from = y + BOX.1 / 2.0;
        let to = middle + (index as f64 - 2.0) * 18.0;
        svg.arrow((12.0 + BOX.0 + 6.0, from), (STORES - 6.0, to), false, false);
    }
    store(
        &mut svg,
        middle - 60.0,
        120.0,
        &["the user's one store", "~/.cache/paytoken", "one entry per account"],
    );
    let y = top + 5.0 * STEP + 28.0;
    who(&mut svg, y, "unit, CacheDirectory=");
    across(&mut svg, y);
    store(&mut svg, y - 12.0, 62.0, &["a store of its own", "/var/cache/NAME/paytoken"]);
    let y = y + 92.0;
    who(&mut svg, y, "another machine");
    across(&mut svg, y);
    store(&mut svg, y - 12.0, 62.0, &["Redis or Valkey", "one for all machines"]);
    svg.finish()
}

fn who(svg: &mut Svg, y: f64, name: &str) {
    svg.rect(12.0, y, BOX.0, BOX.1, "box");
    svg.text(12.0 + BOX.0 / 2.0, y + 24.0, Anchor::Middle, "", name);
}

fn across(svg: &mut Svg, y: f64) {
    let y = y + BOX.1 / 2.0;
    svg.arrow((12.0 + BOX.0 + 6.0, y), (STORES - 6.0, y), false, false);
}

fn store(svg: &mut Svg, y: f64, height: f64, lines: &[&str]) {
    svg.rect(STORES, y, WIDE, height, "ours");
    let first = y + height / 2.0 - (lines.len() as f64 - 1.0) * 11.0 + 5.0;
    for (index, line) in lines.iter().enumerate() {
        let class = if index == 0 { "strong" } else { "small" };
        let y = first + index as f64 * 22.0;
        svg.text(STORES + WIDE / 2.0, y, Anchor::Middle, class, line);
    }
}
