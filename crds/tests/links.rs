//! Every relative link of our pages leads to a file that is there, and to a heading of it.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The pages for people: those at the root, and all below the folders that have any.
fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages: Vec<_> = inside(&root).filter(|path| path.is_file()).collect();
    let mut folders: Vec<_> = ["docs", "examples", "runtimes", "charts"].map(|folder| root.join(folder)).into();
    while let Some(folder) = folders.pop() {
        let (below, files) = inside(&folder).partition::<Vec<_>, _>(|path| path.is_dir());
        folders.extend(below.into_iter().filter(|folder| !folder.ends_with("node_modules")));
        pages.extend(files);
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
}

fn inside(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

/// A page without what is in fences: neither links nor headings are in these.
fn prose(page: &str) -> String {
    let mut fence: Option<String> = None;
    let outside = page.lines().filter(|line| {
        let marks: String = line.trim_start().chars().take_while(|c| matches!(c, '`' | '~')).collect();
        match &fence {
            Some(open) if marks == line.trim() && marks.starts_with(open.as_str()) => fence = None,
            Some(_) => {}
            None if marks.len() >= 3 => fence = Some(marks),
            None => return true,
        }
        false
    });
    outside.collect::<Vec<_>>().join("\n")
}

/// The targets of links and pictures, `[…](target)` and `[…]: target`, but for what is in code.
fn targets(prose: &str) -> Vec<String> {
    let text: String = prose.split("\n\n").flat_map(|text| text.split('`').step_by(2).chain(["\n\n"])).collect();
    let end = |c: char| c == ')' || c.is_whitespace();
    let inline = text.split("](").skip(1).map(|rest| rest.split(end).next().unwrap_or_default());
    let named = text.lines().filter(|line| line.starts_with('[')).filter_map(|line| line.split_once("]: "));
    let named = named.map(|(_, target)| target.split(end).next().unwrap_or_default());
    inline.chain(named).map(|target| target.trim_matches(['<', '>']).to_owned()).collect()
}

/// What GitHub makes of the headings, as https://github.com/gjtorikian/html-pipeline does: lower case, no punctuation but
/// `-` and `_`, a `-` for each space, and a number where there was one before.
fn anchors(prose: &str) -> Vec<String> {
    let mut times = BTreeMap::<String, u32>::new();
    let headings = prose.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (1..=6).contains(&(line.len() - heading.len())).then_some(heading)?.strip_prefix(' ')
    });
    let headings = headings.map(|heading| {
        let slug: String = shown(heading.trim())
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let before = times.entry(slug.clone()).or_default();
        *before += 1;
        if *before == 1 { slug } else { format!("{slug}-{}", *before - 1) }
    });
    headings.collect()
}

/// A heading without the targets of its links.
fn shown(heading: &str) -> String {
    let mut parts = heading.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// Why a link of a page leads nowhere.
fn fault(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    let Ok(path) = path.canonicalize() else { return Some(format!("no {}", path.display())) };
    if !path.starts_with(root()) {
        return Some("outside of the repository".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let known = fs::read_to_string(path).map(|text| anchors(&prose(&text))).unwrap_or_default();
    (!known.iter().any(|known| known == anchor)).then(|| format!("no heading #{anchor} among {known:?}"))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let (mut faults, mut relative) = (Vec::new(), 0);
    for page in pages() {
        for target in targets(&prose(&fs::read_to_string(&page).unwrap())) {
            relative += usize::from(!target.contains("://"));
            faults.extend(fault(&page, &target).map(|why| format!("{}: {target}: {why}", page.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(relative > 30, "only {relative} relative links were found");
}

#[test]
fn links_are_found_where_they_are_links() {
    let page =
        "See [`a`](a.md#x) and [b](<b.md> \"B\"), not `[c](c.md)`.\n```sh\n[d](d.md)\n```\n![e](e.svg)\n[f]: f.md\n";
    assert_eq!(targets(&prose(page)), ["a.md#x", "b.md", "e.svg", "f.md"]);
}

#[test]
fn anchors_are_those_of_github() {
    let page = "# `spec.scaling`: how many?\n## 504 after *n* seconds\n# [A link](x.md) & more\n## Twice\n### Twice\n#no\n```\n# code\n```\n";
    let wanted = ["specscaling-how-many", "504-after-n-seconds", "a-link--more", "twice", "twice-1"];
    assert_eq!(anchors(&prose(page)), wanted);
}
