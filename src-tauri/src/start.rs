//! How the window was started: on a project, on the tour, or on nothing yet.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the arguments ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The folder to open at once.
    pub project: Option<PathBuf>,
    /// Make a sample project and play the tour on it.
    pub tour: bool,
    /// Make a sample project and open it with the settings' models.
    pub sample: bool,
}

impl Start {
    /// Reads the arguments: `[--tour | --sample | FOLDER]`.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Start, String> {
        let mut start = Start::default();
        for argument in arguments {
            match argument.to_str() {
                Some("--tour") => start.tour = true,
                Some("--sample") => start.sample = true,
                Some(flag) if flag.starts_with("--") => {
                    return Err(format!("unknown option {flag}; usage: atelier-app [--tour | --sample | FOLDER]"));
                }
                _ => start.project = Some(PathBuf::from(argument)),
            }
        }
        Ok(start)
    }
}

/// With NVIDIA's driver WebKitGTK's DMA-BUF renderer shows an empty window; the other renderer works.
pub fn avoid_blank_window() {
    #[cfg(target_os = "linux")]
    if std::path::Path::new("/proc/driver/nvidia/version").exists()
        && std::env::var_os("WEBKIT_DISABLE_DMABUF_RENDERER").is_none()
    {
        #[expect(unsafe_code, reason = "the variable must be set before the web view starts")]
        // SAFETY: called first in `main`, before any other thread exists.
        unsafe {
            std::env::set_var("WEBKIT_DISABLE_DMABUF_RENDERER", "1");
        }
    }
}

/// Whether there is a display to open a window on; asked first, because the toolkit itself would only abort.
pub fn display() -> Result<(), String> {
    #[cfg(target_os = "linux")]
    {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if named("DISPLAY").is_none() && named("WAYLAND_DISPLAY").is_none() {
            return Err(
                "no display: neither DISPLAY nor WAYLAND_DISPLAY is set; use `atelier` on the command line".to_owned()
            );
        }
        if gtk::init().is_err() {
            return Err("the display cannot be opened; use `atelier` on the command line".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Start, String> {
        Start::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn a_folder_or_a_flag_is_read_and_anything_else_refused() {
        assert_eq!(read(&["/tmp/x"]).unwrap().project, Some(PathBuf::from("/tmp/x")));
        assert!(read(&["--tour"]).unwrap().tour);
        assert!(read(&["--fast"]).unwrap_err().contains("unknown option --fast"));
    }
}
