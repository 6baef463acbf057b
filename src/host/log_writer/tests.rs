//! Text in, files out, in a directory of its own.

use super::*;
use crate::host::log_queue::QUEUE_BYTES;
use std::path::Path;

const LONG: usize = LINE_BYTES as usize;

struct Place {
    path: &'static Path,
    output: Output<'static>,
}

impl Place {
    fn new(name: &str) -> Place {
        let path: &'static Path =
            std::env::temp_dir().join(format!("pintle-writer-{name}-{}", std::process::id())).leak();
        let _ = std::fs::remove_dir_all(path);
        let directory = path.as_os_str().as_encoded_bytes();
        let (kept, lost) = ([directory, b"-kept"].concat().leak(), [directory, b"-kept/lost"].concat().leak());
        let settings = Settings { directory, kept, lost, bytes_max: 1 << 20, keep: 2, syslog: b"" };
        let (link, _) = crate::sys::socket::pair().expect("a pair");
        let mut output = Output::new(0, settings, Journal::open(&link, None).expect("memory").0);
        output.set_time(0);
        Place { path, output }
    }

    fn take(&mut self, writer: &mut Writer, text: &str) -> Result<()> {
        let mut memory = [0; QUEUE_BYTES];
        let mut queue = Queue::of(&mut memory).expect("room");
        writer.begin(0, 0, 0, &mut self.output);
        let result = writer.take(text.as_bytes(), &mut queue, &mut self.output);
        assert!(self.output.bytes.is_empty());
        assert_eq!(self.output.files, usize::from(writer.is_open()));
        result
    }

    /// What the run directory has.
    fn kept(&self, file: &str) -> String {
        let kept = std::str::from_utf8(self.output.settings.kept).expect("UTF-8");
        let text = std::fs::read_to_string(Path::new(kept).join(file)).unwrap_or("-".into());
        text.replace("1970-01-01T00:00:00.000000Z ", "|")
    }

    /// What a text leaves in the queue's memory.
    fn queued(&mut self, writer: &mut Writer, text: &str) -> std::vec::Vec<u8> {
        let mut memory = [0; QUEUE_BYTES];
        writer.begin(0, 0, 0, &mut self.output);
        let mut queue = Queue::of(&mut memory).expect("room");
        writer.take(text.as_bytes(), &mut queue, &mut self.output).expect("written");
        memory.to_vec()
    }

    fn end_line(&mut self, writer: &mut Writer) {
        let mut memory = [0; QUEUE_BYTES];
        writer.end_line(&mut Queue::of(&mut memory).expect("room"), &mut self.output).expect("written");
    }

    /// The file without its stamps; "-" if there is none.
    fn text(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.path.join(file)).unwrap_or("-".into());
        text.replace("1970-01-01T00:00:00.000000Z ", "|")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for directory in [self.output.settings.directory, self.output.settings.kept] {
            let _ = std::fs::remove_dir_all(std::str::from_utf8(directory).expect("UTF-8"));
        }
    }
}

#[test]
fn every_line_gets_one_stamp_however_it_comes() {
    let (mut place, mut writer) = (Place::new("stamp"), Writer::new(b"x", &[0; WORDS], false));
    assert_eq!(place.text("x.log"), "-");
    for part in ["one\ntwo\nth", "ree", "\n", "\n\nfour"] {
        place.take(&mut writer, part).expect("written");
    }
    assert_eq!(place.text("x.log"), "|one\n|two\n|three\n|\n|\n|four");
    place.end_line(&mut writer);
    place.end_line(&mut writer);
    place.take(&mut writer, "five\n").expect("written");
    assert_eq!(place.text("x.log"), "|one\n|two\n|three\n|\n|\n|four\n|five\n");
}

