//! One JSON value a frame, behind its length.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::codec::LengthDelimitedCodec;

/// Longest frame towards the engine, bytes: a request with its words is far below.
pub(super) const TO_ENGINE_MAX: usize = 64 * 1024;
/// Longest frame towards a cockpit, bytes: a snapshot with 500 metrics of four hours and 200 checks is half of that.
pub(super) const TO_COCKPIT_MAX: usize = 32 * 1024 * 1024;

/// Frames of at most `max` bytes behind a big-endian `u32`.
pub(super) fn codec(max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_type::<u32>().max_frame_length(max).new_codec()
}

/// A value as the content of a frame.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(value).map(Bytes::from)
}

/// The value in a frame.
pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(frame)
}
