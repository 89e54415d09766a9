//! The terminal while the table is shown: a screen of its own, redrawn from its corner in one
//! write, so that nothing flickers and a stray log line is gone with the next frame. Gives
//! the terminal back as it was, however it ends.

use std::io;

use console::Term;

/// A terminal that shows frames.
#[derive(Debug)]
pub struct Screen {
    term: Term,
}

impl Screen {
    /// Takes stdout over, where it is a terminal that can be drawn on.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn take() -> io::Result<Option<Self>> {
        let term = Term::stdout();
        if !term.is_term() || console::is_dumb() {
            return Ok(None);
        }
        let screen = Self { term };
        screen.term.write_str(ENTER)?;
        Ok(Some(screen))
    }

    /// Lines and columns that there are now.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let (height, width) = self.term.size();
        (usize::from(height), usize::from(width))
    }

    /// Shows a frame in place of the last one; its lines fit the size.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        let lines = lines.join(NEXT_LINE);
        self.term.write_str(&format!("{BEGIN_FRAME}{lines}{END_FRAME}"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // With the terminal gone there is nothing to give back.
        drop(self.term.write_str(LEAVE));
    }
}

/// The alternate screen, no cursor, no wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Synchronised update, where the terminal knows it; then the corner.
const BEGIN_FRAME: &str = "\x1b[?2026h\x1b[H";

/// The rest of the line is cleared after it was written, not before: no flicker.
const NEXT_LINE: &str = "\x1b[K\r\n";

const END_FRAME: &str = "\x1b[K\x1b[J\x1b[?2026l";