#[test]
fn an_unfinished_line_goes_on_for_the_next_logger_and_ends_for_the_next_boot() {
    let mut place = Place::new("next");
    for (continues, text) in [(false, "one"), (true, " two"), (false, "three\n"), (true, "four\n")] {
        let mut writer = Writer::new(b"x", &[0; WORDS], continues);
        place.take(&mut writer, text).expect("written");
        writer.close(&mut place.output);
    }
    assert_eq!(place.text("x.log"), "|one two\n|three\n|four\n");
}

#[test]
fn a_long_line_is_split_with_marks() {
    let (mut place, mut writer) = (Place::new("long"), Writer::new(b"x", &[0; WORDS], false));
    let long = "l".repeat(LONG);
    place.take(&mut writer, &format!("{long}\n{long}")).expect("written");
    place.take(&mut writer, "m\n").expect("written");
    assert_eq!(place.text("x.log"), format!("|{long}\n|{long}...\n|...m\n"));
    place.take(&mut writer, &"n".repeat(100_000)).expect("written");
    let text = place.text("x.log");
    assert_eq!((text.matches('n').count(), text.lines().map(str::len).max()), (100_000, Some(LONG + 7)));
}

#[test]
fn a_file_is_turned_over_at_its_size_between_lines() {
    let (mut place, mut writer) = (Place::new("turn"), Writer::new(b"x", &[0; WORDS], false));
    place.output.settings.bytes_max = 100;
    for text in ["1\n2\n3\n", "4\n5", "5\n6\n7\n8\n", "9\n10\n", "11\n12\n", "13\n14\n15\n"] {
        place.take(&mut writer, text).expect("written");
    }
    let texts = ["x.log", "x.log.1", "x.log.2", "x.log.3"].map(|file| place.text(file));
    assert_eq!(texts, ["|13\n|14\n|15\n", "|10\n|11\n|12\n", "|7\n|8\n|9\n", "-"]);
}

#[test]
fn what_cannot_be_written_is_counted_and_said_later() {
    let (mut place, mut writer) = (Place::new("lost"), Writer::new(b"x", &[0; WORDS], false));
    std::fs::write(place.path, "not a directory").expect("written");
    assert_eq!(place.take(&mut writer, "1\n2\n"), Err(Errno::NOTDIR));
    assert_eq!(place.take(&mut writer, "3\n"), Ok(())); // said already
    std::fs::remove_file(place.path).expect("removed");
    place.take(&mut writer, "4\n").expect("written");
    assert_eq!(place.text("x.log"), "|pintle-log: 3 lines lost: Not a directory\n|4\n");
}

#[test]
fn a_full_disk_tears_no_later_line() {
    let (mut place, mut writer) = (Place::new("full"), Writer::new(b"x", &[0; WORDS], false));
    place.take(&mut writer, "before\n").expect("written");
    // A device that takes nothing stands for the full disk.
    writer.file = Some(file::open_write("/dev/full").expect("there is /dev/full"));
    assert_eq!(place.take(&mut writer, "1\n2\nhalf"), Err(Errno::NOSPC));
    // The end of a line that has been counted, and another one.
    assert_eq!(place.take(&mut writer, " of 3\n4\n5"), Ok(()));
    writer.close(&mut place.output);
    place.take(&mut writer, " a line\nafter\n").expect("written");
    let told = "|pintle-log: 5 lines lost: No space left on device\n";
    assert_eq!(place.text("x.log"), format!("|before\n{told}| a line\n|after\n"));
}

/// The words of `log`, `log-rate` and `log-keep`.
fn words(log: Log, rate: u32, keep: u32) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    words[1] = log as u32;
    words[1 + exec::LOG_RATE - exec::LOG] = if rate > 0 { rate + 1 } else { 0 };
    words[1 + exec::LOG_KEEP - exec::LOG] = if keep > 0 { keep + 1 } else { 0 };
    words
}

