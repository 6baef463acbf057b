//! Service files as people name them on a command line: files and directories to texts and definitions.
//!
//! Whatever cannot be read is a finding like one in a text: all of them are shown at once.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use pintle::access_file;
use pintle::database::dump::{ACCESS, FIRST_LINE, parts};
use pintle::lang::definition::{Definition, Position};
use pintle::lang::diagnostic::{Diagnostic, Part, Severity, Source, error, render, told};
use pintle::lang::order::sort;
use pintle::{lang, limits, packed};

use crate::sys::errno::Words;
use crate::sys::output::{self, Shown};
use crate::sys::whole::{self, Kind};

/// What the name of a service file ends in.
const SUFFIX: &[u8] = b".svc";
/// The name of the file that says who may ask for what.
const RULES: &[u8] = b"access";

/// The service files of a command line.
#[derive(Default)]
pub struct Sources {
    /// All texts that findings point into.
    pub texts: Vec<Source>,
    /// What they say, refused ones too.
    pub definitions: Vec<Definition>,
    /// Who may ask for what.
    pub rules: Vec<String>,
    /// What is wrong, in the order of the command line.
    pub findings: Vec<Diagnostic>,
}

impl Sources {
    /// Reads every `NAME.svc` and `access` among these files and in these directories, and what `pintle dump` has
    /// written. Other files in a directory, and hidden ones, are left alone; directories in it are not entered.
    #[inline(never)]
    pub fn read(given: &[&'static [u8]]) -> &'static mut Sources {
        let sources = Box::leak(Box::<Sources>::default());
        let mut files = Vec::new();
        let mut directories: Vec<((u64, u64), &[u8])> = Vec::new();
        for &path in given {
            match whole::look(path) {
                Ok((Kind::Directory, identity)) => {
                    if let Some((_, first)) = directories.iter().find(|(known, _)| *known == identity) {
                        let first = Shown(first);
                        sources.refuse(path, format_args!("the same directory as {first}"));
                    } else {
                        directories.push((identity, path));
                        sources.directory(path, &mut files);
                    }
                }
                Ok(_) if whole::split(path).1 == RULES => sources.rules(path),
                Ok(_) if !path.ends_with(SUFFIX) => sources.dumped(path),
                Ok(_) => files.push(path),
                Err(error) => sources.refuse(path, format_args!("cannot open: {}", Words(error))),
            }
        }
        if files.len() > limits::SLOTS_MAX as usize {
            let (count, limit) = (files.len(), limits::SLOTS_MAX);
            sources.finding(u32::MAX, format_args!("{count} service files are more than this pintle holds: {limit}"));
            return sources;
        }
        if files.is_empty() && sources.texts.is_empty() {
            sources.finding(u32::MAX, format_args!("no service file (NAME.svc) is there"));
        }
        for path in &files {
            sources.file(path);
        }
        sources
    }

    /// Writes all findings to standard error; gives the number of errors.
    #[inline(never)]
    pub fn report(&self) -> usize {
        let mut text = String::new();
        let mut errors = 0;
        for finding in &self.findings {
            render(finding, &self.texts, &mut text);
            errors += usize::from(finding.severity == Severity::Error);
        }
        let mut out = output::stderr();
        out.bytes(text.as_bytes());
        errors
    }

    #[inline(never)]
    fn directory(&mut self, path: &[u8], files: &mut Vec<&[u8]>) {
        match whole::names(path) {
            Ok(mut names) => {
                sort(&mut names, &|a, b| a.cmp(b));
                for name in &names {
                    if name.ends_with(SUFFIX) && !name.starts_with(b".") {
                        files.push(whole::joined(path, name));
                    } else if *name == RULES {
                        let file = whole::joined(path, name);
                        if !matches!(whole::look(file), Ok((Kind::Directory, _))) {
                            self.rules(file);
                        }
                    }
                }
            }
            Err(error) => self.refuse(path, format_args!("cannot read: {}", Words(error))),
        }
    }

    /// The services of a dump, as if their files stood where they did.
    #[inline(never)]
    fn dumped(&mut self, path: &[u8]) {
        let Some(bytes) = self.load(path, u32::MAX as usize) else { return };
        match str::from_utf8(&bytes) {
            Ok(text) if text.starts_with(FIRST_LINE) => {
                for part in parts(text) {
                    let file = self.add(part.origin.as_bytes(), part.text.as_bytes().to_vec());
                    if part.name == ACCESS { self.parse_rules(file) } else { self.parse(file, part.name) }
                }
            }
            _ => {
                let message = format_args!("{}", packed!("neither called NAME.svc nor a dump of a database"));
                self.refuse(path, message);
            }
        }
    }

    #[inline(never)]
    fn file(&mut self, path: &[u8]) {
        let stem = whole::split(path).1;
        let name = Shown(stem.strip_suffix(SUFFIX).unwrap_or(stem)).to_string();
        // One byte more than may be, so that the parser sees that it is too large.
        match self.load(path, limits::SOURCE_BYTES_MAX + 1) {
            Some(text) => {
                let file = self.add(path, text);
                self.parse(file, &name);
            }
            None => {
                let refused = Definition::new(name.leak(), Position::default());
                self.definitions.push(Definition { refused: true, ..refused });
            }
        }
    }

    #[inline(never)]
    fn rules(&mut self, path: &[u8]) {
        if let Some(text) = self.load(path, limits::SOURCE_BYTES_MAX) {
            let file = self.add(path, text);
            self.parse_rules(file);
        }
    }

    fn parse_rules(&mut self, file: u32) {
        let position = Position { file, ..Position::default() };
        match str::from_utf8(&self.texts[file as usize].text) {
            Ok(text) => self.rules.extend(access_file::parse(text, file, &mut self.findings)),
            Err(_) => {
                error(&mut self.findings, &position, packed!("this is not UTF-8"), &[]);
            }
        }
    }

    fn parse(&mut self, file: u32, name: &str) {
        let text = &self.texts[file as usize].text;
        self.definitions.push(lang::read(file, name, text, &mut self.findings));
    }

    /// The bytes of a file, or a finding.
    fn load(&mut self, path: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        match whole::read(path, bytes_max) {
            Ok(Ok(bytes)) => return Some(bytes),
            Ok(Err(kind)) => self.refuse(path, format_args!("{}, not a file", kind.words())),
            Err(error) => self.refuse(path, format_args!("cannot open: {}", Words(error))),
        }
        None
    }

    fn add(&mut self, path: &[u8], text: Vec<u8>) -> u32 {
        self.texts.push(Source { path: Shown(path).to_string(), text });
        self.texts.len() as u32 - 1
    }

    fn refuse(&mut self, path: &[u8], message: fmt::Arguments<'_>) {
        let file = self.add(path, Vec::new());
        self.finding(file, message);
    }

    #[inline(never)]
    fn finding(&mut self, file: u32, message: fmt::Arguments<'_>) {
        let position = Position { file, ..Position::default() };
        error(&mut self.findings, &position, packed!("%"), &[Part::Text(&told(message))]);
    }
}
