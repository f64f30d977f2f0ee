//! Themes as files: what every role looks like, in three depths of colour and in none.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr as _};

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

use super::{Depth, Role};

/// One style a role, by [`Role::index`].
pub(super) type Styles = [Style; Role::ALL.len()];

/// The built-in themes.
const BUILT_IN: [(&str, &str); 5] = [
    ("dark", include_str!("../../../config/themes/dark.toml")),
    ("light", include_str!("../../../config/themes/light.toml")),
    ("high-contrast", include_str!("../../../config/themes/high-contrast.toml")),
    ("ansi16", include_str!("../../../config/themes/ansi16.toml")),
    ("mono", include_str!("../../../config/themes/mono.toml")),
];

/// Why a theme cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// There is neither a built-in theme nor a file of this name.
    #[error("failed to read the theme `{name}`: it is none of {}, and no file", built_in())]
    Unreadable {
        /// What was asked for.
        name: PathBuf,
        /// Why it is no file.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, or says what a theme cannot say.
    #[error("failed to read the theme `{name}`: {source}")]
    Invalid {
        /// Which.
        name: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A role is missing.
    #[error("failed to read the theme `{name}`: it does not say how `{role}` looks")]
    Missing {
        /// Which.
        name: PathBuf,
        /// The role.
        role: String,
    },
    /// A colour is none.
    #[error("failed to read the theme `{name}`: `{paint}` is no colour here: {wanted}")]
    Paint {
        /// Which.
        name: PathBuf,
        /// As written.
        paint: String,
        /// What is wanted.
        wanted: &'static str,
    },
}

fn built_in() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the colours were chosen for, `#rrggbb`; the program does not set it.
    #[serde(default, rename = "background")]
    _background: Option<String>,
    roles: BTreeMap<Role, Look>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    fg: Option<Paint>,
    bg: Option<Paint>,
    #[serde(default)]
    style: Vec<Emphasis>,
    #[serde(default)]
    mono: Vec<Emphasis>,
}

/// `"red"` for all depths, or `["#ff6b64", 203, "light-red"]`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paint {
    Name(String),
    Depths(String, u8, String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Emphasis {
    Bold,
    Dim,
    Underlined,
    Reversed,
}

/// A theme that has been read: colours for every depth. It is handed on by its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Palette {
    name: String,
    looks: Vec<[Style; 4]>,
}

impl Palette {
    /// A built-in theme by its name, or a file.
    ///
    /// # Errors
    /// [`ThemeError`], with what is wanted instead.
    pub fn load(name: &str) -> Result<Self, ThemeError> {
        let known = BUILT_IN.into_iter().find(|(known, _)| *known == name);
        let text = match known {
            Some((_, text)) => text.to_owned(),
            None => {
                std::fs::read_to_string(name).map_err(|source| ThemeError::Unreadable { name: name.into(), source })?
            }
        };
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, ThemeError> {
        let file: File = toml::from_str(text)
            .map_err(|source| ThemeError::Invalid { name: name.into(), source: Box::new(source) })?;
        let look = |role: Role| {
            let missing = || ThemeError::Missing { name: name.into(), role: format!("{role:?}").to_lowercase() };
            let look = file.roles.get(&role).ok_or_else(missing)?;
            let mut styles = [Style::new(); 4];
            for (style, depth) in styles.iter_mut().zip(Depth::ALL) {
                *style = look.style(name, depth)?;
            }
            Ok(styles)
        };
        let looks: Result<_, ThemeError> = Role::ALL.into_iter().map(look).collect();
        Ok(Self { name: name.to_owned(), looks: looks? })
    }

    /// The styles of all roles for a terminal of this depth.
    pub(super) fn styles(&self, depth: Depth) -> Styles {
        Role::ALL.map(|role| self.looks.get(role.index()).map_or_else(Style::new, |styles| styles[depth as usize]))
    }
}

impl TryFrom<String> for Palette {
    type Error = ThemeError;

