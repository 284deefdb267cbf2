//! The only user of awc.
