//! Reading small files with a bound, into memory that is wiped, and only those that nobody else has a
//! hand in. Pipes too, within a time.

#[cfg(unix)]
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Component, Path, Prefix};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::clock::Deadline;
use crate::base::descriptor::occupy_standard;

/// How long pipes are waited for, unless a time-out says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) type Content = Zeroizing<Vec<u8>>;

/// Whether nobody else can change a file, or read a secret in it: the rule for all that settings name, as
/// [`Settings::check_file`](crate::Settings::check_file) says it. The error says what is wrong, and
/// the way out.
pub(crate) fn check_access(
    path: &Path,
    file: &Metadata,
    holds_a_secret: bool,
) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        // What the caller has opened already is his to judge.
        let is_handed_in = ["/dev/stdin", "/dev/fd", "/proc"].iter().any(|at| path.starts_with(at));
        if !file.is_file() || is_handed_in {
            return Ok(());
        }
        let ourselves = ourselves().map_err(|error| format!("cannot be checked ({error})"))?;
        let refusal = refusal(ourselves, (file.uid(), file.gid()), file.mode(), holds_a_secret);
        if let Some(refusal) = refusal
            && !is_mounted_read_only(path)
        {
            return Err(format!(
                "{refusal} (mode {:o}); {}",
                file.mode() & 0o777,
                refusal.way_out()
            ));
        }
    }
    // Windows tells who else may only `unsafe` code.
    #[cfg(windows)]
    let _ = (path, file, holds_a_secret);
    Ok(())
}

/// Why a file is not used.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    OfAnother,
    Writable,
    Readable,
}

#[cfg(unix)]
fn refusal(
    ourselves: u32,
    (owner, group): (u32, u32),
    mode: u32,
    holds_a_secret: bool,
) -> Option<Refusal> {
    const ROOT: u32 = 0;
    // Root may give a secret to a group, for a service that runs as a member of it.
    let is_for_a_group = owner == ROOT && (ourselves != ROOT || group != ROOT);
    let readers = if is_for_a_group { 0o004 } else { 0o044 };
    match mode {
        _ if owner != ourselves && owner != ROOT => Some(Refusal::OfAnother),
        mode if mode & 0o022 != 0 => Some(Refusal::Writable),
        mode if mode & readers != 0 && holds_a_secret => Some(Refusal::Readable),
        _ => None,
    }
}

#[cfg(unix)]
impl Refusal {
    fn way_out(self) -> &'static str {
        match self {
            Self::OfAnother => "use a file of your own, or of root's (under sudo, sudo -H)",
            Self::Writable => "chmod 600 it, or chmod go-w where others have to read it",
            Self::Readable => "chmod 600 it",
        }
    }
}

#[cfg(unix)]
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OfAnother => "belongs to another user, who can change it",
            Self::Writable => "can be changed by others",
            Self::Readable => "holds a secret, and others can read it",
        })
    }
}

/// As container platforms and systemd hand in secrets: nobody in here can change them, whatever their
/// modes, and who may read them is up to the platform (Docker gives them 0444, Kubernetes 0644).
#[cfg(unix)]
fn is_mounted_read_only(path: &Path) -> bool {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let path = fs::canonicalize(path);
    path.is_ok_and(|path| is_read_only(&String::from_utf8_lossy(&mounts), &path))
}

/// By lines of `ID PARENT DEVICE ROOT POINT OPTIONS …` (proc_pid_mountinfo(5)); the nearest counts, and
/// of several at one place the last.
#[cfg(unix)]
fn is_read_only(mounts: &str, path: &Path) -> bool {
    let mut nearest = (0, false);
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(4);
        let (Some(point), Some(options)) = (fields.next(), fields.next()) else { continue };
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        let depth = Path::new(&point).components().count();
        if path.starts_with(&point) && depth >= nearest.0 {
            nearest = (depth, options.split(',').any(|option| option == "ro"));
        }
    }
    nearest.1
}

