//! Waiting: epoll with tokens and absolute deadlines, and doorbells. Nothing allocates after `new`.

use super::{AsFd, AsRawFd, BorrowedFd, Errno, OwnedFd, Result, clock, raw};
use super::{pipe, process, residence};
use alloc::boxed::Box;
use pintle::time::Instant;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How many news one `wait` can bring; the rest comes with the next call.
pub const BATCH: usize = 64;

/// What to be woken for. Hang-up and error always wake. With `EDGE`, only a change wakes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest(EventFlags);

impl Interest {
    pub const READ: Interest = Interest(EventFlags::IN);
    pub const WRITE: Interest = Interest(EventFlags::OUT);
    pub const EDGE: Interest = Interest(EventFlags::ET);
    /// The other end is closed, of a pipe that is read from.
    pub const HANG_UP: Interest = Interest(EventFlags::HUP);
    /// Of a file of the kernel's: it has changed since it was read.
    pub const FAULT: Interest = Interest(EventFlags::ERR);
    /// Hang-up and error only.
    pub const NONE: Interest = Interest(EventFlags::empty());

    /// Both.
    pub const fn and(self, other: Interest) -> Interest {
        Interest(self.0.union(other.0))
    }
}

/// What happened to one descriptor, named by the token it was added with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct News {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
    /// The other side is gone, or the descriptor is broken; what was sent before may still be read.
    pub hung_up: bool,
}

/// An epoll instance and room for its news.
pub struct Poll {
    fd: OwnedFd,
    events: Box<[Event; BATCH]>,
}

/// struct epoll_event: packed on x86_64 alone.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(packed))]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    data: u64,
}

const EPOLL_CTL_ADD: usize = 1;
const EPOLL_CTL_DEL: usize = 2;
const EPOLL_CTL_MOD: usize = 3;

impl Poll {
    pub fn new() -> Result<Poll> {
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?.into();
        Ok(Poll { fd, events: Box::new([Event { events: 0, data: 0 }; BATCH]) })
    }

    /// Watches `source`. Call `remove` before closing it: closing alone ends the watch only when no child between clone
    /// and exec holds a copy, and until then a hung-up pipe would wake us over and over.
    pub fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        self.set(source.as_fd(), token, interest, EPOLL_CTL_ADD)
    }

    /// Changes what a watched one wakes for.
    pub fn change(&self, source: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        self.set(source.as_fd(), token, interest, EPOLL_CTL_MOD)
    }

    #[inline(never)]
    fn set(&self, source: BorrowedFd<'_>, token: u64, interest: Interest, how: usize) -> Result<()> {
        let event = Event { events: interest.0.bits(), data: token };
        let (fd, source) = (self.fd.as_raw_fd() as usize, source.as_raw_fd() as usize);
        // SAFETY: the kernel reads the event.
        unsafe { raw::call(raw::nr::EPOLL_CTL, fd, how, source, &raw const event as usize, 0) }.map(drop)
    }

    /// Watches it no more.
    pub fn remove(&self, source: impl AsFd) -> Result<()> {
        self.set(source.as_fd(), 0, Interest::NONE, EPOLL_CTL_DEL)
    }

    /// One of the news that the last `wait` has counted. They stay until the next.
    pub fn news(&self, at: usize) -> News {
        let Event { events, data } = self.events[at];
        let has = |flags: EventFlags| events & flags.bits() != 0;
        News {
            token: data,
            readable: has(EventFlags::IN),
            writable: has(EventFlags::OUT),
            hung_up: has(EventFlags::HUP | EventFlags::ERR),
        }
    }

    /// Waits for news or until `deadline` (`NEVER`: without end; one in the past: only looks); gives how many there
    /// are. None means that the deadline is past or that a signal came.
    pub fn wait(&mut self, deadline: Instant) -> usize {
        let ends = deadline != Instant::NEVER;
        let left_ns = if ends { deadline.0.saturating_sub(clock::now().0) } else { u64::MAX };
        // struct __kernel_timespec: two 64-bit numbers everywhere.
        let spec = [(left_ns / 1_000_000_000) as i64, (left_ns % 1_000_000_000) as i64];
        let at = if ends { spec.as_ptr() as usize } else { 0 };
        let (fd, events) = (self.fd.as_raw_fd() as usize, self.events.as_mut_ptr() as usize);
        residence::release_if_due();
        // SAFETY: BATCH events fit; the time is null or valid; the mask is null (its size, the sixth, is then unread).
        let answer = unsafe { raw::syscall(raw::nr::EPOLL_PWAIT2, fd, events, BATCH, at, 0) };
        let count = match raw::answer(answer) {
            Ok(count) => count as usize,
            // Some sandboxes do not know epoll_pwait2: milliseconds then, rounded up so that a deadline is past when
            // due.
            Err(Errno::NOSYS | Errno::PERM) => {
                let left_ms = left_ns.div_ceil(1_000_000).min(i32::MAX as u64);
                self.wait_ms(if ends { left_ms as usize } else { usize::MAX })
            }
            Err(_) => 0,
        };
        count.min(BATCH)
    }

    #[cold]
    fn wait_ms(&mut self, ms: usize) -> usize {
        let (fd, events) = (self.fd.as_raw_fd() as usize, self.events.as_mut_ptr() as usize);
        // SAFETY: as above.
        raw::answer(unsafe { raw::syscall(raw::nr::EPOLL_PWAIT, fd, events, BATCH, ms, 0) }).unwrap_or(0) as usize
    }
}

