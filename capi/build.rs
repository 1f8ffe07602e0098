//! How the shared object is linked: programs linked with libpaytoken.so look for libpaytoken.so.0, and
//! it stays where it is once loaded.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // A program finds it by its own rpath. Once loaded it stays: it has thread-local variables.
    if system == "macos" {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libpaytoken.0.dylib");
    }
    let is_elf = ["linux", "freebsd", "netbsd", "openbsd", "dragonfly", "android"];
    if is_elf.contains(&system.as_str()) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libpaytoken.so.0");
        // dlclose leaves it mapped: a look-up of a host's name that hangs in the system's resolver
        // is on a thread that nobody can end, and that comes back into this library. The C library
        // keeps it mapped in most cases, for what a thread has to clean up, but not in all.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
