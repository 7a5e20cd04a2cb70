//! The directory of images, and `qemu-img`.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Fault;

const GIB: u64 = 1 << 30;

/// The directory of the images that guests boot from.
#[derive(Debug)]
pub(super) struct Images {
    directory: PathBuf,
}

/// The format of an image. It is never detected from the content: a guest could write a qcow2
/// header to its raw disk, and name any file of the host as the backing file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Qcow2,
    Raw,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }

    /// The format given by the property `disk_format`, or else by the suffix of the file's name.
    pub(super) fn of(image: &str, disk_format: Option<&str>) -> Result<Self, Fault> {
        let ending = || Path::new(image).extension().and_then(|ending| ending.to_str());
        match disk_format.or_else(ending) {
            Some("qcow2") => Ok(Self::Qcow2),
            Some("raw" | "img") => Ok(Self::Raw),
            _ => Err(Fault::permanent(format!(
                "image.name: {image:?} does not end in .qcow2, .raw or .img, and the property disk_format is not qcow2 or raw"
            ))),
        }
    }
}

/// The output of `qemu-img info`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    backing_filename: Option<String>,
    #[serde(default)]
    format_specific: Specific,
}

#[derive(Deserialize, Default)]
struct Specific {
    #[serde(default)]
    data: SpecificData,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct SpecificData {
    data_file: Option<String>,
}

impl Images {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The image file with that name. `field` is the field of the spec that contains the name.
    pub(super) fn file(&self, field: &str, name: &str) -> Result<PathBuf, Fault> {
        let mut parts = Path::new(name).components();
        let is_plain =
            matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
        if !is_plain || name.contains(['\0', '\n']) {
            return Err(Fault::permanent(format!(
                "{field}: {name:?} is not the name of a file without a path"
            )));
        }
        let path = self.directory.join(name);
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Ok(_) => Err(Fault::permanent(format!("{field}: {name:?} in the image directory is not a file"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Fault::permanent(format!("{field}: {name:?} does not exist in the image directory")))
            }
            Err(error) => Err(Fault::transient(format!("{field}: {name:?} in the image directory: {error}"))),
        }
    }
}

/// Creates an overlay over an image, which the guest's writes do not change. `size_gb` 0: the
/// image's size.
pub(super) fn create_overlay(disk: &Path, image: &Path, format: Format, size_gb: u32) -> Result<(), Fault> {
    let info = info(image, format)?;
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    if info.backing_filename.is_some() || info.format_specific.data.data_file.is_some() {
        return Err(Fault::permanent(format!("image.name: {name:?} has a backing file")));
    }
    let size = u64::from(size_gb) * GIB;
    if size > 0 && info.virtual_size > size {
        let needed = info.virtual_size.div_ceil(GIB);
        return Err(Fault::permanent(format!(
            "flavor.root_gb: {size_gb} is too small for {name:?}, which needs {needed}"
        )));
    }
    let mut create = qemu_img("create");
    create.args(["-f", "qcow2", "-F", format.name(), "-b"]).arg(image).arg(disk);
    if size > 0 {
        create.arg(size.to_string());
    }
    run(create).map(drop)
}

/// Puts a disk that came from another host over the image of this host. `digest`: of the image that
/// it was over.
pub(super) fn put_over(disk: &Path, image: &Path, format: Format, digest: &str) -> Result<(), Fault> {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    if digest != sha256(image)? {
        return Err(Fault::permanent(format!(
            "image.name: {name:?} on this host differs from that on the source"
        )));
    }
    check_data(disk, &info(disk, Format::Qcow2)?)?;
    let mut rebase = qemu_img("rebase");
    rebase.args(["-u", "-f", "qcow2", "-F", format.name(), "-b"]).arg(image).arg(disk);
    run(rebase).map(drop)
}

/// Puts a disk that another host had on shared storage over the image of this host, if that is in
/// another directory there.
pub(super) fn move_over(disk: &Path, image: &Path, format: Format) -> Result<(), Fault> {
    let found = info(disk, Format::Qcow2)?;
    check_data(disk, &found)?;
    let Some(known) = found.backing_filename else { return Ok(()) };
    if Path::new(&known) == image {
        return Ok(());
    }
    let name = |path: &Path| path.file_name().map(ToOwned::to_owned);
    if name(Path::new(&known)) != name(image) {
        return Err(Fault::permanent(format!("the disk is over another image: {known:?}")));
    }
    let mut rebase = qemu_img("rebase");
    rebase.args(["-u", "-f", "qcow2", "-F", format.name(), "-b"]).arg(image).arg(disk);
    run(rebase).map(drop)
}

/// Checks a disk without an image that another host had: it must not read or write another file of
/// this host, such as the disk of another guest. QEMU would open whatever the disk names.
pub(super) fn check_alone(disk: &Path) -> Result<(), Fault> {
    let found = info(disk, Format::Qcow2)?;
    check_data(disk, &found)?;
    match found.backing_filename {
        Some(below) => {
            Err(Fault::permanent(format!("{}: the disk is over another file: {below:?}", disk.display())))
        }
        None => Ok(()),
    }
}

/// Checks that the disk's data is in its own file.
fn check_data(disk: &Path, found: &Info) -> Result<(), Fault> {
    match &found.format_specific.data.data_file {
        Some(file) => {
            Err(Fault::permanent(format!("{}: the disk keeps its data in {file:?}", disk.display())))
        }
        None => Ok(()),
    }
}

/// Makes a disk at least this large.
pub(super) fn grow(disk: &Path, bytes: u64) -> Result<(), Fault> {
    if virtual_size(disk)? >= bytes {
        return Ok(());
    }
    let mut resize = qemu_img("resize");
    resize.args(["-f", "qcow2"]).arg(disk).arg(bytes.to_string());
    run(resize).map(drop)
}

/// The size of a disk as its guest sees it, in bytes.
pub(super) fn virtual_size(disk: &Path) -> Result<u64, Fault> {
    Ok(info(disk, Format::Qcow2)?.virtual_size)
}

/// The digest of the image below a disk; empty if there is none.
pub(super) fn digest_below(disk: &Path) -> Result<String, Fault> {
    info(disk, Format::Qcow2)?.backing_filename.map_or(Ok(String::new()), |image| sha256(Path::new(&image)))
}

/// The SHA-256 digest of a file, in hexadecimal digits.
fn sha256(file: &Path) -> Result<String, Fault> {
    let fault = |error: io::Error| Fault::transient(format!("{}: {error}", file.display()));
    let mut digest = Sha256::new();
    io::copy(&mut File::open(file).map_err(fault)?, &mut digest).map_err(fault)?;
    Ok(format!("{:x}", digest.finalize()))
}

/// Creates an empty disk.
pub(super) fn create_empty(disk: &Path, bytes: u64) -> Result<(), Fault> {
    let mut create = qemu_img("create");
    create.args(["-f", "qcow2"]).arg(disk).arg(bytes.to_string());
    run(create).map(drop)
}

fn info(image: &Path, format: Format) -> Result<Info, Fault> {
    let mut info = qemu_img("info");
    // A guest may be using the image.
    info.args(["--force-share", "--output=json", "-f", format.name()]).arg(image);
    let output = run(info)?;
    serde_json::from_slice(&output).map_err(|error| Fault::transient(format!("qemu-img info: {error}")))
}

fn qemu_img(command: &str) -> Command {
    let mut qemu_img = Command::new("qemu-img");
    qemu_img.arg(command);
    qemu_img
}

fn run(mut command: Command) -> Result<Vec<u8>, Fault> {
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::permanent("qemu-img is not installed on this host"),
        _ => Fault::transient(format!("qemu-img: {error}")),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Fault::transient(said.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn error<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        result.expect_err("refused").to_string()
    }

    #[test]
    fn names_with_a_path_are_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("sub")).expect("made");
        fs::write(directory.path().join("sub/x.raw"), "").expect("written");
        let images = Images::new(directory.path().to_owned());
        for name in
            ["", ".", "..", "../x", "/etc/passwd", "sub/x.raw", "sub/../x.raw", "x.raw/", "./x.raw", "a\0b"]
        {
            assert!(error(images.file("image.name", name)).contains("without a path"), "{name}");
        }
        assert!(error(images.file("image.name", "sub")).contains("is not a file"));
        let absent = error(images.file("image.properties[kernel]", "vmlinuz"));
        assert_eq!(absent, "image.properties[kernel]: \"vmlinuz\" does not exist in the image directory");
    }

    #[test]
    fn the_format_is_never_detected_from_the_content() {
        assert_eq!(Format::of("a.qcow2", None), Ok(Format::Qcow2));
        assert_eq!(Format::of("a.img", None), Ok(Format::Raw));
        assert_eq!(Format::of("a.qcow2", Some("raw")), Ok(Format::Raw));
        assert!(error(Format::of("a", None)).contains("image.name"));
        assert!(error(Format::of("a.vmdk", None)).contains("image.name"));
    }

    #[test]
    fn an_overlay_is_as_large_as_the_flavor_says_and_not_smaller_than_the_image() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let image = directory.path().join("base.qcow2");
        create_empty(&image, 2 * GIB).expect("made");
        let disk = directory.path().join("disk.qcow2");
        create_overlay(&disk, &image, Format::Qcow2, 3).expect("made");
        let made = info(&disk, Format::Qcow2).expect("readable");
        assert_eq!(made.virtual_size, 3 * GIB);
        assert_eq!(made.backing_filename, Some(image.display().to_string()));

        let too_small = error(create_overlay(&directory.path().join("small"), &image, Format::Qcow2, 1));
        assert_eq!(too_small, "flavor.root_gb: 1 is too small for \"base.qcow2\", which needs 2");
        let on_another = error(create_overlay(&directory.path().join("chain"), &disk, Format::Qcow2, 0));
        assert!(on_another.contains("has a backing file"));
    }
}
