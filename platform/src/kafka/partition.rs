//! The one partitioner.

use uuid::Uuid;

/// The partition of a key among `partitions`, as Java's default partitioner has it.
///
/// The partition is always given explicitly: the default of librdkafka differs from Java's, and
/// two producers that disagree would split one event's records.
///
/// # Panics
/// When `partitions` is not positive.
pub fn partition_of(key: Uuid, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let mut buffer = Uuid::encode_buffer();
    let text = key.hyphenated().encode_lower(&mut buffer);
    let positive = (murmur2(text.as_bytes()) & 0x7fff_ffff).cast_signed();
    positive % partitions
}

/// MurmurHash2 with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    #[expect(clippy::cast_possible_truncation, reason = "keys are 36 bytes")]
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_javas() {
        for (text, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn partitions_are_in_range() {
        for number in 0..1000_u128 {
            let partition = partition_of(Uuid::from_u128(number), 6);
            assert!((0..6).contains(&partition));
        }
    }
}
