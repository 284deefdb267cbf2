//! x
use super::Failure;
pub(super) fn run(_o: &crate::config::DemoOptions) -> Result<(), Failure> { Err(Failure::new("stub")) }
