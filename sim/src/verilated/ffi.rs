//! The calls into a compiled model: foreign code, so unsafe.

#![allow(unsafe_code)]

use super::ModelError;
use libloading::Library;
use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

type New = unsafe extern "C" fn(u32, *const c_char) -> *mut c_void;
type Exchange = unsafe extern "C" fn(*mut c_void, *const u64, *mut u64);
type Free = unsafe extern "C" fn(*mut c_void);

/// One instance of a model, and the library that its code lies in.
pub struct Instance {
    handle: *mut c_void,
    cycle: Exchange,
    settle: Exchange,
    free: Free,
    // Dropped last: the functions above lie in it.
    _library: Library,
}

// SAFETY: a Verilator model has no thread-local state of its own (its context belongs to the instance), and `&mut self` on
// every call keeps two threads from using it at once.
unsafe impl Send for Instance {}

impl Instance {
    /// Loads the library at `path` and makes an instance of its model.
    pub fn load(path: &Path, seed: u32, trace: Option<&Path>) -> Result<Instance, ModelError> {
        let load_error = |source| ModelError::Load { library: path.to_owned(), source };
        let trace_path = match trace {
            Some(file) => Some(
                CString::new(file.as_os_str().as_bytes()).map_err(|_| ModelError::Trace(file.to_owned()))?,
            ),
            None => None,
        };
        // SAFETY: the library was built from the shim in `shim.rs`, which defines the four symbols with these signatures, and its
        // static initialisers are those of the Verilator runtime.
        let (library, new, cycle, settle, free) = unsafe {
            let library = Library::new(path).map_err(load_error)?;
            let new = *library.get::<New>(b"sim_new").map_err(load_error)?;
            let cycle = *library.get::<Exchange>(b"sim_cycle").map_err(load_error)?;
            let settle = *library.get::<Exchange>(b"sim_settle").map_err(load_error)?;
            let free = *library.get::<Free>(b"sim_free").map_err(load_error)?;
            (library, new, cycle, settle, free)
        };
        let trace_pointer = trace_path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
        // SAFETY: the pointer is null or a string that lives through the call.
        let handle = unsafe { new(seed, trace_pointer) };
        if handle.is_null() {
            return Err(ModelError::Trace(trace.unwrap_or(path).to_owned()));
        }
        Ok(Instance { handle, cycle, settle, free, _library: library })
    }

    /// One clock cycle. The slices have as many words as the shim was made for: both come from the same port lists.
    pub fn cycle(&mut self, inputs: &[u64], outputs: &mut [u64]) {
        // SAFETY: `handle` is a live instance; the shim reads and writes exactly the words of its port lists.
        unsafe { (self.cycle)(self.handle, inputs.as_ptr(), outputs.as_mut_ptr()) }
    }

    /// Settles without a clock edge.
    pub fn settle(&mut self, inputs: &[u64], outputs: &mut [u64]) {
        // SAFETY: as for `cycle`.
        unsafe { (self.settle)(self.handle, inputs.as_ptr(), outputs.as_mut_ptr()) }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: `handle` came from `sim_new` and is freed once.
        unsafe { (self.free)(self.handle) }
    }
}
