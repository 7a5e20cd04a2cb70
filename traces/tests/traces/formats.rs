//! Each format by a sample that was written for this test after the published schema.

use std::path::PathBuf;
use std::sync::Arc;

use berth_traces::{
    BatchNumber, Demands, Format, HostShape, Micros, Resources, Trace, Vm, decisions, neutral,
};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const SECOND: u64 = 1_000_000;

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)
}

fn read(name: &str, format: Format) -> Vec<Vm> {
    let path = sample(name);
    assert_eq!(Format::detect(&path).unwrap(), format, "{name}");
    let vms: Vec<Vm> = Trace::open(&path, None).unwrap().map(Result::unwrap).collect();
    let sorted = Trace::open_sorted(&path, Some(format)).unwrap();
    assert_eq!(vms, sorted, "{name}");
    vms
}

fn sizes(vm: &Vm) -> (u32, u32, u32) {
    let Resources { vcpus, memory_mb, disk_gb } = vm.resources;
    (vcpus, memory_mb, disk_gb)
}

fn times(vm: &Vm) -> (u64, Option<u64>) {
    (vm.arrival.0, vm.departure.map(|at| at.0))
}

fn demands(vm: &Vm) -> &Demands {
    vm.demands.as_deref().expect("it has demands")
}

#[test]
fn azure_vmtables_of_both_years() {
    let vms = read("azure-vmtable.csv", Format::AzureTable);
    assert_eq!(vms.iter().map(|vm| vm.id.as_str()).collect::<Vec<_>>(), ["vmA", "vmB", "vmC"]);
    assert_eq!(times(&vms[0]), (0, Some(2_591_700 * SECOND)));
    assert_eq!(
        (sizes(&vms[0]), sizes(&vms[1]), sizes(&vms[2])),
        ((2, 3584, 0), (32, 131_072, 0), (4, 8192, 0))
    );
    assert_eq!(
        (vms[0].batch, vms[1].batch, vms[2].batch),
        (BatchNumber::new(0), BatchNumber::new(0), BatchNumber::new(1)),
        "deployments"
    );
    assert_eq!(demands(&vms[2]).project, "subB");
    assert_eq!("azure-v1".parse(), Ok(Format::AzureTable));
}

#[test]
fn hosts_of_published_formats() {
    let hosts = neutral::read_hosts(sample("openb-hosts.csv")).unwrap();
    let unlimited = HostShape::UNLIMITED_DISK;
    assert_eq!(hosts[0].capacity, Resources { vcpus: 32, memory_mb: 262_144, disk_gb: unlimited });
    assert_eq!((hosts[0].gpus, hosts[1].gpus, hosts[1].gpu_model.as_str()), (0, 8, "G2"));
    assert_eq!(hosts[1].id, "node-b");
    let hosts = neutral::read_hosts(sample("huawei-hosts.csv")).unwrap();
    assert_eq!(hosts[1].capacity, Resources { vcpus: 70, memory_mb: 140 * 1024, disk_gb: unlimited });
    assert_eq!((hosts[1].id.as_str(), hosts[1].numa_cells), ("host-7", 2));
}

#[test]
fn azure_packing() {
    let vms = read("packing.sqlite", Format::AzurePacking);
    assert_eq!(vms.len(), 100, "a table of several pages");
    let old = vms.iter().find(|vm| vm.id == "0").unwrap();
    assert_eq!(times(old), (0, Some(43_200 * SECOND)), "it ran before the trace began");
    assert_eq!(sizes(old), (250, 128_000, 50), "on machine 1, where the most VMs can run");
    let forever = vms.iter().find(|vm| vm.id == "1").unwrap();
    assert_eq!(times(forever), (21_600 * SECOND, None));
    assert_eq!(sizes(forever), (63, 32_000, 10));
    assert_eq!(demands(forever).extra, [("priority".into(), "1".into())]);
}

#[test]
fn huawei_events_and_lifetimes() {
    let vms = read("huawei-east-1.csv", Format::HuaweiEast);
    assert_eq!(
        vms.iter().map(times).collect::<Vec<_>>(),
        [(0, Some(60 * SECOND)), (5 * SECOND, None), (61 * SECOND, None)]
    );
    assert_eq!(sizes(&vms[1]), (4, 8192, 0));
    let vms = read("huawei-east-1-lt.csv", Format::HuaweiLifetimes);
    assert_eq!(times(&vms[1]), (2_500_000, Some(500_500_000)));
    assert_eq!(sizes(&vms[0]), (4, 16_384, 0));
}

