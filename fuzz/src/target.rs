//! The targets, and the rules that every one of them has to keep.

mod answer;
mod date;
mod description;
mod entry;
mod pem;
mod setting;

use paytoken::{Error, Token};

/// What reads input that others wrote.
pub trait Target {
    /// Inputs to begin with.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Words worth putting into an input.
    fn words(&self) -> &'static [&'static [u8]];

    /// Memory that it may use whatever the size of the input.
    fn allowance(&self) -> usize {
        64 * 1024
    }

    /// Runs one input. A panic breaks a rule, too.
    fn execute(&mut self, input: &[u8]) -> Outcome;
}

/// The seeds of a file that has one a line.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// What came of one input.
#[derive(Default)]
pub struct Outcome {
    /// Whether the input was taken for what it should be.
    pub is_accepted: bool,
    /// The rules that were broken, and how.
    pub broken: Vec<(&'static str, String)>,
}

type Make = fn() -> Box<dyn Target>;

/// Every target: its name, and how to make it.
pub const ALL: [(&str, Make); 12] = [
    ("date", || Box::new(date::Dates)),
    ("description", || Box::new(description::Descriptions::new())),
    ("pem", || Box::new(pem::Pem::new())),
    ("setting", || Box::new(setting::Settings)),
    ("entry", || Box::new(entry::Entries::new())),
    ("ntx-pay", || Box::new(answer::Answers::ntx_pay())),
    ("nexter-pay", || Box::new(answer::Answers::nexter_pay())),
    ("send-payments", || Box::new(answer::Answers::send_payments())),
    ("pointer", || Box::new(answer::Answers::pointer())),
    ("bare", || Box::new(answer::Answers::bare())),
    ("refusal", || Box::new(answer::Answers::refusal())),
    ("retry-after", || Box::new(answer::Answers::retry_after())),
];

/// Short, so that nothing but its being known hides it; with characters that are written in
/// several ways.
pub(crate) const SECRET: &str = "p-/ x\"y";

/// The ways in which servers write what they were sent: as it is, in JSON, in a URL, in a form, in
/// HTML, in base64.
const FORMS: [&str; 9] = [
    SECRET,
    "p-/ x\\\"y",
    "p-%2F%20x%22y",
    "p%2D%2F%20x%22y",
    "p-%2f%20x%22y",
    "p-%2F+x%22y",
    "p-/ x&quot;y",
    "cC0vIHgieQ",
    "p-\\/ x\\\"y",
];

impl Outcome {
    /// A token is for a header.
    pub(crate) fn token(token: &Token) -> Self {
        let mut outcome = Self { is_accepted: true, ..Self::default() };
        let is_fine = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_fine(token.secret()) {
            outcome.broken.push(("token fit for a header", token.secret().to_owned()));
        }
        let shown = format!("{token:?}");
        if token.secret().len() > 9 && shown.contains(token.secret()) {
            outcome.broken.push(("token hidden in Debug", shown));
        }
        outcome
    }

    /// An error is one bounded line of print without the secret.
    pub(crate) fn error(error: &Error) -> Self {
        let mut outcome = Self::default();
        let (display, debug) = (error.to_string(), format!("{error:?}"));
        for shown in [&display, &debug] {
            if FORMS.iter().any(|form| shown.contains(form)) {
                outcome.broken.push(("error without the secret", shown.clone()));
            }
        }
        if display.chars().count() > 1000 {
            outcome.broken.push(("error of bounded length", display.chars().take(200).collect()));
        }
        if display.chars().any(char::is_control) {
            outcome.broken.push(("error of printable text", display));
        }
        outcome
    }

    pub(crate) fn of(result: &Result<Token, Error>) -> Self {
        match result {
            Ok(token) => Self::token(token),
            Err(error) => Self::error(error),
        }
    }
}
