//! The URI of the libvirtd that receives a guest.

use crate::Fault;

/// Checks the URI of the target's libvirtd, which this host's libvirtd connects to. The target has
/// chosen it, and libvirt's transports take programs to run as parameters.
pub(super) fn check(uri: &str) -> Result<(), Fault> {
    match is_sound(uri) {
        Some(true) => Ok(()),
        _ => Err(Fault::permanent(format!("the target's libvirt URI is refused: {uri:?}"))),
    }
}

fn is_sound(uri: &str) -> Option<bool> {
    let (scheme, rest) = uri.split_once("://")?;
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let (authority, path) = place.split_once('/')?;
    let is_sound = match scheme {
        "qemu+unix" => authority.is_empty() && query.is_none_or(names_socket),
        "qemu+tls" | "qemu+ssh" | "qemu+tcp" => query.is_none() && names_host(authority),
        _ => false,
    };
    Some(is_sound && ["system", "session"].contains(&path))
}

fn names_socket(query: &str) -> bool {
    query.starts_with("socket=/") && !query.contains(['&', '%'])
}

/// Whether it is a host, with or without a user before and a port behind it. `ssh` takes what
/// begins with a hyphen for an option.
fn names_host(authority: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('-') && part.chars().all(is_plain);
    authority.splitn(2, '@').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_uri_of_a_target_runs_a_program_here() {
        for sound in [
            "qemu+tls://compute-7/system",
            "qemu+tls://[2001:db8::7]:16514/system",
            "qemu+ssh://berth@compute-7.example.org/system",
            "qemu+unix:///system?socket=/run/h2/libvirt-sock",
            "qemu+unix:///session",
        ] {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        for refused in [
            "",
            "qemu:///system",
            "test:///default",
            "qemu+ext:///system?command=/tmp/x",
            "qemu+ext://host/system",
            "qemu+ssh://host/system?command=/tmp/x",
            "qemu+ssh://host/system?netcat=/tmp/x",
            "qemu+ssh://-oProxyCommand=x/system",
            "qemu+ssh://a@-oProxyCommand=x/system",
            "qemu+ssh://a b/system",
            "qemu+ssh:///system",
            "qemu+tls://host/system?pkipath=/tmp",
            "qemu+unix:///system?socket=/run/x&command=/tmp/x",
            "qemu+unix:///system?command=/tmp/x",
            "qemu+tls://host/embed",
        ] {
            let fault = check(refused).expect_err("it is refused");
            assert!(fault.message.contains("libvirt URI"), "{refused}: {fault}");
        }
    }
}
