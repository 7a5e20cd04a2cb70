//! Bounds of messages, generated from their descriptors: one `impl Bounded` for each message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Characters of a text: those of Placement's and Nova's names.
const TEXT: usize = 255;

/// Elements of a list.
const ELEMENTS: usize = 10_000;

/// Entries of a map: resource classes of a provider. Maps of texts have those of Nova's metadata.
const ENTRIES: usize = 4_096;
const TEXTS: usize = 128;

/// Other bounds of texts, by message and field; `*` is every message.
const OTHERS: [(&str, &str, usize); 11] = [
    ("*", "page_token", 4_096),
    ("*", "user_data", 65_536),
    ("CreateKeyPairRequest", "public_key", 16_384),
    // The service has a bound of its own, which is a setting.
    ("FindCandidatesRequest", "query", 1 << 23),
    // Each claim stands alone: one with a longer text is refused by itself.
    ("ConsumerClaim", "consumer", 1_024),
    ("ConsumerClaim", "project", 1_024),
    ("ConsumerClaim", "user", 1_024),
    ("ConsumerClaim", "consumer_type", 1_024),
    // Errors of hypervisors.
    ("GuestReport", "error", 16_384),
    ("ConsoleReply", "error", 16_384),
    ("ConsoleReply", "output", 65_536),
];

const PACKAGE: &str = ".berth.v1.";

/// The source of all implementations.
pub(crate) fn implementations(set: &FileDescriptorSet) -> String {
    let files = set.file.iter().filter(|file| file.package() == "berth.v1");
    let messages: BTreeMap<&str, &DescriptorProto> =
        files.clone().flat_map(|file| &file.message_type).map(|message| (message.name(), message)).collect();
    let methods = files.flat_map(|file| &file.service).flat_map(|service| &service.method);
    let mut received = BTreeSet::new();
    methods.for_each(|method| receive(&messages, local(method.input_type()), &mut received));
    let mut source = String::new();
    for (name, message) in &messages {
        let (checks, shape) = if received.contains(name) {
            (checks(message), format!("Some({})", shape(&messages, message, 0)))
        } else {
            (String::new(), "None".to_owned())
        };
        write!(
            source,
            "impl crate::bounds::Bounded for {name} {{\n\
             fn shape() -> Option<&'static crate::elements::MessageShape> {{\n{shape}\n}}\n\
             fn check(&self) -> Result<(), crate::bounds::Violation> {{\n{checks}Ok(())\n}}\n}}\n"
        )
        .expect("a string takes everything");
    }
    source
}

/// Notes a message that the service receives, and those in it.
fn receive<'a>(
    messages: &BTreeMap<&'a str, &'a DescriptorProto>,
    name: &'a str,
    received: &mut BTreeSet<&'a str>,
) {
    if !received.insert(name) {
        return;
    }
    let Some(message) = messages.get(name) else { panic!("{name} is a message of the package") };
    let entries = message.nested_type.iter().flat_map(|entry| &entry.field);
    for field in message.field.iter().chain(entries) {
        if field.r#type() == Type::Message && entry(message, field).is_none() {
            receive(messages, local(field.type_name()), received);
        }
    }
}

/// The shape of a message, as an expression. An entry of a map is a message; without messages in
/// it, it counts as one element.
fn shape(messages: &BTreeMap<&str, &DescriptorProto>, message: &DescriptorProto, depth: usize) -> String {
    assert!(depth < 16, "{} may contain itself, so that counting its elements has no end", message.name());
    let nested = message.field.iter().filter(|field| field.r#type() == Type::Message).filter_map(|field| {
        let inner = match entry(message, field) {
            Some(entry) if entry.field.iter().all(|field| field.r#type() != Type::Message) => return None,
            Some(entry) => entry,
            None => messages.get(local(field.type_name()))?,
        };
        Some(format!("({}, {}), ", field.number(), shape(messages, inner, depth + 1)))
    });
    format!("&crate::elements::MessageShape {{ nested: &[{}] }}", nested.collect::<String>())
}

fn local(name: &str) -> &str {
    name.strip_prefix(PACKAGE).unwrap_or_else(|| panic!("{name} is of another package"))
}

/// The type of a map's entries.
fn entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    let is_entry = |nested: &&DescriptorProto| {
        nested.name() == name && nested.options.as_ref().is_some_and(|options| options.map_entry())
    };
    message.nested_type.iter().find(is_entry)
}

fn checks(message: &DescriptorProto) -> String {
    message.field.iter().filter_map(|field| Some(check(message, field)? + "?;\n")).collect()
}

/// The check of a field; nothing for a number.
fn check(message: &DescriptorProto, field: &FieldDescriptorProto) -> Option<String> {
    let (name, most) = (field.name(), most(message.name(), field.name()));
    let bounds = "crate::bounds::";
    if let Some(entry) = entry(message, field) {
        let value = entry.field.iter().find(|field| field.name() == "value")?;
        let (entries, check) = match value.r#type() {
            Type::String => (TEXTS, format!("|value| {bounds}text(\"\", value, {most})")),
            Type::Message => {
                let entries = if local(value.type_name()) == "Hints" { TEXTS } else { ENTRIES };
                (entries, "crate::bounds::Bounded::check".to_owned())
            }
            _ => (ENTRIES, "|_| Ok(())".to_owned()),
        };
        return Some(format!("{bounds}map(\"{name}\", &self.{name}, ({entries}, {most}), {check})"));
    }
    let is_list = field.label() == Label::Repeated;
    if let (Some(oneof), false) = (field.oneof_index, field.proto3_optional()) {
        let oneof = message.oneof_decl[usize::try_from(oneof).ok()?].name();
        let check = match field.r#type() {
            Type::String => format!("{bounds}text(\"{name}\", value, {most})"),
            Type::Message => format!("{bounds}message(\"{name}\", Some(value))"),
            _ => return None,
        };
        let (module, kind, variant) = (snake(message.name()), camel(oneof), camel(name));
        return Some(format!(
            "match &self.{oneof} {{ Some({module}::{kind}::{variant}(value)) => {check}, _ => Ok(()) }}"
        ));
    }
    Some(match (field.r#type(), is_list) {
        (Type::String, false) if field.proto3_optional() => {
            format!("{bounds}text(\"{name}\", self.{name}.as_deref().unwrap_or_default(), {most})")
        }
        (Type::String, false) => format!("{bounds}text(\"{name}\", &self.{name}, {most})"),
        (Type::String, true) => format!("{bounds}texts(\"{name}\", &self.{name}, {ELEMENTS}, {most})"),
        (Type::Bytes, false) => format!("{bounds}bytes(\"{name}\", &self.{name}, {most})"),
        (Type::Message, false) => format!("{bounds}message(\"{name}\", self.{name}.as_ref())"),
        (Type::Message, true) => format!("{bounds}messages(\"{name}\", &self.{name}, {ELEMENTS})"),
        (Type::Bytes, true) => panic!("{name}: lists of bytes have no bounds yet"),
        (_, true) => panic!("{name}: lists of numbers have no bounds yet, nor are their elements counted"),
        _ => return None,
    })
}

fn most(message: &str, field: &str) -> usize {
    let other = OTHERS.iter().find(|(of, name, _)| (*of == "*" || *of == message) && *name == field);
    other.map_or(TEXT, |(.., most)| *most)
}

/// `FooBar` as `foo_bar`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `foo_bar` as `FooBar`.
fn camel(name: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('_').map(capital).collect()
}
