use berth_traces::{BatchNumber, Resources, Trace, TraceError, TraceHost, Vm, neutral};
use proptest::prelude::*;

use crate::{drain, file, message, read_bad, read_good, vm};

const HEADER: &str = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n";

#[test]
fn good_rows() {
    let rows = "0,0,3600.5,1,1792,32,c1\n1,0,,64,262144,0,\n2,7.001,7.01,0,0,4294967295,größe\n";
    let expected = [
        vm("0", (0, Some(3_600_500_000)), (1, 1792, 32), "c1", None),
        vm("1", (0, None), (64, 262_144, 0), "", None),
        vm("2", (7_001_000, Some(7_010_000)), (0, 0, u32::MAX), "größe", None),
    ];
    let unix = format!("{HEADER}{rows}");
    assert_eq!(read_good(&unix), expected);
    assert_eq!(read_good(unix.trim_end()), expected, "no newline at the end");
    assert_eq!(read_good(unix.replace('\n', "\r\n")), expected, "CRLF");
    assert_eq!(read_good(format!("\u{feff}{unix}")), expected, "byte order mark");
}

#[test]
fn columns_in_any_order() {
    let text = "flavor,disk_gb,ram_mb,vcpus,departure_s,arrival_s,vm_id\nc1,32,1792,1,5,2,0\n";
    assert_eq!(read_good(text), [vm("0", (2_000_000, Some(5_000_000)), (1, 1792, 32), "c1", None)]);
}

#[test]
fn header_only_is_a_trace_without_vms() {
    assert_eq!(read_good(HEADER), []);
    assert_eq!(read_good(HEADER.trim_end()), []);
}

#[test]
fn bad_headers() {
    for (text, expected) in [
        ("", "vms.csv: empty, expected a header line"),
        (
            "vm_id,arrival_s\n",
            "vms.csv: no known trace format has the header \"vm_id,arrival_s\": neutral has also vcpus, ram_mb",
        ),
        (
            "host_id,vcpus,ram_mb,disk_gb\n",
            "vms.csv: no known trace format has the header \"host_id,vcpus,ram_mb,disk_gb\": it is a file of \
             hosts, which --hosts takes",
        ),
        (
            "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor,vcpus\n",
            "vms.csv: the header has the column \"vcpus\" twice",
        ),
    ] {
        assert_eq!(read_bad(text), (0, expected.to_owned()), "{text:?}");
    }
    let (_, error) = read_bad("\n");
    assert!(error.starts_with("vms.csv: no known trace format has the header \"\": "), "{error}");
}

/// What other programs write is read: any identifiers, dates, fractions, quotes, tabs, missing and
/// additional columns.
#[test]
fn forgiving() {
    let text = "vm_id,arrival_s,departure_s,vcpus,mem_gib,team,gpus,gpu_milli,gpu_spec,numa,project,group,policy,host\n\
                \"a, \"\"b\"\"\",2024-05-01T00:00:00Z,2024-05-01 00:00:01.5,0.5,0.1,\"x\ny\",1,460,A|B,2,p,g,affinity,h\n\
                \n\
                c,1714521600,1714521600, 2 ,1.75,,,,,,,,,NULL\n";
    let vms = read_good(text);
    assert_eq!(vms[0].id, "a, \"b\"");
    assert_eq!(vms[0].arrival.0, 1_714_521_600_000_000);
    assert_eq!(vms[0].departure.map(|at| at.0 - vms[0].arrival.0), Some(1_500_000));
    assert_eq!(vms[0].resources, Resources { vcpus: 1, memory_mb: 103, disk_gb: 0 });
    let demands = vms[0].demands.as_deref().unwrap();
    assert_eq!((demands.vcpu_milli, demands.gpus, demands.gpu_milli, demands.numa_cells), (500, 1, 460, 2));
    assert_eq!(demands.gpu_models, ["A", "B"]);
    assert_eq!(
        (demands.project.as_str(), demands.group.as_str(), demands.policy.as_str()),
        ("p", "g", "affinity")
    );
    assert_eq!(demands.host, "h");
    assert_eq!(demands.extra, [("team".into(), "x\ny".into())]);
    assert_eq!(vms[1].departure, Some(vms[1].arrival), "it leaves when it arrives");
    assert_eq!(vms[1].demands, None);

    let tabs = "arrival_s\tvcpus\tram_mb\n0\t1\t512.5\n";
    assert_eq!(read_good(tabs), [vm("0", (0, None), (1, 513, 0), "", None)]);
    assert_eq!(read_good(tabs.replace('\t', ";")), [vm("0", (0, None), (1, 513, 0), "", None)]);
}

