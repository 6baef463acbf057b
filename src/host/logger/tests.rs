//! The real logger in a thread, fed over a real link.

use super::*;
use crate::host::log_link::{LogLink, Source as LinkSource, WORDS};
use crate::host::syslog;
use crate::sys::pipe;
use pintle::ident::SlotId;
use pintle::stamp::STAMP_BYTES;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// A link with pipes of services named s0, s1, ...
struct Machine {
    link: LogLink,
    pipes: std::vec::Vec<(OwnedFd, OwnedFd)>,
    names: std::vec::Vec<String>,
    directory: PathBuf,
    words: [u32; WORDS],
}

impl Machine {
    fn new(name: &str, services: u32) -> Machine {
        let directory = std::env::temp_dir().join(format!("pintle-logger-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let mut link = LogLink::new(services);
        (0..services).for_each(|slot| link.opened(SlotId(slot)));
        let pipes = (0..services).map(|_| pipe::pair().expect("a pipe")).collect();
        Machine {
            link,
            pipes,
            names: (0..services).map(|slot| format!("s{slot}")).collect(),
            directory,
            words: [0; WORDS],
        }
    }

    fn logger(&self) -> Logger<'static> {
        let socket = rustix::io::fcntl_dupfd_cloexec(self.link.logger_end(), 0).expect("a descriptor").into();
        let directory: &'static Path = self.directory.clone().leak();
        let directory = directory.as_os_str().as_encoded_bytes();
        let (kept, syslog): (&[u8], &[u8]) =
            ([directory, b"/kept"].concat().leak(), [directory, b"/syslog"].concat().leak());
        let settings = Settings { directory, kept, bytes_max: 1 << 20, keep: 3, syslog };
        let held = rustix::io::fcntl_dupfd_cloexec(self.link.socket(), 0).expect("a descriptor").into();
        Logger::new(socket, Some(held), settings)
    }

    fn start(&self) -> JoinHandle<()> {
        let mut logger = self.logger();
        std::thread::spawn(move || logger.run())
    }

    fn flush(&mut self) {
        let (pipes, names, words) = (&self.pipes, &self.names, self.words);
        let source = |slot: SlotId| {
            let name = names.get(slot.index())?.as_bytes();
            Some(LinkSource { name: [name, b""], words, pipe: pipes.get(slot.index())?.0.as_fd() })
        };
        while self.link.flush(&source) != Ok(()) || self.link.wants_write() {
            rustix::event::poll(
                &mut [rustix::event::PollFd::from_borrowed_fd(self.link.socket(), rustix::event::PollFlags::OUT)],
                None,
            )
            .expect("polled");
        }
    }

    fn write(&self, slot: usize, text: &str) {
        output::write_all(self.pipes[slot].1.as_fd(), text.as_bytes()).expect("written");
    }

    /// Closes what the supervisor has and waits for the logger's end, which comes when all is read.
    fn finish(self, logger: JoinHandle<()>) -> PathBuf {
        drop((self.link, self.pipes));
        logger.join().expect("the logger does not panic");
        self.directory
    }
}

fn text(directory: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    text.lines().map(|line| format!("{}\n", line.get(STAMP_BYTES + 1..).unwrap_or("?"))).collect()
}

#[test]
fn lines_of_many_services_each_reach_their_file() {
    let mut machine = Machine::new("many", 200);
    let logger = machine.start();
    machine.flush();
    for slot in 0..200 {
        machine.write(slot, &format!("one of {slot}\ntwo of {slot}\nhalf of {slot}"));
    }
    let directory = machine.finish(logger);
    for slot in 0..200 {
        let expected = format!("one of {slot}\ntwo of {slot}\nhalf of {slot}\n");
        assert_eq!(text(&directory, &format!("s{slot}.log")), expected);
    }
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn what_an_ended_life_left_unfinished_is_a_line() {
    let mut machine = Machine::new("life", 1);
    let logger = machine.start();
    machine.flush();
    machine.write(0, "Segmentation f");
    machine.link.ended(SlotId(0));
    machine.flush();
    // The message is taken when the next one is; the pipe's order does the rest.
    while rustix::io::ioctl_fionread(&machine.pipes[0].0) != Ok(0) {
        std::thread::yield_now();
    }
    machine.link.opened(SlotId(0));
    machine.pipes[0] = pipe::pair().expect("a pipe");
    machine.flush();
    machine.write(0, "hello\n");
    let directory = machine.finish(logger);
    assert_eq!(text(&directory, "s0.log"), "Segmentation f\nhello\n");
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn the_next_logger_goes_on_where_one_was_told_to_end() {
    let mut machine = Machine::new("next", 3);
    for part in ["one\ntw", "o\nthree\n"] {
        machine.link.restart();
        machine.flush();
        machine.write(1, part);
        // As after SIGTERM: what is there is written, nothing is closed.
        let mut logger = machine.logger();
        logger.ending = true;
        logger.run();
    }
    assert_eq!(text(&machine.directory, "s1.log"), "one\ntwo\nthree\n");
    assert_eq!(text(&machine.directory, "s0.log"), "");
    std::fs::remove_dir_all(machine.directory).expect("removed");
}

#[test]
fn a_megabyte_through_one_pipe_loses_no_line_and_keeps_the_order() {
    let mut machine = Machine::new("order", 1);
    let logger = machine.start();
    machine.flush();
    let lines: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    machine.write(0, &lines);
    let directory = machine.finish(logger);
    let all: String =
        ["s0.log.3", "s0.log.2", "s0.log.1", "s0.log"].iter().map(|name| text(&directory, name)).collect();
    assert!(all == lines, "{} bytes of {}", all.len(), lines.len());
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn whole_lines_go_to_syslog_and_what_nobody_takes_is_counted() {
    let mut machine = Machine::new("syslog", 1);
    machine.words[..2].copy_from_slice(&[815, pintle::lang::definition::Log::Syslog as u32]);
    std::fs::create_dir_all(&machine.directory).expect("made");
    let path = machine.directory.join("syslog");
    let run = |machine: &mut Machine, text: &str| {
        machine.link.restart();
        machine.flush();
        machine.write(0, text);
        let mut logger = machine.logger();
        logger.ending = true;
        logger.run();
    };
    // The part of a line goes on with the next logger.
    run(&mut machine, "nobody\nlistens\n");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
    socket.set_nonblocking(true).expect("set");
    let long = "l".repeat(1000);
    run(&mut machine, "to");
    run(&mut machine, &format!(" this\n\n{long}\nhalf"));
    let mut packets = std::vec::Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(count) = socket.recv(&mut buffer) {
        packets.push(String::from_utf8(buffer[..count].to_vec()).expect("text"));
    }
    let texts: std::vec::Vec<&str> = packets
        .iter()
        .map(|packet| {
            let (head, text) = packet.split_at("<30>Nov 21 00:05:59 ".len());
            assert!(head.starts_with("<30>") && head.as_bytes()[7] == b' ' && packet.len() <= 1024, "{packet}");
            text.strip_prefix("s0[815]: ").expect("who it was")
        })
        .collect();
    let long = "l".repeat(syslog::LINE_BYTES_MAX);
    assert_eq!(texts, ["to this", &format!("{long}..."), &format!("...{}", "l".repeat(200))]);
    let kept = text(&machine.directory, "kept/s0.log");
    assert!(kept.contains("pintle-log: 2 lines lost: No such file or directory\n"), "{kept}");
    assert!(kept.contains("\nto this\n"), "{kept}");
    std::fs::remove_dir_all(machine.directory).expect("removed");
}
