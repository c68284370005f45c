//! The direction of imports: between the modules of a crate, and between its files.
//!
//! `lib.rs` declares the modules of a crate in their order; a module imports from those above it only.
//! No files import from one another in a circle. An import counts where its item is defined, through
//! re-exports; a re-export is no import. The `mod.rs` of a folder holds what its files share: they may
//! use it, as it uses them.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::{BTreeMap, BTreeSet};

use super::source::{FOLDERS, Source, shipped};

#[test]
fn imports_point_one_way() {
    let sources = shipped();
    for folder in FOLDERS {
        let Some(library) = sources.iter().find(|source| source.name == format!("{folder}lib.rs")) else {
            continue;
        };
        let order: Vec<&str> = declared_modules(library.code()).collect();
        assert!(order.len() > 3, "{folder}: {order:?}");
        for source in sources.iter().filter(|source| source.folder() == folder) {
            let module = source.module();
            let Some(module) = module.first().filter(|module| **module != "main") else { continue };
            let place = order.iter().position(|known| known == module);
            let place =
                place.unwrap_or_else(|| panic!("{}: lib.rs does not declare `{module}`", source.name));
            for (path, _) in paths(source.code(), &source.module()) {
                let later =
                    order[place + 1..].iter().find(|later| path.first().is_some_and(|first| first == *later));
                assert!(later.is_none(), "{} imports `{}` from below", source.name, path.join("::"));
            }
        }
    }
}

#[test]
fn no_files_import_in_a_circle() {
    let sources = shipped();
    let mut found = Vec::new();
    for folder in FOLDERS {
        let files: Vec<&Source> = sources.iter().filter(|source| source.folder() == folder).collect();
        let graph = imports(&files);
        for circle in circles(&graph) {
            let within = |file: &str| graph[file].iter().filter(|target| circle.contains(target));
            let arrows =
                circle.iter().flat_map(|file| within(file).map(move |target| format!("{file} → {target}")));
            found.push(arrows.collect::<Vec<_>>());
        }
    }
    assert!(found.is_empty(), "files that import from one another in a circle: {found:#?}");
}

/// Returns the modules that a file declares as files of their own, in order.
fn declared_modules(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("pub ").or(line.strip_prefix("pub(crate) ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    })
}

/// Returns the paths that code names within its crate, from the crate's root, and whether a
/// `pub use` names them.
fn paths(code: &str, module: &[&str]) -> Vec<(Vec<String>, bool)> {
    let children: Vec<&str> = declared_modules(code).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = next_word(code, &mut at) {
        let start = at - word.len();
        let is_continued = code[..start].ends_with("::") || code[..start].ends_with('.');
        if is_continued || !code[at..].starts_with("::") {
            continue;
        }
        let mut base: Vec<String> = module.iter().map(|&name| name.to_owned()).collect();
        match word {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            child if children.contains(&child) => base.push(child.to_owned()),
            _ => continue,
        }
        let statement = code[..start].rsplit([';', '{', '}']).next().unwrap();
        let statement = if in_use_tree(code, start) { use_statement(code, start) } else { statement };
        let is_export = statement.contains("pub") && statement.contains("use ");
        at += 2;
        let mut leaves = Vec::new();
        tree(&code[at..], base, &mut leaves);
        found.extend(leaves.into_iter().map(|path| (path, is_export)));
    }
    found
}

/// Reports whether a position is within the braces of a `use`.
fn in_use_tree(code: &str, at: usize) -> bool {
    let statement = code[..at].rsplit(';').next().unwrap();
    statement.rsplit_once("use ").is_some_and(|(_, tree)| {
        !tree.is_empty() && tree.chars().all(|c| c.is_alphanumeric() || "_:{}, \n*".contains(c))
    })
}

fn use_statement(code: &str, at: usize) -> &str {
    let statement = code[..at].rsplit(';').next().unwrap();
    let start = statement.rfind("use ").unwrap();
    let line = statement[..start].rfind('\n').map_or(0, |line| line + 1);
    &statement[line..]
}

fn next_word<'c>(code: &'c str, at: &mut usize) -> Option<&'c str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = *at + code[*at..].find(is_word)?;
    let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |end| start + end);
    *at = end;
    Some(&code[start..end])
}