#[test]
fn output_without_a_newline_is_turned_over_as_well() {
    let (mut place, mut writer) = (Place::new("endless"), Writer::new(b"x", &[0; WORDS], false));
    place.output.settings.bytes_max = 20_000;
    for _ in 0..10 {
        place.take(&mut writer, &"n".repeat(10_000)).expect("written");
    }
    let texts = ["x.log.2", "x.log.1", "x.log"].map(|file| place.text(file));
    for text in &texts {
        assert!((1..=20_000).contains(&text.len()) && text.starts_with("|...nnn"), "{}", text.len());
    }
    assert!(texts[0].ends_with("nnn...\n") && texts[1].ends_with("nnn...\n") && texts[2].ends_with("nnn"));
    // The pieces count as lines.
    writer.close(&mut place.output);
    place.output.set_time(1_000_000_000);
    let mut writer = Writer::new(b"y", &words(Log::File, 3, 0), false);
    place.take(&mut writer, &"n".repeat(10 * LONG)).expect("written");
    assert_eq!(((place.text("y.log.1") + &place.text("y.log")).lines().count(), writer.dropped), (3, 7));
}

#[test]
fn a_file_that_cannot_be_opened_when_the_one_before_was_turned_over_loses_nothing_uncounted() {
    for age_ms in [0, 1000] {
        let mut place = Place::new("reopen");
        let mut words = [0; WORDS];
        words[1 + exec::LOG_AGE_MS - exec::LOG] = age_ms;
        let mut writer = Writer::new(b"x", &words, false);
        place.output.settings.bytes_max = 100;
        place.take(&mut writer, "1\n").expect("written");
        // The file is open, and its directory is another one.
        let away = place.path.with_extension("away");
        std::fs::rename(place.path, &away).expect("renamed");
        std::fs::write(place.path, "no directory").expect("written");
        place.output.set_time(2_000_000_000);
        assert_eq!(place.take(&mut writer, "2\n3\n4\n5\n6\n"), Err(Errno::NOTDIR));
        std::fs::remove_file(place.path).expect("removed");
        place.take(&mut writer, "7\n").expect("written");
        let written = std::fs::read_to_string(away.join("x.log")).expect("a log").lines().count() - 1;
        let text = place.text("x.log");
        assert!(text.contains(&format!("pintle-log: {} lines lost: Not a directory\n", 5 - written)), "{text}");
        std::fs::remove_dir_all(away).expect("removed");
    }
}

#[test]
fn what_the_disk_refuses_in_the_middle_of_a_line_ends_it() {
    let (mut place, mut writer) = (Place::new("middle"), Writer::new(b"x", &[0; WORDS], false));
    let full = || Some(file::open_write("/dev/full").expect("there is /dev/full"));
    place.take(&mut writer, "whole\nhalf").expect("written");
    let whole = core::mem::replace(&mut writer.file, full());
    assert_eq!(place.take(&mut writer, " of it\n"), Err(Errno::NOSPC));
    // The newline that is to come first is refused as well, and is nobody's line.
    assert_eq!(place.take(&mut writer, "next\n"), Ok(()));
    writer.file = whole;
    place.take(&mut writer, "after\n").expect("written");
    let told = "|pintle-log: 2 lines lost: No space left on device\n";
    assert_eq!(place.text("x.log"), format!("|whole\n|half\n{told}|after\n"));
}

#[test]
fn no_fraction_of_a_line_is_taken_from_the_rate() {
    let (mut place, mut writer) = (Place::new("rate"), Writer::new(b"x", &words(Log::File, 3, 0), false));
    place.output.set_time(1_000_000_000);
    place.take(&mut writer, "1\n2\n3\n4\n").expect("written");
    assert_eq!(writer.dropped, 1);
    // One and a half each time.
    for step in 1..=20 {
        place.output.set_time(1_000_000_000 + step * 500_000_000);
        place.take(&mut writer, "a\nb\n").expect("written");
    }
    assert_eq!((writer.dropped, place.text("x.log").lines().count()), (1 + 10, 3 + 30));
}

