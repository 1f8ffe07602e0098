//! A book on its way between a process's memory and the store: what takes whose place, and whose marks
//! they are.

use serde::Serializer;

use super::remembered::Derived;
use super::*;
use crate::base::secret::Secret;

impl Book {
    /// What the store says takes the place of what is here, except what could not be written yet.
    pub(crate) fn take_over(&mut self, stored: Self, now: Now) {
        let known = std::mem::replace(self, stored);
        for refusal in &mut self.refusals {
            refusal.pin(now, LONGEST, &known.refusals);
        }
        self.marks_mut().for_each(|mark| mark.take_over(known.marks()));
        let own = [&mut self.outage, &mut self.too_slow, &mut self.renewal, &mut self.last_failure];
        let before = [&known.outage, &known.too_slow, &known.renewal, &known.last_failure];
        let longest = [PAUSED, PAUSED, LONGEST, Duration::ZERO];
        for ((own, before), longest) in own.into_iter().zip(before).zip(longest) {
            own.iter_mut().for_each(|own| own.pin(now, longest, before.as_slice()));
            if known.is_unwritten() && before.as_ref().is_some_and(|before| before.outlasts(own)) {
                own.clone_from(before);
            }
        }
        let missing: Vec<_> =
            known.revoked.iter().filter(|one| !self.revoked.contains(one)).cloned().collect();
        self.revoked.extend(missing);
        if known.is_unwritten() {
            for refusal in &known.refusals {
                let place = self.refusals.iter().position(|own| own.is_alike(refusal));
                if place.is_none_or(|place| refusal.until > self.refusals[place].until) {
                    place.map(|place| self.refusals.remove(place));
                    self.refusals.push(refusal.clone());
                }
            }
            self.refused_at.extend(&known.refused_at);
            self.refused_at.sort();
            self.refused_at.dedup();
            self.fresh_revoked = self.fresh_revoked.max(known.fresh_revoked);
            self.succeeded_at = self.succeeded_at.max(known.succeeded_at);
            let has_ended = |failure: &mut Remembered| failure.at < self.succeeded_at;
            self.last_failure.take_if(has_ended);
        }
        if known.api_accepts {
            self.fresh_revoked = 0;
        }
        *self = Self {
            api_accepts: known.api_accepts,
            own_outage: known.own_outage,
            next_renewal: known.next_renewal,
            notes: known.notes,
            written: known.written,
            ..std::mem::take(self).checked()
        };
    }

    fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.refusals.iter().filter_map(|refusal| refusal.secret.as_ref()).chain(&self.accepted)
    }

    fn marks_mut(&mut self) -> impl Iterator<Item = &mut Mark> {
        let refused = self.refusals.iter_mut().filter_map(|refusal| refusal.secret.as_mut());
        refused.chain(&mut self.accepted)
    }

    /// A revoked token could not be reported to the store.
    pub(crate) fn note_untold(&mut self) {
        self.notes += 1;
    }

    /// Whether there is something that the store does not know yet.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.notes != self.written
    }

    /// The store knows now what `book` knew, a copy of this one whose marks a store can hold: they are
    /// this one's, too. What was noted since the copy was made stays.
    pub(crate) fn was_written(&mut self, book: &Self) {
        for mark in self.marks_mut() {
            if let Some(written) = book.marks().find(|written| written.is_same(mark)) {
                mark.clone_from(written);
            }
        }
        self.written = book.notes;
        self.api_accepts &= !book.api_accepts;
    }

    /// Makes the marks of this secret ones that a store can hold. Slow on purpose where one is new.
    pub(crate) fn derive(&mut self, number: u64, secret: impl Fn() -> Secret) {
        self.marks_mut().for_each(|mark| mark.derive(number, &secret));
    }

    /// What a store may hold of it, whoever wrote it.
    pub(crate) fn checked(mut self) -> Self {
        keep_last(MOST_REVOKED, &mut self.revoked);
        keep_last(MOST_REFUSALS, &mut self.refusals);
        keep_last(MOST_REFUSED, &mut self.refused_at);
        self
    }
    /// A mark that counts and of which it is not known whether it is this secret's: it has to be found
    /// out, slowly.
    pub(crate) fn unknown_mark(&self, now: Now, secret: u64) -> Option<Derived> {
        let unknown = |mark: &&Mark| mark.is_of(secret).is_none();
        // The newest refusal first: it is most likely this secret's.
        let counts = self.refusals.iter().rev().filter(|known| known.times_within(now, HOUR) > 0);
        let refused = counts.filter_map(|refusal| refusal.secret.as_ref());
        let accepted =
            self.accepted.as_ref().filter(|_| self.cap_ends(now, MOST_REFUSED).is_some());
        refused.chain(accepted).find(unknown)?.derived().cloned()
    }

    /// Whether a refusal stands of which it is not known whether it is for this secret.
    pub(crate) fn may_be_refused(&self, now: Now, secret: u64) -> bool {
        self.refusals
            .iter()
            .any(|refusal| refusal.is_for(secret).is_none() && refusal.left(now, LONGEST).is_some())
    }

    /// What was found out of a mark.
    pub(crate) fn learn(&mut self, of: &Derived, secret: u64, is_its: bool) {
        let its = self.marks_mut().filter(|mark| mark.has_salt_of(of));
        its.for_each(|mark| mark.learn(secret, is_its));
    }
}

/// Those whose secret a store can know again.
pub(super) fn write_refusals<S: Serializer>(
    refusals: &[Remembered],
    to: S,
) -> Result<S::Ok, S::Error> {
    let is_known =
        |one: &&Remembered| one.secret.as_ref().is_none_or(|mark| mark.derived().is_some());
    to.collect_seq(refusals.iter().filter(is_known))
}
