//! The programs of the server: `postgres` and `initdb`.
//!
//! Answers: where they are. The option first and alone; else the usual places of Debian, Red Hat, Homebrew and Postgres.app, and
//! the search path; among several the newest, or the release that wrote the data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;

const OLDEST_MAJOR: u32 = 14;
/// Directories with a release in their name, as (parent, part of the name, below).
const BY_RELEASE: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];
const FIXED: [&str; 2] = ["/usr/local/pgsql/bin", "/usr/libexec/postgresql"];

/// One installed release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }
}

/// The programs to use for data of the release `data`, or for new data.
pub(super) fn find(option: Option<&Path>, data: Option<&str>, data_dir: &Path) -> Result<Binaries, EmbeddedError> {
    let directories = option.map_or_else(usual_places, |directory| vec![directory.to_owned()]);
    let found: Vec<Binaries> = directories.into_iter().filter_map(examine).filter(|binaries| binaries.major >= OLDEST_MAJOR).collect();
    choose(&found, data, data_dir).map_err(|error| match (error, option) {
        (EmbeddedError::NoBinaries(_), Some(option)) => EmbeddedError::NoBinaries(format!(" in {}", option.display())),
        (error, _) => error,
    })
}

fn choose(found: &[Binaries], data: Option<&str>, data_dir: &Path) -> Result<Binaries, EmbeddedError> {
    // In reverse, since the last of equals counts: the usual places go before the search path.
    let newest = found.iter().rev().max_by_key(|binaries| binaries.major).ok_or_else(|| EmbeddedError::NoBinaries(String::new()))?;
    let Some(data) = data else { return Ok(newest.clone()) };
    found.iter().find(|binaries| binaries.major.to_string() == data).cloned().ok_or_else(|| EmbeddedError::OtherRelease {
        data_dir: data_dir.to_owned(),
        data: data.to_owned(),
        found: found.iter().map(|binaries| binaries.major.to_string()).collect::<Vec<_>>().join(", "),
    })
}

fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    for (parent, part, below) in BY_RELEASE {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        places.extend(entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(part)).map(|entry| entry.path().join(below)));
    }
    places.extend(FIXED.map(PathBuf::from));
    places.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    places
}

/// The release in a directory, if both programs are there and answer.
fn examine(directory: PathBuf) -> Option<Binaries> {
    let binaries = Binaries { directory, major: 0 };
    if !binaries.initdb().is_file() || !binaries.postgres().is_file() {
        return None;
    }
    let output = Command::new(binaries.postgres()).arg("--version").output().ok()?;
    let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { major, ..binaries })
}

/// 15 from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, 18 from `postgres (PostgreSQL) 18beta1`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_what_the_program_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("EnterpriseDB"), None);
    }

    #[test]
    fn the_newest_is_taken_unless_the_data_is_of_another_release() {
        let of = |major: u32| Binaries { directory: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")), major };
        let found = [of(15), of(17), of(16)];
        let data_dir = Path::new("/d");
        assert_eq!(choose(&found, None, data_dir).unwrap().major, 17);
        assert_eq!(choose(&found, Some("16"), data_dir).unwrap().major, 16);
        let error = choose(&found, Some("14"), data_dir).unwrap_err().to_string();
        assert!(error.contains("of PostgreSQL 14") && error.contains("15, 17, 16"), "{error}");
    }

    #[test]
    fn missing_programs_are_named_with_the_way_out() {
        let error = find(Some(Path::new("/nonexistent")), None, Path::new("/d")).unwrap_err().to_string();
        assert!(error.contains("in /nonexistent") && error.contains("apt install postgresql") && error.contains("database.bin_dir"), "{error}");
    }
}
