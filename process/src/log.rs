//! The log on standard error.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::printable;

/// The format of each line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people, with colours where standard error is a terminal that shows them.
    Text,
    /// A JSON object.
    Json,
}

/// The filter of the log, such as `info` or `warn,berth_server=debug`.
#[derive(Debug)]
pub struct LogFilter(EnvFilter);

/// Text that does not say what is logged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// A part that is neither a level nor about a target.
    #[error("{0:?} is no level (off, error, warn, info, debug, trace); a target has a level: {0}=debug")]
    NoLevel(String),
    /// Anything else.
    #[error("{0}")]
    Syntax(String),
}

impl FromStr for LogFilter {
    type Err = InvalidFilter;

    /// Reads the directives of `tracing_subscriber::EnvFilter`. A target without a level is
    /// refused: it would stand for all that the target logs and nothing else, so that `infoo` logs
    /// nothing at all.
    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let is_bare = |part: &&str| {
            !part.contains(['=', '[']) && !part.is_empty() && LevelFilter::from_str(part).is_err()
        };
        if let Some(bare) = text.split(',').map(str::trim).find(is_bare) {
            return Err(InvalidFilter::NoLevel(bare.to_owned()));
        }
        EnvFilter::try_new(text).map(Self).map_err(|error| InvalidFilter::Syntax(error.to_string()))
    }
}

/// Changes the log of this process while it runs.
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Sets what is logged from now on.
    ///
    /// # Errors
    /// The log is gone.
    pub fn set(&self, LogFilter(filter): LogFilter) -> Result<(), reload::Error> {
        self.0.reload(filter)
    }
}

/// Starts the log of this process. Call it once.
pub fn start(LogFilter(filter): LogFilter, format: LogFormat, terminal: &Terminal) -> LogControl {
    // A log that cannot be written, as on a full disk, must not end the process: reporting the
    // failure on standard error would fail as well, and panic.
    let lines = fmt::layer().log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(terminal.has_colours(io::stderr().is_terminal()))
            .fmt_fields(EscapedFields(DefaultFields::new()))
            .with_writer(io::stderr)
            .boxed(),
        LogFormat::Json => {
            lines.with_ansi(false).json().flatten_event(true).with_writer(|| JsonLines).boxed()
        }
    };
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(filter).with(lines).init();
    LogControl(handle)
}

/// The variables of the environment about terminals.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    /// The variable `TERM`.
    pub term: Option<String>,
    /// Whether `NO_COLOR` is set to anything (<https://no-color.org>).
    pub is_colourless: bool,
}

impl Terminal {
    /// Reads the environment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "how to print is up to the terminal, not to the program's arguments"
    )]
    pub fn of_environment() -> Self {
        Self {
            term: std::env::var_os("TERM").map(|term| term.to_string_lossy().into_owned()),
            is_colourless: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }

    /// Whether colour codes are shown as colours. A file or a pipe would keep them as they are.
    #[must_use]
    pub(crate) fn has_colours(&self, is_terminal: bool) -> bool {
        self.moves_cursor(is_terminal) && !self.is_colourless
    }

    /// Whether a line can be written again in its place, as a progress bar is.
    #[must_use]
    pub fn moves_cursor(&self, is_terminal: bool) -> bool {
        is_terminal && self.term.as_deref() != Some("dumb")
    }
}

/// Fields whose text is escaped, so that no name or message can act on a terminal or begin a line
/// of its own.
struct EscapedFields(DefaultFields);

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        let mut text = String::new();
        self.0.format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&printable::line(&text))
    }
}

/// Standard error for JSON: each write is a whole line.
struct JsonLines;

impl Write for JsonLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().lock().write_all(printable::json(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Log files got colour codes, and `TERM=dumb` was ignored.
    #[test]
    fn colours_are_for_terminals_that_show_them() {
        let terminal = |term: &str, is_colourless| Terminal { term: Some(term.to_owned()), is_colourless };
        assert!(terminal("xterm", false).has_colours(true));
        assert!(!terminal("xterm", false).has_colours(false));
        assert!(!terminal("dumb", false).has_colours(true));
        assert!(!terminal("xterm", true).has_colours(true));
        assert!(terminal("xterm", true).moves_cursor(true) && !terminal("dumb", true).moves_cursor(true));
        assert!(Terminal::default().has_colours(true));
    }

    #[test]
    fn what_is_logged_has_a_level() {
        for text in
            ["info", "WARN", "off", "warn,berth_server=debug", "berth_server::rest=trace", "[span]=info"]
        {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
        let message = |text: &str| text.parse::<LogFilter>().expect_err("refused").to_string();
        assert!(message("infoo").contains("\"infoo\" is no level"), "{}", message("infoo"));
        assert!(message("warn,berth_server").contains("berth_server=debug"));
        assert!(!message("a=b=c").is_empty());
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_field_cannot_act_on_the_terminal_or_forge_a_line() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = fmt()
            .with_ansi(false)
            .fmt_fields(EscapedFields(DefaultFields::new()))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, || {
            let name = "a\u{202e}b\n2026 INFO forged\u{1b}[2J";
            tracing::warn!(shown = %name, debugged = name, "the message has {name}");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(['\u{202e}', '\u{1b}']) && text.contains("\\u{202e}"), "{text}");
    }
}
