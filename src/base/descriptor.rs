//! What the library opens stays away from a program's standard input, output and errors.

use std::io;

/// Moves it above them. A daemon may have closed them and write to them all the same; the system gives the lowest free
/// number, so its lines would be in an entry, or go to a provider.
#[cfg(unix)]
pub(crate) fn above_standard<T: std::os::fd::AsFd + From<std::os::fd::OwnedFd>>(
    opened: T,
) -> io::Result<T> {
    use std::os::fd::AsRawFd as _;
    match opened.as_fd().as_raw_fd() {
        // A copy gets 3 or higher: see `BorrowedFd::try_clone_to_owned`.
        0..=2 => opened.as_fd().try_clone_to_owned().map(T::from),
        _ => Ok(opened),
    }
}

/// Here no handle is taken for another.
#[cfg(not(unix))]
pub(crate) fn above_standard<T>(opened: T) -> io::Result<T> {
    Ok(opened)
}
