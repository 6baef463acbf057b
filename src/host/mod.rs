//! Joins the library and the system: epoll loops, drain, step, perform. The only place that knows both.

pub mod descriptors;
pub mod run_directory;