/// Expands a path, or a tree of them in braces, from behind its first `::`. Returns the length read.
fn tree(code: &str, mut path: Vec<String>, leaves: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if code[at..].starts_with('{') {
            at += 1;
            loop {
                at += code[at..].len() - code[at..].trim_start_matches([' ', '\n', ',']).len();
                if code[at..].starts_with('}') || at >= code.len() {
                    return at + 1;
                }
                at += tree(&code[at..], path.clone(), leaves).max(1);
            }
        }
        if code[at..].starts_with('*') {
            leaves.push([path, vec!["*".to_owned()]].concat());
            return at + 1;
        }
        let mut end = at;
        let Some(word) = next_word(code, &mut end).filter(|word| code[at..].starts_with(word)) else {
            leaves.push(path);
            return at;
        };
        match word {
            "super" => drop(path.pop()),
            "self" => {}
            word => path.push(word.to_owned()),
        }
        at = end;
        if !code[at..].starts_with("::") {
            leaves.push(path);
            // `as` and its name.
            let rest = &code[at..];
            return at + rest.find([',', '}', ';', '\n', '(', ' ', ')', '>', '<', '.']).unwrap_or(0);
        }
        at += 2;
    }
}

/// Returns for each file the files that define what it imports.
fn imports<'s>(files: &[&'s Source]) -> BTreeMap<&'s str, BTreeSet<&'s str>> {
    let modules: BTreeMap<String, &Source> =
        files.iter().map(|file| (file.module().join("::"), *file)).collect();
    let named: BTreeMap<&str, Vec<(Vec<String>, bool)>> =
        files.iter().map(|file| (&*file.name, paths(file.code(), &file.module()))).collect();
    let mut graph = BTreeMap::new();
    for file in files {
        let mut targets = BTreeSet::new();
        for (path, is_export) in &named[&*file.name] {
            let item = path.last().map_or("", String::as_str);
            // A re-export counts where the file uses the name itself.
            if *is_export && uses_of(file.code(), item) < 2 {
                continue;
            }
            let target = definition(path, &modules, &named, 0);
            targets.extend(target.filter(|target| *target != file.name && !is_parent(target, &file.name)));
        }
        graph.insert(&*file.name, targets);
    }
    graph
}

/// Reports whether a file is the `mod.rs` of a folder that holds the other.
fn is_parent(parent: &str, file: &str) -> bool {
    parent.strip_suffix("mod.rs").is_some_and(|folder| file.starts_with(folder))
}

fn uses_of(code: &str, item: &str) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(word) = next_word(code, &mut at) {
        count += usize::from(word == item);
    }
    count
}

/// Returns the file that defines what a path leads to.
fn definition<'s>(
    path: &[String],
    modules: &BTreeMap<String, &'s Source>,
    named: &BTreeMap<&str, Vec<(Vec<String>, bool)>>,
    depth: usize,
) -> Option<&'s str> {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length].join("::")))?;
    let file = modules[&path[..length].join("::")];
    let Some(item) = path.get(length) else { return Some(&file.name) };
    let through = named[&*file.name]
        .iter()
        .find(|(target, _)| target.last() == Some(item) && target[..] != path[..=length]);
    match through {
        Some((target, _)) if depth < 8 && !defines(file, item) => {
            definition(target, modules, named, depth + 1)
        }
        _ => Some(&file.name),
    }
}

fn defines(file: &Source, item: &str) -> bool {
    let code = file.code();
    let kinds = ["struct", "enum", "trait", "fn", "const", "type", "static", "mod", "union", "macro_rules!"];
    kinds.iter().any(|kind| {
        code.match_indices(&format!("{kind} {item}")).any(|(at, found)| {
            !code[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    })
}

/// Returns the strongly connected parts of more than one file.
fn circles<'s>(graph: &BTreeMap<&'s str, BTreeSet<&'s str>>) -> Vec<Vec<&'s str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|start| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![*start]);
            while let Some(file) = next.pop() {
                next.extend(graph[file].iter().filter(|target| seen.insert(**target)));
            }
            (*start, seen)
        })
        .collect();
    let mut found: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (file, reached) in &reach {
        let circle: Vec<&str> = reached.iter().copied().filter(|other| reach[other].contains(file)).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

#[test]
fn trees_of_imports_are_expanded() {
    let code = "use crate::{a::{B, c::D}, e};\npub(crate) use super::f::{self, G};\nfn h() { child::go(super::I::new()) }\nmod child;\n";
    let found: Vec<_> =
        paths(code, &["x", "y"]).into_iter().map(|(path, is)| (path.join("::"), is)).collect();
    let wanted = [
        ("a::B", false),
        ("a::c::D", false),
        ("e", false),
        ("x::f", true),
        ("x::f::G", true),
        ("x::y::child::go", false),
        ("x::I::new", false),
    ];
    assert_eq!(found, wanted.map(|(path, is)| (path.to_owned(), is)));
}