/// Whose files we make: the effective user, at this moment, since a daemon may give up being root.
#[cfg(unix)]
pub(crate) fn ourselves() -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt as _;

    // Linux shows it without a descriptor, of which there may be none left.
    if cfg!(target_os = "linux")
        && let Ok(process) = fs::metadata("/proc/self")
    {
        return Ok(process.uid());
    }
    // Elsewhere, or where /proc is not mounted: a pipe belongs to who makes it.
    let (reader, _writer) = io::pipe()?;
    Ok(File::from(std::os::fd::OwnedFd::from(reader)).metadata()?.uid())
}

/// Whether this is the file's content, put where its path belongs.
pub(crate) fn is_content(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("-----BEGIN ") || text.contains(char::is_control) || text.len() > LONGEST_PATH
}

/// What stands in the place of a path, and is none.
pub(crate) enum Odd {
    Content,
    Address,
    Secret,
}

/// Whether a path looks like something else, that may hold a password. One that begins with `./` or
/// `../` is meant.
pub(crate) fn oddity(path: &Path) -> Option<Odd> {
    let text = path.to_string_lossy();
    let first = text.split('/').next().unwrap_or_default();
    if is_content(path) {
        return Some(Odd::Content);
    }
    if matches!(first, "." | "..") {
        return None;
    }
    if looks_secret(&text) {
        return Some(Odd::Secret);
    }
    // `redis:6379`; and `//user:password@host`, of which a part was lost.
    let is_login = text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    // A drive's letter is followed by a colon.
    let is_on_a_drive = matches!(
        path.components().next(),
        Some(Component::Prefix(prefix)) if is_drive(prefix.kind()) && path.is_absolute()
    );
    // Beside the colon, what parts and escapes the parts of an address, and what is drawn like them.
    let has_signs = first.contains([':', '?', '=', '%', ';', '&', '\u{ff1a}', '\u{ff20}']);
    if !is_on_a_drive && (has_signs || is_login) {
        return Some(Odd::Address);
    }
    None
}

/// `C:`, which only Windows has.
fn is_drive(prefix: Prefix<'_>) -> bool {
    matches!(prefix, Prefix::Disk(_) | Prefix::VerbatimDisk(_))
}

/// As keys, tokens and passwords are made by machines, and directories are not named.
fn looks_secret(text: &str) -> bool {
    const LONG: usize = 32;
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    let is_of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_.".contains(&byte);
    let hex = text.bytes().filter(|byte| *byte != b'-');
    let is_hex = hex.clone().count() >= LONG && hex.clone().all(|byte| byte.is_ascii_hexdigit());
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_base64 = text.len() >= LONG && text.bytes().all(is_of_base64) && !text.starts_with('/');
    is_hex || is_base64 && is_mixed && (has(u8::is_ascii_digit) || text.ends_with('='))
}

/// No system takes a longer one.
const LONGEST_PATH: usize = 4096;

/// The whole of a file of at most `limit` bytes, or of a pipe that ends before time is up; and what was
/// opened.
pub(crate) fn read_bounded(
    path: &Path,
    limit: u64,
    deadline: Deadline,
) -> io::Result<(Content, Metadata)> {
    let (mut file, metadata) = open_bounded(path, limit)?;
    // Files of /proc have no length, and pipes none either.
    let room = if metadata.len() == 0 { PIECE } else { metadata.len() as usize + 1 };
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    let mut piece = Zeroizing::new([0; PIECE]);
    loop {
        match file.read(&mut *piece) {
            // A pipe that nobody has opened for writing is at its end, too.
            Ok(0) if !is_fifo(&metadata) || !content.is_empty() => {
                return Ok((content, metadata));
            }
            Ok(0) => {}
            Ok(count) => {
                append(&mut content, &piece[..count]);
                if content.len() as u64 > limit {
                    return Err(too_large(limit));
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if deadline.remaining().is_zero() {
            let text = match content.is_empty() {
                true => "nothing was written to it in time",
                false => "its end was not written in time",
            };
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        // Waiting for a pipe takes unsafe code, or a thread that may never end.
        thread::sleep(PAUSE);
    }
}

/// A file that is not read yet.
pub(crate) fn open_bounded(path: &Path, limit: u64) -> io::Result<(File, Metadata)> {
    #[cfg(windows)]
    if is_device(path)? {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file: it is a device or a pipe",
        ));
    }
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "not a regular file: it is a directory",
        ));
    }
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    let file = open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

