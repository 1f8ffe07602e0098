//! Header, rustdoc, help and page take their numbers from the constants.

use super::builder::{CONNECT_TIMEOUT, MOST_RETRIES, RETRIES, TIMEOUT};
use crate::base::dial::PACE;
use crate::base::files::PATIENCE;
use crate::flight::MOST_VALIDITY_PERCENT;
use crate::flight::slot::LOOK_MAY_TAKE;
use crate::store::{FileStore, Store as _};
use crate::types::facts::Renewal;
use crate::types::names::Provider;

#[test]
fn the_header_and_the_pages_say_the_same_numbers() {
    let header = include_str!("../../capi/include/paytoken.h").replace("\n * ", " ");
    let rustdoc = [
        include_str!("builder.rs"),
        include_str!("mod.rs"),
        include_str!("settings.rs"),
        include_str!("../credentials/mod.rs"),
        include_str!("../store/mod.rs"),
        include_str!("../store/sealed.rs"),
    ];
    let rustdoc = rustdoc.concat().replace("\n    /// ", " ");
    let page = include_str!("../../docs/safe-use.md");
    let help = include_str!("../../cli/src/command_line/definition.rs");
    let [time, connect, pipes] = [TIMEOUT, CONNECT_TIMEOUT, PATIENCE].map(|time| time.as_secs());
    let directory = FileStore::open(std::env::temp_dir().join("paytoken-numbers")).unwrap();
    let both = (directory.look_every() + LOOK_MAY_TAKE).as_secs_f32();
    let [look, more, pace] =
        [directory.look_every(), LOOK_MAY_TAKE, PACE].map(|time| time.as_millis());
    let [ntx, nexter] =
        [Provider::NtxPay, Provider::NexterPay].map(|provider| match provider.facts().renewal {
            Renewal::Coexists { renew_from_percent } => renew_from_percent,
            Renewal::ReplacesPrevious => 95,
        });
    for (text, says) in [
        (&*header, format!("a store's server may add seconds. Default {time},000 ms; not 0")),
        (&header, format!("proxy, TLS. Default {connect},000 ms; not 0")),
        (&header, format!("is retried. Default {RETRIES}, at most {MOST_RETRIES}.")),
        (&header, format!(" s ({both} s with a directory) */")),
        (&header, format!("one call in {look} ms with a directory")),
        (&header, format!("a pipe named in a variable is read to its end, within {pipes} s.")),
        (&header, format!("is more than {MOST_VALIDITY_PERCENT} % of a token's life")),
        (&rustdoc, format!("may add seconds of its own. Default {time} s.")),
        (&rustdoc, format!("timeout). Default {connect} s.")),
        (&rustdoc, format!("timeout). Default {RETRIES}, at most {MOST_RETRIES}. A")),
        (&rustdoc, format!("the next is tried {pace} ms after the one before")),
        (&rustdoc, format!("and {more} ms ({both} s with a directory, ")),
        (&rustdoc, format!("asks for the stamp: every {look} ms, unless a store")),
        (&rustdoc, format!("(after {more} ms without one, other callers ask too)")),
        (&rustdoc, format!("renews from {ntx} % (NexterPay: {nexter} %) of the lifetime on")),
        (&rustdoc, format!("is more than {MOST_VALIDITY_PERCENT} % of a token's life")),
        (&rustdoc, format!("or in a pipe that ends within {pipes} s;")),
        (&rustdoc, format!("Not read from the environment; {time} s unless set.")),
        (&rustdoc, format!("Pipes are read for {pipes} seconds at most.")),
        (page, format!("within `timeout` ({time} s unless set)")),
        (help, format!("each step of connecting to the provider (default: {connect}s)")),
    ] {
        assert!(text.contains(&says), "{says}");
    }
}
