//! The pages about frameworks in `docs/proxy/applications`, each generated from files that its
//! tests run: the recipe itself, and the prose beside it (`page.md`: lines of `word: value`, an
//! empty line, the text).

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of all frameworks.
const SOURCES: &str = "crates/testing/applications";
/// The directory of the pages.
const PAGES: &str = "docs/proxy/applications";
/// The text before and after the table of all pages.
const INDEX: &str = "index.md";
const RECIPE: &str = "waxseal.toml";
const PAGE: &str = "page.md";
/// The beginnings of links to documents in a directory of [`SOURCES`] and directly below it, and in
/// a page.
const LINKS: [(&str, &str); 4] = [
    ("](../../../../docs/", "](../../"),
    ("](../../../../", "](../../../"),
    ("](../../../docs/", "](../../"),
    ("](../../../", "](../../../"),
];

/// A page in parts.
#[derive(Debug)]
struct Page {
    directory: String,
    name: String,
    versions: String,
    works: String,
    clear: String,
    text: String,
}

/// Every page with its path from the root, the index first; nothing if there are no frameworks.
pub(super) fn documents(root: &Path) -> Result<Vec<(String, String)>, String> {
    let index = root.join(SOURCES).join(INDEX);
    if !index.exists() {
        return Ok(Vec::new());
    }
    let index = read(&index)?;
    let mut pages = Vec::new();
    for directory in directories(root)? {
        pages.push(Page::read(&directory)?);
    }
    pages.sort_by_key(|page| page.name.to_lowercase());
    let mut documents = vec![(format!("{PAGES}/README.md"), list(&index, &pages)?)];
    documents.extend(pages.iter().map(|page| (page.path(), page.markdown())));
    Ok(documents)
}

/// Pages whose framework no longer exists.
pub(super) fn orphans(root: &Path, documents: &[(String, String)]) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join(PAGES)) else {
        return Vec::new();
    };
    let paths = entries
        .flatten()
        .map(|entry| format!("{PAGES}/{}", entry.file_name().to_string_lossy()));
    paths
        .filter(|path| !documents.iter().any(|(written, _)| written == path))
        .collect()
}

fn directories(root: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(root.join(SOURCES))
        .map_err(|error| format!("{SOURCES} cannot be read: {error}"))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.join(RECIPE).is_file()).collect())
}

/// The index: its text with the table of all pages.
fn list(index: &str, pages: &[Page]) -> Result<String, String> {
    let mut table =
        "| framework | tested with | works | stays in clear |\n|---|---|---|---|\n".to_owned();
    for Page {
        directory,
        name,
        versions,
        works,
        clear,
        ..
    } in pages
    {
        table += &format!("| [{name}]({directory}.md) | {versions} | {works} | {clear} |\n");
    }
    replace(&format!("{SOURCES}/{INDEX}"), index, "{{table}}", &table)
}

/// Replaces a placeholder. Fails unless it occurs exactly once.
fn replace(path: &str, text: &str, placeholder: &str, with: &str) -> Result<String, String> {
    if text.matches(placeholder).count() != 1 {
        return Err(format!("{path}: `{placeholder}` must occur exactly once"));
    }
    let mut text = text.replace(placeholder, with.trim_end());
    for (from, to) in LINKS {
        text = text.replace(from, to);
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

impl Page {
    fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join(PAGE);
        let shown = path.display().to_string();
        let text = read(&path)?;
        let (head, text) = text
            .split_once("\n\n")
            .ok_or_else(|| format!("{shown}: an empty line must end the header"))?;
        let field = |field: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(field));
            let value = line.and_then(|tail| tail.strip_prefix(':')).map(str::trim);
            let value = value.filter(|value| !value.is_empty());
            value
                .map(ToOwned::to_owned)
                .ok_or_else(|| format!("{shown}: `{field}: …` is missing"))
        };
        let recipe = read(&directory.join(RECIPE))?;
        let fenced = format!("```toml\n{}\n```", recipe.trim_end());
        Ok(Self {
            directory: directory
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            name: field("name")?,
            versions: field("versions")?,
            works: field("works")?,
            clear: field("clear")?,
            text: replace(&shown, text, "{{recipe}}", &fenced)?,
        })
    }

    fn path(&self) -> String {
        format!("{PAGES}/{}.md", self.directory)
    }

    fn markdown(&self) -> String {
        let Self {
            directory,
            name,
            versions,
            text,
            ..
        } = self;
        format!(
            "# {name}\n\n\
             Tested with {versions}, through the proxy with exactly this configuration; the program is in \
             [{SOURCES}/{directory}](../../../{SOURCES}/{directory}). [All frameworks](README.md).\n\n\
             {}\n",
            text.trim_end()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(root: &Path, directory: &str, page: &str) {
        let directory = root.join(SOURCES).join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(PAGE), page).unwrap();
        fs::write(directory.join(RECIPE), "[[protect]]\nrecords = \"a:*\"\n").unwrap();
    }

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(SOURCES)).unwrap();
        fs::write(
            root.path().join(SOURCES).join(INDEX),
            "Begin\n\n{{table}}\n\nEnd\n",
        )
        .unwrap();
        root
    }

    const GOOD: &str = "name: A b\nversions: a 1\nworks: all\nclear: nothing\n\n\
                        See [x](../../../../docs/proxy/proxy.md).\n\n{{recipe}}\n";

    #[test]
    fn a_page_contains_the_recipe_and_the_index_lists_it() {
        let root = root();
        source(root.path(), "ab", GOOD);
        let documents = documents(root.path()).unwrap();
        let [(index_path, index), (path, page)] = documents.as_slice() else {
            panic!("{documents:?}")
        };
        assert_eq!(index_path, "docs/proxy/applications/README.md");
        assert!(
            index.contains("| [A b](ab.md) | a 1 | all | nothing |\n\nEnd"),
            "{index}"
        );
        assert_eq!(path, "docs/proxy/applications/ab.md");
        assert!(page.starts_with("# A b\n"), "{page}");
        assert!(
            page.contains("```toml\n[[protect]]\nrecords = \"a:*\"\n```"),
            "{page}"
        );
        assert!(page.contains("[x](../../proxy/proxy.md)"), "{page}");
        let other = root.path().join(PAGES);
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("gone.md"), "").unwrap();
        assert_eq!(
            orphans(root.path(), &documents),
            ["docs/proxy/applications/gone.md"]
        );
    }

    #[test]
    fn an_incomplete_page_is_refused_with_what_is_missing() {
        for (from, to, problem) in [
            ("works: all\n", "", "`works: …` is missing"),
            ("clear: nothing", "clear:", "`clear: …` is missing"),
            ("{{recipe}}", "", "`{{recipe}}` must occur exactly once"),
            ("\n\n", "\n", "an empty line"),
        ] {
            let root = root();
            source(root.path(), "ab", &GOOD.replace(from, to));
            let error = documents(root.path()).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
