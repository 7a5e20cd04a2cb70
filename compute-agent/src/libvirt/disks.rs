//! The directories of guests: their disks, config drives and console logs.
//!
//! Other users of the host must not read the guests' data and the passwords in their user data:
//! directories have mode 0700 and files 0600, and they belong to the user that QEMU runs as.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use berth_api::v1::GuestSpec;
use rustix::fs::{OFlags, statvfs};
use uuid::Uuid;

use super::blueprint::{Blueprint, Root};
use super::files::Files;
use super::ownership::{self, DiskLocks, DiskOwner};
use super::{config_drive, files, images};
use crate::Fault;
use crate::disks::DiskPart;

pub(super) use super::files::Parts;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// Links are not followed, because QEMU may create them in a guest's directory.
pub(super) const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// A user and a group.
type Owner = (u32, u32);

/// A directory with a directory for each guest.
#[derive(Debug)]
pub(super) struct Disks {
    directory: PathBuf,
    /// The UUID of this host. Before it is known, no disk is this host's.
    host: OnceLock<Uuid>,
    has_direct_io: bool,
}

impl Disks {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        if !directory.exists() {
            fs::create_dir_all(&directory)?;
            // QEMU needs access below the directory, independent of the umask; no user needs to
            // list it.
            fs::set_permissions(&directory, Permissions::from_mode(0o711))?;
        }
        Ok(Self { has_direct_io: has_direct_io(&directory), directory, host: OnceLock::new() })
    }

    /// Prepares the disks of this host, as soon as its UUID is known: removes what interrupted
    /// operations left, and makes the disks of earlier releases, which named no owner, this host's
    /// if it has records of them. Returns the identity of the storage.
    pub(super) fn settle(&self, host: Uuid, has_record: impl Fn(Uuid) -> bool) -> io::Result<Uuid> {
        if self.host.set(host).is_ok() {
            self.remove_leftovers(host)?;
            for instance in self.directories()?.into_iter().filter(|&instance| has_record(instance)) {
                let directory = self.files(instance).directory;
                if DiskOwner::read(&directory)?.is_none() {
                    DiskOwner::host(host).write(&directory)?;
                }
            }
        }
        ownership::identity(&self.directory, host)
    }

    fn host(&self) -> Result<Uuid, Fault> {
        self.host.get().copied().ok_or_else(|| Fault::transient("the host is not surveyed yet"))
    }

    pub(super) fn files(&self, instance: Uuid) -> Files {
        Files { directory: self.directory.join(instance.to_string()) }
    }

    /// Whether there are disks of the guest that belong to this host.
    pub(super) fn has(&self, instance: Uuid) -> bool {
        let owner = DiskOwner::read(&self.files(instance).directory);
        owner.is_ok_and(|owner| owner.is_some_and(|owner| Some(&owner.host) == self.host.get()))
    }

    /// Refuses to start a guest whose disks belong to another host.
    pub(super) fn check_owner(&self, instance: Uuid) -> Result<(), Fault> {
        match self.has(instance) {
            true => Ok(()),
            false => Err(Fault::permanent("the disks of the guest belong to another host, or are gone")),
        }
    }

    /// The instances whose disks belong to this host, in order.
    pub(super) fn all(&self) -> io::Result<Vec<Uuid>> {
        Ok(self.directories()?.into_iter().filter(|&instance| self.has(instance)).collect())
    }

    fn directories(&self) -> io::Result<Vec<Uuid>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            all.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Uuid>().ok()));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Creates the disks of a guest, owned by `owner`, atomically: after a failure or a crash, none
    /// exists.
    pub(super) fn prepare(
        &self,
        blueprint: &Blueprint,
        spec: &GuestSpec,
        owner: Option<Owner>,
    ) -> Result<(), Fault> {
        self.create(blueprint.instance, owner, |files| make(files, blueprint, spec))
    }

    /// Checks that the disks of a guest can be created: creates them aside, and removes them again.
    pub(super) fn check(&self, blueprint: &Blueprint, spec: &GuestSpec) -> Result<(), Fault> {
        let aside = Files { directory: self.aside(blueprint.instance, self.host()?, "new") };
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", aside.directory.display()));
        remove(&aside.directory).map_err(fault)?;
        DirBuilder::new().mode(0o700).create(&aside.directory).map_err(fault)?;
        let made = make(&aside, blueprint, spec).and_then(|()| make_rescue(&aside, blueprint));
        remove(&aside.directory).map_err(fault)?;
        made
    }

    /// Creates the temporary disk of a rescue, or removes it.
    pub(super) fn set_rescue(&self, blueprint: &Blueprint, owner: Option<Owner>) -> Result<(), Fault> {
        let files = self.files(blueprint.instance);
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", files.rescue().display()));
        match fs::remove_file(files.rescue()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ if blueprint.rescue.is_none() => return Ok(()),
            _ => {}
        }
        make_rescue(&files, blueprint)?;
        protect(&files.directory, owner).map_err(fault)
    }

    fn create(
        &self,
        instance: Uuid,
        owner: Option<Owner>,
        fill: impl FnOnce(&Files) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let host = self.host()?;
        let new = Files { directory: self.aside(instance, host, "new") };
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", new.directory.display()));
        if self.files(instance).directory.exists() {
            return Err(Fault::permanent("disks of the guest are here, and belong to another host"));
        }
        remove(&new.directory).map_err(fault)?;
        DirBuilder::new().mode(0o700).create(&new.directory).map_err(fault)?;
        let made = fill(&new)
            .and_then(|()| DiskOwner::host(host).write(&new.directory).map_err(fault))
            .and_then(|()| protect(&new.directory, owner).map_err(fault))
            .and_then(|()| fs::rename(&new.directory, self.files(instance).directory).map_err(fault));
        if made.is_err() {
            remove(&new.directory).map_err(fault)?;
        }
        made
    }

    /// Creates the disks of a guest from those that another host sends, as [`Self::prepare`] does.
    pub(super) fn receive(
        &self,
        blueprint: &Blueprint,
        spec: &GuestSpec,
        owner: Option<Owner>,
        parts: Parts,
    ) -> Result<(), Fault> {
        self.create(blueprint.instance, owner, |files| {
            let digest = files.receive(parts)?;
            adapt(files, blueprint, spec, &digest)
        })
    }

    /// Makes the disks of one guest those of another that has none. If that was done before,
    /// nothing remains to be done.
    pub(super) fn hand_over(&self, from: Uuid, to: Uuid) -> Result<(), Fault> {
        if !self.has(from) && self.has(to) {
            return Ok(());
        }
        let [from, to] = [from, to].map(|guest| self.files(guest).directory);
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        fs::rename(&from, &to).map_err(|error| match missing(&error) {
            true => Fault::permanent(format!("{}: there are no disks", from.display())),
            false => Fault::transient(format!("{}: {error}", from.display())),
        })
    }

    /// Takes over the disks that a guest on this host uses. Its QEMU has the locks.
    pub(super) fn take_over_in_use(
        &self,
        guest: Uuid,
        (migration, generation): (Uuid, u64),
    ) -> Result<(), Fault> {
        let (directory, host) = (self.files(guest).directory, self.host()?);
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", directory.display()));
        let unowned =
            || Fault::permanent("the disks name no host: the agent of an earlier release made them");
        let before = DiskOwner::read(&directory).map_err(fault)?.ok_or_else(unowned)?;
        before.taken_by(host, migration, generation)?.write(&directory).map_err(fault)
    }

    /// Takes over the disks of a guest on storage that hosts share. Returns whether there are any.
    pub(super) fn adopt(
        &self,
        blueprint: &Blueprint,
        (migration, generation): (Uuid, u64),
        owner: Option<Owner>,
    ) -> Result<bool, Fault> {
        let (files, host) = (self.files(blueprint.instance), self.host()?);
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", files.directory.display()));
        if !files.directory.is_dir() {
            return Ok(false);
        }
        let locks = DiskLocks::take(files.locked())?;
        // Read with the locks: another host may have taken them over.
        let unowned =
            || Fault::permanent("the disks name no host: the agent of an earlier release made them");
        let before = DiskOwner::read(&files.directory).map_err(fault)?.ok_or_else(unowned)?;
        before.taken_by(host, migration, generation)?.write(&files.directory).map_err(fault)?;
        drop(locks); // `qemu-img` takes them
        match &blueprint.root {
            Root::Image { path, format, .. } => images::move_over(&files.root(), path, *format)?,
            Root::Empty { .. } => images::check_alone(&files.root())?,
            Root::None => {}
        }
        let others = [files.ephemeral(), files.swap()].into_iter().filter(|disk| disk.exists());
        others.into_iter().try_for_each(|disk| images::check_alone(&disk))?;
        protect(&files.directory, owner).map_err(fault)?;
        Ok(true)
    }

    /// Returns the disks of a guest to the host that had them before the migration.
    pub(super) fn return_disks(&self, guest: Uuid, migration: Uuid) -> Result<(), Fault> {
        let (directory, host) = (self.files(guest).directory, self.host()?);
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", directory.display()));
        let owner = DiskOwner::read(&directory).map_err(fault)?;
        let Some(returned) = owner.and_then(|owner| owner.returned_by(host, migration)) else {
            return Err(Fault::permanent("the disks were not taken over for this migration"));
        };
        returned.write(&directory).map_err(fault)
    }

    /// The files of a guest, to be sent to another host.
    pub(super) fn export(&self, guest: Uuid) -> Result<Vec<DiskPart>, Fault> {
        if !self.has(guest) {
            return Err(Fault::transient("no disks are set aside"));
        }
        self.files(guest).export()
    }

    /// The files that another host needs before a guest that runs is sent there: disks without
    /// content.
    pub(super) fn export_empty(&self, guest: Uuid) -> Result<Vec<DiskPart>, Fault> {
        let aside = self.aside(guest, self.host()?, "new");
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", aside.display()));
        if !self.has(guest) {
            return Err(Fault::transient("there are no disks of the guest"));
        }
        remove(&aside).map_err(fault)?;
        DirBuilder::new().mode(0o700).create(&aside).map_err(fault)?;
        let empty = Files { directory: aside.clone() };
        let exported = self.files(guest).copy_empty(&empty);
        // Files that are open outlive their directory.
        remove(&aside).map_err(fault)?;
        exported
    }

    /// The sizes of a guest's disks, in GiB.
    pub(super) fn sizes_gib(&self, guest: Uuid) -> Vec<f64> {
        let files = self.files(guest);
        let disks = files.locked().into_iter().filter_map(|disk| disk.metadata().ok());
        // As precise as a downtime needs.
        let mib = |bytes: u64| u32::try_from(bytes / MIB).unwrap_or(u32::MAX);
        disks.map(|disk| f64::from(mib(disk.len())) / 1024.0).collect()
    }

    /// Whether the file system has direct I/O.
    pub(super) const fn has_direct_io(&self) -> bool {
        self.has_direct_io
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The latest bytes that a guest has written to its serial console.
    pub(super) fn console(&self, guest: Uuid, most_bytes: u32) -> Result<Vec<u8>, Fault> {
        if !self.has(guest) {
            return Err(Fault::permanent("the guest is not on this host"));
        }
        self.files(guest).console_tail(most_bytes)
    }

    /// Sets owner and mode of all guests' directories, including those of earlier releases.
    pub(super) fn protect_all(&self, owner: Option<Owner>) -> io::Result<()> {
        self.all()?.into_iter().try_for_each(|instance| protect(&self.files(instance).directory, owner))
    }

    pub(super) fn remove(&self, instance: Uuid) -> Result<(), Fault> {
        let directory = self.files(instance).directory;
        let old = self.aside(instance, self.host()?, "old");
        if !self.has(instance) {
            return Ok(()); // another host's, or none
        }
        let moved = match fs::rename(&directory, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        };
        moved
            .and_then(|()| remove(&old))
            .map_err(|error| Fault::transient(format!("{}: {error}", directory.display())))
    }

    /// The total and the free space of the disks' file system, in GiB.
    pub(super) fn space_gb(&self) -> io::Result<(u32, u32)> {
        let stat = statvfs(&self.directory)?;
        let gb = |blocks: u64| u32::try_from(blocks.saturating_mul(stat.f_frsize) / GIB).unwrap_or(u32::MAX);
        Ok((gb(stat.f_blocks), gb(stat.f_bavail)))
    }

    /// Removes directories of this host's operations that a crash interrupted. Earlier releases did
    /// not name the host.
    fn remove_leftovers(&self, host: Uuid) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let parts: Vec<&str> = name.to_str().unwrap_or_default().split('.').collect();
            let is_uuid = |text: &str| text.parse::<Uuid>().is_ok();
            let is_ours = match parts[..] {
                [instance, "new" | "old"] => is_uuid(instance),
                [instance, of, "new" | "old"] => is_uuid(instance) && of.parse() == Ok(host),
                _ => false,
            };
            if is_ours {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn aside(&self, instance: Uuid, host: Uuid, ending: &str) -> PathBuf {
        self.directory.join(format!("{instance}.{host}.{ending}"))
    }
}

fn has_direct_io(directory: &Path) -> bool {
    let probe = directory.join(format!(".direct-io.{}", std::process::id()));
    let mut options = File::options();
    options.write(true).create_new(true).custom_flags(OFlags::DIRECT.bits().cast_signed());
    let has_direct_io = options.open(&probe).is_ok();
    let _ = fs::remove_file(probe); // without direct I/O, it may exist or not
    has_direct_io
}

/// Makes `owner` the only user with access to a directory and its files. Links stay unchanged.
fn protect(directory: &Path, owner: Option<Owner>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let mut options = File::options();
            let file = options.read(true).custom_flags(NO_FOLLOW).open(entry.path())?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            owner.map_or(Ok(()), |(user, group)| fchown(&file, Some(user), Some(group)))?;
        }
    }
    owner.map_or(Ok(()), |(user, group)| lchown(directory, Some(user), Some(group)))?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

