//! A token's life: a bar per provider, each to the scale of its own lifetime.

use std::time::Duration;

use paytoken::{Provider, Renewal};

use super::svg::{Anchor, Svg, WIDTH};

const LEFT: f64 = 16.0;
const LONG: f64 = WIDTH as f64 - 2.0 * LEFT;
const ROW: f64 = 146.0;
const BAR: f64 = 28.0;

/// The last part of a token's life, in which it is treated as expired.
fn margin(lifetime: Duration) -> Duration {
    (lifetime / 20).min(Duration::from_secs(30))
}

pub(super) fn draw() -> String {
    let rows = Provider::ALL.len() as f64;
    let mut svg = Svg::new("A token's life", (rows * ROW + 92.0) as u32);
    for (index, &provider) in Provider::ALL.iter().enumerate() {
        row(&mut svg, provider, 10.0 + index as f64 * ROW);
    }
    legend(&mut svg, rows * ROW + 14.0);
    svg.finish()
}

fn row(svg: &mut Svg, provider: Provider, top: f64) {
    let facts = provider.facts();
    let life = facts.sandbox.lifetime.unwrap();
    let (sandbox, production) =
        (life.as_secs() / 60, facts.production.lifetime.unwrap().as_secs() / 60);
    let title = match sandbox == production {
        true => format!("{}: {sandbox} min", facts.title),
        false => format!("{}: {sandbox} min (production: {production} min)", facts.title),
    };
    svg.text(LEFT, top + 16.0, Anchor::Start, "strong", &title);
    let (bar, arrows) = (top + 76.0, top + 44.0);
    let at = |part: f64| LEFT + LONG * part;
    let good = 1.0 - margin(life).as_secs_f64() / life.as_secs_f64();
    let window = match facts.renewal {
        Renewal::Coexists { renew_from_percent, .. } => f64::from(renew_from_percent) / 100.0,
        _ => good,
    };
    // A sliver of a long life still has to be seen.
    let ended = (at(good)).min(at(1.0) - 3.0);
    svg.rect(at(0.0), bar, at(window) - at(0.0), BAR, "fresh");
    svg.rect(at(window), bar, ended - at(window), BAR, "window");
    svg.rect(ended, bar, at(1.0) - ended, BAR, "ended");
    svg.text(at(window / 2.0), bar + 19.0, Anchor::Middle, "on", "all callers use it at once");
    for part in [0.06, 0.2, 0.34, 0.48, 0.62, 0.74] {
        svg.arrow((at(part), arrows), (at(part), bar - 2.0), false, false);
    }
    let renews_at = at(window) + 6.0;
    svg.arrow((renews_at, bar - 2.0), (renews_at, arrows - 6.0), true, false);
    let what = match facts.renewal {
        Renewal::ReplacesPrevious => {
            // The others stop in front of the bar.
            for step in 1..=3 {
                let x = renews_at + 6.0 + f64::from(step) * 6.0;
                svg.line((x, arrows), (x, bar - 12.0), "line");
            }
            svg.line((renews_at + 7.0, bar - 12.0), (at(1.0) + 2.0, bar - 12.0), "line");
            "one renews, all wait; it invalidates the old one"
        }
        _ => {
            for part in [0.45, 0.7, 0.95] {
                let x = renews_at + (ended - renews_at) * part;
                svg.arrow((x, arrows), (x, bar - 2.0), false, false);
            }
            "one renews, nobody waits; the old one stays valid"
        }
    };
    svg.text(renews_at - 8.0, arrows - 7.0, Anchor::End, "act", what);
    let (percent, moment) = ((window * 100.0).round(), minutes(life.mul_f64(window)));
    let below = format!("renewed from {percent} % ({moment})");
    svg.text(at(0.0), bar + BAR + 20.0, Anchor::Start, "small", &below);
    let last = format!("the last {} s: expired", margin(life).as_secs());
    svg.text(at(1.0), bar + BAR + 20.0, Anchor::End, "small", &last);
}

fn legend(svg: &mut Svg, top: f64) {
    for (index, (class, text)) in [
        ("fresh", "good: from memory, no request"),
        ("window", "good, and due: the first caller renews it"),
        ("ended", "treated as expired a little early: one fetches, all wait"),
    ]
    .into_iter()
    .enumerate()
    {
        let y = top + index as f64 * 24.0;
        svg.rect(LEFT, y, 16.0, 16.0, class);
        svg.text(LEFT + 26.0, y + 13.0, Anchor::Start, "", text);
    }
}

/// `8 min`, `4 min 45 s`.
fn minutes(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
