//! Stable codes of errors, for logs and programs.

use std::error::Error;

/// An error with a stable code. Each has an inherent `code` too, so that the trait is needed by generic code alone.
/// Parts of an error, such as [`JsonError`](crate::json::JsonError), have none.
///
/// The text of an error says everything, including what the errors within it say; `source` leads further only where
/// the text does not. A report that prints the whole chain repeats nothing.
///
/// ```
/// use claimgate::Code;
///
/// fn log(error: &dyn Code) -> String {
///     format!("{error} [{}]", error.code())
/// }
///
/// let error = claimgate::path::ClaimPath::parse("").unwrap_err();
/// assert_eq!(log(&error), "a claim path must not be empty [path.empty]");
/// ```
pub trait Code: Error {
    /// Returns the stable code, such as `claims.expired`; see `docs/reference/errors.md`.
    fn code(&self) -> &'static str;
}

/// Implements [`Code`] by the inherent method of an error.
macro_rules! coded {
    ($error:ty) => {
        impl $crate::code::Code for $error {
            fn code(&self) -> &'static str {
                <$error>::code(self)
            }
        }
    };
}

pub(crate) use coded;
