//! The room's tests, each against real repositories in temporary folders.

mod accepting;
mod discarding;
mod exporting;
mod handing_over;
mod opening;
mod reading;
mod reviewing;
mod trees;
