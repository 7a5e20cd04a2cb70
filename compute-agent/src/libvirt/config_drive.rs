//! Config drives: a guest's metadata and user data on a small volume labelled `config-2`, in
//! OpenStack's layout, which cloud-init reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use berth_api::v1::GuestSpec;
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde::Serialize;
use uuid::Uuid;

/// User data is at most 64 KiB, metadata is small.
const SIZE: u64 = 4 << 20;
const LABEL: [u8; 11] = *b"config-2   ";
const DIRECTORY: &str = "openstack/latest";

/// `meta_data.json`.
#[derive(Serialize)]
struct MetaData<'a> {
    uuid: String,
    name: &'a str,
    hostname: String,
    project_id: &'a str,
    availability_zone: &'a str,
    launch_index: u32,
    meta: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    public_keys: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Key<'a>>,
}

/// A public key again, with its type.
#[derive(Serialize)]
struct Key<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    data: &'a str,
}

/// Writes the config drive of an instance to a new file.
pub(super) fn write(path: &Path, instance: Uuid, spec: &GuestSpec) -> io::Result<()> {
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.set_len(SIZE)?;
    let options = FormatVolumeOptions::new().volume_label(LABEL).volume_id(volume_id(instance));
    fatfs::format_volume(&file, options)?;
    let volume = FileSystem::new(&file, FsOptions::new())?;
    fill(&volume, instance, spec)?;
    volume.unmount()?;
    file.sync_data()
}

fn fill(volume: &FileSystem<&File>, instance: Uuid, spec: &GuestSpec) -> io::Result<()> {
    let root = volume.root_dir();
    root.create_dir("openstack")?;
    let directory = root.create_dir(DIRECTORY)?;
    let put = |name: &str, content: &[u8]| {
        let mut file = directory.create_file(name)?;
        file.write_all(content)?;
        file.flush()
    };
    put("meta_data.json", &serde_json::to_vec(&meta_data(instance, spec))?)?;
    if !spec.user_data.is_empty() {
        put("user_data", &spec.user_data)?;
    }
    Ok(())
}

fn meta_data(instance: Uuid, spec: &GuestSpec) -> MetaData<'_> {
    let keys = || spec.key_pair.iter();
    let meta = spec.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    MetaData {
        uuid: instance.to_string(),
        name: &spec.name,
        hostname: hostname(&spec.name, instance),
        project_id: &spec.project,
        availability_zone: &spec.availability_zone,
        launch_index: 0,
        meta,
        public_keys: keys().map(|key| (&*key.name, &*key.public_key)).collect(),
        keys: keys().map(|key| Key { name: &key.name, kind: "ssh", data: &key.public_key }).collect(),
    }
}

/// A host name derived from the instance's name: at most 63 letters, digits and hyphens.
fn hostname(name: &str, instance: Uuid) -> String {
    let letter = |c: char| match c {
        ' ' | '_' => Some('-'),
        '-' | '.' => Some(c),
        _ => c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase()),
    };
    let letters: String = name.chars().filter_map(letter).take(63).collect();
    match letters.trim_matches(['-', '.']) {
        "" => format!("server-{instance}"),
        letters => letters.to_owned(),
    }
}

/// A volume ID derived from the instance's UUID, so that a recreated drive is identical byte for
/// byte.
fn volume_id(instance: Uuid) -> u32 {
    instance.as_fields().0
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use berth_api::v1::GuestKeyPair;

    use super::*;

    #[test]
    fn the_drive_holds_metadata_and_user_data() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("config.img");
        let key = GuestKeyPair { name: "laptop".into(), public_key: "ssh-ed25519 AAAA me".into() };
        let spec = GuestSpec {
            name: "Web 1".into(),
            project: "p".into(),
            user_data: b"#cloud-config\n".to_vec().into(),
            metadata: [("role".to_owned(), "web".to_owned())].into(),
            availability_zone: "az1".into(),
            key_pair: Some(key),
            ..GuestSpec::default()
        };
        write(&path, Uuid::from_u128(7), &spec).expect("written");

        let file = File::open(&path).expect("there");
        let image = File::options().read(true).write(true).open(&path).expect("there");
        assert_eq!(file.metadata().expect("there").len(), SIZE);
        let volume = FileSystem::new(&image, FsOptions::new()).expect("a volume");
        let label = volume.read_volume_label_from_root_dir().expect("readable");
        assert_eq!(label.as_deref(), Some("config-2"));
        let read = |name: &str| {
            let mut text = String::new();
            let mut file = volume.root_dir().open_file(&format!("{DIRECTORY}/{name}")).expect("there");
            file.read_to_string(&mut text).expect("text");
            text
        };
        assert_eq!(read("user_data"), "#cloud-config\n");
        let meta: serde_json::Value = serde_json::from_str(&read("meta_data.json")).expect("JSON");
        assert_eq!(meta["uuid"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(meta["hostname"], "web-1");
        assert_eq!(meta["meta"]["role"], "web");
        assert_eq!(meta["availability_zone"], "az1");
        assert_eq!(meta["public_keys"]["laptop"], "ssh-ed25519 AAAA me");
        assert_eq!(meta["keys"][0]["data"], "ssh-ed25519 AAAA me");
    }

    #[test]
    fn without_user_data_there_is_no_such_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("config.img");
        write(&path, Uuid::from_u128(7), &GuestSpec::default()).expect("written");
        let image = File::options().read(true).write(true).open(&path).expect("there");
        let volume = FileSystem::new(&image, FsOptions::new()).expect("a volume");
        assert!(volume.root_dir().open_file(&format!("{DIRECTORY}/user_data")).is_err());
    }

    #[test]
    fn host_names_are_made_of_what_names_may_hold() {
        let instance = Uuid::from_u128(1);
        assert_eq!(hostname("Größe_1.example", instance), "gre-1.example");
        assert_eq!(hostname("…", instance), format!("server-{instance}"));
        assert_eq!(hostname(&"x".repeat(100), instance).len(), 63);
    }
}
