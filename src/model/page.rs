//! Pages of a list: a limit and an opaque cursor (keyset paging, so no page is slow and none skips).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Entries of a page unless the caller says.
pub const DEFAULT_LIMIT: u16 = 25;
/// Entries of a page at most.
pub const MAX_LIMIT: u16 = 100;

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// 1 to 100.
    pub limit: u16,
    /// The id after which the page starts, in the order of the list.
    pub after: Option<Uuid>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, after: None }
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of up to `limit` entries out of `limit + 1` that were read.
    #[must_use]
    pub fn cut(mut rows: Vec<T>, limit: u16, key: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next_cursor = rows.last().filter(|_| more).map(|last| write_cursor(key(last)));
        Self { data: rows, next_cursor }
    }
}

/// The text of a cursor that points behind `id`.
#[must_use]
pub fn write_cursor(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// Reads a cursor that [`write_cursor`] wrote; none if it is not one.
#[must_use]
pub fn read_cursor(text: &str) -> Option<Uuid> {
    let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    Uuid::from_slice(&octets).ok()
}
