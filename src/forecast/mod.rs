//! What will become of a real cluster: its public parts are captured, a world is rebuilt from them with other
//! keys, and that world is walked into the future.
//!
//! [`capture`] reads, [`rebuild`] makes a world, [`plan`] says what happens meanwhile, [`play`] walks and writes
//! down what breaks, [`rules`] says what is wrong already, [`remedy`] and [`etcd_machines`] what to do, [`outlook`] puts them
//! together and [`show`] writes it for people. [`import`] makes a scenario of what was pasted into an issue.

pub mod capture;
pub mod etcd_machines;
pub mod import;
pub mod outlook;
pub mod plan;
pub mod play;
pub mod rebuild;
pub mod remedy;
mod ring;
pub mod rules;
pub mod show;
pub mod skew;

#[cfg(test)]
mod tests;