#[test]
fn dropped_lines_are_told_of_when_the_line_under_way_has_ended() {
    let (mut place, mut writer) = (Place::new("drop"), Writer::new(b"x", &words(Log::File, 1, 0), false));
    place.output.set_time(9_000_000_000);
    place.take(&mut writer, "1\n2\n3\n").expect("written");
    place.output.set_time(10_000_000_000);
    place.take(&mut writer, "prompt> ").expect("written");
    assert!(writer.drops());
    writer.say_what_was_dropped(&mut place.output);
    // Nobody has to be woken for it any more.
    assert!(!writer.drops() && writer.dropped == 2);
    place.output.set_time(11_000_000_000);
    place.take(&mut writer, "answer\nnext\n").expect("written");
    let text = place.text("x.log");
    let lines: std::vec::Vec<&str> = text.lines().map(|line| line.rsplit(['Z', '|']).next().unwrap_or(line)).collect();
    assert_eq!(lines, [" 1", " prompt> answer", " pintle-log: 2 lines dropped: more than 1 a second", " next"]);
    // Nor is it forgotten where it cannot be written.
    place.take(&mut writer, "4\n5\n").expect("written");
    let file = writer.file.replace(file::open_write("/dev/full").expect("there is /dev/full"));
    writer.say_what_was_dropped(&mut place.output);
    assert_eq!((writer.dropped, writer.lost), (2, 0));
    writer.file = file;
    place.output.set_time(12_000_000_000);
    place.take(&mut writer, "6\n").expect("written");
    assert!(place.text("x.log").contains(" pintle-log: 2 lines dropped: more than 1 a second\n1970-01-01T00:00:12"));
}

#[test]
fn a_line_that_was_torn_by_a_loss_is_not_gone_on_with() {
    let (mut place, mut writer) = (Place::new("torn"), Writer::new(b"x", &[0; WORDS], false));
    place.take(&mut writer, "half").expect("written");
    writer.file = Some(file::open_write("/dev/full").expect("there is /dev/full"));
    assert_eq!(place.take(&mut writer, " lost\n"), Err(Errno::NOSPC));
    writer.close(&mut place.output);
    let mut writer = Writer::new(b"x", &[0; WORDS], true);
    place.take(&mut writer, "again\n").expect("written");
    assert_eq!(place.text("x.log"), "|half\n|pintle-log: 1 lines lost\n|again\n");
}

#[test]
fn what_was_lost_before_is_told_by_the_next_one_and_nothing_else_is_taken_for_it() {
    let mut place = Place::new("note");
    std::fs::write(place.path, "not a directory").expect("written");
    for (count, lines) in [(1, "1\n"), (3, "2\n3\n")] {
        let mut writer = Writer::new(b"x", &[0; WORDS], count == 3);
        let _ = place.take(&mut writer, lines);
        assert_eq!(place.kept("lost/x.log"), format!("|pintle-log: {count} lines lost: Not a directory\n"));
    }
    std::fs::remove_file(place.path).expect("removed");
    // Also with another supervisor.
    let mut writer = Writer::new(b"x", &[0; WORDS], false);
    place.take(&mut writer, "4\n").expect("written");
    assert_eq!(
        (place.text("x.log").as_str(), place.kept("lost/x.log").as_str()),
        ("|pintle-log: 3 lines lost\n|4\n", "-")
    );
    writer.close(&mut place.output);
    // Of a service that was only kept, and is logged by now.
    let mut writer = Writer::new(b"y", &words(Log::Keep, 0, 0), false);
    place.take(&mut writer, "pintle-log: 7 lines lost\n").expect("written");
    assert_eq!(place.kept("y.log"), "|pintle-log: 7 lines lost\n");
    writer.change(&[0; WORDS], &mut place.output);
    place.take(&mut writer, "1\n").expect("written");
    assert_eq!(place.text("y.log"), "|1\n");
    writer.close(&mut place.output);
    // More than can be counted.
    std::fs::write(
        std::str::from_utf8(place.output.settings.lost).expect("UTF-8").to_string() + "/z.log",
        format!("T pintle-log: {} lines lost", u64::MAX),
    )
    .expect("written");
    let mut writer = Writer::new(b"z", &[0; WORDS], false);
    writer.lost = 1;
    place.take(&mut writer, "1\n").expect("written");
    assert_eq!(place.text("z.log"), format!("|pintle-log: {} lines lost\n|1\n", u64::MAX));
}

