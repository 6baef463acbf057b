//! A directory for one run, with the FIFO that programs mark their beginning in, and the counting of the marks.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub struct Place {
    root: PathBuf,
    /// In memory, as /run is: what a manager keeps there is charged to it.
    run: PathBuf,
    programs: PathBuf,
    pub pintle: String,
}

impl Place {
    pub fn new(name: &str, programs: &Path, pintle: &str) -> Result<Place, String> {
        let name = format!("pintle-bench-{}-{name}", std::process::id());
        let root = std::env::temp_dir().join(&name);
        let shared = Path::new("/dev/shm");
        let run = if shared.is_dir() { shared.join(&name) } else { root.join("run") };
        let place = Place { root, run, programs: programs.to_path_buf(), pintle: pintle.to_string() };
        fs::create_dir_all(&place.root).map_err(|error| format!("{}: {error}", place.root.display()))?;
        let fifo = CString::new(place.fifo()).expect("made here, without a null byte");
        // SAFETY: a null-terminated path.
        // Services of other users write into it.
        if unsafe { libc::mkfifo(fifo.as_ptr(), 0o666) != 0 || libc::chmod(fifo.as_ptr(), 0o666) != 0 } {
            return Err(format!("mkfifo {}: {}", place.fifo(), std::io::Error::last_os_error()));
        }
        Ok(place)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn directory(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    pub fn run_directory(&self) -> Result<PathBuf, String> {
        fs::create_dir_all(&self.run).map_err(|error| format!("{}: {error}", self.run.display()))?;
        Ok(self.run.clone())
    }

    pub fn program(&self, name: &str) -> String {
        self.programs.join(name).display().to_string()
    }

    pub fn programs(&self) -> &Path {
        &self.programs
    }

    pub fn fifo(&self) -> String {
        self.root.join("begun").display().to_string()
    }

    /// Opened for both, so that there is no end of file between two writers. Not blocking.
    pub fn open_fifo(&self) -> Result<File, String> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        options.open(self.fifo()).map_err(|error| format!("{}: {error}", self.fifo()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
        let _ = fs::remove_dir_all(&self.run);
    }
}

/// Reads until `wanted` bytes have come; Err(how many came) at the time limit. Looks every 200 us, not at each byte: a
/// reader that woke for each would take a core from what is measured.
pub fn count_marks(fifo: &mut File, wanted: usize, limit: Duration) -> Result<(), usize> {
    let end = Instant::now() + limit;
    let mut buffer = [0u8; 8192];
    let mut seen = 0;
    while seen < wanted {
        match fifo.read(&mut buffer) {
            Ok(n) => seen += n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if Instant::now() > end {
                    return Err(seen);
                }
                let mut poll = libc::pollfd { fd: fifo.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one pollfd, which lives here.
                unsafe { libc::poll(&mut poll, 1, 100) };
                sleep(Duration::from_micros(200));
            }
            Err(_) => return Err(seen),
        }
    }
    Ok(())
}
