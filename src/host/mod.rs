//! Joins the library and the system: epoll loops, drain, step, perform. The only place that knows both.

#![allow(dead_code)] // Building blocks; the users arrive one by one.

pub mod accounts;
pub mod apart;
pub mod clients;
pub mod control;
pub mod descriptors;
pub mod engine;
pub mod exec_plan;
pub mod failure;
pub mod forked;
pub mod log_files;
pub mod log_journal;
pub mod log_link;
pub mod log_queue;
pub mod log_writer;
pub mod logger;
pub mod mark;
pub mod reading;
pub mod refuse;
pub mod run_directory;
pub mod setup;
pub mod supervisor;
pub mod syslog;
