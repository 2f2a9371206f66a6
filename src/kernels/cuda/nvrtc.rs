//! NVRTC: kernels from their source to a cubin for one architecture.

use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;

use cudarc::nvrtc::{result, sys};

use crate::kernels::KernelError;

/// The options of every kernel, one a line, `#` before a comment. `.ci/nvrtc` reads the same file.
const OPTIONS: &str = include_str!("nvrtc.options");

/// What kernels may `#include "…"`, as name and text: `.ci/nvrtc` gives NVRTC every `*.cuh` beside this file.
const HEADERS: [(&str, &str); 10] = [
    ("bfloat16.cuh", include_str!("bfloat16.cuh")),
    ("factors.cuh", include_str!("factors.cuh")),
    ("packs.cuh", include_str!("packs.cuh")),
    ("pages.cuh", include_str!("pages.cuh")),
    ("reduce.cuh", include_str!("reduce.cuh")),
    ("rotary.cuh", include_str!("rotary.cuh")),
    ("shared.cuh", include_str!("shared.cuh")),
    ("swiglu.cuh", include_str!("swiglu.cuh")),
    ("tensor.cuh", include_str!("tensor.cuh")),
    ("tiles.cuh", include_str!("tiles.cuh")),
];

/// The source of an op's kernels.
pub(crate) struct Source {
    /// The file's name, unique among the ops.
    pub(crate) file: &'static str,
    /// Its text.
    pub(crate) code: &'static str,
}

/// The NVRTC of this machine.
pub(super) struct Compiler {
    /// Major and minor.
    version: (i32, i32),
    /// Where CUDA's own headers lie, if `CUDA_HOME` or `CUDA_PATH` says so. A kernel that includes none
    /// compiles without.
    include: Option<PathBuf>,
}

impl Compiler {
    pub(super) fn find() -> Result<Self, KernelError> {
        // SAFETY: opens the library by its name and closes it; its initializers ask nothing of us.
        if !unsafe { sys::is_culib_present() } {
            return Err(KernelError::MissingLibrary {
                library: "NVRTC (libnvrtc)",
                remedy: "install the CUDA toolkit 13, or the package `nvidia-cuda-nvrtc` of PyPI with its \
                         folder `nvidia/cu13/lib` on LD_LIBRARY_PATH",
            });
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the library is there, and both pointers are to integers of this frame.
        let status = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
        status.result().map_err(|error| KernelError::Device(format!("NVRTC gives no version: {error}")))?;
        let include = ["CUDA_HOME", "CUDA_PATH"]
            .into_iter()
            .filter_map(std::env::var_os)
            .map(|home| PathBuf::from(home).join("include"))
            .find(|include| include.is_dir());
        Ok(Self { version: (major, minor), include })
    }

    /// Everything that a cubin depends on, in one text.
    pub(super) fn key(&self, source: &Source, architecture: &str) -> String {
        let (major, minor) = self.version;
        let mut key = format!("nvrtc {major}.{minor}\n");
        for part in self.options(architecture) {
            key += &part;
            key.push('\n');
        }
        for (name, text) in HEADERS.into_iter().chain([(source.file, source.code)]) {
            key += &format!("{name} {}\n{text}", text.len());
        }
        key
    }

    /// The cubin of `source` for an architecture such as `sm_90a`.
    pub(super) fn compile(&self, source: &Source, architecture: &str) -> Result<Vec<u8>, KernelError> {
        let failed = |log: String| KernelError::Compile {
            file: source.file,
            architecture: architecture.to_owned(),
            nvrtc: format!("{}.{}", self.version.0, self.version.1),
            log,
        };
        let program = Program::new(source).map_err(failed)?;
        // SAFETY: the program lives until this function's end.
        match unsafe { result::compile_program(program.handle, &self.options(architecture)) } {
            Ok(()) => program.cubin().map_err(|error| failed(error.to_string())),
            Err(error) => Err(failed(format!("{error}\n{}", program.log()))),
        }
    }

    fn options(&self, architecture: &str) -> Vec<String> {
        let lines = OPTIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let include = self.include.iter().map(|path| format!("--include-path={}", path.display()));
        let architecture = format!("--gpu-architecture={architecture}");
        lines.map(str::to_owned).chain([architecture]).chain(include).collect()
    }
}

/// A program of NVRTC's. cudarc's own type gives PTX only and takes no headers.
struct Program {
    handle: sys::nvrtcProgram,
    /// NVRTC may keep pointers to the texts that the program was made of.
    _texts: Vec<CString>,
}

impl Program {
    fn new(source: &Source) -> Result<Self, String> {
        let pairs = [(source.file, source.code)].into_iter().chain(HEADERS);
        let texts: Vec<CString> = pairs
            .flat_map(|(name, text)| [name, text])
            .map(CString::new)
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        let (names, codes): (Vec<_>, Vec<_>) = pointers.chunks_exact(2).map(|p| (p[0], p[1])).unzip();
        let mut handle = std::ptr::null_mut();
        // SAFETY: every pointer is to a text that ends in zero and outlives the program; both lists of
        // headers have the length given.
        let status = unsafe {
            sys::nvrtcCreateProgram(
                &raw mut handle,
                codes[0],
                names[0],
                HEADERS.len() as i32,
                codes[1..].as_ptr(),
                names[1..].as_ptr(),
            )
        };
        status.result().map_err(|error| error.to_string())?;
        Ok(Self { handle, _texts: texts })
    }

