//! Checks attachments: names, types, content (RFC 2045 5.1, RFC 2183 2.3, RFC 2392).
//!
//! Does not: look into files; receivers do.

use crate::accept::fault::{Code, Faults};
use crate::accept::json::Object;
use crate::accept::request::AttachmentRequest;
use crate::mail::compose::{Attachment, ContentId, MediaType};
use crate::model::header::breaks_lines;

/// Octets of a file name.
const MAX_FILENAME_OCTETS: usize = 255;
/// What a file is unless its type is given.
const DEFAULT_TYPE: &str = "application/octet-stream";
/// Ends of names of programs, which the big receivers refuse in any message.
const PROGRAMS: [&str; 32] = [
    "ade", "adp", "apk", "bat", "chm", "cmd", "com", "cpl", "dll", "exe", "hta", "ins", "isp", "jar", "jse", "lnk", "mde", "msc", "msi", "msp",
    "mst", "pif", "ps1", "reg", "scr", "sct", "shb", "sys", "vbe", "vbs", "wsf", "wsh",
];

/// The files of a message, at most `most`.
pub(super) fn check(files: Vec<Object<AttachmentRequest>>, most: usize, faults: &mut Faults) -> Vec<Attachment> {
    if files.len() > most {
        faults.add("/attachments", Code::TooManyAttachments, format_args!("{} attachments; at most {most} are allowed", files.len()));
        return Vec::new();
    }
    let mut passed: Vec<Attachment> = Vec::with_capacity(files.len());
    for (place, Object(file)) in files.into_iter().enumerate() {
        let Some(file) = one(file, &format!("/attachments/{place}"), faults) else { continue };
        if file.content_id.is_some() && passed.iter().any(|other| other.content_id == file.content_id) {
            faults.add(format!("/attachments/{place}/content_id"), Code::InvalidContentId, "this content id is given twice");
        }
        passed.push(file);
    }
    passed
}

fn one(file: AttachmentRequest, pointer: &str, faults: &mut Faults) -> Option<Attachment> {
    filename(&file.filename, pointer, faults);
    let content = content(file.content.0, pointer, faults);
    let content_type = content_type(file.content_type.as_deref(), pointer, faults);
    let content_id = content_id(file.content_id.as_deref(), pointer, faults);
    let (content, content_type) = content.zip(content_type)?;
    Some(Attachment { filename: file.filename, content, content_type, content_id })
}

fn filename(name: &str, pointer: &str, faults: &mut Faults) {
    let pointer = || format!("{pointer}/filename");
    if name.chars().any(breaks_lines) {
        faults.add(pointer(), Code::HeaderInjection, "line ends and control characters are not allowed in a file name");
    } else if name.is_empty() || name.len() > MAX_FILENAME_OCTETS {
        faults.add(pointer(), Code::InvalidFilename, format_args!("a file name has 1 to {MAX_FILENAME_OCTETS} octets"));
    } else if name.contains(['/', '\\']) || matches!(name, "." | "..") {
        faults.add(pointer(), Code::InvalidFilename, "give the name without a path");
    } else if name.chars().any(turns_direction) {
        faults.add(pointer(), Code::InvalidFilename, "characters that turn the direction of writing could hide the real ending");
    } else if name.rsplit_once('.').is_some_and(|(_, end)| is_program(end.trim_matches([' ', '.']))) || name.ends_with(['.', ' ']) {
        faults.add(pointer(), Code::ForbiddenAttachment, "receivers refuse programs; send a link, or an archive they accept");
    }
}

/// Bidirectional controls (Unicode TR 9): with them `cod.exe` can be shown as `exe.doc`.
fn turns_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_program(end: &str) -> bool {
    PROGRAMS.iter().any(|program| program.eq_ignore_ascii_case(end))
}

fn content(octets: Option<Vec<u8>>, pointer: &str, faults: &mut Faults) -> Option<Vec<u8>> {
    let pointer = || format!("{pointer}/content");
    match octets {
        None => faults.add(pointer(), Code::InvalidBase64, "expected base64 with padding (RFC 4648 4), without line ends"),
        Some(octets) if octets.is_empty() => faults.add(pointer(), Code::EmptyAttachment, "the file has no content"),
        Some(octets) => return Some(octets),
    }
    None
}

fn content_type(given: Option<&str>, pointer: &str, faults: &mut Faults) -> Option<MediaType> {
    let text = given.unwrap_or(DEFAULT_TYPE);
    let pointer = || format!("{pointer}/content_type");
    if text.chars().any(breaks_lines) {
        faults.add(pointer(), Code::HeaderInjection, "line ends and control characters are not allowed in a media type");
        return None;
    }
    MediaType::parse(text).map_err(|error| faults.add(pointer(), Code::InvalidContentType, error)).ok()
}

fn content_id(given: Option<&str>, pointer: &str, faults: &mut Faults) -> Option<ContentId> {
    let text = given?;
    let code = if text.chars().any(breaks_lines) { Code::HeaderInjection } else { Code::InvalidContentId };
    ContentId::parse(text).map_err(|error| faults.add(format!("{pointer}/content_id"), code, error)).ok()
}
