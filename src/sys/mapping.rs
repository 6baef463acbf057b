//! Memory that is shared: sealed memfds, preallocated files, read-only images. Given out as words or bytes that live
//! for ever (nothing is unmapped), so that readers need no lifetimes.
//!
//! A file that somebody else may truncate must not be mapped (SIGBUS): read it through [`FileView`].

use super::{AsFd, AsRawFd, BorrowedFd, Errno, OwnedFd, Result, file, residence};
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::{CStr, c_void};
use core::fmt::Write;
use core::ptr;
use core::sync::atomic::AtomicU32;
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, SealFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

/// Its size is final, and these are its seals.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// A memfd of `bytes` bytes that begins with this content and has these seals; with `whole`, all allocated.
#[inline(never)]
fn memory(name: &CStr, bytes: usize, whole: bool, content: &[u8], seals: SealFlags) -> Result<OwnedFd> {
    let fd = OwnedFd::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    if whole {
        preallocate(&fd, bytes as u64)?
    } else {
        rustix::fs::ftruncate(&fd, bytes as u64)?
    }
    super::output::write_all(fd.as_fd(), content)?;
    rustix::fs::fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

fn bytes_of(words: usize) -> Result<usize> {
    words.checked_mul(4).ok_or(Errno::OVERFLOW)
}

/// A memfd of `words` words, all allocated, that can be neither shrunk nor grown, and whose seals are final.
/// Close-on-exec. `name` shows in /proc/PID/maps.
pub fn sealed_memory(name: &CStr, words: usize) -> Result<OwnedFd> {
    memory(name, bytes_of(words)?, true, b"", FIXED)
}

/// The same with this content, which nobody can change any more.
pub fn frozen_memory(name: &CStr, content: &[u8]) -> Result<OwnedFd> {
    memory(name, content.len(), true, content, FIXED.union(SealFlags::WRITE))
}

/// The same, mapped to write by us alone: whoever gets the descriptor can only read. (Kernels before 5.1 do not know
/// that; there everyone who has it can write.)
pub fn own_memory(name: &CStr, words: usize) -> Result<(OwnedFd, &'static [AtomicU32])> {
    let fd = memory(name, bytes_of(words)?, true, b"", SealFlags::empty())?;
    let mapped = shared_words(fd.as_fd(), words)?;
    let _ = rustix::fs::fcntl_add_seals(&fd, SealFlags::FUTURE_WRITE);
    rustix::fs::fcntl_add_seals(&fd, FIXED)?;
    Ok((fd, mapped))
}

/// The same memory by a descriptor that can only be read, as of another user's process, too: EACCES if that opens it
/// anew to write. ENOENT where there is no /proc.
pub fn read_only(fd: &OwnedFd) -> Result<OwnedFd> {
    rustix::fs::fchmod(fd, Mode::RUSR | Mode::WUSR)?;
    let mut path = pintle::words::Short::new();
    let _ = write!(path, "/proc/self/fd/{}", fd.as_raw_fd()); // fits
    file::open_read(path.as_str())
}

/// As `sealed_memory`, but without its pages, which come into being when they are touched: for memory that the caller
/// does not map.
pub fn sparse_memory(name: &CStr, words: usize) -> Result<OwnedFd> {
    memory(name, bytes_of(words)?, false, b"", FIXED)
}

/// A memfd of `count` words that begins with a copy of these, which nobody else writes meanwhile; zeros behind.
pub fn copied_words(name: &CStr, words: &[AtomicU32], count: usize) -> Result<OwnedFd> {
    // SAFETY: plain words, seen as bytes.
    let content = unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) };
    memory(name, bytes_of(count)?, false, content, FIXED)
}

/// Whether this is memory that nobody can shrink: what has to hold before another's memfd is mapped.
pub fn is_sealed(fd: BorrowedFd<'_>, bytes: u64) -> bool {
    let sealed = rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
    sealed && file::length(fd).is_ok_and(|length| length >= bytes)
}

/// Gives a file its full size with its blocks, so that no later store meets a full file system (SIGBUS).
pub fn preallocate(fd: &OwnedFd, bytes: u64) -> Result<()> {
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(fd, FallocateFlags::empty(), 0, bytes)) {
        // Not every file system can. The size at least; the caller chose the place.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(rustix::fs::ftruncate(fd, bytes)?),
        other => Ok(other?),
    }
}

