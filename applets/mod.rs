//! One file a family of commands; this file is the list.
