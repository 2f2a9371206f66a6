//! The book's listings exist: mdBook prints an error for a missing file and goes on, and for a missing
//! anchor shows nothing at all.

use std::fs;
use std::path::Path;

/// What `{{#include ..}}` names in a chapter: a file and, where there is one, an anchor.
fn includes(chapter: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let links = chapter.split("{{#include ").skip(1).filter_map(|rest| rest.split_once("}}"));
    links.map(|(link, _)| match link.trim().split_once(':') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link.trim(), None),
    })
}

/// The lines between an anchor's marks.
fn anchored<'a>(source: &'a str, anchor: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("// ANCHOR: {anchor}\n"))?;
    let (listing, _) = rest.split_once(&format!("// ANCHOR_END: {anchor}\n"))?;
    Some(listing)
}

#[test]
fn every_listing_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src");
    let summary = fs::read_to_string(root.join("SUMMARY.md")).unwrap();
    let mut listings = 0;
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is in no summary");
        for (file, anchor) in includes(&fs::read_to_string(&path).unwrap()) {
            let source = fs::read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("{name} includes {file}: {error}"));
            let listing = anchor.map_or(Some(source.as_str()), |anchor| anchored(&source, anchor));
            let listing = listing.unwrap_or_else(|| panic!("{name}: {file} has no anchor {anchor:?}"));
            assert!(!listing.trim().is_empty(), "{name} includes nothing of {file}");
            listings += 1;
        }
    }
    assert!(listings > 0, "no chapter has a listing");
}

#[test]
fn links_and_anchors_are_read() {
    let chapter = "a {{#include ../x.rs:part}}\n{{#include y.txt}} {{#playground z}}";
    assert_eq!(includes(chapter).collect::<Vec<_>>(), [("../x.rs", Some("part")), ("y.txt", None)]);
    let source = "a\n    // ANCHOR: part\nb\n    // ANCHOR_END: part\nc";
    assert_eq!(anchored(source, "part").map(str::trim), Some("b"));
    assert_eq!(anchored(source, "other"), None);
}
