//! The folder that is indexed: files from sources that cargo has downloaded with a history made for them, or a copy of a
//! folder that was named.
//!
//! The same sources and numbers make the same files and the same commits, to the byte. Sources are taken in the order of
//! their paths, and from the beginning again until there are enough; a repeated file has the same text at another path.

use crate::run::{self, Failure};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Larger files are left out of the folder that is made.
const LARGEST: u64 = 256 << 10;
const ENDINGS: &[&str] = &[
    "rs", "toml", "md", "c", "h", "cpp", "cc", "hpp", "py", "js", "ts", "go", "java", "json", "yml", "yaml", "sh",
    "txt", "html", "css",
];
/// When the first commit was made, in seconds since 1970, and how long after it the next one.
const BEGUN: usize = 1_700_000_000;
const APART: usize = 600;
/// What a commit is said to do.
const VERBS: [&str; 6] = ["Fix", "Rework", "Explain", "Simplify", "Guard", "Rename"];

/// A definition that stands in one file, and a word that stands in one commit's message: what they find says whether
/// definitions and history are in the index.
pub const PROBE: &str = "zz-probe/probe.rs";
pub const PROBED_DEFINITION: &str = "probed_quillwort";
pub const PROBED_WORD: &str = "quillwortledger";
/// A folder that the project ignores.
pub const IGNORED: &str = "built-by-the-bench";

/// What was made.
pub struct Made {
    pub files: usize,
    /// Other texts among them.
    pub texts: usize,
    pub commits: usize,
    pub how: String,
}

/// A folder of so many files with so many commits after the first, from cargo's downloaded sources.
pub fn from_sources(to: &Path, wanted: usize, commits: usize) -> Result<Made, Failure> {
    let sources = cargo_home()?.join("registry/src");
    let mut files = text_files(&sources);
    let made = copied(&mut files, &sources, to, wanted)?;
    let names: Vec<String> = made.iter().map(|(name, _)| name.clone()).collect();
    with_history(to, &names, commits)?;
    probe(to)?;
    Ok(Made {
        files: made.len(),
        texts: made.len().min(files.len()),
        commits: commits + 2,
        how: format!(
            "text files of up to {} KiB from cargo's downloaded sources in the order of their paths, repeated until \
             {wanted}; {commits} commits that each change 1 to 4 of them",
            LARGEST >> 10
        ),
    })
}

/// A clone of a repository, or a copy of another folder's text files with a history made for them.
pub fn copy_of(repo: &Path, to: &Path, commits: usize) -> Result<Made, Failure> {
    let is_git = run::ask("git", &["-C", &repo.to_string_lossy(), "rev-parse", "--git-dir"]).is_some();
    if is_git {
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--no-tags"]).arg(std::path::absolute(repo).map_err(cannot(repo))?).arg(to);
        run::output(&mut clone)?;
        probe(to)?;
        let listed = run::output(Command::new("git").arg("-C").arg(to).args(["ls-files", "-z"]))?;
        let counted = run::output(Command::new("git").arg("-C").arg(to).args(["rev-list", "--count", "HEAD"]))?;
        let files = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()).count();
        let commits = String::from_utf8_lossy(&counted).trim().parse().unwrap_or_default();
        return Ok(Made { files, texts: files, commits, how: format!("a clone of {}", repo.display()) });
    }
    let made = copied(&mut text_files(repo), repo, to, usize::MAX)?;
    let names: Vec<String> = made.iter().map(|(name, _)| name.clone()).collect();
    with_history(to, &names, commits)?;
    probe(to)?;
    let how = format!("the text files of {}; {commits} commits made for them", repo.display());
    Ok(Made { files: made.len(), texts: made.len(), commits: commits + 2, how })
}

fn cargo_home() -> Result<PathBuf, Failure> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    home.ok_or_else(|| {
        Failure::Environment("there is no home folder with cargo's sources; name a folder by --repo".to_owned())
    })
}

