//! A program's standard input, output and errors are not the library's.

/// Puts /dev/null where the program has none of them, before something is opened. A daemon may have closed them and write to them all
/// the same; the system gives the lowest free number, so its lines would be in an entry, or go to a provider. It stays there: whether
/// the program has put something else in its place meanwhile cannot be seen.
pub(crate) fn occupy_standard() {
    #[cfg(unix)]
    {
        use std::os::fd::{AsRawFd as _, IntoRawFd as _};

        while let Ok(file) = std::fs::File::options().read(true).write(true).open("/dev/null")
            && file.as_raw_fd() <= 2
        {
            _ = file.into_raw_fd();
        }
    }
}
