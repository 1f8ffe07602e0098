//! Names the shared object's ABI: programs linked with libpaytoken.so look for libpaytoken.so.0.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_elf = ["linux", "freebsd", "netbsd", "openbsd", "dragonfly", "android"]
        .contains(&std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default().as_str());
    if is_elf {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libpaytoken.so.0");
    }
}
