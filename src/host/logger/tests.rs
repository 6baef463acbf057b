//! The real logger in a thread, fed over a real link.

use super::*;
use crate::host::log_link::{LogLink, Source as LinkSource, WORDS};
use crate::host::syslog;
use crate::sys::pipe;
use pintle::ident::SlotId;
use pintle::stamp::STAMP_BYTES;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// A link with pipes of services named s0, s1, ...
struct Machine {
    link: LogLink,
    pipes: std::vec::Vec<(OwnedFd, OwnedFd)>,
    names: std::vec::Vec<String>,
    directory: PathBuf,
    words: std::vec::Vec<[u32; WORDS]>,
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
            words: vec![[0; WORDS]; services as usize],
        }
    }

    /// This one's lines go to syslog, whose socket it gives if it is to be there.
    fn syslog(&mut self, slot: usize, is_there: bool) -> Option<UnixDatagram> {
        self.words[slot][..2].copy_from_slice(&[815, pintle::lang::definition::Log::Syslog as u32]);
        std::fs::create_dir_all(&self.directory).expect("made");
        is_there.then(|| {
            let socket = UnixDatagram::bind(self.directory.join("syslog")).expect("bound");
            socket.set_nonblocking(true).expect("set");
            socket
        })
    }

    /// A logger of the first service that is killed when there is nothing left to read, or syslog takes no more; the next
    /// one is told of everything.
    fn run_until_killed(&mut self) {
        let mut logger = self.logger();
        logger.take_messages();
        while logger.read_once(0) > 0 {}
        drop(logger);
        self.link.restart();
        self.flush();
    }

    fn logger(&self) -> Logger<'static> {
        let socket = rustix::io::fcntl_dupfd_cloexec(self.link.logger_end(), 0).expect("a descriptor").into();
        let directory: &'static Path = self.directory.clone().leak();
        let directory = directory.as_os_str().as_encoded_bytes();
        let in_it = |name: &[u8]| -> &'static [u8] { [directory, name].concat().leak() };
        let (kept, lost, syslog) = (in_it(b"/kept"), in_it(b"/kept/lost"), in_it(b"/syslog"));
        let settings = Settings { directory, kept, lost, bytes_max: 1 << 20, keep: 3, syslog };
        let held = rustix::io::fcntl_dupfd_cloexec(self.link.socket(), 0).expect("a descriptor").into();
        Logger::new(socket, Some(held), settings)
    }

    fn start(&self) -> JoinHandle<()> {
        let mut logger = self.logger();
        std::thread::spawn(move || logger.run())
    }

    fn flush(&mut self) {
        let (pipes, names, words) = (&self.pipes, &self.names, &self.words);
        let source =
            |slot: SlotId| Some(source(pipes.get(slot.index())?, names.get(slot.index())?, words[slot.index()]));
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

fn source<'a>(pipe: &'a (OwnedFd, OwnedFd), name: &'a str, words: [u32; WORDS]) -> LinkSource<'a> {
    LinkSource { name: [name.as_bytes(), b""], words, pipe: pipe.0.as_fd() }
}

/// What syslog has got and not read, without what stands before the text.
fn taken(socket: &UnixDatagram) -> std::vec::Vec<String> {
    let mut buffer = [0; 2048];
    let packets = std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|count| buffer[..count].to_vec()));
    let texts = packets.map(|packet| {
        let packet = String::from_utf8(packet).expect("text");
        let (head, text) = packet.split_at("<30>Nov 21 00:05:59 ".len());
        assert!(head.starts_with("<30>") && head.as_bytes()[7] == b' ' && packet.len() <= 1024, "{packet}");
        text.split_once("[815]: ").expect("who it was").1.to_string()
    });
    texts.collect()
}

