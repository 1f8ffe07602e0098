//! A successful answer: the token and how long it lives, from where the provider's constant says
//! that they stand.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Timing, checked_scope};
use crate::base::date;
use crate::base::json::{self, Member, Members, NumberOrText, SecretText};
use crate::base::shown::shown;
use crate::protocol::message::Response;
use crate::token::IssuedToken;
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::facts::{BEARER, Facts};

/// A shorter life is not believed: each caller would ask for another token.
const SHORTEST: Duration = Duration::from_secs(1);

/// A successful answer, and what is needed to make sense of it.
pub(super) struct Answer<'a> {
    text: &'a str,
    /// `None` where the text is not JSON.
    json: Option<&'a RawValue>,
    /// `None` where it is not an object.
    members: Option<Members<'a>>,
    clock: ServerClock,
}

impl<'a> Answer<'a> {
    pub(super) fn new(response: &'a Response, timing: Timing) -> Result<Self> {
        let bytes = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
        let text = std::str::from_utf8(bytes).or_else(|_| match response.unasked_encoding() {
            Some(encoding) => refused(format!(
                "the answer is compressed (Content-Encoding: {encoding}), which was not asked for; tell the provider, or check base_url and what stands in between"
            )),
            None => refused("the answer is not UTF-8 text; check base_url"),
        })?;
        let json = serde_json::from_str(text).ok();
        let clock = ServerClock::new(response, timing);
        Ok(Self { text: text.trim(), json, members: json.and_then(Members::of), clock })
    }

