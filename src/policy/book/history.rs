//! What monitoring gets to know of a book: for longer than anything in it holds requests back. It knows no
//! secret, so a refusal that a token has followed is not shown.

use super::*;

/// What was wrong, and when a token came.
pub(crate) struct History<'a> {
    /// Of what kind, in which words, and when.
    pub(crate) last_error: Option<(ErrorKind, &'a str, Option<SystemTime>)>,
    /// How long requests are still held back.
    pub(crate) blocked_for: Option<Duration>,
    pub(crate) succeeded_at: Option<SystemTime>,
    /// Of those that nobody forced; it counts to six.
    pub(crate) refused_in_last_hour: usize,
}

impl Book {
    /// What monitoring gets to know.
    pub(crate) fn history(&self, now: Now, cap: Cap) -> History<'_> {
        let blocked = self.longest(now, cap);
        // What still holds requests back is shown first, then what has been wrong since the last token.
        let last_error = blocked.and_then(|(known, _)| known).or(self.last_failure.as_ref());
        History {
            last_error: last_error.map(|known| (known.kind, known.message.as_str(), known.at)),
            blocked_for: blocked.map(|(_, left)| left),
            succeeded_at: self.succeeded_at,
            refused_in_last_hour: self.refused_at.iter().filter(|at| is_recent(at, now)).count(),
        }
    }

    /// Whether a fetch has failed since the last token came.
    pub(crate) fn is_failing(&self) -> bool {
        self.last_failure.is_some()
    }

    /// What holds requests back for longest, whatever the secret.
    fn longest(&self, now: Now, cap: Cap) -> Option<(Option<&Remembered>, Duration)> {
        let left = |known, longest| Remembered::left(known, now, longest);
        // A token that came later came by another secret: that of who asks now, as a rule.
        let refusals = self.refusals.iter().filter(|known| known.at >= self.succeeded_at);
        let refusals = refusals.filter_map(|known| Some((Some(known), left(known, LONGEST)?)));
        let capped = self.cap_ends(now, cap.most);
        let capped = capped.filter(|_| self.accepted.is_none() || cap.is_absolute);
        let capped = capped.and_then(|until| until.duration_since(now.wall).ok());
        let capped = capped.map(|left| (self.refusals.last(), left));
        let outage = self.outage.as_ref();
        let outage = outage.and_then(|known| Some((Some(known), left(known, PAUSED)?)));
        refusals.chain(capped).chain(outage).max_by_key(|(_, left)| *left)
    }
}
