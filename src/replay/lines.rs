//! Lines of any length out of a buffered reader, one at a time. Never holds more than the longest
//! value that is read; of a longer line only the length is kept.

use std::io::{self, BufRead};

use crate::pipeline::route::MAX_VALUE_BYTES;

/// One line, without its end (`\n` or `\r\n`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes.
    Text(&'a [u8]),
    /// Longer than [`MAX_VALUE_BYTES`]: how many bytes it has.
    TooLong(u64),
}

/// What is left of the input.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub const fn new(input: R) -> Self {
        Self { input, line: Vec::new(), bytes: 0 }
    }

    /// Bytes read so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// What the reader says.
    pub fn read(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut length = 0_u64;
        loop {
            let found = match self.input.fill_buf() {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let newline = memchr::memchr(b'\n', found);
            let (part, _) = found.split_at(newline.unwrap_or(found.len()));
            // One byte more than fits, so that a `\r` at the end does not make a line too long.
            let room = (MAX_VALUE_BYTES + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            length += count(part.len());
            let used = part.len() + usize::from(newline.is_some());
            let ended = newline.is_some() || found.is_empty();
            self.input.consume(used);
            self.bytes += count(used);
            if ended {
                return Ok((newline.is_some() || length > 0).then(|| self.ended(length)));
            }
        }
    }

    fn ended(&self, length: u64) -> Line<'_> {
        if length > count(self.line.len()) {
            return Line::TooLong(length);
        }
        let text = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if text.len() > MAX_VALUE_BYTES { Line::TooLong(length) } else { Line::Text(text) }
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn texts(input: &str, buffer: usize) -> Vec<String> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, input.as_bytes()));
        let mut found = Vec::new();
        while let Some(line) = lines.read().unwrap() {
            let Line::Text(text) = line else { panic!("{line:?}") };
            found.push(String::from_utf8(text.to_vec()).unwrap());
        }
        assert_eq!(lines.bytes(), count(input.len()));
        found
    }

    #[test]
    fn lines_are_the_same_whatever_the_buffer_and_the_last_needs_no_end() {
        for buffer in [1, 2, 3, 64] {
            assert_eq!(texts("ab\n\ncd\r\n\r\nef", buffer), ["ab", "", "cd", "", "ef"]);
            assert_eq!(texts("ab\n", buffer), ["ab"]);
            assert_eq!(texts("\n", buffer), [""]);
            assert!(texts("", buffer).is_empty());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_measured_but_not_held() {
        let long = count(MAX_VALUE_BYTES) * 3;
        let input = io::repeat(b'x').take(long).chain(&b"\nnext"[..]);
        let mut lines = Lines::new(BufReader::new(input));
        assert_eq!(lines.read().unwrap(), Some(Line::TooLong(long)));
        assert!(lines.line.capacity() < MAX_VALUE_BYTES * 2 + 2);
        assert_eq!(lines.read().unwrap(), Some(Line::Text(b"next")));
        assert_eq!(lines.read().unwrap(), None);
    }

    #[test]
    fn the_longest_value_is_read_with_either_end() {
        for (end, read) in [("\n", true), ("\r\n", true), ("x\n", false)] {
            let input = io::repeat(b'x').take(count(MAX_VALUE_BYTES)).chain(end.as_bytes());
            let mut lines = Lines::new(BufReader::new(input));
            let line = lines.read().unwrap().unwrap();
            assert_eq!(matches!(line, Line::Text(text) if text.len() == MAX_VALUE_BYTES), read);
        }
    }
}
