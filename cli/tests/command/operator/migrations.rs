//! Resizes and migrations.

use berth_api::v1::*;
use serde_json::json;

use super::{AT, AT_TEXT, Fake, OTHER, UUID, assert_lines, busy, instance, map};

#[test]
fn servers_are_resized_and_migrated() {
    let fake = Fake::start();
    let moving = || busy(instance(UUID, "a", "RESIZE"), "resize_prep");
    fake.answers("Resize", moving()).succeed("server resize a --flavor m1.large --project shop");
    let asked: ResizeInstanceRequest = fake.asked("Resize");
    assert_eq!((&*asked.instance, &*asked.flavor, &*asked.project), ("a", "m1.large", "shop"));
    for (line, host) in [("migrate a", ""), ("migrate a --host compute-8", "compute-8")] {
        fake.answers("Migrate", moving()).succeed(&format!("server {line}"));
        let asked: MigrateInstanceRequest = fake.asked("Migrate");
        assert_eq!((&*asked.instance, &*asked.host, &*asked.project), ("a", host, "default"));
    }
    for (command, method) in [("confirm", "ConfirmResize"), ("revert", "RevertResize")] {
        for (option, project) in [("", "default"), ("--all-projects", "")] {
            fake.answers(method, moving()).succeed(&format!("server resize {command} a {option}"));
            let asked: InstanceRequest = fake.asked(method);
            assert_eq!((&*asked.instance, &*asked.project), ("a", project));
        }
    }
    assert!(fake.fail(2, "server resize a").contains("--flavor"));
    assert!(fake.fail(2, "server resize --flavor f").contains("<SERVER>"));
    assert!(!fake.was_asked("Resize"));
}

#[test]
fn waiting_ends_when_the_confirmation_is_due_or_the_move_has_failed() {
    let fake = Fake::start();
    let moving = || busy(instance(UUID, "a", "RESIZE"), "resize_prep");
    let wait = |shown: Instance| {
        fake.answers("Migrate", moving()).answers("Get", moving());
        fake.answers("Watch", super::fake::Watched { shown: vec![shown], ends: false });
        fake.run("server migrate a --wait")
    };
    assert!(wait(instance(UUID, "a", "VERIFY_RESIZE")).status.success());
    let fault = "the move failed: compute-8: no image".to_owned();
    let failed = wait(Instance { fault, ..instance(UUID, "a", "ACTIVE") });
    assert_eq!(failed.status.code(), Some(1));
    let message = super::super::stderr(&failed);
    assert!(
        message.contains("is ACTIVE, not VERIFY_RESIZE: the move failed: compute-8: no image"),
        "{message}"
    );
}

#[test]
fn migrations_are_listed_and_shown() {
    let fake = Fake::start();
    let migration = || Migration {
        uuid: OTHER.into(),
        instance: UUID.into(),
        kind: "resize".into(),
        status: "finished".into(),
        source_host: "compute-1".into(),
        target_host: "compute-2".into(),
        old_flavor: "m1.small".into(),
        new_flavor: "m1.large".into(),
        failures: map(&[("compute-3", "no image")]),
        project: "default".into(),
        created_at: AT,
        updated_at: AT,
        ..Default::default()
    };
    let list = ListMigrationsResponse { migrations: vec![migration()], ..Default::default() };
    fake.answers("ListMigrations", list);
    assert_lines(
        &fake.succeed("migration list --server web --host compute-2 --status finished"),
        &[
            "uuid server kind status source host target host new flavor updated at",
            &format!("{OTHER} {UUID} resize finished compute-1 compute-2 m1.large {AT_TEXT}"),
        ],
    );
    let asked: ListMigrationsRequest = fake.asked("ListMigrations");
    assert_eq!(
        (&*asked.instance, &*asked.host, &*asked.status, &*asked.project),
        ("web", "compute-2", "finished", "default")
    );
    fake.answers("GetMigration", migration());
    let shown = super::json(&fake.succeed(&format!("migration show {OTHER} -f json --all-projects")));
    assert_eq!(
        (&shown["failures"], &shown["error"], &shown["server"]),
        (&json!({"compute-3": "no image"}), &json!(null), &json!(UUID))
    );
    let asked: GetMigrationRequest = fake.asked("GetMigration");
    assert_eq!((&*asked.migration, &*asked.project), (OTHER, ""));
    assert!(fake.fail(2, "migration list --status odd").contains("finished"));
}

