//! A reading of JSON (RFC 8259) byte by byte, of any depth, that keeps every value as it stands.

/// The value without the blanks around it; `None` where the text is not one JSON value.
pub(crate) fn whole(text: &str) -> Option<&str> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    reader.blanks();
    reader.peek().is_none().then_some(value)
}

/// The elements of a valid array; `None` of anything else.
pub(crate) fn elements(array: &str) -> Option<Vec<&str>> {
    let mut reader = Reader { text: array, at: 0 };
    let mut found = Vec::new();
    if !reader.eat(b'[') {
        return None;
    }
    while !reader.closed(b']') {
        found.push(reader.value()?);
    }
    Some(found)
}

/// Names and values of a valid object; `None` of anything else. A name that is no text is `None`.
pub(crate) fn fields(object: &str) -> Option<Vec<(Option<String>, &str)>> {
    let mut reader = Reader { text: object, at: 0 };
    let mut found = Vec::new();
    if !reader.eat(b'{') {
        return None;
    }
    while !reader.closed(b'}') {
        reader.blanks();
        let name = reader.spanned(Reader::string)?;
        reader.colon()?;
        found.push((text(name), reader.value()?));
    }
    Some(found)
}

/// What a valid string says; `None` of anything else, and where half of a surrogate pair is in it.
pub(crate) fn text(string: &str) -> Option<String> {
    let mut chars = string.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut units = Vec::new();
    while let Some(c) = chars.next() {
        let c = if c != '\\' {
            c
        } else {
            match chars.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).ok()?);
                    continue;
                }
                same => same,
            }
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes over a comma; true, and over it, where what is open is closed by `by`.
    fn closed(&mut self, by: u8) -> bool {
        self.blanks();
        self.eat(b',');
        self.blanks();
        self.eat(by)
    }

    fn spanned(&mut self, read: impl Fn(&mut Self) -> Option<()>) -> Option<&'a str> {
        let start = self.at;
        read(self)?;
        self.text.get(start..self.at)
    }

    fn value(&mut self) -> Option<&'a str> {
        self.blanks();
        self.spanned(Self::pass_value)
    }

    /// Passes over a value. What is open is kept in a list: depth costs no stack.
    fn pass_value(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            self.blanks();
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    self.blanks();
                    if !self.eat(b'}') {
                        open.push(b'}');
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.blanks();
                    if !self.eat(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                b'"' => self.string()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.number()?,
            }
            loop {
                let Some(&close) = open.last() else { return Some(()) };
                self.blanks();
                if self.eat(close) {
                    open.pop();
                    continue;
                }
                if !self.eat(b',') {
                    return None;
                }
                if close == b'}' {
                    self.blanks();
                    self.name()?;
                }
                break;
            }
        }
    }

    fn name(&mut self) -> Option<()> {
        self.string()?;
        self.colon()
    }

    fn colon(&mut self) -> Option<()> {
        self.blanks();
        self.eat(b':').then_some(())
    }

    fn string(&mut self) -> Option<()> {
        if !self.eat(b'"') {
            return None;
        }
        loop {
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            self.next().filter(u8::is_ascii_hexdigit)?;
                        }
                    }
                    _ => return None,
                },
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        word.bytes().all(|byte| self.eat(byte)).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
