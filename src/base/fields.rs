//! How what a store keeps is written as JSON, and read with every check.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::base::json::{Member, SecretText};
use crate::base::shown::shown;

/// Absent, too, where it is of another type.
pub(crate) fn or_absent<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Member::deserialize(from).map(|member| member.ok().unwrap_or_default())
}

pub(crate) fn secret<S: Serializer>(
    secret: &Zeroizing<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret)
}

pub(crate) fn read_secret<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Zeroizing<String>, D::Error> {
    SecretText::deserialize(from).map(SecretText::into_owned)
}

/// Nanoseconds since 1970: whole precision, and enough until the year 2554.
pub(crate) fn moment<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(nanoseconds(at))
}

pub(crate) fn moment_if_any<S: Serializer>(
    at: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.as_ref().map(nanoseconds).serialize(serializer)
}

pub(crate) fn read_moment_if_any<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SystemTime>, D::Error> {
    let since_1970 = Option::<u64>::deserialize(from)?;
    Ok(since_1970.and_then(|nanos| UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))))
}

fn nanoseconds(at: &SystemTime) -> u64 {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn read_moment<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let since_1970 = read_span(from)?;
    UNIX_EPOCH.checked_add(since_1970).ok_or_else(|| D::Error::custom("no moment"))
}

pub(crate) fn span<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

pub(crate) fn read_span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_nanos)
}

pub(crate) fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

pub(crate) fn read_base64<'de, D: Deserializer<'de>, const N: usize>(
    from: D,
) -> Result<[u8; N], D::Error> {
    let bytes = STANDARD.decode(String::deserialize(from)?).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| D::Error::custom("no such bytes"))
}

/// One bounded line, whoever wrote it.
pub(crate) fn read_message<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(|message| shown(&message))
}

pub(crate) fn write_moments<S: Serializer>(
    moments: &[SystemTime],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(moments.iter().map(nanoseconds))
}

pub(crate) fn read_moments<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<SystemTime>, D::Error> {
    let moments = Vec::<u64>::deserialize(from)?;
    let moment = |nanos| UNIX_EPOCH.checked_add(Duration::from_nanos(nanos));
    Ok(moments.into_iter().filter_map(moment).collect())
}