#[test]
fn servers_are_live_migrated_and_that_is_aborted_or_forced() {
    use live_migrate_instance_request::Disks;
    let fake = Fake::start();
    let moving =
        || Instance { host: "compute-7".into(), ..busy(instance(UUID, "a", "MIGRATING"), "migrating") };
    for (options, disks) in [("", Disks::Unspecified), ("--block", Disks::Sent), ("--shared", Disks::Shared)]
    {
        fake.answers("LiveMigrate", moving());
        fake.succeed(&format!("server migrate a --live --host compute-8 {options}"));
        let asked: LiveMigrateInstanceRequest = fake.asked("LiveMigrate");
        assert_eq!((&*asked.instance, &*asked.host, asked.disks()), ("a", "compute-8", disks));
        assert_eq!((asked.bandwidth_mib, asked.timeout_s, asked.forces_at_timeout), (0, 0, false));
    }
    for (action, forces) in [("abort", false), ("force-complete", true)] {
        fake.answers("LiveMigrate", moving());
        fake.succeed(&format!(
            "server migrate a --live --bandwidth 5 --move-timeout 60 --on-move-timeout {action}"
        ));
        let asked: LiveMigrateInstanceRequest = fake.asked("LiveMigrate");
        assert_eq!((asked.bandwidth_mib, asked.timeout_s, asked.forces_at_timeout), (5, 60, forces));
    }
    for line in ["--block", "--live --block --shared", "--move-timeout 5", "--live --on-move-timeout abort"] {
        fake.fail(2, &format!("server migrate a {line}"));
    }
    for (command, method) in [("abort", "AbortMigration"), ("force-complete", "ForceCompleteMigration")] {
        let migration = Migration { uuid: OTHER.into(), status: "running".into(), ..Migration::default() };
        fake.answers(method, migration).succeed(&format!("migration {command} {OTHER}"));
        let asked: GetMigrationRequest = fake.asked(method);
        assert_eq!((&*asked.migration, &*asked.project), (OTHER, "default"));
    }

    let wait = |host: &str, fault: &str| {
        let ended = Instance { host: host.into(), fault: fault.into(), ..instance(UUID, "a", "ACTIVE") };
        fake.answers("LiveMigrate", moving()).answers("Get", moving());
        fake.answers("Watch", super::fake::Watched { shown: vec![ended], ends: false });
        fake.run("server migrate a --live --wait")
    };
    assert!(wait("compute-8", "").status.success());
    for (fault, expected) in [("no route", "stays on compute-7: no route"), ("", "the migration was aborted")]
    {
        let stayed = wait("compute-7", fault);
        assert_eq!(stayed.status.code(), Some(1));
        let message = super::super::stderr(&stayed);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn servers_are_rebuilt_from_the_same_image_or_another() {
    let fake = Fake::start();
    let rebuilding = || busy(instance(UUID, "a", "REBUILD"), "rebuilding");
    fake.answers("Rebuild", rebuilding()).succeed("server rebuild a");
    let asked: RebuildInstanceRequest = fake.asked("Rebuild");
    assert_eq!((&*asked.instance, &*asked.project, asked.image), ("a", "default", None));
    fake.answers("Rebuild", rebuilding());
    fake.succeed("server rebuild a --image new.qcow2 --image-property hw_machine_type=q35");
    let image = fake.asked::<RebuildInstanceRequest>("Rebuild").image.unwrap();
    assert_eq!((&*image.name, &*image.properties["hw_machine_type"]), ("new.qcow2", "q35"));
    fake.fail(2, "server rebuild a --image-property hw_machine_type=q35");

    // A failure leaves it as it was.
    let ended = Instance { fault: "no such image".into(), ..instance(UUID, "a", "ACTIVE") };
    fake.answers("Rebuild", rebuilding()).answers("Get", rebuilding());
    fake.answers("Watch", super::fake::Watched { shown: vec![ended], ends: false });
    assert!(fake.fail(1, "server rebuild a --wait").contains("a: no such image"));
}

#[test]
fn servers_are_rescued_and_unrescued() {
    let fake = Fake::start();
    let rescuing = || busy(instance(UUID, "a", "ACTIVE"), "rescuing");
    fake.answers("Rescue", rescuing()).succeed("server rescue a");
    assert_eq!(fake.asked::<RescueInstanceRequest>("Rescue").image, None);
    fake.answers("Rescue", rescuing());
    fake.answers("Get", rescuing())
        .answers("Watch", super::fake::Watched { shown: vec![instance(UUID, "a", "RESCUE")], ends: false });
    fake.succeed("server rescue a --image repair.qcow2 --image-property kernel=vmlinuz --wait");
    let image = fake.asked::<RescueInstanceRequest>("Rescue").image.unwrap();
    assert_eq!((&*image.name, &*image.properties["kernel"]), ("repair.qcow2", "vmlinuz"));
    fake.answers("Unrescue", busy(instance(UUID, "a", "RESCUE"), "unrescuing"));
    fake.succeed("server unrescue a");
    assert_eq!(fake.asked::<InstanceRequest>("Unrescue").instance, "a");
}