/// Waits until a descriptor (`None`: nothing but time) can be read from or written to as `interest` says, or until so
/// much time is past or a signal has come; says whether it can. For a moment in which nothing else counts.
#[inline(never)]
pub fn wait_for(fd: Option<BorrowedFd<'_>>, interest: Interest, ms: u32) -> bool {
    let flags = PollFlags::from_bits_retain(interest.0.bits() as u16); // the same bits
    let mut asked = [PollFd::from_borrowed_fd(fd.unwrap_or(process::standard_input()), flags)];
    let asked = if fd.is_some() { &mut asked[..] } else { &mut [] };
    let time = Timespec { tv_sec: i64::from(ms / 1000), tv_nsec: (ms % 1000 * 1_000_000).into() };
    poll(asked, Some(&time)).is_ok() && asked.first().is_some_and(|one| one.revents().contains(flags))
}

/// Whether nobody is at the other end any more, or nothing can come of it.
pub fn is_hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// One end of a doorbell, nonblocking. Any number of rings before a look are one.
///
/// It is a pipe and no eventfd: the two sides of an eventfd are one open file, in which the other side could take
/// O_NONBLOCK away (F_SETFL) and let us wait in a read or a write for ever. The ends of a pipe are an open file each.
pub struct Doorbell {
    fd: OwnedFd,
}

impl Doorbell {
    /// The end that answers and the end that rings.
    pub fn pair() -> Result<(Doorbell, Doorbell)> {
        let (answers, rings) = pipe::nonblocking()?;
        Ok((Doorbell { fd: answers }, Doorbell { fd: rings }))
    }

    /// An end that was inherited.
    pub fn from_fd(fd: OwnedFd) -> Doorbell {
        Doorbell { fd }
    }

    /// What it is.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// It cannot fail but by being full, and then it rings anyway.
    pub fn ring(&self) {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, b"!"));
    }

    /// Takes rings back, more than there ever are unless nobody answered for long; says whether there were any.
    pub fn answer(&self) -> bool {
        let mut rings = [0; 512];
        rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut rings)).is_ok_and(|count| count > 0)
    }
}

impl From<Doorbell> for OwnedFd {
    fn from(doorbell: Doorbell) -> OwnedFd {
        doorbell.fd
    }
}

impl AsFd for Poll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_before_a_look_are_one_and_come_with_their_token() {
        let mut poll = Poll::new().expect("a descriptor");
        let (bell, button) = Doorbell::pair().expect("descriptors");
        poll.add(&bell, u64::MAX - 1, Interest::READ).expect("new");
        assert_eq!(poll.wait(Instant(0)), 0);
        button.ring();
        button.ring();
        let news = News { token: u64::MAX - 1, readable: true, writable: false, hung_up: false };
        assert_eq!((poll.wait(Instant::NEVER), poll.news(0)), (1, news));
        assert!(bell.answer() && !bell.answer());
        poll.remove(&bell).expect("added");
        button.ring();
        assert_eq!(poll.wait(Instant(0)), 0);
    }

    #[test]
    fn whatever_is_done_to_the_other_end_nobody_waits_at_a_doorbell() {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        let (bell, button) = Doorbell::pair().expect("descriptors");
        fcntl_setfl(&button, OFlags::empty()).expect("a pipe");
        assert!(!bell.answer());
        assert!(fcntl_getfl(&bell).expect("a pipe").contains(OFlags::NONBLOCK));
        let (bell, button) = Doorbell::pair().expect("descriptors");
        fcntl_setfl(&bell, OFlags::empty()).expect("a pipe");
        for _ in 0..70_000 {
            button.ring(); // more than a pipe holds
        }
        assert!(bell.answer());
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before() {
        let mut poll = Poll::new().expect("a descriptor");
        for ms in [1, 20] {
            let deadline = clock::now().plus_ms(ms);
            assert_eq!(poll.wait(deadline), 0);
            assert!(clock::now() >= deadline);
        }
        let deadline = clock::now().plus_ms(3);
        assert_eq!(poll.wait_ms(3), 0);
        assert!(clock::now() >= deadline);
    }

    #[test]
    fn the_end_of_the_other_side_is_news() {
        let mut poll = Poll::new().expect("a descriptor");
        let (read, write) = rustix::pipe::pipe().expect("a pipe can be made");
        poll.add(&read, 1, Interest::NONE).expect("new");
        poll.add(&write, 2, Interest::WRITE).expect("new");
        assert_eq!((poll.wait(Instant::NEVER), poll.news(0).token, poll.news(0).writable), (1, 2, true));
        drop(write);
        assert_eq!((poll.wait(Instant::NEVER), poll.news(0).token, poll.news(0).hung_up), (1, 1, true));
    }
}