    /// `Some` where it carries `error`, which makes it a failure (some gateways answer 200 to
    /// everything); with the code where it is text.
    pub(super) fn error(&self) -> Option<Option<SecretText<'a>>> {
        let json = self.members.as_ref()?.get("error")?.get();
        let is_error = !matches!(json, "null" | "false" | "\"\"");
        is_error.then(|| serde_json::from_str(json).ok())
    }

    /// The token itself, from where it has to stand.
    pub(super) fn token(&self, facts: &Facts) -> Result<SecretText<'a>> {
        let name = name(facts.protocol.token);
        let token = match facts.protocol.token {
            "" => Member::Is(self.whole(facts.title, facts.is_described)?),
            pointer => {
                // A list where the pointer counts in it.
                let is_item = name.starts_with(|c: char| c.is_ascii_digit());
                let begins = if is_item { '[' } else { '{' };
                if self.json.is_some_and(|json| !json.get().starts_with(['{', begins])) {
                    return refused("the answer is not a JSON object; check base_url");
                }
                self.member(Some(pointer))?
            }
        };
        match token {
            Member::Is(token) if token.is_empty() && facts.is_described => {
                refused(format!("the answer's {name} is empty"))
            }
            Member::Is(token) => Ok(token),
            Member::Absent => refused(format!("the answer has no {name}; check base_url")),
            Member::IsNot => refused(format!("the answer's {name} is not a string")),
        }
    }

    /// What it says of that token (RFC 6749 §5.1). It ends at the earliest end that the answer tells,
    /// and lives no longer than is documented or, where the answer has a say in it, allowed.
    pub(super) fn issued_token(
        &self,
        access_token: SecretText<'a>,
        facts: &Facts,
        environment: Environment,
    ) -> Result<IssuedToken<'a>> {
        let protocol = &facts.protocol;
        let is_typed = protocol.is_oauth && facts.scheme == BEARER;
        let token_type: Member<String> = self.member(is_typed.then_some("/token_type"))?;
        let scope = self.member(protocol.is_oauth.then_some("/scope"))?;
        let expires_in = self.member(protocol.expires_in)?;
        let expires_at = self.member(protocol.expires_at)?;

        match token_type {
            Member::Absent => {}
            Member::Is(kind) if kind.eq_ignore_ascii_case("bearer") => {}
            // What one provider calls its bearer tokens.
            Member::Is(kind) if facts.is_described && kind == "access_token" => {}
            _ => {
                return refused(
                    "the answer's token_type is not Bearer; this library only knows how to use bearer tokens",
                );
            }
        }
        let exp = match protocol.jwt_expiry {
            true => exp(&access_token).unwrap_or_default(),
            false => Member::Absent,
        };
        let told = [
            lifetime(expires_in, protocol.expires_in)?,
            match (expires_at, facts.is_described) {
                (Member::Is(end), true)
                    if moment(&end).is_some_and(|end| self.clock.until(end).is_none()) =>
                {
                    return refused(format!(
                        "the answer's {} has passed: the token had ended before it came; check this machine's clock, or ask the provider",
                        protocol.expires_at.map_or("", name)
                    ));
                }
                // Where the format is not documented, what has passed does not say when the token ends.
                (expires_at, _) => expires_at.and_then(|end| self.clock.until(moment(&end)?)),
            },
            self.left_by_exp(exp)?,
        ];
        let is_not_understood = told.iter().any(|left| matches!(left, Member::IsNot));
        let earliest = told.into_iter().filter_map(Member::ok).min();
        let documented = facts.in_environment(environment).lifetime;
        let longest = facts.longest_lifetime(environment);
        let Some(lifetime) = earliest.map(|left| left.min(longest)).or(documented) else {
            return refused(
                "the answer does not tell how long its token lives; point expires_in or expires_at to where it does, or set lifetime to what the provider's documents say",
            );
        };
        Ok(IssuedToken {
            access_token,
            lifetime,
            lifetime_not_understood: is_not_understood && earliest.is_none(),
            scope: checked_scope(scope.ok()),
        })
    }

    /// The answer that is a token and nothing else: a JSON string, or bare.
    fn whole(&self, title: &str, is_described: bool) -> Result<SecretText<'a>> {
        match self.json {
            // Digits alone are a number, too.
            Some(json) if is_described && json.get().bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(SecretText::Borrowed(json.get()))
            }
            Some(json) => serde_json::from_str(json.get()).or_else(|_| {
                refused(format!(
                    "the answer is JSON but not the string {title} documents; check base_url"
                ))
            }),
            None if is_jwt(self.text) => Ok(SecretText::Borrowed(self.text)),
            // No page of HTML, and no half of an object.
            None if is_described
                && !self.text.is_empty()
                && !self.text.starts_with(['<', '{', '[', '"'])
                && self.text.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(SecretText::Borrowed(self.text))
            }
            None => refused("the answer is neither a JSON string nor a JWT; check base_url"),
        }
    }

    /// What stands there. Absent where nothing does, in this answer or in any of this provider's.
    fn member<T: Deserialize<'a>>(&self, pointer: Option<&str>) -> Result<Member<T>> {
        let Some(pointer) = pointer else { return Ok(Member::Absent) };
        let found = match (&self.members, self.json) {
            (Some(members), _) => members.at(pointer),
            (None, json) => json.and_then(|json| json::at(json, pointer)),
        };
        let member = found.and_then(|json| json.map_or(Some(Member::Absent), Member::of));
        member.map_or_else(|| refused("the answer is not JSON; check base_url"), Ok)
    }

    /// The names of its members, for whoever has to find out where the token stands.
    pub(super) fn names(&self) -> Option<String> {
        const MOST: usize = 12;
        let names: Vec<_> = self.members.as_ref()?.names().take(MOST).map(shown).collect();
        Some(names.join(", "))
    }

    /// A server may hand out a token that it made earlier, which ends sooner than is documented.
    fn left_by_exp(&self, exp: Member<NumberOrText>) -> Result<Member<Duration>> {
        let end = exp.and_then(|exp| date::from_epoch_number(exp.number()?));
        match end.and_then(|end| Some(self.clock.left_at_sending(end))) {
            Member::Is(left) if left < SHORTEST => refused(
                "the answer's token expired before it came, says its exp; check this machine's clock, or ask the provider",
            ),
            left => Ok(left),
        }
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::invalid_response(message))
}

/// A pointer as a message shows it.
fn name(pointer: &str) -> &str {
    pointer.trim_start_matches('/')
}

