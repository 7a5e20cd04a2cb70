use crate::{read_bad, read_good, vm};

const HEADER: &str =
    "vm_id,arrival_s,departure_s,vcpus,mem_gib,flavor,batch,dur_lo_s,dur_hi_s,censored,split\n";

#[test]
fn good_rows() {
    let rows = "\
a-0,2100000,2100900,8.0,14.0,m,0,900,900,0,test
a-1,2100000,2100000,1.0,1.75,b,0,0,0,0,test
a-2,2100300,,1,0.7501,a,18446744073709551614,300,300,1,test
";
    let second = 1_000_000;
    let expected = [
        vm("a-0", (2_100_000 * second, Some(2_100_900 * second)), (8, 14_336, 0), "m", Some(0)),
        // Departs within the grid step of its arrival.
        vm("a-1", (2_100_000 * second, Some(2_100_000 * second)), (1, 1792, 0), "b", Some(0)),
        // 768.1 MiB, rounded up.
        vm("a-2", (2_100_300 * second, None), (1, 769, 0), "a", Some(u64::MAX - 1)),
    ];
    let text = format!("{HEADER}{rows}");
    assert_eq!(read_good(&text), expected);
    assert_eq!(read_good(text.replace('\n', "\r\n")), expected, "CRLF");
    let without_split = text.replace(",split", "").replace(",test", "");
    assert_eq!(read_good(without_split), expected, "no split");
}

#[test]
fn bad_headers() {
    let text = HEADER.replace("censored", "cpu_avg");
    assert_eq!(read_bad(text), (0, "vms.csv: the header has an unknown column \"cpu_avg\"".to_owned()));
}

#[test]
fn bad_rows_name_line_column_and_value() {
    for (row, expected) in [
        (",300,600,1.0,1.75,b,0", "vm_id \"\": empty"),
        (
            "x,299,600,1.0,1.75,b,0",
            "arrival_s \"299\": earlier than the arrival of the row before; `berth trace import` and `berth replay --sort` sort the rows",
        ),
        ("x,300,299,1.0,1.75,b,0", "departure_s \"299\": before the arrival"),
        ("x,300,never,1.0,1.75,b,0", "departure_s \"never\": not a number in plain digits"),
        ("x,300,600,0.5,1.75,b,0", "vcpus \"0.5\": not a whole number"),
        ("x,300,600,0.0,1.75,b,0", "vcpus \"0.0\": must be positive"),
        ("x,300,600,4294967296.0,1.75,b,0", "vcpus \"4294967296.0\": out of range"),
        ("x,300,600,1.0,-1.75,b,0", "mem_gib \"-1.75\": negative"),
        ("x,300,600,1.0,4194304,b,0", "mem_gib \"4194304\": out of range"),
        ("x,300,600,1.0,18446744073709.551615,b,0", "mem_gib \"18446744073709.551615\": out of range"),
        ("x,300,600,1.0,1.75,b,18446744073709551615", "batch \"18446744073709551615\": out of range"),
        ("x,300,600,1.0,1.75,b,", "batch \"\": not a number in plain digits"),
        (
            "x,300,600,1.0,1.75,b,1.0",
            "batch \"1.0\": not a whole number, which is written without a decimal point",
        ),
    ] {
        let text = format!("{HEADER}a,300,600,1.0,1.75,b,0,0,0,0,test\n{row},0,0,0,test\n");
        assert_eq!(read_bad(text), (1, format!("vms.csv:3: {expected}")), "{row:?}");
    }
    let short = format!("{HEADER}a,300,600\n");
    assert_eq!(read_bad(short), (0, "vms.csv:2: expected 11 fields, found 3".to_owned()));
}
