//! The colours of the charts, in both colour schemes.
//!
//! A chart is drawn in the light colours, which are attributes of the SVG. The style sheet of the
//! page maps each of them to a variable, so one drawing serves both schemes. The data colours are
//! Okabe and Ito's palette, which is distinguishable under every common form of colour blindness; a
//! third line is also dashed, for prints without colour.

use std::fmt::Write;

use plotters::style::RGBColor;

/// The purpose of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    First,
    Second,
    Third,
    Fourth,
    Reference,
    Grid,
    Axis,
    Text,
}

const ALL: [Ink; 8] =
    [Ink::First, Ink::Second, Ink::Third, Ink::Fourth, Ink::Reference, Ink::Grid, Ink::Axis, Ink::Text];

impl Ink {
    /// Its name in the style sheet.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
            Self::Fourth => "fourth",
            Self::Reference => "reference",
            Self::Grid => "grid",
            Self::Axis => "axis",
            Self::Text => "text",
        }
    }

    /// The colour on white. All differ, because the style sheet identifies them by value.
    const fn light(self) -> u32 {
        match self {
            Self::First => 0x0072B2,
            Self::Second => 0xD55E00,
            Self::Third => 0x008A64,
            Self::Fourth => 0xA23B7F,
            Self::Reference => 0x5F6B7A,
            Self::Grid => 0xE3E7EC,
            Self::Axis => 0x9AA5B1,
            Self::Text => 0x4A5565,
        }
    }

    /// The colour on near black.
    const fn dark(self) -> u32 {
        match self {
            Self::First => 0x56B4E9,
            Self::Second => 0xF08A3C,
            Self::Third => 0x3FCFA0,
            Self::Fourth => 0xE28FC2,
            Self::Reference => 0x9AA7B8,
            Self::Grid => 0x333D4A,
            Self::Axis => 0x5B6778,
            Self::Text => 0xB4BFCD,
        }
    }

    /// The colour as an attribute of SVG.
    pub(crate) fn hex(self) -> String {
        format!("#{:06X}", self.light())
    }

    /// The colour for drawing.
    pub(super) const fn color(self) -> RGBColor {
        let [_, red, green, blue] = self.light().to_be_bytes();
        RGBColor(red, green, blue)
    }
}

/// The chart rules of the style sheet.
pub(crate) fn style() -> String {
    let mut css = String::new();
    let _ = writeln!(css, ":root{{{}}}", variables(Ink::light));
    let _ =
        writeln!(css, "@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}", variables(Ink::dark));
    for ink in ALL {
        let (name, light) = (ink.name(), ink.light());
        for attribute in ["stroke", "fill"] {
            let _ = writeln!(css, ".plot [{attribute}=\"#{light:06X}\"]{{{attribute}:var(--ink-{name})}}");
        }
        let _ = writeln!(css, ".swatch.{name}{{color:var(--ink-{name})}}");
    }
    for (ink, dashes) in [(Ink::Third, "26 10"), (Ink::Reference, "14 12")] {
        let _ = writeln!(css, ".plot polyline[stroke=\"#{:06X}\"]{{stroke-dasharray:{dashes}}}", ink.light());
    }
    css
}

fn variables(scheme: impl Fn(Ink) -> u32) -> String {
    ALL.iter().fold(String::new(), |mut css, &ink| {
        let _ = write!(css, "--ink-{}:#{:06X};", ink.name(), scheme(ink));
        css
    })
}
