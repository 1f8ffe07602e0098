//! The slot against a reference that is simple enough to be believed, over arbitrary histories:
//! both clocks move independently, flights end or die, tokens are invalidated at any moment.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    /// The wall clock alone, in either direction.
    MoveWall(i64),
    Ask {
        min_validity: u64,
        force: bool,
    },
    LandToken {
        lifetime: u64,
    },
    LandError {
        may_have_arrived: bool,
    },
    Die,
    InvalidateCurrent,
    InvalidateOlder,
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![0..2_000u64, 0..700_000u64, Just(86_400_000)];
    prop_oneof![
        3 => time.clone().prop_map(Step::Advance),
        1 => (-90_000_000..90_000_000i64).prop_map(Step::MoveWall),
        6 => (prop_oneof![Just(0), 0..700_000u64], prop::bool::weighted(0.2))
            .prop_map(|(min_validity, force)| Step::Ask { min_validity, force }),
        3 => (1..700_000u64).prop_map(|lifetime| Step::LandToken { lifetime }),
        1 => any::<bool>().prop_map(|may_have_arrived| Step::LandError { may_have_arrived }),
        1 => Just(Step::Die),
        1 => Just(Step::InvalidateCurrent),
        1 => Just(Step::InvalidateOlder),
    ]
}

/// A token as the reference sees it: when it was asked for by both clocks, and how long it lives.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    monotonic: i128,
    wall: i128,
    lifetime: i128,
    flight: u64,
}

/// Milliseconds on both clocks since the beginning.
#[derive(Default)]
struct Reference {
    monotonic: i128,
    wall: i128,
    current: Option<Known>,
    /// The flight in the air, when it began, and the token it will replace.
    flight: Option<(u64, i128, i128, Option<Known>)>,
    invalidated: Vec<String>,
}

impl Reference {
    fn left(&self, token: &Known) -> i128 {
        let age = (self.monotonic - token.monotonic).max(self.wall - token.wall).max(0);
        (token.lifetime - age).max(0)
    }

    fn usable(&self, ask: &Wish) -> Option<&Known> {
        let margin = |token: &Known| (token.lifetime * 1_000_000 / 20).min(30_000_000_000);
        self.current.as_ref().filter(|token| {
            self.left(token) * 1_000_000 > margin(token)
                && self.left(token) >= ask.min_validity.as_millis() as i128
                && ask.newer_than.is_none_or(|flight| token.flight > flight)
        })
    }

    fn is_due(&self, token: &Known) -> bool {
        (token.lifetime - self.left(token)) * 100 >= token.lifetime * 80
    }
}

