//! The paths in the definition of a guest that is sent to another host.

use std::path::Path;

use berth_api::v1::MigrationTarget;

/// The directories of a host and those of another. What is in one of the former is in the latter
/// there.
pub(super) struct MovedPaths<'a> {
    /// The directories of guests and of images.
    pub(super) from: [&'a Path; 2],
    pub(super) to: &'a MigrationTarget,
}

impl MovedPaths<'_> {
    /// The definition of a domain for the other host.
    pub(super) fn rewrite(&self, definition: &str) -> String {
        let to = [&self.to.instances_directory, &self.to.images_directory];
        let mut rest = definition;
        let mut written = String::with_capacity(definition.len());
        let moves: Vec<(String, String)> =
            self.from.iter().zip(to).flat_map(|(from, to)| both(from, to)).collect();
        while !rest.is_empty() {
            let first = moves.iter().filter_map(|(from, to)| Some((rest.find(from)?, from, to))).min();
            let Some((at, from, to)) = first else { break };
            written.push_str(&rest[..at]);
            written.push_str(to);
            rest = &rest[at + from.len()..];
        }
        written + rest
    }
}

/// A path begins where an attribute or a text does.
fn both(from: &Path, to: &str) -> impl Iterator<Item = (String, String)> {
    let [from, to] = [escaped(&from.to_string_lossy()), escaped(to.trim_end_matches('/'))];
    ['\'', '"', '>'].into_iter().map(move |start| (format!("{start}{from}/"), format!("{start}{to}/")))
}

/// Text as libvirt writes it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_both_directories_are_those_of_the_other_host() {
        let to = MigrationTarget {
            instances_directory: "/srv/a&b/".to_owned(),
            images_directory: "/img".to_owned(),
            ..MigrationTarget::default()
        };
        let moved = MovedPaths { from: [Path::new("/var/i"), Path::new("/var/i/images")], to: &to };
        let definition = "<source file='/var/i/7/disk.qcow2'/><kernel>/var/i/images/k</kernel><title>see /var/i/7</title>\
                          <source path=\"/var/i/7/console.log\"/><emulator>/usr/bin/q</emulator><x>/var/images</x>";
        let expected = "<source file='/srv/a&amp;b/7/disk.qcow2'/><kernel>/srv/a&amp;b/images/k</kernel>\
                        <title>see /var/i/7</title><source path=\"/srv/a&amp;b/7/console.log\"/>\
                        <emulator>/usr/bin/q</emulator><x>/var/images</x>";
        assert_eq!(moved.rewrite(definition), expected);
        let apart = MovedPaths { from: [Path::new("/var/i"), Path::new("/var/images")], to: &to };
        assert_eq!(apart.rewrite("<x>/var/images/k</x>"), "<x>/img/k</x>");
    }
}
