//! What is read of a certificate: names, dates, public key. Any version of X.509 will do.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::der::{self, BIT_STRING, OID, SEQUENCE};
use crate::base::date;

/// The fields of interest (RFC 5280 §4.1).
pub(super) struct Fields<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// SubjectPublicKeyInfo.
    public_key: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(certificate: &'a [u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;

        let (fields, _) = der::of_tag(der::only(certificate, SEQUENCE)?, SEQUENCE)?;
        // [version], serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
        let mut rest = fields;
        if let (VERSION, _, after) = der::value(fields)? {
            rest = after;
        }
        for _ in 0..2 {
            (_, _, rest) = der::value(rest)?;
        }
        let (issuer, rest) = der::of_tag(rest, SEQUENCE)?;
        let (validity, rest) = der::of_tag(rest, SEQUENCE)?;
        let (subject, rest) = der::of_tag(rest, SEQUENCE)?;
        let (_, not_before, until) = der::value(validity)?;
        let (_, not_after, _) = der::value(until)?;
        Some(Self {
            issuer,
            subject,
            not_before: date::parse_x509_time(not_before)?,
            not_after: date::parse_x509_time(not_after)?,
            public_key: der::first(rest)?,
        })
    }

    /// Whether it is for this public key, a SubjectPublicKeyInfo too.
    pub(super) fn is_for(&self, public_key: &[u8]) -> bool {
        let parts = (PublicKey::of(self.public_key), PublicKey::of(public_key));
        self.public_key == public_key || matches!(parts, (Some(own), Some(other)) if own.is(&other))
    }

    /// Whether its public key is a compressed point, which TLS has no use for (RFC 8422 §5.1.1).
    pub(super) fn has_compressed_key(&self) -> bool {
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        PublicKey::of(self.public_key)
            .is_some_and(|key| key.algorithm == EC && matches!(key.bits.first(), Some(2 | 3)))
    }

    fn issued(&self, other: &Self) -> bool {
        self.subject == other.issuer && other.subject != other.issuer
    }
}

/// Which certificates of a file can be the client's own: those that issued no other one in it.
pub(super) fn leaves(certificates: &[CertificateDer<'_>]) -> Vec<usize> {
    let fields: Vec<_> = certificates.iter().map(|der| Fields::of(der)).collect();
    let has_issued = |one: &Option<Fields<'_>>| {
        let mut others = fields.iter().flatten();
        one.as_ref().is_some_and(|one| others.any(|other| one.issued(other)))
    };
    let is_leaf = |index: &usize| !has_issued(&fields[*index]);
    (0..certificates.len()).filter(is_leaf).collect()
}

/// This one first, then its issuer, and so on (RFC 8446 §4.4.2); what does not belong to the chain
/// stays behind it.
pub(super) fn chain(
    mut certificates: Vec<CertificateDer<'static>>,
    leaf: usize,
) -> Vec<CertificateDer<'static>> {
    let mut chain = Vec::with_capacity(certificates.len());
    let mut next = Some(leaf);
    while let Some(index) = next {
        chain.push(certificates.remove(index));
        let last = chain.last().and_then(|last| Fields::of(last));
        next = last.and_then(|last| {
            let issued = |der: &CertificateDer<'_>| {
                Fields::of(der).is_some_and(|fields| fields.issued(&last))
            };
            certificates.iter().position(issued)
        });
    }
    chain.append(&mut certificates);
    chain
}

struct PublicKey<'a> {
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    fn of(info: &'a [u8]) -> Option<Self> {
        let (algorithm, rest) = der::of_tag(der::only(info, SEQUENCE)?, SEQUENCE)?;
        let (algorithm, _) = der::of_tag(algorithm, OID)?;
        let (bits, _) = der::of_tag(rest, BIT_STRING)?;
        Some(Self { algorithm, bits: bits.get(1..)? })
    }

    /// The same one, though parameters may be left out and a point may be compressed (SEC 1 §2.3.3).
    fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm
            && (self.bits == other.bits || is_compressed(self.bits, other.bits))
    }
}

fn is_compressed(point: &[u8], whole: &[u8]) -> bool {
    let (Some((&[sign @ (2 | 3)], x)), Some((&[4], xy))) =
        (point.split_first_chunk(), whole.split_first_chunk())
    else {
        return false;
    };
    xy.len() == 2 * x.len()
        && xy.starts_with(x)
        && xy.last().is_some_and(|last| last & 1 == sign & 1)
}
