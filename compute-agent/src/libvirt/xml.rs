//! Writing XML.

use std::fmt::{self, Display, Formatter, Write};

/// An element with its attributes and children. Text and attributes are escaped when it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: Vec<Node>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), content: Vec::new() }
    }

    pub(super) fn attribute(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    pub(super) fn text(mut self, text: impl Display) -> Self {
        self.content.push(Node::Text(text.to_string()));
        self
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.content.push(Node::Element(child));
        self
    }

    pub(super) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.content.extend(children.into_iter().map(Node::Element));
        self
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"{}\"", Escaped(value))?;
        }
        if self.content.is_empty() {
            return f.write_str("/>");
        }
        f.write_char('>')?;
        for node in &self.content {
            match node {
                Node::Element(element) => element.fmt(f)?,
                Node::Text(text) => Escaped(text).fmt(f)?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // An XML reader replaces them in attributes by spaces unless they are escaped.
            '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(c)),
            // XML cannot represent these.
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}'),
            _ => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_nest() {
        let disk = Element::new("disk").attribute("type", "file").child(Element::new("target"));
        let devices = Element::new("devices").children([disk]).child(Element::new("emulator").text("/bin/q"));
        let expected = r#"<devices><disk type="file"><target/></disk><emulator>/bin/q</emulator></devices>"#;
        assert_eq!(devices.to_string(), expected);
    }

    proptest! {
        /// Whatever a user calls an instance, a reader of XML gets the same text, but for
        /// characters that XML cannot hold.
        #[test]
        fn a_reader_gets_back_what_was_written(text in any::<String>()) {
            let written = Element::new("a").attribute("b", &text).child(Element::new("c").text(&text)).to_string();
            let document = roxmltree::Document::parse(&written).expect("well-formed");
            let representable = |c: char| match c {
                '\t' | '\n' | '\r' => c,
                '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
                _ => c,
            };
            let expected: String = text.chars().map(representable).collect();
            let root = document.root_element();
            prop_assert_eq!(root.attribute("b"), Some(expected.as_str()));
            prop_assert_eq!(root.first_element_child().and_then(|c| c.text()).unwrap_or_default(), expected);
        }
    }
}