fn cannot(place: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Work(format!("{}: {error}", place.display()))
}

fn text_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            let text =
                path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending));
            // A name that git would have to be told in quotes is no loss.
            let plain = path.to_str().is_some_and(|path| !path.contains(['"', '\n', '\\']));
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
            } else if kind.is_file() && text && plain && entry.metadata().is_ok_and(|data| data.len() <= LARGEST) {
                found.push(path);
            }
        }
    }
    found
}

/// The copied files: path in the folder, with `/`, and where it came from.
fn copied(files: &mut [PathBuf], from: &Path, to: &Path, wanted: usize) -> Result<Vec<(String, PathBuf)>, Failure> {
    files.sort();
    let mut made = Vec::new();
    for round in 0.. {
        if files.is_empty() || made.len() >= wanted || (round > 0 && wanted == usize::MAX) {
            break;
        }
        for file in files.iter().take(wanted - made.len()) {
            let inside = Path::new(&format!("part{round}")).join(file.strip_prefix(from).unwrap_or(file));
            let place = to.join(&inside);
            fs::create_dir_all(place.parent().unwrap_or(to)).map_err(cannot(to))?;
            fs::copy(file, &place).map_err(cannot(to))?;
            let parts: Vec<_> = inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            made.push((parts.join("/"), file.clone()));
        }
    }
    Ok(made)
}

