//! Standard output, standard error and files, with errors that say which. Text for people cannot
//! act on their terminal.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use berth_process::printable;
use berth_store::Summary;
use serde::Serialize;

/// Prints text for people. A closed pipe is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<()> {
    print_document(&printable::lines(text))
}

/// Prints JSON, over several lines.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print_json_text(&(serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n"))
}

/// Prints JSON that is a text already.
pub(crate) fn print_json_text(document: &str) -> Result<()> {
    print_document(&printable::json(document))
}

/// Prints what is for programs, as it is: configuration, scripts, queries.
pub(crate) fn print_document(document: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(document.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
}

/// Prints something for people beside a document that goes to standard output.
pub(crate) fn note(text: &str) -> Result<()> {
    io::stderr().write_all(printable::lines(text).as_bytes()).context("cannot write to standard error")
}

/// Says why the command fails. If even that cannot be written, the exit code has to do.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = note(&format!("berth: {error:#}\n"));
}

/// Whether an error comes from a reader that went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Creates a file for writing, its directory included.
pub(crate) fn create(path: &Path) -> Result<BufWriter<File>> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 16, file))
}

/// Creates a file that only its owner may read, such as an export of what users have; a file that
/// exists becomes one.
pub(crate) fn create_private(path: &Path) -> Result<BufWriter<File>> {
    let opened = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        io::Result::Ok(file)
    };
    let file = opened().with_context(|| format!("cannot create {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 16, file))
}

/// Writes a whole file.
pub(crate) fn write_file(path: &Path, contents: &str) -> Result<()> {
    let mut file = create(path)?;
    file.write_all(contents.as_bytes())
        .and_then(|()| file.flush())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Names the place of a store that another one has replaced, if there was one.
pub(crate) fn put_aside(store: Option<&Path>) -> String {
    store.map_or_else(String::new, |store| format!("The store before is now {}\n", store.display()))
}

/// The counts of all kinds of records, and the digest.
pub(crate) fn counts((summary, digest): &(Summary, String)) -> String {
    format!("{summary}digest               {digest}\n")
}