/// How many lines were lost, as this log says.
fn lost(text: &str) -> usize {
    let told = text.lines().filter_map(|line| line.strip_prefix("pintle-log: ")?.split_once(" lines lost"));
    told.map(|(count, _)| count.parse::<usize>().expect("a number")).sum()
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
    machine.syslog(0, false);
    let run = |machine: &mut Machine, text: &str| {
        machine.link.restart();
        machine.flush();
        machine.write(0, text);
        let mut logger = machine.logger();
        logger.ending = true;
        logger.run();
    };
    // The part of a line goes on with the next logger.
    let long = "l".repeat(1000);
    run(&mut machine, &format!("nobody\n{long}\n"));
    let socket = machine.syslog(0, true).expect("there");
    run(&mut machine, "to");
    run(&mut machine, &format!(" this\n\n{long}\nhalf"));
    let long = "l".repeat(syslog::LINE_BYTES_MAX);
    let pieces = [format!("{long}..."), format!("...{}", "l".repeat(200))];
    assert_eq!(taken(&socket), ["to this", &pieces[0], &pieces[1]]);
    let kept = text(&machine.directory, "kept/s0.log");
    // One stamp a piece, also of what is lost.
    let told = "pintle-log: 3 lines lost: No such file or directory";
    let lines: std::vec::Vec<&str> = kept.lines().collect();
    assert_eq!(lines, ["nobody", &pieces[0], &pieces[1], told, "to this", "", &pieces[0], &pieces[1], "half"]);
    std::fs::remove_dir_all(machine.directory).expect("removed");
}

