//! Files that are read as a whole, up to a bound: a device or a wrong file must not fill the
//! memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file with settings, certificates or a policy.
pub const SETTINGS: u64 = 1 << 20;

/// Bytes of a file with a document, such as a request or a list of servers.
pub const DOCUMENT: u64 = 64 << 20;

/// The content of a file of at most so many bytes.
///
/// # Errors
/// A file that cannot be read, or has more bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(content)
}

/// The text of a file of at most so many bytes.
///
/// # Errors
/// As [`read`], or a file that is not UTF-8.
pub fn read_to_string(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The service and the command read `/dev/zero` until the memory was full.
    #[test]
    fn an_endless_file_is_refused() {
        for device in ["/dev/zero", "/dev/full"] {
            let error = read(Path::new(device), SETTINGS).unwrap_err();
            assert_eq!(error.to_string(), "it has more than 1048576 bytes", "{device}");
        }
        assert_eq!(read_to_string(Path::new("/dev/null"), 0).unwrap(), "");
    }
}