/// Maps `words` words of `fd`, shared, to read and write. EINVAL if the file is shorter.
pub fn shared_words(fd: BorrowedFd<'_>, words: usize) -> Result<&'static [AtomicU32]> {
    map_words(fd, words, ProtFlags::READ | ProtFlags::WRITE)
}

/// The same to read only: a store to it would be a fault. `load` is all that may be called.
pub fn shared_words_read_only(fd: BorrowedFd<'_>, words: usize) -> Result<&'static [AtomicU32]> {
    let mapped = map_words(fd, words, ProtFlags::READ)?;
    residence::note_view(mapped.as_ptr() as usize, size_of_val(mapped));
    Ok(mapped)
}

/// What `shared_words_read_only` has given shows another file's words from here on, as many.
pub fn replace_view(words: &'static [AtomicU32], fd: &OwnedFd) -> Result<()> {
    let (start, bytes) = (words.as_ptr() as usize as *mut c_void, size_of_val(words));
    if file::length(fd.as_fd())? < bytes as u64 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the place is that of a mapping of ours, of words that may change at any time.
    unsafe { mmap(start, bytes, ProtFlags::READ, MapFlags::SHARED.union(MapFlags::FIXED), fd, 0)? };
    Ok(())
}

fn map_words(fd: BorrowedFd<'_>, words: usize, access: ProtFlags) -> Result<&'static [AtomicU32]> {
    let bytes = bytes_of(words)?;
    let base = map(fd, bytes, access, MapFlags::SHARED)?;
    // SAFETY: a mapping of that many bytes, page-aligned, never unmapped; every 32 bits are a valid word.
    Ok(unsafe { core::slice::from_raw_parts(base.cast(), words) })
}

/// Maps all of this memory's bytes, shared with whoever has it next: nobody else has it now.
pub fn own_bytes(fd: BorrowedFd<'_>) -> Result<&'static mut [u8]> {
    let bytes = usize::try_from(file::length(fd)?).map_err(|_| Errno::FBIG)?;
    let base = map(fd, bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)?;
    // SAFETY: a mapping of that many bytes, never unmapped; the caller says that nobody else writes there.
    Ok(unsafe { core::slice::from_raw_parts_mut(base, bytes) })
}

/// Fresh zeroed words for this process alone. Pages come into being when they are touched.
pub fn private_words(words: usize) -> Result<&'static mut [u32]> {
    let bytes = bytes_of(words)?;
    if bytes == 0 {
        return Ok(&mut []);
    }
    // SAFETY: a fresh mapping, ours alone, never unmapped, all zero.
    unsafe {
        let base = mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?;
        Ok(core::slice::from_raw_parts_mut(base.cast(), words))
    }
}

/// Fresh zeroed bytes for this process alone.
pub fn private_bytes(bytes: usize) -> Result<&'static mut [u8]> {
    let words = private_words(bytes.div_ceil(4))?;
    // SAFETY: the same memory, seen as bytes; it holds at least `bytes` of them.
    Ok(unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), bytes) })
}

/// Shared words that belong to no file: for this process and what it forks.
pub fn anonymous_shared_words(words: usize) -> Result<&'static [AtomicU32]> {
    let bytes = bytes_of(words)?;
    // SAFETY: a fresh mapping, never unmapped, all zero.
    unsafe {
        let base = mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)?;
        Ok(core::slice::from_raw_parts(base.cast(), words))
    }
}

/// An image mapped to read only. The caller owns the file and lets nobody change or truncate it: a copy in the run
/// directory, or a memfd.
#[derive(Clone, Copy)]
pub struct Image {
    pub bytes: &'static [u8],
}

impl Image {
    /// Maps the whole file. An empty one is an empty image.
    pub fn open(fd: BorrowedFd<'_>) -> Result<Image> {
        let bytes = usize::try_from(file::length(fd)?).map_err(|_| Errno::FBIG)?;
        if bytes == 0 {
            return Ok(Image { bytes: &[] });
        }
        let base = map(fd, bytes, ProtFlags::READ, MapFlags::PRIVATE)?;
        residence::note_view(base as usize, bytes);
        // SAFETY: a mapping of that many bytes, never unmapped, and (see above) not changed by anyone.
        Ok(Image { bytes: unsafe { core::slice::from_raw_parts(base.cast(), bytes) } })
    }
}

fn map(fd: BorrowedFd<'_>, bytes: usize, access: ProtFlags, flags: MapFlags) -> Result<*mut u8> {
    if file::length(fd)? >= bytes as u64 && bytes > 0 {
        // SAFETY: the kernel chooses the place, so nothing of ours is replaced.
        Ok(unsafe { mmap(ptr::null_mut(), bytes, access, flags, fd, 0)? }.cast())
    } else {
        Err(Errno::INVAL)
    }
}

/// A file that may change or shrink while it is read: copied piece by piece with pread, never mapped.
pub struct FileView {
    fd: OwnedFd,
}

impl FileView {
    pub fn new(fd: OwnedFd) -> FileView {
        FileView { fd }
    }

    /// The length now, in bytes.
    pub fn length(&self) -> Result<u64> {
        file::length(self.fd.as_fd())
    }

