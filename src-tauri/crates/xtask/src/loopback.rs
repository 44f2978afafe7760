//! Runs a command in a network namespace of its own, in which there is loopback and nothing else.

use crate::run;
use std::process::Command;

/// What brings loopback up and then becomes the command.
const UP: &str = "ip link set lo up && exec \"$0\" \"$@\"";

/// The same command with loopback only.
///
/// # Errors
/// With the reason why this machine cannot do that, in a sentence.
pub fn only(command: &Command) -> Result<Command, String> {
    if !cfg!(target_os = "linux") {
        return Err("network namespaces are on Linux only".to_owned());
    }
    for program in ["unshare", "ip"] {
        if !run::on_path(program) {
            return Err(format!("there is no `{program}` on the PATH"));
        }
    }
    if run::ask("unshare", &["--map-root-user", "--net", "sh", "-c", UP, "true"]).is_none() {
        return Err("this machine does not let a user make a network namespace".to_owned());
    }
    let mut alone = Command::new("unshare");
    alone.args(["--map-root-user", "--net", "sh", "-c", UP]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        alone.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    Ok(alone)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn inside_there_is_loopback_and_nothing_else() {
        let mut look = Command::new("sh");
        look.args(["-c", "cat /proc/net/dev; cat /proc/net/route"]);
        match only(&look) {
            Err(reason) => eprintln!("skipped: {reason}"),
            Ok(mut inside) => {
                let text = String::from_utf8(inside.output().unwrap().stdout).unwrap();
                let devices: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
                assert_eq!(devices, ["lo"], "{text}");
            }
        }
    }
}