fn make(files: &Files, blueprint: &Blueprint, spec: &GuestSpec) -> Result<(), Fault> {
    match &blueprint.root {
        Root::Image { path, format, size_gb } => {
            images::create_overlay(&files.root(), path, *format, *size_gb)?;
        }
        Root::Empty { size_gb } => images::create_empty(&files.root(), u64::from(*size_gb) * GIB)?,
        Root::None => {}
    }
    if blueprint.ephemeral_gb > 0 {
        images::create_empty(&files.ephemeral(), u64::from(blueprint.ephemeral_gb) * GIB)?;
    }
    if blueprint.swap_mb > 0 {
        images::create_empty(&files.swap(), u64::from(blueprint.swap_mb) * MIB)?;
    }
    write_config_drive(files, blueprint, spec)
}

fn write_config_drive(files: &Files, blueprint: &Blueprint, spec: &GuestSpec) -> Result<(), Fault> {
    let drive = files.config_drive();
    config_drive::write(&drive, blueprint.instance, spec)
        .map_err(|error| Fault::transient(format!("{}: {error}", drive.display())))
}

/// Makes disks that came from another host, and may have had another flavor, those of the
/// blueprint. `digest`: of the image below the root disk.
fn adapt(files: &Files, blueprint: &Blueprint, spec: &GuestSpec, digest: &str) -> Result<(), Fault> {
    match &blueprint.root {
        Root::Image { path, format, size_gb } => {
            images::put_over(&files.root(), path, *format, digest)?;
            images::grow(&files.root(), u64::from(*size_gb) * GIB)?;
        }
        Root::Empty { size_gb } => grow_or_create(&files.root(), u64::from(*size_gb) * GIB)?,
        Root::None => {}
    }
    if blueprint.ephemeral_gb > 0 {
        grow_or_create(&files.ephemeral(), u64::from(blueprint.ephemeral_gb) * GIB)?;
    }
    // Swap has no content that outlives a boot.
    let swap = files.swap();
    files::remove_file(&swap).map_err(|error| Fault::transient(format!("{}: {error}", swap.display())))?;
    if blueprint.swap_mb > 0 {
        images::create_empty(&swap, u64::from(blueprint.swap_mb) * MIB)?;
    }
    if files.config_drive().exists() { Ok(()) } else { write_config_drive(files, blueprint, spec) }
}