/// Rows in any order are sorted, in the order of the file where arrivals are equal.
#[test]
fn rows_in_any_order() {
    let text = format!("{HEADER}b,5,,1,1,1,f\na,1,,1,1,1,f\nc,5,,1,1,1,f\n");
    let (_directory, path) = file("vms.csv", &text);
    let ids: Vec<_> = Trace::open_sorted(&path, None).unwrap().into_iter().map(|vm| vm.id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let (_, error) = drain(Trace::open(&path, None));
    assert!(error.unwrap().to_string().contains("`berth trace import` and"));
}

#[test]
fn bad_rows_name_line_column_and_value() {
    let long = "9".repeat(100);
    let out_of_order = "earlier than the arrival of the row before; `berth trace import` and `berth replay --sort` sort the rows";
    for (row, expected) in [
        ("1,4.999,6,1,1,1,f", &*format!("arrival_s \"4.999\": {out_of_order}")),
        ("1,-5,6,1,1,1,f", "arrival_s \"-5\": negative"),
        ("1,,6,1,1,1,f", "arrival_s \"\": not a number in plain digits"),
        ("1,5e3,6,1,1,1,f", "arrival_s \"5e3\": not a number in plain digits"),
        ("1,2024-02-30,6,1,1,1,f", "arrival_s \"2024-02-30\": not a date and time like 2024-05-01T12:00:00Z"),
        ("1,18446744073710,,1,1,1,f", "arrival_s \"18446744073710\": out of range"),
        ("1,5,4,1,1,1,f", "departure_s \"4\": before the arrival"),
        ("1,5,never,1,1,1,f", "departure_s \"never\": not a number in plain digits"),
        ("1,5,6,,1,1,f", "vcpus \"\": not a number in plain digits"),
        ("1,5,6,1,4294967296,1,f", "ram_mb \"4294967296\": out of range"),
        ("1,5,6,1,1,-1,f", "disk_gb \"-1\": negative"),
        (&format!("1,5,6,{long},1,1,f"), &format!("vcpus \"{}…\": out of range", "9".repeat(60))),
    ] {
        let text = format!("{HEADER}0,5,6,1,1,1,f\n{row}\n");
        assert_eq!(read_bad(&text), (1, format!("vms.csv:3: {expected}")), "{row:?}");
        let text = text.replace('\n', "\r\n");
        assert_eq!(read_bad(&text), (1, format!("vms.csv:3: {expected}")), "CRLF {row:?}");
    }
}

#[test]
fn rows_of_the_wrong_shape() {
    for (row, expected) in [
        ("1,5,6,1,1,1", "vms.csv:3: expected 7 fields, found 6"),
        ("1,5,6,1,1,1,f,g", "vms.csv:3: expected 7 fields, found 8"),
        ("1,5,6,1,1,1,\"f,g\",h", "vms.csv:3: expected 7 fields, found 8"),
        (&",".repeat(70_000), "vms.csv:3: longer than 65536 bytes"),
    ] {
        assert_eq!(read_bad(format!("{HEADER}0,5,6,1,1,1,f\n{row}\n")), (1, expected.to_owned()));
    }
    let broken = format!("{HEADER}0,5,6,1,1,1,\"f\ng\"\n1,5,6,x,1,1,f\n");
    assert_eq!(read_bad(broken), (1, "vms.csv:4: vcpus \"x\": not a number in plain digits".to_owned()));
}

#[test]
fn text_that_is_not_utf8() {
    let mut bytes = HEADER.as_bytes().to_owned();
    bytes.extend_from_slice(b"0,5,6,1,1,1,\xff\xfe\n");
    let expected = "vms.csv:2: flavor \"\u{fffd}\u{fffd}\": not UTF-8";
    assert_eq!(read_bad(bytes), (0, expected.to_owned()));
}

#[test]
fn hosts() {
    let read = |text: &str| {
        let (_directory, path) = file("vms.csv", text);
        neutral::read_hosts(path).map_err(|error| message(&error))
    };
    let host =
        |id: &str, vcpus, memory_mb, disk_gb| TraceHost::new(id, Resources { vcpus, memory_mb, disk_gb });
    assert_eq!(
        read("host_id,vcpus,ram_mb,disk_gb\n0,64,262144,3840\n1,16,32768,0\n"),
        Ok(vec![host("0", 64, 262_144, 3840), host("1", 16, 32_768, 0)])
    );
    assert_eq!(read("disk_gb,host_id,ram_mb,vcpus\r\n1,0,2,3\r\n"), Ok(vec![host("0", 3, 2, 1)]));
    assert_eq!(read("host_id,vcpus,ram_mb,disk_gb\n"), Ok(vec![]));
    for (text, expected) in [
        ("", "vms.csv: empty, expected a header line"),
        ("host_id,vcpus,disk_gb\n", "vms.csv: the header lacks the column \"ram_mb\""),
        ("host_id,vcpus,ram_mb,disk_gb,shelf\n", "vms.csv: the header has an unknown column \"shelf\""),
        (
            "host_id,vcpus,ram_mb,disk_gb\nkvm1,2,3,4\nkvm1,2,3,4\n",
            "vms.csv:3: host_id \"kvm1\": an earlier row has this name",
        ),
        (
            "host_id,vcpus,ram_mb,disk_gb,cpu_ratio\na,2,3,4,0\n",
            "vms.csv:2: cpu_ratio \"0\": must be positive",
        ),
        ("host_id,vcpus,ram_mb,disk_gb\n0,2,3\n", "vms.csv:2: expected 4 fields, found 3"),
        ("host_id,vcpus,ram_mb,disk_gb\n0,2,x,4\n", "vms.csv:2: ram_mb \"x\": not a number in plain digits"),
    ] {
        assert_eq!(read(text), Err(expected.to_owned()));
    }
}

#[test]
fn what_the_format_cannot_hold_is_not_written() {
    let (_directory, path) = file("vms.csv", "");
    let good = vm("a", (1000, Some(2000)), (1, 1, 1), "f", Some(7));
    for (bad, expected) in [
        (Vm { arrival: berth_traces::Micros(1001), ..good.clone() }, "times finer than a millisecond"),
        (Vm { flavor: "a,b".into(), ..good.clone() }, "a comma, quote or line end in a flavor"),
    ] {
        let error = neutral::write_vms(&path, [Ok(good.clone()), Ok(bad)]).unwrap_err();
        assert_eq!(error.to_string(), format!("VM \"a\": the neutral format cannot hold {expected}"));
    }
    let broken = TraceError::Empty { path: path.clone() };
    let error = neutral::write_vms(&path, [Err(broken)]).unwrap_err();
    assert!(message(&error).ends_with("vms.csv: empty, expected a header line"));
    let error = neutral::write_hosts(path.join("below"), &[]).unwrap_err();
    assert!(error.to_string().ends_with("vms.csv/below: cannot be written"));
}

prop_compose! {
    fn vms()(
        drafts in prop::collection::vec(
            (0_u64..100_000, prop::option::of(1_u64..1_000_000_000), any::<[u32; 3]>(), "[^,\"\r\n]{0,30}"),
            0..50,
        ),
    ) -> Vec<Vm> {
        let mut millis = 0;
        drafts.into_iter().enumerate().map(|(id, (gap, lifetime, [vcpus, memory, disk], flavor))| {
            millis += gap;
            let span = (millis * 1000, lifetime.map(|lifetime| (millis + lifetime) * 1000));
            vm(&id.to_string(), span, (vcpus, memory, disk), &flavor, None)
        }).collect()
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(vms in vms()) {
        let (_directory, path) = file("vms.csv", "");
        let written = neutral::write_vms(&path, vms.iter().cloned().map(Ok)).unwrap();
        prop_assert_eq!(written, vms.len() as u64);
        let (read, error) = drain(Trace::open(&path, None));
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(read, vms);
    }

    #[test]
    fn hosts_that_are_written_are_read(capacities: Vec<[u32; 3]>) {
        let hosts: Vec<TraceHost> = capacities.iter().enumerate().map(|(id, &[vcpus, memory_mb, disk_gb])| {
            TraceHost::new(id.to_string(), Resources { vcpus, memory_mb, disk_gb })
        }).collect();
        let (_directory, path) = file("hosts.csv", "");
        neutral::write_hosts(&path, &hosts).unwrap();
        prop_assert_eq!(neutral::read_hosts(&path).unwrap(), hosts);
    }
}

/// Zones, aggregates, traits, batches and extra specs come in columns of their own, which may be
/// missing.
#[test]
fn labels_and_demands() {
    let hosts = "host_id,vcpus,ram_mb,disk_gb,traits,zone,aggregates\n0,1,2,3,HW_A; CUSTOM_B,az1,ssd=true;rack=7\n1,1,2,3,,,\n";
    let (_directory, path) = file("hosts.csv", hosts);
    let hosts = neutral::read_hosts(path).unwrap();
    let pair = |key: &str, value: &str| (key.into(), value.into());
    assert_eq!(hosts[0].zone, "az1");
    assert_eq!(hosts[0].traits, ["HW_A", "CUSTOM_B"]);
    assert_eq!(hosts[0].aggregates, [pair("ssd", "true"), pair("rack", "7")]);
    assert_eq!(hosts[1], TraceHost::new("1", Resources { vcpus: 1, memory_mb: 2, disk_gb: 3 }));

    let header = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor,batch,zone,extra_specs\n";
    let vms = format!("{header}0,1,,1,1,1,f,7,az1,trait:X=required\n1,1,,1,1,1,f,,,\n");
    let (_directory, path) = file("vms.csv", &vms);
    let vms: Vec<Vm> = Trace::open(path, None).unwrap().map(Result::unwrap).collect();
    let demands = vms[0].demands.as_deref().unwrap();
    assert_eq!((vms[0].batch, demands.zone.as_str()), (BatchNumber::new(7), "az1"));
    assert_eq!(demands.extra_specs, [pair("trait:X", "required")]);
    assert_eq!((vms[1].batch, &vms[1].demands), (None, &None));

    // What is written with everything is read back.
    let named = TraceHost {
        zone: "az,1".into(),
        gpus: 2,
        gpu_model: "A100".into(),
        cpu_ratio_milli: 1_500,
        memory_ratio_milli: 1_000,
        ..TraceHost { id: "kvm-7.example".into(), ..hosts[0].clone() }
    };
    let all = [named, TraceHost::new("kvm-8", Resources { vcpus: 1, memory_mb: 2, disk_gb: 3 })];
    let (_directory, path) = file("hosts.csv", "");
    neutral::write_fleet(&path, &all).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("host_id,vcpus,ram_mb,disk_gb,zone,aggregates,traits,gpus,gpu_model,cpu_ratio,")
    );
    assert!(text.contains(",1.5,1\n"), "{text}");
    assert_eq!(neutral::read_hosts(&path).unwrap(), all);

    let (_directory, path) = file("hosts.csv", "host_id,vcpus,ram_mb,disk_gb,aggregates\n0,1,2,3,ssd\n");
    let error = message(&neutral::read_hosts(path).unwrap_err());
    assert!(error.contains("aggregates") && error.contains("key=value"), "{error}");
}
