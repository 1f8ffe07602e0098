//! What broke a rule: one example for each, the shortest seen.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Default)]
pub(crate) struct Findings(BTreeMap<&'static str, Finding>);

struct Finding {
    times: u64,
    what: String,
    input: Vec<u8>,
}

impl Findings {
    /// Runs it; a panic is a finding.
    pub(crate) fn watch<T>(&mut self, input: &[u8], run: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(done) => Some(done),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
                self.add("panic", &text.unwrap_or_default(), input);
                None
            }
        }
    }

    pub(crate) fn add(&mut self, rule: &'static str, what: &str, input: &[u8]) {
        let new = || Finding { times: 0, what: what.to_owned(), input: input.to_vec() };
        let finding = self.0.entry(rule).or_insert_with(new);
        finding.times += 1;
        if input.len() < finding.input.len() {
            (finding.what, finding.input) = (what.to_owned(), input.to_vec());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn describe(&self, target: &str) -> Vec<String> {
        let line = |(rule, finding): (&&str, &Finding)| {
            format!(
                "{target}: {rule}, {} times: {}\n  input: {}",
                finding.times,
                finding.what.escape_debug(),
                finding.input.escape_ascii()
            )
        };
        self.0.iter().map(line).collect()
    }
}