fn play(renewal: Renewal, steps: &[Step]) -> Result<(), TestCaseError> {
    let start = Now::from_system();
    let published = PublishedToken::default();
    let mut slot = Slot::new(renewal, published.clone(), None);
    let mut reference = Reference::default();
    // Far enough from the clocks' beginnings to step back.
    let now_of = |reference: &Reference| {
        let millis = |part: i128| Duration::from_millis((part + 10_000_000_000) as u64);
        Now {
            monotonic: start.monotonic + millis(reference.monotonic),
            wall: start.wall + millis(reference.wall),
        }
    };
    let mut names = 0;
    for step in steps {
        let now = now_of(&reference);
        match *step {
            Step::Advance(time) => {
                reference.monotonic += i128::from(time);
                reference.wall += i128::from(time);
            }
            Step::MoveWall(time) => {
                reference.wall =
                    (reference.wall + i128::from(time)).clamp(-9_000_000_000, 9_000_000_000_000);
            }
            Step::Ask { min_validity, force } => {
                let newest = reference
                    .current
                    .as_ref()
                    .or(reference.flight.as_ref().and_then(|flight| flight.3.as_ref()));
                let ask = Wish {
                    min_validity: Duration::from_millis(min_validity),
                    newer_than: force.then(|| newest.map_or(0, |token| token.flight)),
                    may_renew: true,
                    may_lead: true,
                };
                prop_assert_eq!(ask.newer_than, force.then(|| slot.newest()));
                let expected = reference.usable(&ask).cloned();
                let coexists = renewal != Renewal::ReplacesPrevious;
                // The short cut says what the long way says, once it is published for this moment.
                prop_assert!(!slot.begin_look(now));
                let published =
                    published.get(now, ask.min_validity).map(|token| token.secret().to_owned());
                let in_no_window = reference
                    .usable(&Wish { newer_than: None, ..ask })
                    .filter(|known| !(coexists && reference.is_due(known)))
                    .map(|known| known.name.clone());
                prop_assert_eq!(published, in_no_window);
                // Whoever may lead nothing is told what there is, and changes nothing.
                let look = Wish { may_renew: false, may_lead: false, ..ask };
                let is_told = match slot.decide(now, &look, |_| None) {
                    Decision::Use(_) => expected.is_some(),
                    Decision::Wait(_) => expected.is_none() && reference.flight.is_some(),
                    Decision::Nothing(None) => expected.is_none() && reference.flight.is_none(),
                    _ => false,
                };
                prop_assert!(is_told, "whoever may not lead");
                let begun = match slot.decide(now, &ask, |_| None) {
                    Decision::Use(token) => {
                        let known = expected.expect("the reference has none");
                        prop_assert_eq!(token.secret(), known.name.as_str());
                        prop_assert!(!reference.invalidated.contains(&known.name));
                        prop_assert!(
                            coexists || reference.flight.is_none(),
                            "handed out while it is replaced"
                        );
                        None
                    }
                    Decision::Renew(flight, _) => {
                        let known = expected.expect("the reference has none");
                        prop_assert!(
                            coexists && reference.flight.is_none() && reference.is_due(&known)
                        );
                        Some(flight)
                    }
                    Decision::Lead(flight) => {
                        prop_assert!(expected.is_none() && reference.flight.is_none());
                        Some(flight)
                    }
                    Decision::Wait(flight) => {
                        prop_assert!(expected.is_none());
                        prop_assert_eq!(
                            Some(flight),
                            reference.flight.as_ref().map(|flight| flight.0)
                        );
                        None
                    }
                    Decision::Nothing(_) => return Err(TestCaseError::fail("it may lead")),
                };
                if let Some(flight) = begun {
                    let parked = if coexists { None } else { reference.current.take() };
                    reference.flight = Some((flight, reference.monotonic, reference.wall, parked));
                }
            }
            Step::LandToken { lifetime } => {
                if let Some((flight, monotonic, wall, _)) = reference.flight.take() {
                    names += 1;
                    let name = format!("token-{names}");
                    let at = Reference { monotonic, wall, ..Reference::default() };
                    let token = Token::issued(&name, Duration::from_millis(lifetime), now_of(&at));
                    slot.end_flight(now, flight, Ended::With(token));
                    reference.current = Some(Known {
                        name,
                        monotonic,
                        wall,
                        lifetime: i128::from(lifetime),
                        flight,
                    });
                }
            }
            Step::LandError { may_have_arrived } => {
                if let Some((flight, _, _, parked)) = reference.flight.take() {
                    let error = Error::new(ErrorKind::Transport, "scripted")
                        .with_may_have_arrived(may_have_arrived);
                    slot.end_flight(now, flight, Ended::Failed(error, true));
                    prop_assert!(slot.shared_failure(flight).is_some());
                    if !may_have_arrived && parked.is_some() {
                        reference.current = parked;
                    }
                }
            }
            Step::Die => {
                if let Some((flight, ..)) = reference.flight.take() {
                    slot.end_flight(now, flight, Ended::Died);
                    prop_assert!(!slot.is_in_flight(flight));
                }
            }
            Step::InvalidateCurrent => {
                let parked = reference.flight.as_mut().and_then(|flight| flight.3.take());
                if let Some(token) = reference.current.take().or(parked) {
                    prop_assert!(slot.invalidate(&token.name));
                    reference.invalidated.push(token.name);
                }
            }
            Step::InvalidateOlder => {
                for name in &reference.invalidated {
                    prop_assert!(
                        !slot.invalidate(name),
                        "an older token's invalidation did something"
                    );
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_slot_of_coexisting_tokens_does_what_the_reference_says(steps in prop::collection::vec(step(), 1..60)) {
        play(Renewal::Coexists { renew_from_percent: 80 }, &steps)?;
    }

    #[test]
    fn a_slot_of_replacing_tokens_does_what_the_reference_says(steps in prop::collection::vec(step(), 1..60)) {
        play(Renewal::ReplacesPrevious, &steps)?;
    }
}
