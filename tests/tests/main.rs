//! All end-to-end tests as one program: much of their time is waited, for a boot, a deadline,
//! a pause, and what waits in one file lets those of another go on.
//!
//! A new file is named here, which `cargo xtask tidy` sees to.

mod book;
mod clouds;
mod console;
mod desk;
mod disks;
mod editor;
mod faults;
mod images;
mod kills;
mod launching;
mod manual;
mod messages;
mod report;
mod settings;
mod terminal;
mod testing;
mod twin;
mod warm;
mod watch;
