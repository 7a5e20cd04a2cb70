//! A compute host on this machine: a libvirtd in namespaces of its own, with all its state in a
//! directory of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use uuid::Uuid;

const DRIVERS: &str = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver";
/// Where libvirtd looks, and what lies there for this host.
const MOUNTS: [(&str, &str); 5] = [
    ("etc", "/etc/libvirt"),
    ("run", "/run/libvirt"),
    ("lib", "/var/lib/libvirt"),
    ("cache", "/var/cache/libvirt"),
    ("log", "/var/log/libvirt"),
];

/// A compute host. Dropping it pulls the plug: libvirtd and all guests die at once.
pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
    process: Child,
}

/// Starts the first program of the host, and all that it runs, in namespaces of their own.
fn boot(directory: &Path) -> Child {
    let log =
        fs::File::options().append(true).create(true).open(directory.join("log/stdout")).expect("a log");
    Command::new("unshare")
        .args(["--mount", "--uts", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
        .args(["--propagation", "private", "bash"])
        .arg(directory.join("boot.sh"))
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a log"))
        .stdout(log)
        .spawn()
        .expect("unshare runs; it needs root")
}

impl Host {
    pub(crate) fn start(name: &str, uuid: Uuid) -> Self {
        assert!(
            Path::new("/usr/sbin/libvirtd").exists(),
            "libvirtd is missing: run compute-agent/install-libvirt.sh"
        );
        let directory = tempfile::Builder::new().prefix("berth-kvm-").tempdir().expect("a directory");
        configure(directory.path(), name, uuid);
        let process = boot(directory.path());
        let host = Self { directory, process };
        host.wait_for_libvirtd();
        host
    }

    /// Pulls the plug: libvirtd and all guests die at once.
    pub(crate) fn power_off(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Boots the host again: what a file system in memory had is gone.
    pub(crate) fn power_on(&mut self) {
        for volatile in ["run", "sock"].map(|name| self.path(name)) {
            fs::remove_dir_all(&volatile).expect("it was there");
            fs::create_dir(&volatile).expect("a directory");
        }
        self.process = boot(self.directory.path());
        self.wait_for_libvirtd();
    }

    pub(crate) fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.path("sock/libvirt-sock").display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What `virsh` says.
    pub(crate) fn virsh(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("virsh").args(["-q", "-c", &self.uri()]).args(arguments).output().expect("virsh");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Stops the process of a guest, as a hanging disk does.
    pub(crate) fn freeze_guest(&self, instance: &str) {
        let is_guest = |pid: &u32| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.contains(&format!("guest=berth-{instance}"))
        };
        let processes = fs::read_dir("/proc").expect("there").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let guest = pids.filter(is_guest).max().expect("it runs");
        let stopped = Command::new("kill").args(["-STOP", &guest.to_string()]).status().expect("kill");
        assert!(stopped.success());
    }

    /// Begins what `virsh` may not finish.
    pub(crate) fn begin_virsh(&self, arguments: &[&str]) -> Child {
        let mut virsh = Command::new("virsh");
        virsh.args(["-q", "-c", &self.uri()]).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        virsh.spawn().expect("virsh")
    }

    /// Kills libvirtd; the host's init starts another. Guests live on.
    pub(crate) fn restart_libvirtd(&self) {
        let init = children(self.process.id());
        let libvirtd =
            children(init[0]).into_iter().find(|pid| name_of(*pid) == "libvirtd").expect("libvirtd runs");
        let killed = Command::new("kill").args(["-KILL", &libvirtd.to_string()]).status().expect("kill");
        assert!(killed.success());
        while Path::new(&format!("/proc/{libvirtd}/exe")).exists() {
            pause();
        }
        self.wait_for_libvirtd();
    }

    #[expect(clippy::disallowed_methods, reason = "waiting for a real program")]
    fn wait_for_libvirtd(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.virsh(&["uri"]).is_empty() {
            let log = fs::read_to_string(self.path("log/stdout")).unwrap_or_default();
            assert!(Instant::now() < end, "libvirtd does not answer: {log}");
            pause();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "waiting for a real program")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

fn configure(directory: &Path, name: &str, uuid: Uuid) {
    let drivers = directory.join("drivers");
    for part in ["sock", "drivers"].into_iter().chain(MOUNTS.map(|(part, _)| part)) {
        fs::create_dir(directory.join(part)).expect("a directory");
    }
    // Only what the agent needs: starting is faster without networks and storage pools.
    for driver in ["qemu", "nodedev", "secret"].map(|driver| format!("libvirt_driver_{driver}.so")) {
        symlink(Path::new(DRIVERS).join(&driver), drivers.join(driver)).expect("a link");
    }
    let (log, sockets) = (directory.join("log/libvirtd.log"), directory.join("sock"));
    let libvirtd = format!(
        "listen_tls = 0\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nunix_sock_rw_perms = \"0700\"\n\
         host_uuid = \"{uuid}\"\nunix_sock_dir = {sockets:?}\nlog_outputs = \"3:file:{}\"\n",
        log.display()
    );
    let qemu = "user = \"root\"\ngroup = \"root\"\ndynamic_ownership = 0\nremember_owner = 0\nnamespaces = [ ]\n\
                security_driver = \"none\"\ncgroup_controllers = [ ]\nstdio_handler = \"file\"\n";
    fs::write(directory.join("etc/libvirtd.conf"), libvirtd).expect("written");
    fs::write(directory.join("etc/qemu.conf"), qemu).expect("written");
    fs::write(directory.join("boot.sh"), boot_script(directory, name)).expect("written");
}

/// The first program of the host: it starts libvirtd whenever that has ended, and reaps guests that
/// have.
fn boot_script(directory: &Path, name: &str) -> String {
    let here = directory.display();
    let mounts = MOUNTS
        .map(|(part, place)| format!("mkdir -p {place}\nmount --bind {here}/{part} {place}\n"))
        .concat();
    format!(
        "set -e\nhostname {name}\n{mounts}set +e\nexport LIBVIRT_DRIVER_DIR={here}/drivers\nwhile true; do\n  \
         /usr/sbin/libvirtd -f {here}/etc/libvirtd.conf -p {here}/libvirtd.pid &\n  wait $!\n  sleep 0.2 & wait $!\ndone\n"
    )
}

fn children(process: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn name_of(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_owned()
}