const PIECE: usize = 4096;
const PAUSE: Duration = Duration::from_millis(5);

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes"))
}

/// Neither opening nor reading waits for somebody who writes.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    occupy_standard();
    options.open(path)
}

/// Whether a name leads elsewhere than to a disk: opening it would call somebody's pipe, or wait for
/// a console.
#[cfg(windows)]
fn is_device(path: &Path) -> io::Result<bool> {
    // It makes `\\.\CON` of `CON`, where this Windows takes that for a device.
    let absolute = std::path::absolute(path)?;
    let Some(Component::Prefix(prefix)) = absolute.components().next() else { return Ok(true) };
    Ok(match prefix.kind() {
        Prefix::UNC(_, share) | Prefix::VerbatimUNC(_, share) => {
            ["ipc$", "mailslot", "pipe"].iter().any(|pipes| share.eq_ignore_ascii_case(pipes))
        }
        kind => !is_drive(kind),
    })
}

fn is_fifo(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
    #[cfg(windows)]
    {
        let _ = metadata;
        false
    }
}

/// Growing leaves no unwiped copy behind.
fn append(content: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    if content.capacity() - content.len() < piece.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (content.len() + piece.len())));
        larger.extend_from_slice(content);
        *content = larger;
    }
    content.extend_from_slice(piece);
}