    fn cubin(&self) -> Result<Vec<u8>, result::NvrtcError> {
        let mut len = 0;
        // SAFETY: the program is alive.
        unsafe { sys::nvrtcGetCUBINSize(self.handle, &raw mut len) }.result()?;
        let mut cubin = vec![0_u8; len];
        // SAFETY: as above, and the buffer has the size that NVRTC asked for.
        unsafe { sys::nvrtcGetCUBIN(self.handle, cubin.as_mut_ptr().cast()) }.result()?;
        Ok(cubin)
    }

    fn log(&self) -> String {
        // SAFETY: the program is alive.
        match unsafe { result::get_program_log(self.handle) } {
            // SAFETY: NVRTC ends the log in zero, and the vector holds all of it.
            Ok(log) => unsafe { CStr::from_ptr(log.as_ptr()) }.to_string_lossy().into_owned(),
            Err(error) => format!("(no log: {error})"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the handle is used by no one after this. A failure would leak the program, no more.
        let _ = unsafe { result::destroy_program(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler() -> Option<Compiler> {
        match Compiler::find() {
            Ok(compiler) => Some(compiler),
            Err(missing @ KernelError::MissingLibrary { .. }) => {
                println!("skipped: no NVRTC ({missing})");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn every_op_compiles() {
        let Some(compiler) = compiler() else { return };
        for source in crate::kernels::cuda::SOURCES {
            for architecture in ["sm_80", "sm_90a"] {
                let cubin = compiler.compile(source, architecture).unwrap();
                assert_eq!(&cubin[..4], b"\x7fELF", "{} for {architecture}", source.file);
            }
        }
    }

    #[test]
    fn an_error_names_the_file_the_architecture_and_the_line() {
        let Some(compiler) = compiler() else { return };
        let source = Source { file: "bad.cu", code: "\nextern \"C\" __global__ void k() { nonsense; }" };
        let message = compiler.compile(&source, "sm_80").unwrap_err().to_string();
        for part in ["bad.cu(2)", "sm_80", "nonsense"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_key_tells_whatever_the_cubin_depends_on() {
        let base = Compiler { version: (13, 0), include: None };
        let source = Source { file: "a.cu", code: "1" };
        let keys = [
            base.key(&source, "sm_80"),
            base.key(&source, "sm_90a"),
            base.key(&Source { file: "a.cu", code: "2" }, "sm_80"),
            Compiler { version: (13, 1), include: None }.key(&source, "sm_80"),
            Compiler { version: (13, 0), include: Some("/cuda/include".into()) }.key(&source, "sm_80"),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key}");
            assert!(key.contains("warp_sum"), "the headers are part of the key");
        }
    }
}