#[test]
fn huawei_numa() {
    let vms = read("huawei-numa.csv", Format::HuaweiNuma);
    assert_eq!(vms.iter().map(|vm| demands(vm).numa_cells).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!((demands(&vms[2]).group.as_str(), demands(&vms[2]).policy.as_str()), ("3.0", "anti-affinity"));
    assert_eq!((demands(&vms[1]).group.as_str(), demands(&vms[1]).policy.as_str()), ("", ""));
}

#[test]
fn openb() {
    let vms = read("openb.csv", Format::Openb);
    assert_eq!(vms[0].id, "pod-0", "sorted by arrival");
    assert_eq!((sizes(&vms[1]), demands(&vms[1]).vcpu_milli), ((13, 16_384, 0), 12_500));
    let shared = demands(&vms[1]);
    assert_eq!((shared.gpus, shared.gpu_milli), (1, 460));
    assert_eq!(shared.gpu_models, ["V100M16", "V100M32"]);
    assert_eq!((demands(&vms[0]).gpus, demands(&vms[0]).gpu_milli), (8, 0), "whole GPUs");
}

/// Machines by switch and platform: one is added twice, one shrinks, one leaves for good. The rows
/// are in no order.
#[test]
fn google_machines_are_hosts() {
    let hosts = neutral::read_hosts(sample("google-machines.csv")).unwrap();
    assert_eq!(hosts, neutral::read_hosts(sample("google-machines.json")).unwrap());
    let found: Vec<_> = hosts
        .iter()
        .map(|host| (&*host.id, host.capacity.vcpus, host.capacity.memory_mb, &*host.rack, &*host.generation))
        .collect();
    assert_eq!(found, [("5", 591, 341_801, "s1", "p1"), ("6", 250, 128_000, "s1", "p2")]);
}

#[test]
fn google_as_json_and_csv() {
    let json = read("google.json", Format::Google);
    assert_eq!(json, read("google.csv", Format::Google));
    assert_eq!(json.iter().map(times).collect::<Vec<_>>(), [(0, None), (600 * SECOND, Some(900 * SECOND))]);
    assert_eq!((sizes(&json[0]), sizes(&json[1])), ((13, 512_000, 0), (1, 1024, 0)));
    assert_eq!(json[1].batch, BatchNumber::new(1));
}

#[test]
fn swf() {
    let vms = read("jobs.swf", Format::Swf);
    assert_eq!(vms.len(), 2, "a job without a run time never ran");
    assert_eq!((times(&vms[0]), sizes(&vms[0])), ((0, Some(3600 * SECOND)), (16, 64, 0)));
    assert_eq!((times(&vms[1]), sizes(&vms[1])), ((20 * SECOND, Some(80_500_000)), (8, 8, 0)));
}

#[test]
fn nova_instances() {
    let vms = read("nova-instances.tsv", Format::NovaInstances);
    let at = |hour: u64| (1_714_521_600 + hour * 3600) * SECOND;
    assert_eq!(times(&vms[0]), (at(9), Some(at(9) + 1800 * SECOND)));
    assert_eq!((times(&vms[1]), sizes(&vms[1])), ((at(10), None), (4, 8192, 50)));
    let own = demands(&vms[1]);
    assert_eq!((own.host.as_str(), own.zone.as_str(), own.project.as_str()), ("cmp1", "az1", "p1"));
    assert_eq!(vms[0].batch, vms[1].batch);
    assert_eq!(demands(&vms[0]).zone, "");
}

#[test]
fn rvtools() {
    let vms = read("rvtools.csv", Format::RvTools);
    assert_eq!(vms.len(), 2, "no template");
    assert_eq!((vms[0].id.as_str(), times(&vms[0]), sizes(&vms[0])), ("db", (0, None), (16, 65_536, 1024)));
    assert_eq!((vms[1].id.as_str(), sizes(&vms[1])), ("4201-a", (4, 8192, 100)));
    assert_eq!(demands(&vms[1]).extra[0], ("name".into(), "web \"1\"".into()));
    assert_eq!(demands(&vms[1]).extra[1], ("cluster".into(), "Prod; EU".into()));
}

#[test]
fn opendc() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks.parquet");
    let schema = "message t { REQUIRED BYTE_ARRAY id (UTF8); REQUIRED INT64 submission_time (TIMESTAMP_MILLIS); \
                  REQUIRED INT64 duration; REQUIRED INT32 cpu_count; REQUIRED INT64 mem_capacity; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&[ByteArray::from("b"), ByteArray::from("a")], None, None)
        .unwrap();
    column.close().unwrap();
    for values in [[2000_i64, 1000], [500, 60_000]] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[1, 4], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1024, 8192], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();

    assert_eq!(Format::detect(&path).unwrap(), Format::OpenDc);
    let vms: Vec<Vm> = Trace::open(&path, None).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        (vms[0].id.as_str(), times(&vms[0]), sizes(&vms[0])),
        ("a", (SECOND, Some(61 * SECOND)), (4, 8192, 0))
    );
    assert_eq!(times(&vms[1]), (2 * SECOND, Some(2_500_000)));
}

