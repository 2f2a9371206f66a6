//! A module of `src/` uses only modules of levels below its own.

#[path = "levels/paths.rs"]
mod paths;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The modules of `src/`, from the lowest level up. Those of one level do not use each other.
const LEVELS: &[&[&str]] = &[
    &["data", "files"],
    &["answer", "plugin", "kernels", "sandbox"],
    &["model"],
    &[
        "formats",
        "prompts",
        "problems",
        "rollouts",
        "verify",
        "steps",
        "label",
        "prm",
        "reward",
        "value",
        "ppo",
        "eval",
        "sft",
        "reward_model",
        "pretrained",
    ],
    &["trainer", "report"],
    &["config"],
];

/// Macros of the library, which are named as if they stood at its root, and the modules that have them.
const MACROS: &[(&str, &str)] = &[("arch", "model"), ("card", "plugin")];

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|modules| modules.contains(&module))
}

/// What breaks the rule in a file: `path` is relative to `src/`, with its parts in order.
fn broken(path: &[&str], source: &str) -> Vec<String> {
    let module = path[0].trim_end_matches(".rs");
    let file = format!("src/{}", path.join("/"));
    let Some(own) = level(module) else {
        return vec![format!("{file}: give the module `{module}` a level, in tests/levels.rs")];
    };
    let mut broken = Vec::new();
    for used in paths::used_modules(path, source) {
        let home = MACROS.iter().find(|(name, _)| *name == used.module).map(|(_, module)| *module);
        let target = home.unwrap_or(&used.module);
        // Hidden re-exports of the root, for macros.
        if target == module || target.starts_with("__") {
            continue;
        }
        let at = format!("{file}:{}", used.line);
        match level(target) {
            Some(level) if level < own => {}
            Some(level) if level == own => {
                broken.push(format!("{at}: `{module}` uses `{target}`, of its own level"));
            }
            Some(_) => broken.push(format!("{at}: `{module}` uses `{target}`, of a level above")),
            None => broken.push(format!("{at}: `{target}` is in no level")),
        }
    }
    broken
}

/// All Rust files below `folder`, as their parts.
fn files(folder: &Path, parts: &[String], found: &mut Vec<Vec<String>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let mut parts = parts.to_vec();
        parts.push(entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), &parts, found);
        } else if parts.last().unwrap().ends_with(".rs") {
            found.push(parts);
        }
    }
}

#[test]
fn modules_use_levels_below_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &[], &mut found);
    found.sort();
    // lib.rs names every module; programs in bin/ are users of the library.
    found.retain(|parts| parts[0] != "lib.rs" && parts[0] != "bin");
    let sources: Vec<(Vec<&str>, String)> = found
        .iter()
        .map(|parts| {
            let path = parts.iter().fold(root.clone(), |path, part| path.join(part));
            (parts.iter().map(String::as_str).collect(), fs::read_to_string(path).unwrap())
        })
        .collect();
    let tests: BTreeSet<_> =
        sources.iter().flat_map(|(path, code)| paths::test_modules(path, code)).collect();
    let mut all = Vec::new();
    for (path, source) in &sources {
        let module = paths::module_of(path);
        if !(1..=module.len()).any(|len| tests.contains(&module[..len])) {
            all.extend(broken(path, source));
        }
    }
    assert!(sources.len() > 50, "only {} files were read", sources.len());
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

#[test]
fn what_breaks_the_rule_is_found() {
    for (count, file, source) in [
        (0, "model/mod.rs", "use crate::kernels::Device; use crate::data::{self, Seed};"),
        (1, "model/mod.rs", "use crate::trainer::Trainer;"),
        (1, "nowhere.rs", ""),
        (2, "label/mod.rs", "use crate::{data::Steps, model::{Policy, sft}, steps::Lines, eval};"),
        (2, "label/mod.rs", "fn f() -> crate::steps::Lines { crate::steps::Lines::python() }"),
        (1, "kernels/mod.rs", "macro_rules! m { () => { $crate::model::Dims } }"),
        // `super` leaves the module at its root alone.
        (1, "label/counts.rs", "use super::steps; use super::super::steps;"),
        (1, "label/mod.rs", "use super::steps;"),
        (1, "label/mod.rs", "mod inner { use super::steps; use super::super::steps; }"),
        // Neither comments nor strings nor tests count.
        (0, "label/mod.rs", "//! [`crate::steps`]\n/* crate::eval */ const A: &str = \"crate::eval\";"),
        (1, "label/mod.rs", "const Q: char = '\"'; use crate::eval; const R: &str = r#\"\"\"#;"),
        (0, "label/mod.rs", "#[cfg(test)] mod tests { use crate::steps::Lines; fn f() {} }"),
        (1, "label/mod.rs", "#[cfg(test)] mod tests { fn f() {} } use crate::steps::Lines;"),
        (0, "label/mod.rs", "#[cfg(test)] use crate::steps::{Lines, python};"),
        (0, "label/mod.rs", "crate::card! { kind: Labeler }"),
        (1, "kernels/mod.rs", "crate::arch! { struct A { .. } }"),
    ] {
        let path: Vec<_> = file.split('/').collect();
        assert_eq!(broken(&path, source).len(), count, "{file}: {source}");
    }
    let declared = paths::test_modules(&["verify", "pool.rs"], "mod a; #[cfg(test)] pub(crate) mod tests;");
    assert_eq!(declared, [["verify", "pool", "tests"]]);
}
