//! Where values come from: four layers, the later one wins. Each is a figment provider; figment
//! merges them and remembers which layer a value is from.

use std::fmt;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::settings::{Kind, SETTINGS, Setting};

/// The layer that a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The TOML file.
    File,
    /// The environment.
    Environment,
    /// A flag.
    Flag,
}

/// The merged layers, and what was found wrong with them.
pub(super) struct Values {
    merged: Figment,
    /// One line for each wrong setting.
    pub(super) problems: Vec<String>,
}

impl Values {
    /// The defaults.
    pub(super) fn new() -> Self {
        let pairs = SETTINGS.iter().map(|setting| (setting.name, setting.default));
        let merged = Figment::from(Layer::of_texts(Origin::Default, pairs));
        Self { merged, problems: Vec::new() }
    }

    /// Lays a TOML text on top. Here an unknown key is an error: only this program reads the file.
    pub(super) fn add_file(&mut self, text: &str) {
        let table = match Toml::string(text).data() {
            Ok(mut profiles) => profiles.remove(&Profile::Default).unwrap_or_default(),
            Err(error) => {
                return self.problems.push(format!("the file: {}", one_line(&error)));
            }
        };
        let mut known = Dict::new();
        for (key, value) in table {
            match (setting_of_key(&key), text_of(&value)) {
                (None, _) => {
                    self.problems.push(format!("{}: unknown key in the file", key.escape_debug()));
                }
                (Some(setting), None) => self.problems.push(format!(
                    "{}: a table in the file; accepted: {}",
                    setting.name, setting.accepts
                )),
                (Some(_), Some(text)) => drop(known.insert(key, Value::from(text))),
            }
        }
        self.add(Layer { origin: Origin::File, values: known });
    }

    /// Lays variables on top; those that are no settings are somebody else's.
    pub(super) fn add_environment(&mut self, variables: &[(String, String)]) {
        let ours = variables.iter().filter(|(name, value)| {
            setting_of_name(name)
                .is_some_and(|setting| setting.kind != Kind::Needed || !value.is_empty())
        });
        let pairs = ours.map(|(name, value)| (name.as_str(), value.as_str()));
        self.add(Layer::of_texts(Origin::Environment, pairs));
    }

    /// Lays `--set NAME=VALUE` flags on top. Everybody on the host can read a command line: what
    /// has to be hidden must not come by it.
    pub(super) fn add_flags(&mut self, flags: &[(String, String)]) {
        for (name, value) in flags {
            match setting_of_name(name) {
                None => self.problems.push(format!("{name}: no such setting")),
                Some(setting) if shown(setting, value) != *value => self.problems.push(format!(
                    "{name}: a secret on the command line stands in the process list; \
                     accepted: in the environment, or in the file"
                )),
                Some(_) => {}
            }
        }
        let pairs = flags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.add(Layer::of_texts(Origin::Flag, pairs));
    }

    /// Reads one setting; a wrong value becomes a problem.
    pub(super) fn read<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, origin) = self.text(setting);
        let value = parse(&text);
        if value.is_none() {
            self.problems.push(format!(
                "{}: {:?} ({origin}) is not accepted; accepted: {}",
                setting.name,
                shown(setting, &text),
                setting.accepts
            ));
        }
        value
    }

    /// The setting's text as it is in force, and its layer.
    pub(super) fn text(&self, setting: &Setting) -> (String, Origin) {
        let key = setting.name.to_ascii_lowercase();
        let found = self.merged.find_value(&key).ok().and_then(|value| text_of(&value));
        let layer = self.merged.find_metadata(&key).map(|data| data.name.as_ref());
        let origin = ORIGINS.into_iter().find(|origin| layer == Some(origin.name()));
        (found.unwrap_or_default(), origin.unwrap_or(Origin::Default))
    }

    fn add(&mut self, layer: Layer) {
        self.merged = std::mem::take(&mut self.merged).merge(layer);
    }
}

/// A value that may be shown: secrets, and those inside of addresses, are hidden.
pub(super) fn shown(setting: &Setting, text: &str) -> String {
    if setting.kind == Kind::Secret && !text.is_empty() {
        return HIDDEN.to_owned();
    }
    if !text.contains("://") && !ADDRESSES.contains(&setting.name) {
        return text.to_owned();
    }
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + "://".len()));
    if rest.to_ascii_lowercase().contains("password=") {
        return format!("{scheme}{HIDDEN}");
    }
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{HIDDEN}@{host}"),
        None => text.to_owned(),
    }
}

impl Origin {
    /// Its name in the output of `config`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct Layer {
    origin: Origin,
    values: Dict,
}

impl Layer {
    fn of_texts<'a>(origin: Origin, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let values =
            pairs.map(|(name, text)| (name.to_ascii_lowercase(), Value::from(text))).collect();
        Self { origin, values }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn setting_of_name(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

fn setting_of_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.to_ascii_lowercase() == key)
}

/// A scalar as text, an array of scalars with commas; a table has none.
fn text_of(value: &Value) -> Option<String> {
    if let Some(list) = value.as_array() {
        return Some(list.iter().map(text_of).collect::<Option<Vec<_>>>()?.join(","));
    }
    let texts = [
        value.as_str().map(str::to_owned),
        value.to_bool().map(|truth| truth.to_string()),
        value.to_i128().map(|number| number.to_string()),
        value.to_u128().map(|number| number.to_string()),
        value.to_f64().map(|number| number.to_string()),
    ];
    texts.into_iter().flatten().next()
}

/// The parser's message without its drawing of the line, which could hold a secret.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(place), Some(what)) => format!("{place}: {what}"),
        (place, _) => place.unwrap_or_default().to_owned(),
    }
}

const ORIGINS: [Origin; 4] = [Origin::Default, Origin::File, Origin::Environment, Origin::Flag];

const HIDDEN: &str = "***";

/// Settings into which people write a user and a password.
const ADDRESSES: [&str; 2] = ["KAFKA_BROKERS", "REDIS_ADDR"];
