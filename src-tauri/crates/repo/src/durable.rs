//! Makes what was written survive a power loss.
