//! The machine around the private server: directories, and the user it runs as.
//!
//! Answers: where data, socket and lock lie, and who owns them. PostgreSQL refuses to run as root, so as root it runs as the user
//! `postgres` or else `nobody`.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::{EmbeddedError, server};

/// Octets of a socket's path, less the closing zero (unix(7)).
const MAX_SOCKET_PATH: usize = 107;
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Where the data is, below the directory of the server.
pub(super) const DATA: &str = "postgres";

/// The directories of one private server.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory that holds everything, absolute.
    pub(super) root: PathBuf,
    /// The server's data.
    pub(super) data: PathBuf,
    /// The directory of the socket.
    pub(super) socket_dir: PathBuf,
    /// The file whose lock names the owner.
    pub(super) lock: PathBuf,
    /// The user to switch to; none: the server runs as we do.
    pub(super) user: Option<User>,
}

impl Place {
    /// Makes the outer directories. Harmless beside a running server.
    pub(super) fn prepare(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let failed = |error: io::Error| EmbeddedError::system(format!("the directory {}", data_dir.display()), &error);
        let user = if geteuid().is_root() { Some(unprivileged()?) } else { None };
        let is_new = !data_dir.exists();
        fs::create_dir_all(data_dir).map_err(failed)?;
        let root = data_dir.canonicalize().map_err(failed)?;
        if let Some(user) = &user {
            if is_new {
                // Whatever our umask is, the server's user must get through; what lies inside is for it alone.
                fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).map_err(failed)?;
            }
            reachable(&root, user)?;
        }
        let place = Self { data: root.join(DATA), socket_dir: socket_dir(&root), lock: root.join("postgres.lock"), root, user };
        place.own_directory(&place.socket_dir)?;
        Ok(place)
    }

    /// Makes a directory for the server's user alone, or checks that it is one.
    pub(super) fn own_directory(&self, path: &Path) -> Result<(), EmbeddedError> {
        let failed = |error: io::Error| EmbeddedError::system(format!("the directory {}", path.display()), &error);
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {
                if let Some(user) = &self.user {
                    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(failed)?;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Not followed if it is a link: in /tmp anybody could have laid it.
                let facts = fs::symlink_metadata(path).map_err(failed)?;
                let owner = self.user.as_ref().map_or_else(geteuid, |user| user.uid).as_raw();
                // Root's own: made by a run that ended before the next step.
                let ours = facts.uid() == owner || facts.uid() == geteuid().as_raw();
                if !facts.is_dir() || !ours || facts.mode() & 0o077 != 0 {
                    return Err(EmbeddedError::SocketDirectory(path.to_owned()));
                }
                if let Some(user) = &self.user {
                    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(failed)?;
                }
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A command that runs as the server's user, with nothing of our environment but the search path.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir(&self.root);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(user) = &self.user {
            // The standard library drops root's other groups when it changes the user.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

fn unprivileged() -> Result<User, EmbeddedError> {
    USERS.iter().find_map(|name| User::from_name(name).ok().flatten()).ok_or(EmbeddedError::NoUser)
}

/// Checks that `user` may enter every directory from the root down to `path`. Access lists beyond the mode are not looked at.
fn reachable(path: &Path, user: &User) -> Result<(), EmbeddedError> {
    for directory in path.ancestors() {
        let Ok(facts) = fs::metadata(directory) else { continue };
        let bit = if facts.uid() == user.uid.as_raw() {
            0o100
        } else if facts.gid() == user.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        if facts.mode() & bit == 0 {
            return Err(EmbeddedError::Unreachable { user: user.name.clone(), directory: directory.to_owned() });
        }
    }
    Ok(())
}

/// Inside the data directory if the path is short enough, else under `/tmp`, named after it (FNV-1a, 64 bits).
fn socket_dir(root: &Path) -> PathBuf {
    let inside = root.join("socket");
    if inside.join(server::socket_name()).as_os_str().len() <= MAX_SOCKET_PATH {
        return inside;
    }
    let octets = root.as_os_str().as_encoded_bytes();
    let hash = octets.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3));
    PathBuf::from(format!("/tmp/pennypost-{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_a_deep_directory_lies_elsewhere() {
        let shallow = Path::new("/var/lib/pennypost");
        assert_eq!(socket_dir(shallow), shallow.join("socket"));
        for length in 60..200 {
            let root = PathBuf::from(format!("/{}", "d".repeat(length)));
            assert!(socket_dir(&root).join(server::socket_name()).as_os_str().len() <= MAX_SOCKET_PATH, "{length}");
        }
        let deep = |last: &str| socket_dir(Path::new(&format!("/{}/{last}", "d".repeat(120))));
        assert_ne!(deep("a"), deep("b"));
    }
}