/// A damaged file is an error that names it, never a panic.
#[test]
fn damaged_binary_files() {
    let directory = tempfile::tempdir().unwrap();
    let whole = std::fs::read(sample("packing.sqlite")).unwrap();
    let mut cuts = 0;
    for cut in (0..whole.len()).step_by(97) {
        let path = directory.path().join("cut.sqlite");
        std::fs::write(&path, &whole[..cut]).unwrap();
        if let Err(error) = Trace::open(&path, Some(Format::AzurePacking)) {
            assert!(error.to_string().contains("cut.sqlite"));
            cuts += 1;
        }
        let mut flipped = whole.clone();
        flipped[cut] ^= 0xff;
        std::fs::write(&path, &flipped).unwrap();
        let _ = Trace::open(&path, Some(Format::AzurePacking));
    }
    assert!(cuts > 10);
    let path = directory.path().join("cut.parquet");
    std::fs::write(&path, b"PAR1 and nothing else PAR1").unwrap();
    let error = Trace::open(&path, None).unwrap_err().to_string();
    assert!(error.contains("cut.parquet") && error.contains("Parquet"), "{error}");
}

fn labelled() -> Vec<Vm> {
    let plain = |id: &str, at: u64| Vm {
        id: id.into(),
        arrival: Micros(at),
        departure: None,
        resources: Resources { vcpus: u32::MAX, memory_mb: 1, disk_gb: 0 },
        flavor: "größe".into(),
        batch: None,
        demands: None,
    };
    let pair = |key: &str, value: &str| (key.into(), value.into());
    let full = Demands {
        zone: "az1".into(),
        extra_specs: vec![pair("hw:numa_nodes", "2"), pair("trait:X", "required")],
        host: "h".into(),
        project: "p".into(),
        group: "g".into(),
        policy: "affinity".into(),
        gpus: 2,
        gpu_milli: 500,
        gpu_models: vec!["A".into(), "B".into()],
        numa_cells: 2,
        vcpu_milli: 1500,
        extra: vec![pair("qos", "LS"), pair("second", "x")],
    };
    vec![
        Vm { departure: Some(Micros(7)), batch: BatchNumber::new(1 << 40), ..plain("x", 5) },
        Vm {
            resources: Resources { vcpus: 2, memory_mb: 1, disk_gb: 0 },
            demands: Some(Box::new(full)),
            ..plain("", 5)
        },
        plain("y", u64::MAX >> 1),
    ]
}

/// Everything that a VM can have survives Berth's own file, with identifiers that count and others.
#[test]
fn a_trace_file_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.parquet");
    let counted = |prefix: &str, first: u64, count: u64| -> Vec<Vm> {
        let of = |number: u64| Vm { id: format!("{prefix}{number}").into(), ..labelled()[0].clone() };
        (first..first + count).map(of).collect()
    };
    for vms in
        [labelled(), Vec::new(), counted("", 0, 70_000), counted("vm-", 998, 5), counted("vm-00", 8, 3)]
    {
        berth_traces::columnar::write(&path, &vms).unwrap();
        assert_eq!(Format::detect(&path).unwrap(), Format::Berth);
        let read: Vec<Vm> = Trace::open(&path, None).unwrap().map(Result::unwrap).collect();
        let differs = read.iter().zip(&vms).find(|(read, written)| read != written);
        assert!(read.len() == vms.len() && differs.is_none(), "{differs:?}");
        let csv = directory.path().join("trace.csv");
        neutral::write_all(&csv, &vms).unwrap();
        let read = Trace::open_sorted(&csv, Some(Format::Neutral)).unwrap();
        let differs = read.iter().zip(&vms).find(|(read, written)| read != written);
        assert!(read.len() == vms.len() && differs.is_none(), "{differs:?}");
    }
}

/// The log of a service: decisions, releases, and lines of other kinds.
#[test]
fn decisions_of_a_service() {
    let vms = read("decisions.jsonl", Format::Decisions);
    let of = |vm: &Vm| (vm.id.to_string(), demands(vm).host.to_string(), times(vm));
    let expected = [
        ("vm-a", "kvm-7", (SECOND, Some(5 * SECOND / 2))),
        ("vm-b", "kvm-1", (2 * SECOND, None)),
        ("vm-c", "kvm-2", (2 * SECOND, None)),
        ("vm-d", decisions::REJECTED, (3 * SECOND, None)),
        ("vm-a+1", "kvm-8", (4 * SECOND, None)),
    ];
    let expected = expected.map(|(id, host, times)| (id.to_owned(), host.to_owned(), times));
    assert_eq!(
        vms.iter().map(of).collect::<Vec<_>>(),
        expected,
        "none of the three that were refused together"
    );
    assert_eq!((sizes(&vms[0]), vms[0].flavor.as_str()), ((2, 2048, 10), "m1.small"));
    let first = demands(&vms[0]);
    assert_eq!((first.zone.as_str(), first.policy.as_str()), ("east", "anti-affinity"));
    assert_eq!(first.extra_specs, [("trait:CUSTOM_GOLD".into(), "required".into())]);
    let left = decisions::released(&sample("decisions.jsonl")).unwrap();
    assert_eq!(left.get("vm-from-yesterday"), Some(&Micros(2_600_000)));

    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("log");
    let text = std::fs::read_to_string(sample("decisions.jsonl")).unwrap().replace("\\\"vcpus\\\":2,", "");
    std::fs::write(&damaged, text).unwrap();
    let error = Trace::open_sorted(&damaged, None).unwrap_err().to_string();
    assert!(error.contains("line 2: decision"), "{error}");
}
