//! The documents compared with the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::source::{root, shipped};
use super::traceability::{compare, files};

/// Returns the codes of all errors: string literals of the form `stage.reason` after `=>`, and the
/// command's own.
fn codes_in_the_code() -> BTreeSet<String> {
    let code = regex::Regex::new(
        r#"(?:=>\s*|Malformed::new\(\s*|code: |-> &'static str \{\s*)"((?:jws|header|algorithm|key|signature|claims|registry|build|path|mapping|identity|config|sign|input|discovery|callback|token|id_token|userinfo|jwks|store|sign_in|issuer|backchannel|frontchannel|security_event|bearer|fetch|provider|password|request|verify|health|admin|access)\.[a-z0-9_]+)""#,
    )
    .unwrap();
    let mut codes = BTreeSet::new();
    for source in shipped() {
        codes.extend(code.captures_iter(&source.text).map(|found| found[1].to_owned()));
    }
    codes
}

#[test]
fn every_error_code_is_documented_and_every_documented_one_exists() {
    let table = fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let row = regex::Regex::new(r"(?m)^\| `([a-z0-9_.]+)` \|").unwrap();
    let documented: BTreeSet<String> = row.captures_iter(&table).map(|found| found[1].to_owned()).collect();
    let existing = codes_in_the_code();
    assert!(existing.len() > 50, "the search for codes finds too few: {}", existing.len());
    let undocumented: Vec<_> = existing.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&existing).collect();
    assert!(
        undocumented.is_empty() && gone.is_empty(),
        "not in the table: {undocumented:?}; not in the code: {gone:?}"
    );
}

/// Collects the Markdown files of a folder and of the folders in it.
pub(crate) fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_ours =
            !name.starts_with('.') && !["target", "node_modules", "corpus", "artifacts"].contains(&name);
        if path.is_dir() && is_ours {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Returns the anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

/// Each relative link of each document leads to a file, and to a heading if it names one.
#[test]
fn links_and_vectors_named_in_the_documents_exist() {
    let mut files = Vec::new();
    documents(&root(), &mut files);
    let link = regex::Regex::new(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)|`?(vectors/[\w./-]+\w)").unwrap();
    let mut checked = 0;
    for file in files {
        for found in link.captures_iter(&fs::read_to_string(&file).unwrap()) {
            let target = match (found.get(1).map_or("", |path| path.as_str()), found.get(3)) {
                (_, Some(vectors)) => root().join(vectors.as_str()),
                ("", None) => file.clone(),
                (path, None) => file.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {}", file.display(), &found[0]);
            if let Some(wanted) = found.get(2) {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let is_there =
                    headings.any(|line| anchor(line.trim_start_matches(['#', ' '])) == wanted.as_str());
                assert!(is_there, "{}: no heading for {}", file.display(), &found[0]);
            }
            checked += 1;
        }
    }
    assert!(checked >= 40, "{checked}");
}

/// Each Rust block of the guide to algorithms is text of the file that the comment above it names.
/// Each file of source that a document names exists: under the named path, or as the end of one.
#[test]
fn source_files_named_in_the_documents_exist() {
    let mut sources = Vec::new();
    files(&root(), &mut sources);
    let sources: Vec<String> = sources.iter().map(|path| format!("/{}", path.display())).collect();
    let mut pages = Vec::new();
    documents(&root(), &mut pages);
    let named = regex::Regex::new(r"`(\w[\w./-]*\.(?:rs|mjs))`").unwrap();
    let (mut missing, mut checked) = (Vec::new(), 0);
    for page in pages {
        for found in named.captures_iter(&fs::read_to_string(&page).unwrap()) {
            checked += 1;
            if !sources.iter().any(|source| source.ends_with(&format!("/{}", &found[1]))) {
                missing.push(format!("{}: {}", page.display(), &found[1]));
            }
        }
    }
    assert!(missing.is_empty() && checked > 50, "{checked} checked: {missing:?}");
}

/// The time that requests have when a server stops is the one that the guide to deployment and the service's files say.
#[test]
fn the_time_of_a_stop_is_the_one_of_the_code() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let code = read("server/src/web/run.rs");
    let (_, grace) = code.split_once("const GRACE: Duration = Duration::from_secs(").unwrap();
    let (grace, _) = grace.split_once(')').unwrap();
    let said = regex::Regex::new(r"(\d+) seconds (?:for its requests|to end)").unwrap();
    for file in ["docs/guide/deployment.md", "packaging/kubernetes/claimgate.yaml"] {
        let text = read(file);
        let found: Vec<_> = said.captures_iter(&text).map(|found| found[1].to_owned()).collect();
        assert_eq!(found, [grace], "{file}");
    }
}

#[test]
fn the_guide_to_algorithms_quotes_the_examples() {
    let page = fs::read_to_string(root().join("docs/guide/algorithms.md")).unwrap();
    let block = regex::Regex::new(r"(?s)<!-- (\S+) -->\n```rust\n(.*?)```\n").unwrap();
    let quoted: Vec<_> = block.captures_iter(&page).collect();
    for found in &quoted {
        let file = fs::read_to_string(root().join(&found[1])).unwrap();
        assert!(file.contains(&found[2]), "the guide does not quote {}:\n{}", &found[1], &found[2]);
    }
    assert_eq!(quoted.len(), page.matches("```rust").count(), "a block without a file");
    assert!(quoted.len() >= 5);
}

/// Each block of the guide to the library below the name of a file is text of that file.
#[test]
fn the_guide_to_the_library_quotes_the_services() {
    let page = fs::read_to_string(root().join("docs/guide/embedding.md")).unwrap();
    let block = regex::Regex::new(r"(?s)<!-- (\S+) -->\n```rust,ignore\n(.*?)```\n").unwrap();
    let quoted: Vec<_> = block.captures_iter(&page).collect();
    for found in &quoted {
        let file = fs::read_to_string(root().join(&found[1])).unwrap();
        assert!(file.contains(&found[2]), "the guide does not quote {}:\n{}", &found[1], &found[2]);
    }
    assert_eq!(quoted.len(), page.matches("<!-- examples/").count());
    assert!(!quoted.is_empty());
}

/// Each test that `docs/assurance/behaviour.md` names exists: a Rust one by its name, an end-to-end one by
/// the words its title begins with.
#[test]
fn the_tests_that_show_a_behaviour_exist() {
    let page = fs::read_to_string(root().join("docs/assurance/behaviour.md")).unwrap();
    let named = regex::Regex::new(r"`((?:tests|src|server)/[\w./-]+): ([^`]+)`").unwrap();
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| behaviour |")) {
        if row.starts_with("| ---") {
            continue;
        }
        rows += 1;
        assert!(named.is_match(row), "no test shows: {row}");
        for found in named.captures_iter(row) {
            let (file, name) = (&found[1], &found[2]);
            let text = fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{file}"));
            let title = format!(r#"(?m)fn {0}\w*\(|test\(['`]{0}|^  \['{0}"#, regex::escape(name));
            assert!(regex::Regex::new(&title).unwrap().is_match(&text), "{file} has no test `{name}`");
        }
    }
    assert!(rows > 45, "{rows}");
}

/// CONTRIBUTING.md answers a newcomer's questions with files that exist.
#[test]
fn the_map_for_newcomers_names_files_that_exist() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let map = page.split("\n## Where is it?").nth(1).unwrap().split("\n## ").next().unwrap();
    let file = regex::Regex::new(r"`([\w.-]+/[\w./-]*)`").unwrap();
    let mut questions = 0;
    for row in map.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let (question, answer) = row.trim_matches('|').split_once(" | ").unwrap();
        assert!(question.trim().ends_with('?'), "{row}");
        let mut files = file.captures_iter(answer).peekable();
        assert!(files.peek().is_some(), "{question}: no file");
        for found in files {
            assert!(root().join(&found[1]).exists(), "{question}: {} does not exist", &found[1]);
        }
        questions += 1;
    }
    assert!(questions >= 10, "{questions}");
}