#[test]
fn a_syslog_that_is_slow_holds_nobody_up_and_loses_nothing() {
    let mut machine = Machine::new("slow", 3);
    let socket = machine.syslog(0, true).expect("there");
    machine.syslog(2, false);
    let logger = machine.start();
    machine.flush();
    let lines = |slot: u32| (0..1000).map(move |number| format!("{slot} {number}"));
    for slot in [0, 2] {
        machine.write(slot as usize, &lines(slot).map(|line| line + "\n").collect::<String>());
    }
    // It reads nothing, and then a line for each one that another service has logged.
    let (mut all, mut expected) = (std::vec::Vec::new(), String::new());
    for number in 0..20 {
        machine.write(1, &format!("{number}\n"));
        expected += &format!("{number}\n");
        while text(&machine.directory, "s1.log") != expected {
            std::thread::yield_now();
        }
        all.extend(socket.recv(&mut [0; 2048]).map(|_| String::new()));
    }
    // Then all, as it comes.
    let (seen, ends) = (all.len(), clock::now().plus_ms(60_000));
    while all.len() < 2000 && clock::now() < ends {
        all.extend(taken(&socket));
        std::thread::yield_now();
    }
    let directory = machine.finish(logger);
    for slot in [0, 2] {
        let of_slot: std::vec::Vec<&String> =
            all.iter().skip(seen).filter(|line| line.starts_with(&format!("{slot} "))).collect();
        let last: std::vec::Vec<String> = lines(slot).skip(1000 - of_slot.len()).collect();
        assert!(of_slot.into_iter().eq(&last), "{slot}");
        assert_eq!(lost(&text(&directory, &format!("kept/s{slot}.log"))), 0);
    }
    assert_eq!(all.len(), 2000);
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn a_syslog_that_reads_nothing_loses_lines_that_are_counted() {
    let mut machine = Machine::new("stuck", 1);
    let socket = machine.syslog(0, true).expect("there");
    let logger = machine.start();
    machine.flush();
    machine.write(0, &(0..2000).map(|number| format!("{number}\n")).collect::<String>());
    // What it has not taken a second later is lost, and so is what comes then.
    machine.write(0, "last\n");
    while !text(&machine.directory, "kept/s0.log").contains("\nlast\n") {
        std::thread::yield_now();
    }
    let directory = machine.finish(logger);
    let kept = text(&directory, "kept/s0.log");
    // The count begins anew in each file that is kept; those before are gone.
    assert!(kept.contains(" lines lost: "), "{kept}");
    assert!((1..2000).contains(&taken(&socket).len()));
    std::fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn what_syslog_has_not_taken_the_next_logger_sends() {
    let mut machine = Machine::new("queue", 1);
    let socket = machine.syslog(0, true).expect("there");
    machine.flush();
    let lines: std::vec::Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    machine.write(0, &(lines.join("\n") + "\nha"));
    let mut all = std::vec::Vec::new();
    while all.len() < 300 {
        machine.run_until_killed();
        all.extend(taken(&socket));
    }
    machine.write(0, "lf\n");
    let logger = machine.start();
    while all.len() <= lines.len() && lost(&text(&machine.directory, "kept/s0.log")) == 0 {
        all.extend(taken(&socket));
        std::thread::yield_now();
    }
    assert_eq!(all.pop().as_deref(), Some("half"));
    assert_eq!(all, lines);
    std::fs::remove_dir_all(machine.finish(logger)).expect("removed");
}

#[test]
fn a_long_line_reaches_syslog_in_pieces_however_often_its_logger_is_killed() {
    let mut machine = Machine::new("pieces", 1);
    let socket = machine.syslog(0, true).expect("there");
    machine.flush();
    let text: String = (0..1050).map(|number| format!("{:03}", number % 1000)).collect();
    let mut all = std::vec::Vec::new();
    let parts: std::vec::Vec<&str> = (0..5).map(|part| &text[part * 630..(part + 1) * 630]).chain(["\n"]).collect();
    for part in parts {
        machine.write(0, part);
        machine.run_until_killed();
        all.extend(taken(&socket));
    }
    let logger = machine.start();
    while all.last().is_none_or(|last| last.ends_with("...")) {
        all.extend(taken(&socket));
        std::thread::yield_now();
    }
    assert!(all.len() > 3 && all.iter().all(|piece| piece.len() <= 808), "{all:?}");
    let whole: String = all.iter().map(|piece| piece.trim_matches(|sign| sign == '.' || sign == ' ')).collect();
    assert_eq!(whole, text);
    std::fs::remove_dir_all(machine.finish(logger)).expect("removed");
}

#[test]
fn the_end_of_a_writer_that_no_logger_has_heard_of_ends_its_line() {
    for syslog in [false, true] {
        let mut machine = Machine::new("heard", 1);
        let socket = if syslog { machine.syslog(0, true) } else { None };
        machine.flush();
        machine.write(0, "last wor");
        let mut logger = machine.logger();
        logger.take_messages();
        assert!(logger.read_once(0) > 0);
        drop(logger);
        machine.write(0, "ds");
        // Told before the death of the logger was seen.
        machine.link.ended(SlotId(0));
        machine.flush();
        machine.link.restart();
        machine.flush();
        let mut logger = machine.logger();
        logger.take_messages();
        machine.write(0, "hello\n");
        logger.ending = true;
        logger.run();
        let file = if syslog { "kept/s0.log" } else { "s0.log" };
        assert_eq!(text(&machine.directory, file), "last words\nhello\n");
        assert!(socket.is_none_or(|socket| taken(&socket) == ["last words", "hello"]));
        std::fs::remove_dir_all(machine.directory).expect("removed");
    }
}

#[test]
fn what_is_left_in_a_pipe_that_gives_its_slot_away_is_read_by_the_next_logger() {
    for syslog in [false, true] {
        let mut machine = Machine::new("left", 1);
        let socket = if syslog { machine.syslog(0, true) } else { None };
        machine.write(0, "one\nlast words");
        // Nobody has been told of it yet, and the supervisor closes it.
        let before = machine.pipes.remove(0);
        machine.link.leave(SlotId(0), &source(&before, "s0", machine.words[0])).expect("sent");
        machine.link.closed(SlotId(0));
        let (read, stray) = before;
        drop(read);
        machine.pipes.push(pipe::pair().expect("a pipe"));
        machine.names[0] = "other".into();
        machine.link.opened(SlotId(0));
        machine.flush();
        let mut logger = machine.logger();
        logger.take_messages();
        // Somebody still writes to it, and each has its own half of a line.
        for (at, text) in [" half", " half"].iter().enumerate() {
            output::write_all(stray.as_fd(), format!("stray{text}").as_bytes()).expect("written");
            machine.write(0, &format!("own{text}"));
            while logger.read_once(0) + logger.read_once(1) > 0 {}
            assert!(at < 2);
        }
        output::write_all(stray.as_fd(), b"\n").expect("written");
        machine.write(0, "\n");
        logger.ending = true;
        logger.run();
        let (one, other) = ("one\nlast words\nstray halfstray half\n", "own halfown half\n");
        match socket {
            None => {
                assert_eq!(text(&machine.directory, "s0.log"), one);
                assert_eq!(text(&machine.directory, "other.log"), other);
            }
            Some(socket) => {
                let mut lines = taken(&socket);
                lines[2..].sort();
                assert_eq!(lines, ["one", "last words", "own halfown half", "stray halfstray half"]);
            }
        }
        std::fs::remove_dir_all(machine.directory).expect("removed");
    }
}
