//! Text in, files out, in a directory of its own.

use super::*;
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
        let settings = Settings { directory, kept: b"", bytes_max: 1 << 20, keep: 2, syslog: b"" };
        let (link, _) = crate::sys::socket::pair().expect("a pair");
        let mut output = Output::new(0, settings, Journal::open(&link, None).expect("memory").0);
        output.set_time(0);
        Place { path, output }
    }

    fn take(&mut self, writer: &mut Writer, text: &str) -> Result<()> {
        let result = writer.take(text.as_bytes(), &mut [], &mut self.output);
        assert!(self.output.bytes.is_empty());
        assert_eq!(self.output.files, usize::from(writer.is_open()));
        result
    }

    fn end_line(&mut self, writer: &mut Writer) {
        writer.end_line(&mut [], &mut self.output).expect("written");
    }

    /// The file without its stamps; "-" if there is none.
    fn text(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.path.join(file)).unwrap_or("-".into());
        text.replace("1970-01-01T00:00:00.000000Z ", "|")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.path);
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
    assert_eq!(place.take(&mut writer, "3\n"), Ok(()));
    writer.close(&mut place.output);
    place.take(&mut writer, " a line\nafter\n").expect("written");
    let told = "|pintle-log: 4 lines lost: No space left on device\n";
    assert_eq!(place.text("x.log"), format!("|before\n{told}| a line\n|after\n"));
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
