//! Content in the database: zstd, unless that does not pay.

use std::cell::RefCell;

use bytes::Bytes;

use crate::store::StoreError;

const PLAIN: i16 = 0;
const ZSTD: i16 = 1;
/// Content below this many octets stays plain: the frame would eat the gain.
const WORTH_PACKING: usize = 256;
const LEVEL: i32 = 1;

thread_local! {
    // A context of zstd costs more to make than 4 KiB cost to pack.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = RefCell::new(zstd::bulk::Compressor::new(LEVEL).ok());
}

/// Packs content; answers the encoding's number and the octets.
#[must_use]
pub fn pack(content: &[u8]) -> (i16, Vec<u8>) {
    if content.len() >= WORTH_PACKING {
        let packed = PACKER.with_borrow_mut(|packer| packer.as_mut().and_then(|packer| packer.compress(content).ok()));
        if let Some(packed) = packed.filter(|packed| packed.len() < content.len()) {
            return (ZSTD, packed);
        }
    }
    (PLAIN, content.to_vec())
}

/// Unpacks content of `size` octets.
pub fn unpack(encoding: i16, stored: Vec<u8>, size: i32) -> Result<Bytes, StoreError> {
    let size = usize::try_from(size).unwrap_or(0);
    match encoding {
        PLAIN => Ok(stored.into()),
        ZSTD => match zstd::bulk::decompress(&stored, size) {
            Ok(content) if content.len() == size => Ok(content.into()),
            Ok(_) => Err(StoreError::Corrupt("content has another size than its row says".into())),
            Err(error) => Err(StoreError::Corrupt(format!("content cannot be unpacked: {error}"))),
        },
        other => Err(StoreError::Corrupt(format!("content has the unknown encoding {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back_as_it_went_in() {
        for content in
            [b"short".to_vec(), b"Subject: hello\r\n".repeat(300), (0..=255).cycle().take(100_000).map(|n: u32| (n * 7 % 251) as u8).collect()]
        {
            let (encoding, stored) = pack(&content);
            assert!(stored.len() <= content.len());
            let size = i32::try_from(content.len()).unwrap_or(0);
            assert_eq!(unpack(encoding, stored, size).ok(), Some(Bytes::from(content)));
        }
    }

    #[test]
    fn damaged_content_is_told_as_such() {
        let (encoding, mut stored) = pack(&b"Subject: hello\r\n".repeat(300));
        assert!(unpack(encoding, stored.clone(), 12).is_err());
        stored.truncate(10);
        assert!(unpack(encoding, stored, 4_800).is_err());
        assert!(unpack(9, vec![], 0).is_err());
    }
}
