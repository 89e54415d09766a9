//! What is compressed, decompressed into a buffer that is used again. Bounded: however small a
//! batch is, it takes no more memory than it may.

use std::io::Read;

use flate2::bufread::GzDecoder;
use zstd::zstd_safe;

use crate::ports::records::Area;

/// What is decompressed at a time where it is not told how much there is.
const CHUNK_BYTES: usize = 64 << 10;

/// The code by which zstd says that there is too little room: minus its number, which is fixed.
const ZSTD_NO_ROOM: usize = 0_usize.wrapping_sub(70);

/// What the blocks of Snappy begin with as Java's clients and Kafka itself write them. Others write
/// one block, bare.
const SNAPPY_BLOCKS: &[u8; 16] = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";

/// The most that Snappy makes of one byte: three of them copy up to 64.
const SNAPPY_FACTOR: usize = 22;

/// Why something was not decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is not what it should be.
    Broken,
    /// There is no room for so much.
    TooMuch,
}

/// Appends to `bodies` what `packed` was made of, by the codec's number in the protocol, as long as
/// they have at most `limit` bytes then. On failure nothing is appended.
pub(super) fn unpack(
    codec: u16,
    packed: &[u8],
    limit: usize,
    bodies: &mut Area,
) -> Result<(), Failure> {
    let begin = bodies.len();
    let unpacked = match codec {
        1 => stream(GzDecoder::new(packed), limit, bodies),
        2 => snappy(packed, limit, bodies),
        3 => lz4::Decoder::new(packed)
            .map_err(|_| Failure::Broken)
            .and_then(|decoder| stream(decoder, limit, bodies)),
        4 => zstd(packed, limit, bodies),
        _ => Err(Failure::Broken),
    };
    if unpacked.is_err() {
        bodies.truncate(begin);
    }
    unpacked
}

fn stream(mut decoder: impl Read, limit: usize, bodies: &mut Area) -> Result<(), Failure> {
    loop {
        let left = limit.saturating_sub(bodies.len());
        let room = bodies.spare().max(CHUNK_BYTES).min(left);
        if room == 0 {
            return Err(Failure::TooMuch);
        }
        match decoder.read(bodies.room(room)) {
            Ok(0) => return Ok(()),
            Ok(length) => bodies.fill(length),
            Err(_) => return Err(Failure::Broken),
        }
    }
}

/// In one go, which needs no window beside the buffer.
fn zstd(packed: &[u8], limit: usize, bodies: &mut Area) -> Result<(), Failure> {
    let left = limit.saturating_sub(bodies.len());
    let mut room = bodies.spare().max(CHUNK_BYTES).min(left);
    loop {
        match zstd_safe::decompress(bodies.room(room), packed) {
            Ok(length) => {
                bodies.fill(length);
                return Ok(());
            }
            Err(ZSTD_NO_ROOM) if room < left => room = room.saturating_mul(2).min(left),
            Err(ZSTD_NO_ROOM) => return Err(Failure::TooMuch),
            Err(_) => return Err(Failure::Broken),
        }
    }
}

fn snappy(packed: &[u8], limit: usize, bodies: &mut Area) -> Result<(), Failure> {
    let Some(mut blocks) = packed.strip_prefix(SNAPPY_BLOCKS) else {
        return if packed.is_empty() { Err(Failure::Broken) } else { block(packed, limit, bodies) };
    };
    while let Some((length, rest)) = blocks.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (first, rest) = rest.split_at_checked(length).ok_or(Failure::Broken)?;
        block(first, limit, bodies)?;
        blocks = rest;
    }
    if blocks.is_empty() { Ok(()) } else { Err(Failure::Broken) }
}

fn block(packed: &[u8], limit: usize, bodies: &mut Area) -> Result<(), Failure> {
    let length = snap::raw::decompress_len(packed).map_err(|_| Failure::Broken)?;
    if length / SNAPPY_FACTOR > packed.len() {
        return Err(Failure::Broken);
    }
    if length > limit.saturating_sub(bodies.len()) {
        return Err(Failure::TooMuch);
    }
    let unpacked = snap::raw::Decoder::new().decompress(packed, bodies.room(length));
    bodies.fill(unpacked.map_err(|_| Failure::Broken)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GZIP: u16 = 1;
    const SNAPPY: u16 = 2;
    const ZSTD: u16 = 4;

    fn unpacked(codec: u16, packed: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        let mut bodies = Area::default();
        bodies.room(3).copy_from_slice(b"abc");
        bodies.fill(3);
        let said = unpack(codec, packed, limit, &mut bodies);
        let (before, behind) = bodies.filled().split_at(3);
        assert_eq!(before, b"abc");
        assert!(said.is_ok() || behind.is_empty());
        said.map(|()| behind.to_vec())
    }

    #[test]
    fn snappy_is_read_bare_and_in_blocks() {
        let text = b"one two one two one two one two".repeat(9);
        let bare = snap::raw::Encoder::new().compress_vec(&text).expect("packed");
        assert_eq!(unpacked(SNAPPY, &bare, 1_000), Ok(text.clone()));
        let block = [&u32::try_from(bare.len()).unwrap().to_be_bytes()[..], &bare].concat();
        let blocks = [&SNAPPY_BLOCKS[..], &block, &block].concat();
        assert_eq!(unpacked(SNAPPY, &blocks, 1_000), Ok(text.repeat(2)));
        for broken in [&blocks[..blocks.len() - 1], &blocks[..18], &bare[..9], b""] {
            assert_eq!(unpacked(SNAPPY, broken, 1_000), Err(Failure::Broken), "{broken:?}");
        }
    }

    #[test]
    fn no_more_is_made_of_a_batch_than_there_is_room_for() {
        let zeros = vec![0; 1 << 20];
        let zstd = zstd::bulk::compress(&zeros, 3).expect("packed");
        let mut gzip = Vec::new();
        flate2::bufread::GzEncoder::new(&zeros[..], flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .expect("packed");
        let snappy = snap::raw::Encoder::new().compress_vec(&zeros).expect("packed");
        for (codec, packed) in [(ZSTD, zstd), (GZIP, gzip), (SNAPPY, snappy)] {
            assert_eq!(unpacked(codec, &packed, 4 + zeros.len()), Ok(zeros.clone()), "{codec}");
            assert_eq!(unpacked(codec, &packed, zeros.len()), Err(Failure::TooMuch), "{codec}");
        }
    }

    #[test]
    fn a_length_that_snappy_cannot_reach_takes_no_memory() {
        let claims_much = [0xff, 0xff, 0xff, 0x7f, 0, b'a'];
        let mut bodies = Area::default();
        let said = unpack(SNAPPY, &claims_much, usize::MAX, &mut bodies);
        assert_eq!((said, bodies.spare()), (Err(Failure::Broken), 0));
    }
}
