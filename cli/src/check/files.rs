//! The files that are named: whether they are there, who can read them, and the certificate.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use paytoken::{ClientCertificate, FieldKind, Settings};

use super::{Table, Verdict, from, from_or};
use crate::command_line::duration::spoken;
use crate::settings::{Origin, SYSTEM, Target, holds_a_key};
use crate::status::{Certificate, now};

/// nginx's default buffer for a header line, less its name.
const LONGEST_HEADER: usize = 8_171;

pub(super) fn check(target: &Target, table: &mut Table) {
    let facts = target.provider().facts();
    for field in facts.fields {
        let variable = match field.kind {
            FieldKind::PrivateKey => field.variable.to_owned(),
            _ => format!("{}_FILE", field.variable),
        };
        if let Some(path) = target.path(&variable) {
            file(&format!("{} file", field.name), &path, field.is_secret(), table);
        }
    }
    if facts.requires_certificate || target.path("CLIENT_CERT").is_some() {
        certificate(target, table);
    }
    let origin = target.origin("PAYTOKEN_CA");
    table.ok("authorities", from_or(target, &origin, "the built-in ones (Mozilla's)"));
    let path = target.settings.ca.as_ref().filter(|path| path.as_os_str() != SYSTEM);
    if let Some(path) = path {
        authorities(path, target, table);
    }
}

/// TLS by us takes an authority's key whatever its dates say, and curl's does not.
fn authorities(path: &Path, target: &Target, table: &mut Table) {
    const WHAT: &str = "authorities file";
    file(WHAT, path, false, table);
    if !matches!(table.rows.last(), Some((Verdict::Ok, ..))) {
        return;
    }
    let pem = match target.settings.root_certificates_pem() {
        Ok(pem) => pem.unwrap_or_default(),
        Err(error) => return table.wrong(WHAT, target.failure(&error).to_string()),
    };
    let pem = String::from_utf8_lossy(&pem);
    let blocks = pem.split_inclusive("-----END CERTIFICATE-----");
    // Whatever it is for, a certificate has its dates in the same place.
    let ends = blocks.filter_map(|block| ClientCertificate::from_pem(block).ok()?.not_after());
    let left: Vec<_> = ends.map(|end| end.duration_since(now()).unwrap_or_default()).collect();
    let expired = left.iter().filter(|left| left.is_zero()).count();
    let Some(last) = left.iter().max().copied() else { return };
    match expired {
        _ if last.is_zero() => table.wrong(
            WHAT,
            "has expired, all of it, so curl refuses it; ask for the authority's new certificate",
        ),
        0 if last < target.certificate_warning => {
            table.warning(WHAT, format!("expires in {}; ask for the new one", spoken(last)))
        }
        0 => {}
        _ => table.warning(
            WHAT,
            format!("{expired} of its {} authorities have expired; remove them", left.len()),
        ),
    }
}

fn certificate(target: &Target, table: &mut Table) {
    let facts = target.provider().facts();
    let [of_certificate, of_key] =
        ["CLIENT_CERT", "CLIENT_KEY"].map(|name| target.origin(&facts.variable(name)));
    let Some(path) = target.path("CLIENT_CERT") else {
        let variable = facts.variable("CLIENT_CERT");
        return table
            .wrong("certificate", format!("not set; set {variable} to the PEM file's path"));
    };
    let key = target.path("CLIENT_KEY");
    file("certificate", &path, holds_a_key(&path), table);
    match &key {
        Some(key) => file("private key", key, true, table),
        None => table.ok("private key", "looked for in the certificate's file"),
    }
    table.ok("certificate", from(target, &of_certificate));
    if of_key != Origin::NotSet {
        table.ok("private key", from(target, &of_key));
    }
    // What is not there has been reported; the error would repeat what may be a key in the wrong place. A
    // pipe is read once, with all of the credentials.
    let is_file = |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if ![Some(&path), key.as_ref()].into_iter().flatten().all(is_file) {
        return;
    }
    let loaded = match &key {
        Some(key) => ClientCertificate::from_pem_files(&path, key),
        None => ClientCertificate::from_pem_file(&path),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return table.wrong("certificate", target.failure(&error).to_string()),
    };
    match loaded.has_private_key() {
        true => table.ok("private key", "fits the certificate"),
        false => table.warning(
            "private key",
            format!("none, so TLS shows no certificate; set {}", facts.variable("CLIENT_KEY")),
        ),
    }
    if let Some(header) = loaded.header_value() {
        let length = header.len();
        table.ok("certificate", format!("{length} bytes as a header, of {LONGEST_HEADER}"));
    }
    if let Some(certificate) =
        target.account().ok().and_then(|account| Certificate::of(target, &account))
    {
        let left = spoken(certificate.left);
        match certificate.ends_soon {
            _ if certificate.left.is_zero() => {
                table.wrong("certificate", "has expired; ask for a new one")
            }
            true => table.warning("certificate", format!("expires in {left}; ask for a new one")),
            false => table.ok("certificate", format!("expires in {left}")),
        }
    }
}

/// The path of what is no file is not shown: it may be the secret itself.
pub(super) fn file(what: &str, path: &Path, is_secret: bool, table: &mut Table) {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return table.wrong(
                what,
                format!("cannot be read ({error}); give the path of the file, not its content"),
            );
        }
    };
    let mut text = path.display().to_string();
    if fs::symlink_metadata(path).is_ok_and(|link| link.is_symlink()) {
        let leads = fs::canonicalize(path).map(|path| path.display().to_string());
        text += &format!(" (a link to {})", leads.unwrap_or_default());
    }
    if metadata.is_dir() {
        table.wrong(what, format!("{text} is a directory; give the path of the file in it"));
    } else if !metadata.is_file() {
        table.warning(
            what,
            format!(
                "{text} is not a regular file, so it is read once, and paytoken curl cannot use it"
            ),
        );
    } else if let Err(error) = fs::File::open(path) {
        table.wrong(
            what,
            format!(
                "{text} cannot be read ({error}); check its owner and mode, and those of its folders"
            ),
        );
    } else if let Err(error) = Settings::check_file(path, &metadata, is_secret) {
        table.wrong(what, error.to_string());
    } else {
        table.ok(what, format!("{text} (mode {:o})", metadata.mode() & 0o777));
    }
}
