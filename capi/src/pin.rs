//! Windows: the library stays loaded, as the linker's flag in `build.rs` has it elsewhere. A look-up of
//! a host's name that hangs in the system's resolver is on a thread that nobody can end, and that
//! comes back into this library.

use std::ffi::c_void;
use std::ptr;

const FLAG_PIN: u32 = 0x1;
const FLAG_FROM_ADDRESS: u32 = 0x4;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleExW(flags: u32, name: *const c_void, module: *mut *mut c_void) -> i32;
}

/// From now on `FreeLibrary` leaves it where it is.
pub(crate) fn stay_loaded() {
    let mut module = ptr::null_mut();
    // SAFETY: with FLAG_FROM_ADDRESS the name is any address within the module, which a function of
    // it is, and the handle is written to a variable of ours. Where it fails, which is documented for no
    // such case, the library can be unloaded, as without this.
    unsafe {
        GetModuleHandleExW(
            FLAG_PIN | FLAG_FROM_ADDRESS,
            stay_loaded as fn() as *const c_void,
            &mut module,
        );
    }
}