    fn try_from(name: String) -> Result<Self, ThemeError> {
        Self::load(&name)
    }
}

impl From<Palette> for String {
    fn from(palette: Palette) -> Self {
        palette.name
    }
}

impl Look {
    fn style(&self, name: &str, depth: Depth) -> Result<Style, ThemeError> {
        let modifier = |list: &[Emphasis]| list.iter().fold(Modifier::empty(), |all, one| all | one.modifier());
        let style = Style::new().add_modifier(modifier(&self.style));
        if depth == Depth::Mono {
            return Ok(style.add_modifier(modifier(&self.mono)));
        }
        let color = |paint: &Option<Paint>| paint.as_ref().map(|paint| paint.color(name, depth)).transpose();
        let style = color(&self.fg)?.map_or(style, |fg| style.fg(fg));
        Ok(color(&self.bg)?.map_or(style, |bg| style.bg(bg)))
    }
}

impl Emphasis {
    const fn modifier(self) -> Modifier {
        match self {
            Self::Bold => Modifier::BOLD,
            Self::Dim => Modifier::DIM,
            Self::Underlined => Modifier::UNDERLINED,
            Self::Reversed => Modifier::REVERSED,
        }
    }
}

impl Paint {
    fn color(&self, name: &str, depth: Depth) -> Result<Color, ThemeError> {
        let wrong = |paint: &str, wanted| ThemeError::Paint { name: name.into(), paint: paint.to_owned(), wanted };
        let named = |text: &str| match Color::from_str(text) {
            Ok(Color::Rgb(..) | Color::Indexed(_)) | Err(_) => {
                Err(wrong(text, "a name of the sixteen, such as `light-red`, or [\"#rrggbb\", index, \"name\"]"))
            }
            Ok(color) => Ok(color),
        };
        match (self, depth) {
            (Self::Name(text), _) => named(text),
            (Self::Depths(_, _, text), Depth::Ansi16 | Depth::Mono) => named(text),
            (Self::Depths(_, index, _), Depth::Ansi256) => Ok(Color::Indexed(*index)),
            (Self::Depths(text, _, _), Depth::True) => match Color::from_str(text) {
                Ok(color @ Color::Rgb(..)) => Ok(color),
                _ => Err(wrong(text, "`#rrggbb` comes first")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2).
    fn luminance(color: Color) -> f64 {
        let Color::Rgb(r, g, b) = color else { panic!("{color:?} has no 24 bits") };
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: Color, b: Color) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_built_in_theme_is_whole_at_every_depth() {
        for (name, text) in BUILT_IN {
            let palette = Palette::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            for depth in Depth::ALL {
                for (role, style) in Role::ALL.into_iter().zip(palette.styles(depth)) {
                    let colours = [style.fg, style.bg].into_iter().flatten();
                    let beyond = |color: &Color| matches!(color, Color::Rgb(..) | Color::Indexed(_));
                    let fits = match depth {
                        Depth::Mono => colours.count() == 0,
                        Depth::Ansi16 => !colours.into_iter().any(|color| beyond(&color)),
                        _ => true,
                    };
                    assert!(fits, "{name}: {role:?} at {depth:?}: {style:?}");
                }
            }
        }
    }

    #[test]
    fn words_can_be_read_against_their_background() {
        for (name, least) in [("dark", 4.5), ("light", 4.5), ("high-contrast", 7.0)] {
            let text = BUILT_IN.into_iter().find(|(known, _)| *known == name).unwrap().1;
            let file: File = toml::from_str(text).unwrap();
            let background = Color::from_str(file._background.as_deref().unwrap()).unwrap();
            let lines = [Role::Line, Role::ProductionLine, Role::StagingLine];
            let styles = Palette::load(name).unwrap().styles(Depth::True);
            for role in Role::ALL.into_iter().filter(|role| !lines.contains(role)) {
                let style = styles[role.index()];
                let Some(fg) = style.fg else { continue };
                let seen = contrast(fg, style.bg.unwrap_or(background));
                assert!(seen >= least, "{name}: {role:?} has a contrast of {seen:.1}, less than {least}");
            }
        }
    }

    #[test]
    fn a_theme_that_cannot_be_used_says_what_is_wanted() {
        let dark = BUILT_IN[0].1;
        let said = |text: &str| Palette::parse("mine.toml", text).expect_err("an error").to_string();
        assert!(said(&dark.replace("text = {}\n", "")).contains("`text`"));
        assert!(said(&dark.replace("\"light-red\"", "\"reddish\"")).contains("`reddish` is no colour here"));
        assert!(said(&dark.replace("strong", "strongest")).contains("strongest"));
        assert!(said(&dark.replace("#ff6b64", "ff6b")).contains("comes first"));
        let none = Palette::load("no/such/file.toml").expect_err("an error").to_string();
        assert!(none.contains("dark, light, high-contrast, ansi16, mono"), "{none}");
    }
}
