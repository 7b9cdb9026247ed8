// Compares a program's metrics with their table in docs/metrics.md. Included by the tests of both programs.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Name as a query has it → type and labels.
type Table = BTreeMap<String, (String, BTreeSet<String>)>;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

/// Fails unless the rows under this heading are what the registry shows. Every family must have a sample: without one it
/// shows no labels.
pub(super) fn assert_documented(heading: &str, registry: &Registry) {
    let docs = std::fs::read_to_string(DOCS).unwrap();
    assert_eq!(documented(heading, &docs), shown(registry), "left: docs/metrics.md, right: the registry");
}

fn documented(heading: &str, docs: &str) -> Table {
    let section = docs.split("\n## ").find(|section| section.lines().next() == Some(heading)).unwrap();
    let mut table = Table::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        assert!(!cells[3].is_empty(), "{row}");
        let before = table.insert(cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels));
        assert!(before.is_none(), "this metric has two rows: {row}");
    }
    table
}

fn shown(registry: &Registry) -> Table {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let mut table = Table::new();
    let (mut name, mut kind) = ("", "");
    for line in text.lines() {
        if let Some((family, its)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            (name, kind) = (family, its);
        }
        if line.starts_with('#') {
            continue;
        }
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let labels = labels.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label.to_owned());
        let labels = labels.filter(|label| label != "le").collect();
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        let before = table.insert(name.clone(), (kind.to_owned(), labels));
        let same = before.is_none_or(|before| before == table[&name]);
        assert!(same, "{name} has different labels in different samples");
    }
    let families = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(families, table.len(), "a family without a sample:\n{text}");
    table
}
