//! The pages that state the rules take their numbers from here.

use super::*;

#[test]
fn the_page_says_the_same_numbers() {
    let page = include_str!("../../../../docs/safe-use.md");
    let minutes = |time: Duration| format!("{} min", time.as_secs() / 60);
    let pauses = PAUSES.map(|pause| pause.to_string());
    let (last, first) = pauses.split_last().unwrap();
    let pauses = format!("{}, then {last} s", first.join(", "));
    for row in [
        format!(
            "| {} s, then {}, then {}; or as",
            FIRST.as_secs(),
            minutes(FIRST * 4),
            minutes(LONGEST)
        ),
        format!(
            "| {MOST_REFUSED} refused requests within an hour, which nobody forced | secrets that were"
        ),
        format!("| {} after the last refused request |", minutes(NEXT_SECRET)),
        format!("| the provider failed | everybody | {pauses}, and up to a fifth more at random |"),
        format!("(a tenth more counts as no more) | {pauses} |"),
        format!("| {} s after the last one |", BETWEEN_TOKENS.as_secs()),
        format!("of refusals after an hour, of outages after {}.", minutes(LAPSE)),
    ] {
        assert!(page.contains(&row), "{row}");
    }
    let says = format!("with {},000 iterations", remembered::ITERATIONS.get() / 1000);
    assert!(cfg!(paytoken_model) || include_str!("../../../../SECURITY.md").contains(&says));
    let rustdoc = include_str!("../../../source/mod.rs").replace("\n    /// ", " ");
    let refusals = format!("for {} s and up to {} (an hour", FIRST.as_secs(), minutes(LONGEST));
    let outages = format!("an outage for {} s and up to {} s;", PAUSES[0], PAUSED.as_secs());
    for says in [refusals, outages] {
        assert!(rustdoc.contains(&says), "{says}");
    }
    assert_eq!(HOUR, secs(3600));
    assert_eq!(PAUSED, Duration::from_secs(PAUSES[4]) + Duration::from_secs(PAUSES[4]) / 5);
}
