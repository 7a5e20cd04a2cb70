//! UUIDs as clients spell them.

use uuid::Uuid;

/// The UUID that a text spells in one of the ways that OpenStack's libraries read: digits of either
/// case, dashes anywhere or nowhere, in braces or as a URN.
pub(crate) fn read(text: &str) -> Option<Uuid> {
    const DIGITS: usize = 32;
    if let Ok(uuid) = Uuid::try_parse(text) {
        return Some(uuid);
    }
    let bare = text.replace("urn:", "").replace("uuid:", "");
    let digits = bare.trim_matches(['{', '}']).replace('-', "");
    let is_uuid = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_uuid.then(|| Uuid::try_parse(&digits).ok()).flatten()
}

/// The UUID that a text spells with its dashes in their places.
pub(crate) fn read_dashed(text: &str) -> Option<Uuid> {
    const LENGTH: usize = 36;
    Uuid::try_parse(text).ok().filter(|_| text.len() == LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "a1b2c3d4-0000-4000-8000-00000000000e";

    #[test]
    fn every_spelling_is_the_same_uuid() {
        let uuid = Uuid::try_parse(PLAIN).ok();
        let (capitals, bare) = (PLAIN.to_uppercase(), PLAIN.replace('-', ""));
        for text in [
            PLAIN.to_owned(),
            format!("{{{PLAIN}}}"),
            format!("{{{bare}"),
            format!("urn:uuid:{PLAIN}"),
            format!("uuid:{bare}"),
            PLAIN.replacen('-', "", 2),
            format!("-{bare}-"),
            capitals,
            bare,
        ] {
            assert_eq!(read(&text), uuid, "{text}");
        }
    }

    #[test]
    fn what_is_no_uuid_is_none() {
        let bare = PLAIN.replace('-', "");
        for text in
            ["", "pony", &bare[1..], &format!("{bare}0"), &format!("0x{}", &bare[2..]), &format!(" {bare}")]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn dashes_can_be_required() {
        assert!(read_dashed(PLAIN).is_some() && read_dashed(&PLAIN.to_uppercase()).is_some());
        for text in [PLAIN.replace('-', ""), format!("{{{PLAIN}}}"), format!("urn:uuid:{PLAIN}")] {
            assert_eq!(read_dashed(&text), None, "{text}");
        }
    }
}
