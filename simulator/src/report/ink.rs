//! The colours of the charts, in both colour schemes.
//!
//! A chart is drawn in the light colours, which the SVG has as attributes. The style sheet of the page replaces each
//! by its variable, so one drawing serves both schemes. The data colours follow Okabe and Ito's palette, which stays
//! apart for every common form of colour blindness; a third line is dashed as well, for prints without colour.

use std::fmt::Write;

use plotters::style::RGBColor;

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
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
    /// As the style sheet calls it.
    pub(super) const fn name(self) -> &'static str {
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

    /// On white. No two are equal: the style sheet tells them apart by it.
    const fn light(self) -> u32 {
        match self {
            Self::First => 0x00_72_B2,
            Self::Second => 0xD5_5E_00,
            Self::Third => 0x00_8A_64,
            Self::Fourth => 0xA2_3B_7F,
            Self::Reference => 0x5F_6B_7A,
            Self::Grid => 0xE3_E7_EC,
            Self::Axis => 0x9A_A5_B1,
            Self::Text => 0x4A_55_65,
        }
    }

    /// On near black.
    const fn dark(self) -> u32 {
        match self {
            Self::First => 0x56_B4_E9,
            Self::Second => 0xF0_8A_3C,
            Self::Third => 0x3F_CF_A0,
            Self::Fourth => 0xE2_8F_C2,
            Self::Reference => 0x9A_A7_B8,
            Self::Grid => 0x33_3D_4A,
            Self::Axis => 0x5B_67_78,
            Self::Text => 0xB4_BF_CD,
        }
    }

    /// For drawing.
    pub(super) const fn color(self) -> RGBColor {
        let [_, red, green, blue] = self.light().to_be_bytes();
        RGBColor(red, green, blue)
    }
}

/// The part of the style sheet that dresses the charts.
pub(super) fn style() -> String {
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