/// Without byte order mark, and UTF-16 (which has one) as UTF-8.
pub(crate) fn as_utf8(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let from_units = |unit: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let mut utf8 = Zeroizing::new(String::with_capacity(3 * bytes.len() / 2));
        let chars = char::decode_utf16(units);
        utf8.extend(chars.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)));
        Zeroizing::new(std::mem::take(&mut *utf8).into_bytes())
    };
    match text {
        [0xef, 0xbb, 0xbf, text @ ..] => Zeroizing::new(text.to_vec()),
        [0xff, 0xfe, text @ ..] => from_units(u16::from_le_bytes, text),
        [0xfe, 0xff, text @ ..] => from_units(u16::from_be_bytes, text),
        text => Zeroizing::new(text.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn whose_we_are_is_whose_a_pipe_is_and_whose_files_we_make() {
        use std::os::unix::fs::MetadataExt as _;

        let (reader, _writer) = io::pipe().unwrap();
        let of_a_pipe = File::from(std::os::fd::OwnedFd::from(reader)).metadata().unwrap().uid();
        assert_eq!(ourselves().unwrap(), of_a_pipe);
        let folder = paytoken_testing::temporary_folder();
        let of_a_file = File::create(folder.path().join("file")).unwrap().metadata().unwrap().uid();
        assert_eq!(ourselves().unwrap(), of_a_file);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_used_where_nobody_else_has_a_hand_in_it() {
        use Refusal::{OfAnother, Readable, Writable};

        const US: u32 = 1000;
        for (ourselves, owner, mode, of_a_secret, of_the_rest) in [
            (US, (US, US), 0o600, None, None),
            (US, (US, US), 0o400, None, None),
            (US, (US, US), 0o700, None, None),
            (US, (US, US), 0o640, Some(Readable), None),
            (US, (US, US), 0o604, Some(Readable), None),
            (US, (US, US), 0o644, Some(Readable), None),
            (US, (US, US), 0o660, Some(Writable), Some(Writable)),
            (US, (US, US), 0o602, Some(Writable), Some(Writable)),
            (US, (US, US), 0o620, Some(Writable), Some(Writable)),
            (US, (US, US), 0o777, Some(Writable), Some(Writable)),
            // A file of root's, for a service: systemd's credentials, a group of its own.
            (US, (0, 0), 0o440, None, None),
            (US, (0, US), 0o640, None, None),
            (US, (0, US), 0o644, Some(Readable), None),
            (US, (0, US), 0o660, Some(Writable), Some(Writable)),
            (0, (0, 0), 0o600, None, None),
            (0, (0, 0), 0o640, Some(Readable), None),
            (0, (0, 113), 0o640, None, None),
            (0, (0, 113), 0o644, Some(Readable), None),
            // Whoever owns it can change it.
            (US, (US + 1, US), 0o600, Some(OfAnother), Some(OfAnother)),
            (US, (65534, 65534), 0o444, Some(OfAnother), Some(OfAnother)),
            (0, (US, US), 0o400, Some(OfAnother), Some(OfAnother)),
        ] {
            assert_eq!(refusal(ourselves, owner, mode, true), of_a_secret, "{owner:?} {mode:o}");
            assert_eq!(refusal(ourselves, owner, mode, false), of_the_rest, "{owner:?} {mode:o}");
        }
    }

    #[cfg(windows)]
    #[test]
    fn a_device_or_a_pipe_is_no_file() {
        for device in [
            "NUL",
            "nul.txt",
            "CON",
            r"C:\windows\con",
            "com1",
            r"\\.\pipe\x",
            "//./pipe/x",
            r"\\.\C:",
            r"\\?\GLOBALROOT\Device\Null",
            r"\\server\pipe\x",
            r"\\?\UNC\server\PIPE\x",
            r"\\server\IPC$\x",
            r"\\server\mailslot\x",
            r"\\.\PhysicalDrive0",
        ] {
            let error = open_bounded(Path::new(device), 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{device}: {error}");
        }
        let folder = paytoken_testing::temporary_folder();
        let file = folder.path().join("console.txt");
        fs::write(&file, "x").unwrap();
        for file in [&file, &fs::canonicalize(&file).unwrap()] {
            assert_eq!(open_bounded(file, 10).unwrap().1.len(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_mounted_read_only_is_found_by_the_nearest_mount() {
        const MOUNTS: &str = "\
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
            30 22 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n\
            31 30 0:31 / /run/secrets/kubernetes.io/serviceaccount ro,relatime - tmpfs tmpfs rw,size=64k\n\
            32 22 0:32 / /etc/paytoken rw,relatime - tmpfs tmpfs rw\n\
            33 32 0:32 / /etc/paytoken ro,relatime - tmpfs tmpfs rw\n\
            34 22 254:0 /srv/a\\040b /srv/a\\040b ro,nodev - ext4 /dev/root rw\n\
            35 30 0:40 / /run/credentials/x.service ro,nosuid,noexec - ramfs none rw,mode=700\n\
            36 34 0:41 / /srv/a\\040b/rw rw,errors=remount-ro - tmpfs tmpfs rw\n\
            not a mount\n";
        for (path, is_so) in [
            ("/etc/paytoken/..2026_01_01/secret", true),
            ("/run/secrets/kubernetes.io/serviceaccount/..data/token", true),
            ("/run/credentials/x.service/secret", true),
            ("/srv/a b/secret", true),
            ("/srv/a b/rw/secret", false),
            ("/srv/a", false),
            ("/etc/paytoken2/secret", false),
            ("/etc/secret", false),
            ("/run/secrets/x", false),
        ] {
            assert_eq!(is_read_only(MOUNTS, Path::new(path)), is_so, "{path}");
        }
        assert!(!is_read_only("", Path::new("/x")));
    }

    #[test]
    fn a_byte_order_mark_says_how_a_text_is_written_and_is_no_part_of_it() {
        for (bytes, expected) in [
            (&b"a"[..], "a"),
            (b"\xef\xbb\xbfa\xc3\xb1", "a\u{f1}"),
            (b"\xff\xfea\0\xf1\0", "a\u{f1}"),
            (b"\xfe\xff\0a\0\xf1", "a\u{f1}"),
            (b"\xff\xfe\x3d\xd8\x00\xde", "\u{1f600}"),
            (b"\xff\xfe\x3d\xd8a", "\u{fffd}"),
            (b"", ""),
        ] {
            let text = as_utf8(bytes);
            assert_eq!(std::str::from_utf8(&text).unwrap(), expected, "{bytes:?}");
        }
    }
}