/// nginx in the example of compose is configured as the guide says, with the example's addresses and without TLS.
#[test]
fn the_example_of_compose_has_the_guides_nginx() {
    let guide = fs::read_to_string(root().join("docs/guide/forward-auth.md")).unwrap();
    let section = guide.split("\n## nginx\n").nth(1).unwrap();
    let block = section.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    let mut wanted: String = block.split_inclusive('\n').filter(|line| !line.contains("ssl_")).collect();
    for (guides, examples) in [
        ("listen 443 ssl;", "listen 8000;"),
        ("server_name app.example.com;", "server_name localhost;"),
        ("//127.0.0.1:8080", "//claimgate:8080"),
        ("//127.0.0.1:3000", "//application:3000"),
    ] {
        assert!(wanted.contains(guides), "the guide does not say {guides}");
        wanted = wanted.replace(guides, examples);
    }
    compare("packaging/compose/nginx.conf", &wanted);
}

/// The times in the page on CPUs are those that the comparison with peers measured.
#[test]
fn the_times_of_cpus_are_measured() {
    let page = fs::read_to_string(root().join("docs/reference/cpus.md")).unwrap();
    let peers = fs::read_to_string(root().join("docs/generated/benchmarks/peers.md")).unwrap();
    let measured = |bits: &str, contender: &str| {
        let section = peers.split(&format!("\n### RS256 {bits}, logout token")).nth(1).unwrap();
        let mut rows =
            section.split("\n### ").next().unwrap().lines().map(|row| row.split('|').map(str::trim));
        let mut row = rows.find(|row| row.clone().nth(1) == Some(contender)).unwrap();
        row.nth(2).unwrap().trim_end_matches(" µs").to_owned()
    };
    for (way, contender) in [
        ("kernel, batches of 64", "Claimgate, batches of 64"),
        ("kernel, one by one", "Claimgate"),
        ("ring", "Claimgate, by ring"),
        ("ring, the signature alone", "raw ring"),
        ("aws-lc, the signature alone", "raw aws-lc"),
    ] {
        let row = format!("| {way} | {} | {} |", measured("2048", contender), measured("4096", contender));
        assert!(page.contains(&row), "docs/reference/cpus.md lacks the row {row}");
    }
}