#[test]
fn what_is_kept_is_little_however_it_comes() {
    let (mut place, mut writer) = (Place::new("kept"), Writer::new(b"x", &words(Log::Keep, 0, 0), false));
    place.take(&mut writer, "begins").expect("written");
    for number in 0..3000 {
        // No text begins with a line's beginning, or ends with its end.
        place.take(&mut writer, &format!(" {number}\nagain")).expect("written");
    }
    let text = place.kept("x.log");
    assert!(text.len() < 8192 && text.ends_with("|again 2999\n|again"), "{}", text.len());
    assert_eq!(place.kept("x.log.2"), "-");
}

#[test]
fn a_line_that_an_earlier_logger_began_ends_with_its_writer() {
    let mut place = Place::new("begun");
    let mut writer = Writer::new(b"x", &[0; WORDS], false);
    place.take(&mut writer, "last words").expect("written");
    writer.close(&mut place.output);
    let mut writer = Writer::new(b"x", &[0; WORDS], true);
    place.end_line(&mut writer);
    assert_eq!(place.text("x.log"), "|last words\n");
    place.take(&mut writer, "hello\n").expect("written");
    assert_eq!(place.text("x.log"), "|last words\n|hello\n");
    // A silent one still has no file.
    place.end_line(&mut Writer::new(b"silent", &[0; WORDS], true));
    assert_eq!(place.text("silent.log"), "-");
}

#[test]
fn files_of_when_more_were_kept_go() {
    let (mut place, mut writer) = (Place::new("fewer"), Writer::new(b"x", &words(Log::File, 0, 5), false));
    place.output.settings.bytes_max = 30;
    for number in 0..9 {
        place.take(&mut writer, &format!("{number}\n")).expect("written");
    }
    assert_eq!((place.text("x.log.5"), place.text("x.log.6")), ("|3\n".into(), "-".into()));
    writer.change(&words(Log::File, 0, 2), &mut place.output);
    place.take(&mut writer, "9\n").expect("written");
    let texts = ["x.log", "x.log.1", "x.log.2", "x.log.3", "x.log.5"].map(|file| place.text(file));
    assert_eq!(texts, ["|9\n", "|8\n", "|7\n", "-", "-"]);
}

#[test]
fn a_file_that_cannot_be_renamed_takes_none_with_it() {
    let (mut place, mut writer) = (Place::new("rename"), Writer::new(b"x", &[0; WORDS], false));
    place.output.settings.bytes_max = 30;
    place.take(&mut writer, "1\n").expect("written");
    place.take(&mut writer, "2\n").expect("written");
    // A directory with something in it is no place for a file.
    std::fs::create_dir_all(place.path.join("x.log.2/full")).expect("made");
    place.take(&mut writer, "3\n").expect("written");
    assert_eq!((place.text("x.log"), place.text("x.log.1")), ("|2\n|3\n".into(), "|1\n".into()));
}

#[test]
fn newlines_are_found_at_every_place() {
    for length in 0..40 {
        for at in 0..length {
            let mut text = vec![b'\x0b'; length];
            text[at] = b'\n';
            assert_eq!(newline(&text), Some(at));
        }
        assert_eq!(newline(&vec![b'\x8a'; length]), None);
    }
}

#[test]
fn the_queue_of_what_does_not_go_to_syslog_is_not_touched() {
    let mut place = Place::new("untouched");
    let mut writer = Writer::new(b"x", &[0; WORDS], false);
    writer.queued = 7;
    assert!(place.queued(&mut writer, "one\n").iter().all(|byte| *byte == 0));
}
