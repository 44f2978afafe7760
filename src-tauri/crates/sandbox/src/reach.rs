//! What a command can reach: the folders it sees, its environment and its program.
//!
//! Decided here once, from the [`Spec`] and the machine, so that bubblewrap and Landlock open the same things.
//! Nothing of the user's home folder is in it unless the spec names it.

use crate::{SpawnError, Spec};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What every command may read: programs, libraries and machine-wide configuration. Those that exist are opened.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu/store",
    "/snap",
    "/home/linuxbrew/.linuxbrew",
    "/run/current-system",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

/// Where programs are looked for when the spec says nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a command can reach. All paths exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Machine-wide folders, readable.
    pub system: Vec<PathBuf>,
    /// Readable besides, the working folder among them.
    pub read_only: Vec<PathBuf>,
    /// Writable, the private home among them.
    pub writable: Vec<PathBuf>,
    /// The user's home where it lies inside one of the machine-wide folders and must be covered.
    pub covered_home: Option<PathBuf>,
    /// The working folder.
    pub cwd: PathBuf,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Where the command's temporary files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temporary {
    /// The command has a `/tmp` of its own.
    OwnTmp,
    /// It shares `/tmp` with the machine, so it gets a folder in its home.
    InHome,
}

impl Reach {
    /// Works out what `spec` can reach and makes its home. `real_home` is the user's own.
    /// With `confined` false the program may be anywhere.
    pub fn of(spec: &Spec, real_home: Option<&Path>, temporary: Temporary, confined: bool) -> Result<Self, SpawnError> {
        let program = spec.argv.first().filter(|program| !program.is_empty()).ok_or(SpawnError::EmptyCommand)?;
        let cwd = existing_folder(&spec.cwd)?;
        if !spec.home.is_absolute() {
            return Err(SpawnError::NoFolder { path: spec.home.clone() });
        }
        let tmp = match temporary {
            Temporary::OwnTmp => PathBuf::from("/tmp"),
            Temporary::InHome => spec.home.join("tmp"),
        };
        make(&spec.home)?;
        if temporary == Temporary::InHome {
            make(&tmp)?;
        }
        let mut writable = vec![spec.home.clone()];
        for path in &spec.writable {
            if !path.is_absolute() || !path.exists() {
                return Err(SpawnError::NoFolder { path: path.clone() });
            }
            writable.push(path.clone());
        }
        let mut read_only: Vec<PathBuf> =
            spec.read_only.iter().filter(|path| path.is_absolute() && path.exists()).cloned().collect();
        if !writable.iter().chain(&read_only).any(|open| cwd.starts_with(open)) {
            read_only.push(cwd.clone());
        }
        let system: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
        let covered_home =
            real_home.filter(|home| system.iter().any(|open| home.starts_with(open))).map(Path::to_path_buf);
        let mut reach = Self {
            system,
            read_only,
            writable,
            covered_home,
            cwd,
            env: environment(spec, &tmp),
            program: PathBuf::new(),
            args: spec.argv[1..].to_vec(),
        };
        reach.program =
            reach.find(program, confined).ok_or_else(|| SpawnError::NotFound { program: program.clone() })?;
        Ok(reach)
    }

    /// The file of `program`, where the command can see it.
    fn find(&self, program: &str, confined: bool) -> Option<PathBuf> {
        if program.contains('/') {
            return Some(self.cwd.join(program)).filter(|file| is_program(file) && (!confined || self.sees(file)));
        }
        let path = self.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        std::env::split_paths(OsStr::new(path))
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(program))
            .find(|file| is_program(file) && (!confined || self.sees(file)))
    }

    /// Whether the command can see `file`, and what it links to.
    fn sees(&self, file: &Path) -> bool {
        let open = || self.system.iter().chain(&self.read_only).chain(&self.writable);
        let inside = |file: &Path| {
            open().any(|open| file.starts_with(open) || open.canonicalize().is_ok_and(|open| file.starts_with(open)))
        };
        inside(file) && file.canonicalize().is_ok_and(|real| inside(&real))
    }
}

/// The clean environment: nothing is inherited.
fn environment(spec: &Spec, tmp: &Path) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = [
        ("PATH", DEFAULT_PATH.to_owned()),
        ("HOME", spec.home.to_string_lossy().into_owned()),
        ("TMPDIR", tmp.to_string_lossy().into_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("TERM", "dumb".to_owned()),
        // Keeps test runners from watching for changes and from asking.
        ("CI", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    env.extend(spec.env.iter().cloned());
    env
}

fn existing_folder(path: &Path) -> Result<PathBuf, SpawnError> {
    if path.is_absolute() && path.is_dir() {
        Ok(path.to_path_buf())
    } else {
        Err(SpawnError::NoFolder { path: path.to_path_buf() })
    }
}

fn make(folder: &Path) -> Result<(), SpawnError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| SpawnError::Io { what: "its private home folder cannot be made", source })
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file() || file.with_extension("exe").is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn spec(argv: &[&str], folder: &Path) -> Spec {
        Spec::new(argv.iter().copied(), folder, folder.join("home"))
    }

    #[test]
    fn the_environment_holds_only_what_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(&["sh"], folder.path());
        spec.env = vec![("CI".to_owned(), "0".to_owned()), ("EXTRA".to_owned(), "yes".to_owned())];
        let reach = Reach::of(&spec, None, Temporary::InHome, true).unwrap();
        let names: Vec<_> = reach.env.keys().map(String::as_str).collect();
        assert_eq!(names, ["CI", "EXTRA", "HOME", "LANG", "PATH", "TERM", "TMPDIR"]);
        assert_eq!(reach.env["CI"], "0", "what the spec says wins");
        assert!(Path::new(&reach.env["TMPDIR"]).is_dir());
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let of = |spec: &Spec| Reach::of(spec, None, Temporary::InHome, true).unwrap_err().to_string();
        assert_eq!(of(&spec(&[], folder.path())), "the command is empty");
        let no_program = of(&spec(&["no-such-program"], folder.path()));
        assert!(no_program.starts_with("`no-such-program` cannot be run"), "{no_program}");
        let no_folder = of(&spec(&["sh"], &folder.path().join("gone")));
        assert!(no_folder.contains("gone` does not exist"), "{no_folder}");
        let mut relative = spec(&["sh"], folder.path());
        relative.writable.push("here".into());
        assert!(of(&relative).contains("`here` does not exist or is not absolute"));
    }

    #[test]
    fn a_program_the_command_cannot_see_is_not_found() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        let tool = outside.path().join("tool");
        std::os::unix::fs::symlink("/bin/sh", &tool).unwrap();
        let mut spec = spec(&["tool"], inside.path());
        spec.env.push(("PATH".to_owned(), outside.path().to_string_lossy().into_owned()));
        assert!(matches!(Reach::of(&spec, None, Temporary::InHome, true), Err(SpawnError::NotFound { .. })));
        spec.read_only.push(outside.path().to_path_buf());
        assert_eq!(Reach::of(&spec, None, Temporary::InHome, true).unwrap().program, tool);
    }

    #[test]
    fn the_working_folder_is_readable_even_when_nobody_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let reach = Reach::of(&spec(&["sh"], folder.path()), None, Temporary::OwnTmp, true).unwrap();
        assert_eq!(reach.read_only, [folder.path()]);
        assert_eq!(reach.writable, [folder.path().join("home")]);
    }
}