/// A disk without an image, of at least this size. Another host may have made it.
fn grow_or_create(disk: &Path, bytes: u64) -> Result<(), Fault> {
    if !disk.exists() {
        return images::create_empty(disk, bytes);
    }
    images::check_alone(disk)?;
    images::grow(disk, bytes)
}

/// A rescue begins with a disk as its image has it.
fn make_rescue(files: &Files, blueprint: &Blueprint) -> Result<(), Fault> {
    match &blueprint.rescue {
        Some(Root::Image { path, format, .. }) => images::create_overlay(&files.rescue(), path, *format, 0),
        Some(Root::Empty { .. } | Root::None) | None => Ok(()),
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    use super::super::blueprint::{Boot, Bus};
    use super::super::images::Format;
    use super::*;
    use crate::disks::IncomingPart;

    const HOST: Uuid = Uuid::from_u128(0xa);

    fn opened(directory: PathBuf, host: Uuid) -> Disks {
        let disks = Disks::open(directory).expect("opens");
        disks.settle(host, |_| true).expect("settled");
        disks
    }

    fn blueprint(root: Root) -> Blueprint {
        Blueprint {
            instance: Uuid::from_u128(7),
            title: String::new(),
            vcpus: 1,
            memory_mb: 64,
            machine: "pc".into(),
            boot: Boot::Disk,
            bus: Bus::Virtio,
            root,
            rescue: None,
            ephemeral_gb: 1,
            swap_mb: 64,
            cells: BTreeSet::new(),
            page_kib: None,
            devices: Vec::new(),
        }
    }

    #[test]
    fn disks_are_made_and_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let disks = opened(directory.path().join("instances"), HOST);
        let plan = blueprint(Root::Empty { size_gb: 1 });
        disks.prepare(&plan, &GuestSpec::default(), None).expect("made");
        let files = disks.files(plan.instance);
        for file in [files.root(), files.ephemeral(), files.swap(), files.config_drive()] {
            assert!(file.is_file(), "{}", file.display());
        }
        assert_eq!(disks.all().expect("listed"), [plan.instance]);
        disks.remove(plan.instance).expect("removed");
        disks.remove(plan.instance).expect("gone is no error");
        assert!(!disks.has(plan.instance));
    }

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().expect("there").permissions().mode() & 0o777
    }

    /// User data has passwords, and disks have everything.
    #[test]
    fn nobody_else_reads_what_guests_keep() {
        let directory = tempfile::tempdir().expect("a directory");
        let outer = directory.path().join("instances");
        let disks = opened(outer.clone(), HOST);
        let plan = blueprint(Root::Empty { size_gb: 1 });
        let made = directory.path().metadata().expect("there");
        let owner = Some((made.uid(), made.gid()));
        disks.prepare(&plan, &GuestSpec::default(), owner).expect("made");
        let files = disks.files(plan.instance);
        let all = [files.root(), files.ephemeral(), files.swap(), files.config_drive()];
        assert_eq!((mode(&outer), mode(&files.directory)), (0o711, 0o700));
        assert!(all.iter().all(|file| mode(file) == 0o600), "{all:?}");

        // What an earlier release made; a link leads nowhere.
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, "").expect("written");
        std::os::unix::fs::symlink(&elsewhere, files.console()).expect("made");
        for path in [&files.directory, &files.root(), &elsewhere] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("set");
        }
        disks.protect_all(owner).expect("protected");
        assert_eq!((mode(&files.directory), mode(&files.root()), mode(&elsewhere)), (0o700, 0o600, 0o755));
    }

    fn virtual_size(disk: &Path) -> u64 {
        images::virtual_size(disk).expect("readable")
    }

    /// A resize to another host: the content stays, and disks grow.
    #[test]
    fn disks_that_arrive_get_the_sizes_of_the_flavor() {
        let directory = tempfile::tempdir().expect("a directory");
        let image = directory.path().join("base.qcow2");
        images::create_empty(&image, GIB).expect("made");
        let root = |size_gb| Root::Image { path: image.clone(), format: Format::Qcow2, size_gb };
        let source = opened(directory.path().join("source"), HOST);
        let target = opened(directory.path().join("target"), HOST);
        let old = blueprint(root(1));
        source.prepare(&old, &GuestSpec::default(), None).expect("made");
        let migration = Uuid::from_u128(8);
        source.hand_over(old.instance, migration).expect("set aside");
        source.hand_over(old.instance, migration).expect("that was done");
        assert!(!source.has(old.instance) && source.has(migration));

        let send = || {
            let parts = source.export(migration).expect("readable");
            let (sender, receiver) = tokio::sync::mpsc::channel(1000);
            for DiskPart { file, mut content } in parts {
                let mut data = Vec::new();
                content.read_to_end(&mut data).expect("readable");
                sender.try_send(Ok(IncomingPart::File(file))).expect("it has capacity");
                sender.try_send(Ok(IncomingPart::Data(data.into()))).expect("it has capacity");
            }
            sender.try_send(Ok(IncomingPart::End)).expect("it has capacity");
            receiver
        };
        let new = Blueprint { ephemeral_gb: 2, swap_mb: 0, ..blueprint(root(3)) };
        target.receive(&new, &GuestSpec::default(), None, send()).expect("received");
        let files = target.files(new.instance);
        assert_eq!((virtual_size(&files.root()), virtual_size(&files.ephemeral())), (3 * GIB, 2 * GIB));
        assert!(files.config_drive().exists() && !files.swap().exists());
        let of_source = source.files(migration);
        assert_eq!(virtual_size(&of_source.root()), GIB, "the source keeps what it had");

        // The target's image of that name is another one.
        let other = directory.path().join("other.qcow2");
        images::create_empty(&other, 2 * GIB).expect("made");
        let root = Root::Image { path: other, format: Format::Qcow2, size_gb: 3 };
        let wrong = Blueprint { instance: Uuid::from_u128(9), ..blueprint(root) };
        let refused = target.receive(&wrong, &GuestSpec::default(), None, send()).expect_err("refused");
        assert!(refused.message.contains("differs"), "{refused}");
        assert!(!target.has(wrong.instance));

        // A disk that names a file of the target, as the disk of another guest: QEMU would read it.
        let ephemeral = of_source.ephemeral();
        for option in ["backing_file", "data_file"] {
            fs::remove_file(&ephemeral).expect("removed");
            let below = directory.path().join(format!("{option}.raw"));
            fs::write(&below, [7; 4096]).expect("written");
            let options = match option {
                "backing_file" => format!("backing_file={},backing_fmt=raw", below.display()),
                _ => format!("data_file={},data_file_raw=on", below.display()),
            };
            let mut create = std::process::Command::new("qemu-img");
            create.args(["create", "-q", "-f", "qcow2", "-o", &options]).arg(&ephemeral).arg("1M");
            assert!(create.status().expect("qemu-img runs").success());
            let planted = Blueprint { instance: Uuid::from_u128(11), ..new.clone() };
            let refused = target.receive(&planted, &GuestSpec::default(), None, send()).expect_err("refused");
            assert!(refused.message.contains("ephemeral.qcow2: the disk"), "{refused}");
            assert!(!target.has(planted.instance));
        }

        source.hand_over(migration, old.instance).expect("taken back");
        assert!(source.hand_over(migration, Uuid::from_u128(10)).is_err(), "there are none");
    }

    #[test]
    fn what_fails_or_was_interrupted_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let disks = opened(directory.path().to_owned(), HOST);
        let path = directory.path().join("none.qcow2");
        let plan = blueprint(Root::Image { path, format: Format::Qcow2, size_gb: 1 });
        assert!(disks.prepare(&plan, &GuestSpec::default(), None).is_err());
        let [theirs, earlier] = [Uuid::from_u128(0xb).to_string() + ".", String::new()];
        let [theirs, earlier] = [theirs, earlier].map(|of| format!("{}.{of}new", plan.instance));
        for path in [directory.path().join(&earlier), disks.aside(plan.instance, HOST, "old")] {
            fs::create_dir(path).expect("made");
        }
        fs::create_dir(directory.path().join(&theirs)).expect("made");
        let disks = opened(directory.path().to_owned(), HOST);
        let left =
            fs::read_dir(directory.path()).expect("listed").map(|entry| entry.expect("there").file_name());
        let left: BTreeSet<_> = left.map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(left, [".berth-storage".to_owned(), theirs].into(), "another host is at work");
        assert!(disks.all().expect("listed").is_empty());
    }

    /// Two hosts on one storage: each has its own disks only, until it takes others over.
    #[test]
    fn disks_on_shared_storage_belong_to_one_host() {
        let directory = tempfile::tempdir().expect("a directory");
        let image = directory.path().join("base.qcow2");
        images::create_empty(&image, GIB).expect("made");
        let moved = directory.path().join("images");
        fs::create_dir(&moved).expect("made");
        fs::copy(&image, moved.join("base.qcow2")).expect("copied");
        let shared = directory.path().join("instances");
        let [here, there] = [HOST, Uuid::from_u128(0xb)].map(|host| opened(shared.clone(), host));
        let root = |path: PathBuf| Root::Image { path, format: Format::Qcow2, size_gb: 1 };
        let plan = blueprint(root(image));
        let it = plan.instance;
        here.prepare(&plan, &GuestSpec::default(), None).expect("made");
        assert!(here.has(it) && !there.has(it) && there.all().expect("listed").is_empty());
        there.remove(it).expect("it has none");
        assert!(there.prepare(&plan, &GuestSpec::default(), None).is_err(), "they are another host's");
        assert!(here.has(it) && there.check_owner(it).is_err());

        let evacuation = Uuid::from_u128(9);
        let plan_there = Blueprint { root: root(moved.join("base.qcow2")), ..plan };
        assert!(there.adopt(&plan_there, (evacuation, 4), None).expect("taken over"));
        assert!(!here.has(it) && there.has(it));
        here.remove(it).expect("it has none any longer");
        assert!(here.adopt(&plan_there, (evacuation, 3), None).is_err(), "outdated");
        assert!(here.return_disks(it, evacuation).is_err(), "they are not its own");
        there.return_disks(it, evacuation).expect("returned");
        assert!(here.has(it) && !there.has(it) && here.files(it).root().exists());
        let other = Blueprint { instance: Uuid::from_u128(8), ..plan_there };
        assert!(!there.adopt(&other, (evacuation, 5), None).expect("there are none"));
    }

    /// Disks of earlier releases name no host. They are those of the host that has a record of the
    /// guest.
    #[test]
    fn disks_of_earlier_releases_get_an_owner() {
        let directory = tempfile::tempdir().expect("a directory");
        let [known, unknown] = [1, 2].map(Uuid::from_u128);
        for guest in [known, unknown] {
            fs::create_dir(directory.path().join(guest.to_string())).expect("made");
        }
        let disks = Disks::open(directory.path().to_owned()).expect("opens");
        assert!(!disks.has(known) && disks.remove(known).is_err(), "the host is not known yet");
        disks.settle(HOST, |guest| guest == known).expect("settled");
        assert_eq!(disks.all().expect("listed"), [known]);
    }
}