/// Makes the folder a repository: a first commit of all files, then `commits` that each change few of them. What a later
/// commit changes is written into the folder too, so that nothing is left to commit.
fn with_history(folder: &Path, files: &[String], commits: usize) -> Result<(), Failure> {
    run::output(Command::new("git").args(["init", "--quiet", "--initial-branch=main"]).arg(folder))?;
    let mut import = Command::new("git");
    import.arg("-C").arg(folder).args(["-c", "core.compression=1", "fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut importing = import.spawn().map_err(|error| Failure::Environment(format!("git: {error}")))?;
    let told = importing.stdin.take().map(|stdin| history(BufWriter::new(stdin), folder, files, commits));
    let ended = importing.wait().map_err(|error| Failure::Work(format!("git fast-import: {error}")))?;
    match told {
        Some(Ok(())) if ended.success() => {}
        Some(Err(error)) => return Err(Failure::Work(format!("the history could not be made: {error}"))),
        _ => return Err(Failure::Work(format!("git fast-import ended with {ended}"))),
    }
    run::output(Command::new("git").arg("-C").arg(folder).args(["reset", "--quiet"]))?;
    Ok(())
}

fn history(mut to: impl Write, folder: &Path, files: &[String], commits: usize) -> std::io::Result<()> {
    head(&mut to, 0, "Take in the sources")?;
    for file in files {
        put(&mut to, file, &fs::read(folder.join(file))?)?;
    }
    let mut changed: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for number in 1..=commits {
        // 7,919 is a prime: the files of commits that follow each other lie far apart.
        let first = number * 7_919 % files.len().max(1);
        let touched: Vec<&String> = files.iter().skip(first).take(1 + number % 4).collect();
        let Some(text) = touched.first().map(|file| fs::read(folder.join(file))).transpose()? else { break };
        head(&mut to, number, &message(number, touched[0], &text))?;
        for file in touched {
            let mut text = match changed.remove(file.as_str()) {
                Some(text) => text,
                None => fs::read(folder.join(file))?,
            };
            text.push(b'\n');
            put(&mut to, file, &text)?;
            changed.insert(file, text);
        }
    }
    changed.iter().try_for_each(|(file, text)| fs::write(folder.join(file), text))?;
    to.flush()
}

fn head(to: &mut impl Write, number: usize, message: &str) -> std::io::Result<()> {
    let at = BEGUN + number * APART;
    writeln!(to, "commit refs/heads/main\ncommitter Bench <bench@example.invalid> {at} +0000")?;
    write!(to, "data {}\n{message}\n", message.len())
}

fn put(to: &mut impl Write, path: &str, text: &[u8]) -> std::io::Result<()> {
    write!(to, "M 100644 inline {path}\ndata {}\n", text.len())?;
    to.write_all(text)?;
    to.write_all(b"\n")
}

/// A few words of the file, so that a message says something about it.
fn message(number: usize, file: &str, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 4).collect();
    let word = |at: usize| words.get((number * 31 + at * 17) % words.len().max(1)).copied().unwrap_or("nothing");
    let stem = file.rsplit('/').next().unwrap_or(file);
    format!("{} {} of {stem}\n\nAlso {} and {}.\n", VERBS[number % VERBS.len()], word(0), word(1), word(2))
}

/// Adds the file that says what the index holds, and what is ignored.
fn probe(folder: &Path) -> Result<(), Failure> {
    let file = folder.join(PROBE);
    let text = format!("/// Stands here once.\npub fn {PROBED_DEFINITION}() -> u32 {{\n    42\n}}\n");
    fs::create_dir_all(file.parent().unwrap_or(folder)).and_then(|()| fs::write(&file, text)).map_err(cannot(&file))?;
    let exclude = folder.join(".git/info/exclude");
    fs::create_dir_all(exclude.parent().unwrap_or(folder))
        .and_then(|()| fs::write(&exclude, format!("/{IGNORED}/\n")))
        .map_err(cannot(&exclude))?;
    // The same commit each time.
    let at = format!("{BEGUN} +0000");
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_AUTHOR_DATE", &at).env("GIT_COMMITTER_DATE", &at);
        run::output(git.arg("-C").arg(folder).args(arguments))
    };
    git(&["add", "--force", "--", PROBE])?;
    let who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.invalid", "-c", "commit.gpgsign=false"];
    git(&[&who[..], &["commit", "--quiet", "--no-verify", "-m", &format!("Note the {PROBED_WORD}")]].concat())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let scratch = std::env::temp_dir().join(format!("atelier-xtask-search-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        let from = scratch.join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("a.rs"), "fn alpha() {}").unwrap();
        fs::write(from.join("sub/b.md"), "Some words about bridges").unwrap();
        fs::write(from.join("c.png"), "no text").unwrap();
        scratch
    }

    #[test]
    fn a_folder_is_filled_until_it_has_enough() {
        let scratch = scratch("filled");
        let from = scratch.join("from");
        let made = copied(&mut text_files(&from), &from, &scratch.join("to"), 5).unwrap();
        let places: Vec<&str> = made.iter().map(|(name, _)| &**name).collect();
        assert_eq!(places, ["part0/a.rs", "part0/sub/b.md", "part1/a.rs", "part1/sub/b.md", "part2/a.rs"]);
        assert!(places.iter().all(|place| scratch.join("to").join(place).is_file()));
        assert_eq!(copied(&mut text_files(&from), &from, &scratch.join("once"), usize::MAX).unwrap().len(), 2);
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn a_history_is_the_same_each_time_and_leaves_nothing_to_commit() {
        let scratch = scratch("history");
        let heads: Vec<String> = ["one", "two"]
            .iter()
            .map(|name| {
                let to = scratch.join(name);
                let made = copied(&mut text_files(&scratch.join("from")), &scratch.join("from"), &to, 6).unwrap();
                let names: Vec<String> = made.into_iter().map(|(name, _)| name).collect();
                with_history(&to, &names, 9).unwrap();
                let at = to.to_string_lossy().into_owned();
                assert_eq!(run::ask("git", &["-C", &at, "rev-list", "--count", "HEAD"]).as_deref(), Some("10"));
                assert_eq!(run::ask("git", &["-C", &at, "status", "--porcelain"]).as_deref(), Some(""));
                run::ask("git", &["-C", &at, "rev-parse", "HEAD"]).unwrap()
            })
            .collect();
        assert_eq!(heads[0], heads[1]);
        fs::remove_dir_all(&scratch).unwrap();
    }
}