    /// All of it, as long as it is now. EFBIG if that is more than there are addresses. Allocates.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length()?).map_err(|_| Errno::FBIG)?];
        let count = self.read_at(0, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// `count` words from word `at` on; zeros behind the end of the file. Allocates.
    #[inline(never)]
    pub fn read_words(&self, at: usize, count: usize) -> Vec<AtomicU32> {
        let mut words = Vec::new();
        words.resize_with(count, AtomicU32::default);
        // SAFETY: plain words of ours, seen as bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(&words[..])) };
        let got = self.read_at(at as u64 * 4, bytes).unwrap_or(0);
        bytes[got / 4 * 4..].fill(0);
        words
    }

    /// Fills `buffer` from `offset` on, as far as the file goes; gives how many bytes came.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file::read_at(&self.fd, offset + filled as u64, rest)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::Ordering::Relaxed;
    use rustix::fd::AsFd;
    use rustix::fs::MemfdFlags;

    #[test]
    fn two_mappings_of_sealed_memory_are_one_and_nobody_can_shrink_it() {
        let fd = sealed_memory(c"test", 2048).expect("memory");
        assert!(is_sealed(fd.as_fd(), 8192) && !is_sealed(fd.as_fd(), 8193));
        let write = shared_words(fd.as_fd(), 2048).expect("memory");
        let read = shared_words_read_only(fd.as_fd(), 2048).expect("memory");
        write[2047].store(7, Relaxed);
        assert_eq!(read[2047].load(Relaxed), 7);
        assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(rustix::io::Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&fd, 9000), Err(rustix::io::Errno::PERM));
        assert_eq!(shared_words(fd.as_fd(), 2049).err(), Some(Errno::INVAL));
        assert_eq!(shared_words(fd.as_fd(), 0).err(), Some(Errno::INVAL));
    }

    #[test]
    fn a_view_of_words_becomes_one_of_others() {
        let [old, new] = [3, 5].map(|value| {
            let fd = sealed_memory(c"test", 2048).expect("memory");
            shared_words(fd.as_fd(), 2048).expect("memory")[2047].store(value, Relaxed);
            fd
        });
        let view = shared_words_read_only(old.as_fd(), 2048).expect("memory");
        assert_eq!(view[2047].load(Relaxed), 3);
        replace_view(view, &new).expect("as long");
        assert_eq!(view[2047].load(Relaxed), 5);
        let short = sealed_memory(c"test", 1024).expect("memory");
        assert_eq!((replace_view(view, &short), view[2047].load(Relaxed)), (Err(Errno::INVAL), 5));
    }

    #[test]
    fn what_is_frozen_or_our_own_nobody_else_can_write() {
        let database = frozen_memory(c"test", b"content").expect("memory");
        assert_eq!(Image::open(database.as_fd()).expect("memory").bytes, b"content");
        let (reports, ours) = own_memory(c"test", 1024).expect("memory");
        for fd in [&database, &reports] {
            assert_eq!(rustix::io::pwrite(fd, b"x", 0), Err(rustix::io::Errno::PERM));
            assert_eq!(rustix::fs::ftruncate(fd, 0), Err(rustix::io::Errno::PERM));
            assert_eq!(shared_words(fd.as_fd(), 1).err(), Some(Errno::PERM));
        }
        ours[1023].store(7, Relaxed);
        assert_eq!(shared_words_read_only(reports.as_fd(), 1024).expect("memory")[1023].load(Relaxed), 7);
    }

    #[test]
    fn a_copy_of_words_is_as_long_as_it_was_to_be() {
        let fd = copied_words(c"test", &[AtomicU32::new(5), AtomicU32::new(6)], 5000).expect("memory");
        let copy = shared_words(fd.as_fd(), 5000).expect("memory");
        assert!(is_sealed(fd.as_fd(), 20_000));
        assert_eq!([0, 1, 2, 4999].map(|at| copy[at].load(Relaxed)), [5, 6, 0, 0]);
    }

    #[test]
    fn memory_that_is_not_sealed_is_recognised() {
        let fd: OwnedFd =
            rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memory").into();
        preallocate(&fd, 4096).expect("memory");
        assert!(!is_sealed(fd.as_fd(), 4096));
    }

    #[test]
    fn a_view_reads_what_is_there_now() {
        let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).expect("memory");
        crate::sys::output::write_all(fd.as_fd(), b"0123456789").expect("memory");
        let image = Image::open(fd.as_fd()).expect("memory");
        assert_eq!(image.bytes, b"0123456789");
        let view = FileView::new(rustix::io::dup(&fd).expect("a descriptor").into());
        let mut buffer = [0; 8];
        assert_eq!((view.length(), view.read_at(6, &mut buffer)), (Ok(10), Ok(4)));
        assert_eq!(&buffer[..4], b"6789");
        rustix::fs::ftruncate(&fd, 2).expect("not sealed");
        assert_eq!((view.length(), view.read_at(6, &mut buffer)), (Ok(2), Ok(0)));
    }

    #[test]
    fn private_memory_is_zero() {
        let words = private_words(10_000).expect("memory");
        assert!(words.len() == 10_000 && words.iter().all(|word| *word == 0));
        assert_eq!(private_bytes(5).expect("memory"), [0; 5]);
        assert!(private_words(0).expect("nothing").is_empty());
    }
}