fn lifetime(expires_in: Member<NumberOrText>, pointer: Option<&str>) -> Result<Member<Duration>> {
    let name = pointer.map_or("", name);
    match expires_in.and_then(|value| value.number()) {
        Member::Absent => Ok(Member::Absent),
        Member::Is(seconds) if seconds >= SHORTEST.as_secs_f64() => {
            Ok(Member::Is(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
        }
        Member::Is(seconds) if seconds > 0.0 => refused(format!(
            "the answer's {name} is under a second; no request could be made with that token"
        )),
        Member::Is(_) => refused(format!(
            "the answer's {name} is not positive; the token had ended before it came"
        )),
        Member::IsNot => refused(format!("the answer's {name} is not a number of seconds")),
    }
}

fn moment(value: &NumberOrText) -> Option<SystemTime> {
    match (value.number(), value) {
        (Some(number), _) => date::from_epoch_number(number),
        (None, NumberOrText::Text(text)) => date::parse_date_time(text),
        (None, NumberOrText::Number(_)) => None,
    }
}

/// Three parts of base64url (RFC 7519 in its compact form).
fn is_jwt(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

/// `exp` of a JWT. `None` where the token does not parse, as the sample in NexterPay's document
/// does not.
fn exp(token: &str) -> Option<Member<NumberOrText>> {
    let payload = token.split('.').nth(1)?;
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    Members::of(serde_json::from_slice(&payload).ok()?)?.read("exp")
}

/// The provider's own clock, as far as it can be known: where the answer's `Date` fits the local
/// clock, the local one (it is finer); else `Date`, so that a wrong local clock does no harm.
#[derive(Clone, Copy, Debug)]
struct ServerClock {
    /// What the provider's clock may have said when the request was sent.
    at_sending: SystemTime,
    /// What the local clock said then.
    local: SystemTime,
}

impl ServerClock {
    fn new(response: &Response, timing: Timing) -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        let date =
            response.date.as_deref().and_then(|text| date::parse_http_date(text, timing.answered));
        let at_sending = match date {
            Some(date) if date + SECOND < timing.sent || date > timing.answered + SECOND => {
                // Date is cut to the second; the later end of it never makes a token live longer.
                date + SECOND
            }
            _ => timing.sent,
        };
        Self { at_sending, local: timing.sent }
    }

    /// How long until `end`, counted from when the request was sent. Where `end` has passed by
    /// `Date`, or is about to, that may be what is wrong.
    fn until(self, end: SystemTime) -> Option<Duration> {
        let left = |since| end.duration_since(since).ok().filter(|left| *left >= SHORTEST);
        left(self.at_sending).or_else(|| left(self.local))
    }

    /// The same, but zero where `end` has passed by `Date`.
    fn left_at_sending(self, end: SystemTime) -> Duration {
        end.duration_since(self.at_sending).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::types::facts::Protocol;
    use crate::types::names::Provider;

    /// The lifetime in seconds, and whether the answer tells it in a way that is not understood.
    fn lifetime_of(protocol: Protocol, members: &str) -> Option<(u64, bool)> {
        let facts = Facts { protocol, ..*Provider::NtxPay.facts() };
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let response = Response {
            status: 200,
            content_type: None,
            content_encoding: None,
            retry_after: None,
            date: None,
            body: format!("{{{members}}}").into_bytes().into(),
        };
        let answer = Answer::new(&response, Timing { sent: now, answered: now }).unwrap();
        let token = answer.token(&facts).ok()?;
        let issued = answer.issued_token(token, &facts, Environment::Sandbox).ok()?;
        Some((issued.lifetime.as_secs(), issued.lifetime_not_understood))
    }

    #[test]
    fn the_earliest_end_that_is_told_counts_and_none_outlives_the_longest() {
        let protocol = Protocol {
            token: "/t",
            expires_in: Some("/in"),
            expires_at: Some("/at"),
            jwt_expiry: true,
            ..Protocol::TOKEN_ALONE
        };
        // Of a JWT that ends 60 seconds from now.
        let jwt = format!("h.{}.s", URL_SAFE_NO_PAD.encode("{\"exp\":1767225660}"));
        let at = "\"at\":\"2026-01-01T00:00:30Z\"";
        for (token, others, expected) in [
            ("o", String::new(), Some((600, false))),
            ("o", "\"in\":20".into(), Some((20, false))),
            ("o", at.into(), Some((30, false))),
            (&*jwt, String::new(), Some((60, false))),
            ("o", format!("\"in\":20,{at}"), Some((20, false))),
            ("o", format!("\"in\":40,{at}"), Some((30, false))),
            (&*jwt, format!("\"in\":90,{at}"), Some((30, false))),
            (&*jwt, "\"in\":90".into(), Some((60, false))),
            ("o", "\"in\":90000".into(), Some((86_400, false))),
            ("o", "\"at\":\"soon\"".into(), Some((600, true))),
            ("o", "\"in\":40,\"at\":\"soon\"".into(), Some((40, false))),
            (&*jwt, "\"at\":[]".into(), Some((60, false))),
            ("o", format!("\"in\":0,{at}"), None),
        ] {
            let members = format!("\"t\":\"{token}\",{others}");
            let members = members.trim_end_matches(',');
            assert_eq!(lifetime_of(protocol, members), expected, "{members}");
        }
    }
}
