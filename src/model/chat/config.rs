//! Reading templates and special tokens from a tokenizer's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{ChatError, ChatTemplate};

/// The template that is taken where none is named.
const DEFAULT: &str = "default";

/// The special tokens that a template may name, such as `bos_token`, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

impl SpecialTokens {
    /// Tokens by their names.
    pub fn new<N: Into<String>, T: Into<String>>(tokens: impl IntoIterator<Item = (N, T)>) -> Self {
        Self(tokens.into_iter().map(|(name, token)| (name.into(), token.into())).collect())
    }

    /// The token called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them with their names, in the names' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, token)| (name.as_str(), token.as_str()))
    }

    pub(super) fn context(&self) -> BTreeMap<String, minijinja::Value> {
        self.0.iter().map(|(name, token)| (name.clone(), token.as_str().into())).collect()
    }
}

/// A `tokenizer_config.json`.
pub(super) struct Config {
    path: PathBuf,
    fields: Map<String, Value>,
    /// Templates by name.
    templates: BTreeMap<String, String>,
}

impl Config {
    pub(super) fn parse(json: &str, path: &Path) -> Result<Self, ChatError> {
        let fields: Map<String, Value> =
            serde_json::from_str(json).map_err(|source| ChatError::Json { path: path.to_owned(), source })?;
        let mut config = Self { path: path.to_owned(), templates: BTreeMap::new(), fields };
        match config.fields.get("chat_template") {
            None | Some(Value::Null) => {}
            Some(Value::String(template)) => _ = config.templates.insert(DEFAULT.into(), template.clone()),
            Some(Value::Array(named)) => {
                let text = |item: &Value, key| Some(item.get(key)?.as_str()?.to_owned());
                let pairs = named.iter().map(|item| Some((text(item, "name")?, text(item, "template")?)));
                config.templates = pairs.collect::<Option<_>>().ok_or_else(|| config.not_templates())?;
            }
            Some(_) => return Err(config.not_templates()),
        }
        Ok(config)
    }

    fn not_templates(&self) -> ChatError {
        self.wrong("chat_template", "a string, or a list of objects with the strings `name` and `template`")
    }

    fn wrong(&self, field: &str, needed: &'static str) -> ChatError {
        ChatError::Field { path: self.path.clone(), field: field.into(), needed }
    }

    /// `bos_token` and all others.
    fn tokens(&self) -> Result<SpecialTokens, ChatError> {
        let mut tokens = BTreeMap::new();
        for (name, value) in self.fields.iter().filter(|(name, _)| name.ends_with("_token")) {
            let token = match value {
                // Among them are flags, such as `add_bos_token`.
                Value::Null | Value::Bool(_) => continue,
                token => special_token(token),
            };
            let needed = "a string, or an object with the string `content`";
            tokens.insert(name.clone(), token.ok_or_else(|| self.wrong(name, needed))?.to_owned());
        }
        Ok(SpecialTokens(tokens))
    }

    pub(super) fn template(&self, name: Option<&str>) -> Result<ChatTemplate, ChatError> {
        let name = name.unwrap_or(DEFAULT);
        let Some(source) = self.templates.get(name) else {
            let known: Vec<&str> = self.templates.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(ChatError::NoTemplate { path: self.path.clone(), name: name.into(), known });
        };
        ChatTemplate::new(source, self.tokens()?)
    }
}

/// The text of a special token in a tokenizer's files: a string, or an object that has it as its `content`.
pub(crate) fn special_token(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

pub(super) fn from_folder(folder: &Path, name: Option<&str>) -> Result<ChatTemplate, ChatError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| ChatError::Read { path: path.to_owned(), source })
    };
    let path = folder.join("tokenizer_config.json");
    let mut config = Config::parse(&read(&path)?, &path)?;
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        config.templates.insert(DEFAULT.into(), read(&file)?);
    }
    let others = folder.join("additional_chat_templates");
    if others.is_dir() {
        let failed = |source| ChatError::Read { path: others.clone(), source };
        for entry in std::fs::read_dir(&others).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            if let (Some(stem), true) = (stem, file.extension().is_some_and(|ext| ext == "jinja")) {
                config.templates.insert(stem.to_owned(), read(&file)?);
            }
        }
    }
    config.template(name)
}
